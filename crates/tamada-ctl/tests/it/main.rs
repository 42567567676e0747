//! The commands against a real etcd, with keys written directly, and scripted members.
//!
//! Each file under `tests/scenes` is one scene (see the README there). Those in `original` were recorded from Patroni
//! 4.1.5 and must match to the byte; those in `own` show where we answer differently on purpose. After a wanted change
//! of ours, `UPDATE_SCENES=1 cargo test -p tamada-ctl` writes the scenes in `own` anew, to be reviewed as a difference.

mod etcd;
mod mask;
mod member;
mod play;
mod scene;

use std::fs;
use std::path::{Path, PathBuf};

use etcd::Etcd;

#[test]
fn the_original_would_have_said_the_same() {
    let failed = play_all("original", Recording::Fixed);
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn where_we_answer_differently() {
    let recording = if std::env::var_os("UPDATE_SCENES").is_some() { Recording::Renewed } else { Recording::Fixed };
    let failed = play_all("own", recording);
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Recording {
    Fixed,
    Renewed,
}

/// Plays the scenes of one directory side by side; returns what differed.
fn play_all(directory: &str, recording: Recording) -> Vec<String> {
    let etcd = Etcd::start();
    let scenes = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenes").join(directory));
    assert!(!scenes.is_empty(), "no scenes in {directory}");
    std::thread::scope(|scope| {
        let played: Vec<_> = scenes.iter().map(|file| scope.spawn(|| check(&etcd, file, recording))).collect();
        played.into_iter().filter_map(|scene| scene.join().expect("a scene does not panic")).collect()
    })
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the scenes are beside this file");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable directory").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

fn check(etcd: &Etcd, file: &Path, recording: Recording) -> Option<String> {
    let expected = fs::read_to_string(file).expect("a scene is text");
    let name = file.file_stem().expect("a file with a name").to_string_lossy();
    let happened = play::play(etcd, &name, &expected);
    if happened == expected {
        return None;
    }
    if recording == Recording::Renewed {
        fs::write(file, happened).expect("the scene is ours to write");
        return None;
    }
    let difference = similar::TextDiff::from_lines(&expected, &happened);
    Some(difference.unified_diff().context_radius(6).header(&file.display().to_string(), "what happened").to_string())
}
