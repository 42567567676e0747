//! Scenes in words a DBA reads, and what the core makes of them.
//!
//! A file of `cases/` holds scenes for one section of the specification: the world before the `----`, the decision after
//! it. A file of `cases/stories/` drives the whole agent: its first block sets the world up, each further block begins
//! with `then` and goes on from there; what the agent does stands after the `----`. Blocks are separated by an empty
//! line; a block of comments alone belongs to the reader. `story/chance.rs` makes stories up.
//!
//! `TAMADA_REWRITE_CASES=1 cargo test -p tamada-core cases` writes the answers anew; the diff is then read.

mod clues;
mod describe;
mod scene;
mod show;
mod story;
mod words;

use std::path::{Path, PathBuf};

use scene::Scene;
use story::Story;

const BAR: &str = "----";

#[test]
fn each_scene_is_decided_as_expected() {
    check("src/cases", |blocks| blocks.iter().map(|block| block.answered(&decided(&block.question()))).collect());
}

#[test]
fn each_story_goes_as_expected() {
    check("src/cases/stories", |blocks| {
        let mut story: Option<Story> = None;
        let mut told = Vec::new();
        for block in blocks {
            let question = block.question();
            let lines = match &mut story {
                Some(story) if question.first().is_some_and(|line| line.starts_with("then ")) => story.go_on(&question),
                Some(_) | None => story.insert(Story::new()).begin(&question),
            };
            told.push(block.answered(&lines));
        }
        told
    });
}

fn decided(question: &[&str]) -> Vec<String> {
    let mut scene = Scene::default();
    question.iter().for_each(|line| scene.apply(line));
    scene.decided()
}

/// One block of a case file.
struct Block(String);

impl Block {
    fn is_a_question(&self) -> bool {
        self.0.lines().any(|line| line == BAR)
    }

    /// The lines above the bar, without comments.
    fn question(&self) -> Vec<&str> {
        self.0.lines().take_while(|line| *line != BAR).filter(|line| !line.starts_with('#')).collect()
    }

    fn answered(&self, answer: &[String]) -> Block {
        let above: Vec<&str> = self.0.lines().take_while(|line| *line != BAR).collect();
        Block(format!("{}\n{BAR}\n{}", above.join("\n"), answer.join("\n")).trim_end().to_owned())
    }
}

#[expect(clippy::disallowed_methods, reason = "a switch for whoever runs the test, not for the core")]
fn rewrites() -> bool {
    std::env::var_os("TAMADA_REWRITE_CASES").is_some()
}

/// Answers the questions of every file of a folder, and compares the answers with those in the file.
fn check(folder: &str, answer: impl Fn(&[&Block]) -> Vec<Block>) {
    let rewrites = rewrites();
    let mut differences = String::new();
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) {
        let text = std::fs::read_to_string(&path).expect("the folder has just listed it");
        let blocks: Vec<Block> = text.split("\n\n").map(|block| Block(block.trim_end().to_owned())).collect();
        let questions: Vec<&Block> = blocks.iter().filter(|block| block.is_a_question()).collect();
        let mut answers = answer(&questions).into_iter();
        let fresh: Vec<Block> = blocks
            .iter()
            .map(|block| match block.is_a_question() {
                true => answers.next().expect("one answer for each question"),
                false => Block(block.0.clone()),
            })
            .collect();
        if rewrites {
            let texts: Vec<&str> = fresh.iter().map(|block| block.0.as_str()).collect();
            std::fs::write(&path, texts.join("\n\n") + "\n").expect("a case file can be written");
        }
        for (old, new) in blocks.iter().zip(&fresh).filter(|(old, new)| old.0 != new.0) {
            differences += &format!("\n{}\nexpected:\n{}\n\nfound:\n{}\n", path.display(), old.0, new.0);
        }
    }
    assert!(rewrites || differences.is_empty(), "{differences}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(folder).expect("the folder of cases");
    let mut files: Vec<PathBuf> = listed.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}
