//! A new cluster, made once by the real jobs and copied by every test, because initdb costs most of a test's time.
//!
//! Each test may be a process of its own, so the template lies where all find it. Nobody can say who is the last to
//! need it: it stays, and is removed by a later build's tests.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tamada_model::*;

use crate::node::{Node, become_postgres, bin_dir, fast_stop};

const NAME: &str = "tamada-it-template-";
/// No test of another build still runs after that long.
const OLD: Duration = Duration::from_secs(3600);

pub async fn copy_to(data_dir: &Path) {
    become_postgres();
    let place = std::env::temp_dir().join(format!("{NAME}{:x}", build()));
    fs::create_dir_all(&place).unwrap();
    // One at a time: the first makes what the others copy. A lock on the directory ends with its process.
    let lock = File::open(&place).unwrap();
    lock.lock().unwrap();
    let template = place.join("data");
    if !template.exists() {
        sweep(&place);
        make(&template).await;
    }
    let copied = Command::new("cp").arg("-a").arg(&template).arg(data_dir).status();
    assert!(copied.unwrap().success());
}

/// What the template depends on: this program, and the server's programs.
fn build() -> u64 {
    let program = fs::metadata(std::env::current_exe().unwrap()).unwrap();
    let mut hasher = DefaultHasher::new();
    (program.modified().unwrap(), program.len(), bin_dir()).hash(&mut hasher);
    hasher.finish()
}

/// A stopped cluster of small segments, with its users, as the jobs leave it. Moved to its place when it is complete.
async fn make(template: &Path) {
    let node = Node::with("template", |config, _| {
        config.bootstrap.initdb =
            json!([{"encoding": "UTF8"}, {"auth": "scram-sha-256"}, "no-sync", {"wal-segsize": "1"}]);
    })
    .await;
    node.bootstrap().await;
    assert!(matches!(node.run(Job::Stop(fast_stop())).await, JobEnd::Stopped(Some(_))));
    fs::rename(&node.config.data_dir, template).unwrap();
}

fn sweep(ours: &Path) {
    let others = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    for other in others.filter(|other| other.file_name().to_string_lossy().starts_with(NAME)) {
        if other.path() != ours && is_old(&other.path()) {
            // Another user's is not ours to remove.
            let _ = fs::remove_dir_all(other.path());
        }
    }
}

fn is_old(path: &Path) -> bool {
    let made = fs::metadata(path).and_then(|about| about.modified());
    made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age > OLD))
}
