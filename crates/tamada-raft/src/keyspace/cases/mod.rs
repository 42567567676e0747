//! Logs in words, and what they do to the keys.
//!
//! A block of a case file begins with an empty store. Each line above the `----` is the next entry of the log, or a
//! question (`read`, `watch`, `leases`, `store`); below it stands what came of each. Blocks are separated by an empty
//! line.
//!
//! `TAMADA_REWRITE_CASES=1 cargo test -p tamada-raft cases` writes the answers anew; the diff is then read.

mod parse;
mod show;

use std::path::{Path, PathBuf};

use super::Keyspace;
use parse::Line;

const BAR: &str = "----";

#[test]
fn each_log_does_what_is_expected() {
    let mut differences = String::new();
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/keyspace/cases")) {
        let text = std::fs::read_to_string(&path).expect("the folder has just listed it");
        let fresh: Vec<String> = text.trim_end().split("\n\n").map(answered).collect();
        let fresh = fresh.join("\n\n") + "\n";
        if rewrites() {
            std::fs::write(&path, &fresh).expect("a case file can be written");
        } else if let Some((expected, found)) = text.split("\n\n").zip(fresh.split("\n\n")).find(|(a, b)| a != b) {
            differences += &format!("\n{}\nexpected:\n{expected}\n\nfound:\n{found}\n", path.display());
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// The block with its answer; a block without a bar is there for the reader only.
fn answered(block: &str) -> String {
    let Some((log, _)) = block.split_once(BAR) else { return block.to_owned() };
    let mut scene = Scene::default();
    let lines = log.lines().filter(|line| !line.starts_with('#'));
    let told: Vec<String> = lines.flat_map(|line| scene.go_on(line)).collect();
    format!("{log}{BAR}\n{}", told.join("\n")).trim_end().to_owned()
}

#[derive(Default)]
struct Scene {
    space: Keyspace,
    index: u64,
}

impl Scene {
    fn go_on(&mut self, line: &str) -> Vec<String> {
        match parse::line(line) {
            Line::Entry(command) => {
                self.index += 1;
                show::applied(self.index, &self.space.apply(self.index, &command))
            }
            Line::Read(range) => vec![show::read(&self.space.range(&range))],
            Line::Watch(keys, from) => show::watched(&self.space.changes_since(&keys, from)),
            Line::Leases => self.space.leases().map(|lease| show::lease(&lease)).collect(),
            Line::Store => vec![show::store(&self.space)],
        }
    }
}

fn rewrites() -> bool {
    std::env::var_os("TAMADA_REWRITE_CASES").is_some()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(folder).expect("the folder of cases");
    let mut files: Vec<PathBuf> = listed.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(!files.is_empty(), "there are cases");
    files
}
