//! Disks that are full, broken or slow while they are used.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::super::testing::{Faults, Scratch};
use super::super::{Disk, Health};
use super::{Progress, kept};

const LONG: Duration = Duration::from_secs(60);

fn open(scratch: &Scratch) -> (Disk, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    (Disk::open_on(scratch.path(), Some(faults.clone())).unwrap(), faults)
}

fn found(scratch: &Scratch) -> Progress {
    Progress::found(&kept(&Disk::open(scratch.path()).unwrap()))
}

async fn until(disk: &Disk, which: impl FnMut(&Health) -> bool) -> Health {
    let mut health = disk.health();
    let health = timeout(LONG, health.wait_for(which)).await.unwrap().unwrap();
    health.clone()
}

#[tokio::test]
async fn a_full_disk_confirms_nothing_and_goes_on_by_itself_when_there_is_room() {
    let scratch = Scratch::new();
    let (disk, faults) = open(&scratch);
    let (first, changes) = Progress::default().step(5);
    disk.save(changes).await.unwrap();

    faults.fail_writes(Some(ErrorKind::StorageFull));
    let (second, changes) = first.step(5);
    let write = tokio::spawn({
        let disk = disk.clone();
        async move { disk.save(changes).await }
    });
    until(&disk, |health| matches!(health, Health::Full { .. })).await;
    assert!(!write.is_finished());

    faults.fail_writes(None);
    timeout(LONG, write).await.unwrap().unwrap().unwrap();
    assert_eq!(until(&disk, |health| *health == Health::Well).await, Health::Well);
    disk.close().await;
    assert_eq!(found(&scratch), second);
}

#[tokio::test]
async fn a_full_disk_does_not_hold_up_the_end() {
    let scratch = Scratch::new();
    let (disk, faults) = open(&scratch);
    let (first, changes) = Progress::default().step(5);
    disk.save(changes).await.unwrap();
    faults.fail_writes(Some(ErrorKind::QuotaExceeded));
    let (_, changes) = first.step(5);
    let write = tokio::spawn({
        let disk = disk.clone();
        async move { disk.save(changes).await }
    });
    until(&disk, |health| matches!(health, Health::Full { .. })).await;
    timeout(LONG, disk.close()).await.unwrap();
    assert_eq!(write.await.unwrap().unwrap_err().kind(), ErrorKind::QuotaExceeded);
    assert_eq!(found(&scratch), first);
}

#[tokio::test]
async fn a_sync_that_failed_is_not_tried_again() {
    let scratch = Scratch::new();
    let (disk, faults) = open(&scratch);
    let (first, changes) = Progress::default().step(5);
    disk.save(changes).await.unwrap();
    faults.fail_syncs(Some(ErrorKind::Other));
    let (second, changes) = first.step(5);
    disk.save(changes).await.unwrap_err();
    let Health::Failing(why) = until(&disk, |health| matches!(health, Health::Failing(_))).await else { panic!() };
    assert!(why.contains("this node stops"), "{why}");

    faults.fail_syncs(None);
    let (_, changes) = first.step(5);
    disk.save(changes).await.unwrap_err();
    disk.close().await;
    // What was not confirmed may be there. What was confirmed is.
    let found = found(&scratch);
    assert!(found == first || found == second, "{found:?}");
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_ends_the_voter() {
    let scratch = Scratch::new();
    let (disk, faults) = open(&scratch);
    let (first, changes) = Progress::default().step(5);
    disk.save(changes).await.unwrap();
    faults.fail_writes(Some(ErrorKind::Other));
    let (_, changes) = first.step(5);
    disk.save(changes).await.unwrap_err();
    until(&disk, |health| matches!(health, Health::Failing(_))).await;
    faults.fail_writes(None);
    disk.close().await;
    assert_eq!(found(&scratch), first);
}

#[tokio::test]
async fn what_is_asked_while_the_disk_syncs_is_synced_together() {
    let scratch = Scratch::new();
    let (disk, faults) = open(&scratch);
    faults.slow_down(Duration::from_millis(200));
    let before = faults.syncs();
    let mut progress = Progress::default();
    let writes = (0..50).map(|_| {
        let (next, changes) = progress.step(3);
        progress = next;
        let disk = disk.clone();
        tokio::spawn(async move { disk.save(changes).await.unwrap() })
    });
    for write in writes.collect::<Vec<_>>() {
        timeout(LONG, write).await.unwrap().unwrap();
    }
    let syncs = faults.syncs() - before;
    assert!(syncs < 25, "{syncs} syncs for 50 writes");
    disk.close().await;
    assert_eq!(found(&scratch), progress);
}
