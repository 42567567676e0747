//! A damaged file: every byte of it is either of no importance, or its damage is told.

use std::fs;
use std::path::Path;

use super::super::testing::Scratch;
use super::super::{Disk, Identity};
use super::{Progress, kept};

/// Each opens the file once, which takes some milliseconds.
const TRIES: usize = 150;
/// As many again where redb keeps what everything else hangs on.
const HEADER: usize = 320;

#[tokio::test]
async fn a_flipped_byte_in_a_file_that_was_closed_is_harmless_or_told() {
    let scratch = Scratch::new();
    let disk = Disk::open(scratch.path()).unwrap();
    let wrote = write(&disk).await;
    disk.close().await;
    flip_bytes(&Original::of(scratch.path(), wrote)).await;
}

#[tokio::test]
async fn a_flipped_byte_in_a_file_that_was_left_open_is_harmless_or_told() {
    let scratch = Scratch::new();
    let disk = Disk::open(scratch.path()).unwrap();
    let wrote = write(&disk).await;
    let original = Original::of(scratch.path(), wrote);
    disk.close().await;
    flip_bytes(&original).await;
}

type Wrote = (Identity, Progress);

struct Original {
    store: Vec<u8>,
    seen: Vec<u8>,
    wrote: Wrote,
}

impl Original {
    fn of(folder: &Path, wrote: Wrote) -> Self {
        let read = |name| fs::read(folder.join(name)).unwrap();
        Self { store: read("store.redb"), seen: read("store.seen"), wrote }
    }

    fn place(&self, folder: &Path, store: &[u8]) {
        fs::write(folder.join("store.redb"), store).unwrap();
        fs::write(folder.join("store.seen"), &self.seen).unwrap();
    }
}

async fn write(disk: &Disk) -> Wrote {
    let mut progress = Progress::found(&kept(disk));
    for draw in 0..60 {
        let (next, changes) = progress.step(draw);
        disk.save(changes).await.unwrap();
        progress = next;
    }
    (disk.identity(), progress)
}

async fn flip_bytes(original: &Original) {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let scratch = Scratch::new();
    let mut told = 0;
    for number in 0..2 * TRIES {
        let place = rng.usize(..if number < TRIES { HEADER } else { original.store.len() });
        let mut store = original.store.clone();
        store[place] ^= 1 << rng.u8(..8);
        original.place(scratch.path(), &store);
        match found(scratch.path()).await {
            Ok(found) => assert_eq!(found, original.wrote, "byte {place} changed what is found, and nobody was told"),
            Err(why) => {
                assert!(why.contains("is damaged") || why.contains("newer version"), "byte {place}: {why}");
                told += 1;
            }
        }
    }
    println!("{told} of {} flips were told, the others did no harm", 2 * TRIES);
    assert!(told > 0);
}

async fn found(folder: &Path) -> Result<Wrote, String> {
    let disk = Disk::open(folder)?;
    let found = (disk.identity(), Progress::found(&kept(&disk)));
    disk.close().await;
    Ok(found)
}
