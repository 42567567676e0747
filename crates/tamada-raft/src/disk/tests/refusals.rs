//! What is not opened, and the sentence for each.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use super::super::testing::{Faults, Scratch};
use super::super::{Disk, FORMAT, tables};
use super::{Progress, kept};

fn refused(scratch: &Scratch) -> String {
    Disk::open(scratch.path()).map(|_| ()).unwrap_err().replace(&*scratch.path().to_string_lossy(), "DIR")
}

const WAY_OUT: &str =
    "stop this node, move DIR away and start it: it comes back as a newcomer and copies the store from the others";

async fn used(scratch: &Scratch) {
    let disk = Disk::open(scratch.path()).unwrap();
    let mut progress = Progress::found(&kept(&disk));
    for draw in 0..20 {
        let (next, changes) = progress.step(draw);
        disk.save(changes).await.unwrap();
        progress = next;
    }
    disk.close().await;
}

#[tokio::test]
async fn a_folder_serves_one_process_and_is_for_its_user_alone() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("new");
    let disk = Disk::open(&folder).unwrap();
    let again = Disk::open(&folder).map(|_| ()).unwrap_err();
    assert!(again.starts_with("another process uses "), "{again}");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder.clone()), 0o700);
    assert_eq!(mode(folder.join("store.redb")), 0o600);
    assert_eq!(mode(folder.join("store.seen")), 0o600);
    disk.close().await;
    Disk::open(&folder).unwrap().close().await;
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_refused() {
    let scratch = Scratch::new();
    used(&scratch).await;
    let store = scratch.path().join("store.redb");
    let whole = fs::read(&store).unwrap();
    for length in [0, 1, 100, 4096, whole.len() / 2, whole.len() - 4096] {
        fs::write(&store, &whole[..length]).unwrap();
        let why = refused(&scratch);
        assert!(why.starts_with("DIR/store.redb is damaged (") && why.ends_with(WAY_OUT), "{length}: {why}");
    }
}

#[tokio::test]
async fn a_file_of_something_else_is_refused() {
    let scratch = Scratch::new();
    fs::write(scratch.path().join("store.redb"), "SQLite format 3".repeat(1000)).unwrap();
    let why = refused(&scratch);
    assert!(why.starts_with("DIR/store.redb is damaged (") && why.ends_with(WAY_OUT), "{why}");
}

/// It would vote a second time in the terms that it has forgotten.
#[tokio::test]
async fn yesterdays_copy_is_refused() {
    let scratch = Scratch::new();
    used(&scratch).await;
    let store = scratch.path().join("store.redb");
    let yesterday = fs::read(&store).unwrap();
    used(&scratch).await;
    fs::write(&store, yesterday).unwrap();
    assert_eq!(
        refused(&scratch),
        format!("DIR/store.redb is damaged (the last 20 writes of 41 are missing): {WAY_OUT}")
    );
}

#[tokio::test]
async fn without_its_file_a_node_is_a_new_one() {
    let scratch = Scratch::new();
    used(&scratch).await;
    let disk = Disk::open(scratch.path()).unwrap();
    let before = disk.identity();
    disk.close().await;
    fs::remove_file(scratch.path().join("store.redb")).unwrap();
    let disk = Disk::open(scratch.path()).unwrap();
    assert_ne!(disk.identity().node, before.node);
    assert_eq!(Progress::found(&kept(&disk)), Progress::default());
    disk.close().await;
}

#[tokio::test]
async fn a_newer_format_asks_for_its_version() {
    let scratch = Scratch::new();
    used(&scratch).await;
    let database = redb::Database::open(scratch.path().join("store.redb")).unwrap();
    tables::declare_format(&database, FORMAT + 1).unwrap();
    drop(database);
    assert_eq!(
        refused(&scratch),
        "DIR/store.redb was written by a newer version (format 2, this one knows up to 1): install that version"
    );
}

#[tokio::test]
async fn a_path_that_is_no_folder_is_refused() {
    let scratch = Scratch::new();
    let file = scratch.path().join("file");
    fs::write(&file, "").unwrap();
    let why = Disk::open(&file).map(|_| ()).unwrap_err();
    assert!(why.ends_with("it must be a directory that this user may write to"), "{why}");
}

#[tokio::test]
async fn a_full_disk_is_told_at_the_start_and_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let faults = Arc::new(Faults::default());
    faults.fail_writes(Some(ErrorKind::StorageFull));
    let why = Disk::open_on(scratch.path(), Some(faults.clone())).map(|_| ()).unwrap_err();
    assert!(why.starts_with("no room on the disk of "), "{why}");
    faults.fail_writes(None);
    Disk::open_on(scratch.path(), Some(faults)).unwrap().close().await;
}
