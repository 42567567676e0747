//! kill -9, at random instants, of a process that writes.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::super::Disk;
use super::super::testing::Scratch;
use super::{Progress, kept};

const ROUNDS: usize = 12;
/// In the child's environment: where it writes.
const FOLDER: &str = "TAMADA_TEST_WRITES_TO";

#[tokio::test]
async fn what_was_confirmed_outlives_kills() {
    let scratch = Scratch::new();
    let mut confirmed = Progress::default();
    for _ in 0..ROUNDS {
        confirmed = killed_while_writing(scratch.path(), confirmed);
        let disk = Disk::open(scratch.path()).unwrap();
        let found = Progress::found(&kept(&disk));
        assert!(found.is_not_behind(confirmed), "{found:?} is behind {confirmed:?}");
        disk.close().await;
    }
    assert!(confirmed.next > 0);
}

/// Returns the last progress that the child told of.
fn killed_while_writing(folder: &Path, mut confirmed: Progress) -> Progress {
    let mut child = writer(folder);
    let mut told = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..fastrand::u32(1..40) {
        confirmed = next_told(&mut told).expect("the child writes until it is killed");
    }
    let moment = Instant::now() + Duration::from_micros(fastrand::u64(..4_000));
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    while let Some(progress) = next_told(&mut told) {
        confirmed = progress;
    }
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    confirmed
}

fn writer(folder: &Path) -> Child {
    let mut this = Command::new(std::env::current_exe().unwrap());
    this.args(["--exact", "disk::tests::kills::the_child_that_writes", "--nocapture"]);
    this.env(FOLDER, folder).stdout(Stdio::piped()).spawn().unwrap()
}

/// Passes over what the test harness says. A line that was cut short does not count.
fn next_told(told: &mut BufReader<ChildStdout>) -> Option<Progress> {
    loop {
        let mut line = String::new();
        if told.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        let Some(numbers) = line.strip_suffix(" confirmed\n") else { continue };
        let numbers: Vec<u64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        let [next, vote, snapshot] = numbers[..] else { panic!("{line}") };
        return Some(Progress { next, vote, snapshot });
    }
}

/// Does nothing unless it is told where.
#[tokio::test]
async fn the_child_that_writes() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let disk = Disk::open(Path::new(&folder)).unwrap();
    let mut progress = Progress::found(&kept(&disk));
    let mut out = fs::File::options().write(true).open("/dev/stdout").unwrap();
    loop {
        let (next, changes) = progress.step(fastrand::u64(..));
        disk.save(changes).await.unwrap();
        progress = next;
        let Progress { next, vote, snapshot } = progress;
        writeln!(out, "{next} {vote} {snapshot} confirmed").unwrap();
    }
}
