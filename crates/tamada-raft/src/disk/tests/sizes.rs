//! How much room the files take.

use bytes::Bytes;

use super::super::testing::Scratch;
use super::super::{Change, Disk};

const MIB: u64 = 1024 * 1024;

fn snapshot(length: u64) -> Change {
    Change::Snapshot { about: Bytes::from_static(b"about"), content: vec![7; length as usize].into() }
}

#[tokio::test]
async fn a_file_that_has_grown_is_small_again_after_a_start() {
    let scratch = Scratch::new();
    let disk = Disk::open(scratch.path()).unwrap();
    disk.save(vec![snapshot(20 * MIB)]).await.unwrap();
    disk.save(vec![snapshot(MIB)]).await.unwrap();
    disk.close().await;
    assert!(disk.bytes() > 16 * MIB);

    let disk = Disk::open(scratch.path()).unwrap();
    assert!(disk.bytes() < 4 * MIB, "{} bytes", disk.bytes());
    let (_, content) = disk.snapshot().await.unwrap().unwrap();
    assert_eq!(content, vec![7; MIB as usize]);
    disk.close().await;
}

#[tokio::test]
async fn a_new_store_is_tiny() {
    let scratch = Scratch::new();
    let disk = Disk::open(scratch.path()).unwrap();
    assert!(disk.bytes() < MIB / 4, "{} bytes", disk.bytes());
    disk.close().await;
}
