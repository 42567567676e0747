//! Power cuts: of what was not synced, any part may be on the disk, in whole sectors or none.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fastrand::Rng;

use super::super::medium::Fault;
use super::super::testing::Scratch;
use super::super::{Disk, locked};
use super::{Progress, kept};

const ROUNDS: usize = 40;
const SECTOR: usize = 512;

/// Knows what is synced and what is not, and leaves a random part of the latter when the power fails.
struct Platter(Mutex<Power>);

struct Power {
    synced: Vec<u8>,
    since: Vec<Step>,
    /// Until the power fails.
    steps_left: u64,
    left_behind: Option<Vec<u8>>,
    rng: Rng,
}

enum Step {
    Write(u64, Vec<u8>),
    Resize(u64),
}

impl Step {
    fn happen(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => overwrite(file, *offset, data),
            Self::Resize(length) => file.resize(*length as usize, 0),
        }
    }

    fn happen_in_part(&self, file: &mut Vec<u8>, rng: &mut Rng) {
        match self {
            Self::Write(offset, data) => {
                for (sector, data) in data.chunks(SECTOR).enumerate().filter(|_| rng.u8(..8) > 0) {
                    overwrite(file, offset + (sector * SECTOR) as u64, data);
                }
            }
            Self::Resize(_) => self.happen(file),
        }
    }
}

fn overwrite(file: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let offset = offset as usize;
    let end = offset + data.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(data);
}

impl Power {
    fn use_up(&mut self) -> io::Result<()> {
        if self.steps_left > 0 {
            self.steps_left -= 1;
            return Ok(());
        }
        let Self { synced, since, left_behind, rng, .. } = self;
        left_behind.get_or_insert_with(|| {
            let mut left = synced.clone();
            since.iter().for_each(|step| {
                // Much of it or little of it; all and nothing included.
                if rng.u8(..4) > 0 {
                    step.happen_in_part(&mut left, rng);
                }
            });
            left
        });
        Err(io::Error::other("the power has failed"))
    }
}

impl Fault for Platter {
    fn before_write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut power = locked(&self.0);
        power.use_up()?;
        power.since.push(Step::Write(offset, data.to_vec()));
        Ok(())
    }

    fn before_resize(&self, length: u64) -> io::Result<()> {
        let mut power = locked(&self.0);
        power.use_up()?;
        power.since.push(Step::Resize(length));
        Ok(())
    }

    fn before_sync(&self) -> io::Result<()> {
        let mut power = locked(&self.0);
        power.use_up()?;
        let Power { synced, since, .. } = &mut *power;
        since.drain(..).for_each(|step| step.happen(synced));
        Ok(())
    }
}

#[tokio::test]
async fn what_was_confirmed_outlives_power_cuts() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let scratch = Scratch::new();
    Disk::open(scratch.path()).unwrap().close().await;
    let mut before = Progress::default();
    for _ in 0..ROUNDS {
        before = one_life(&scratch, before, &mut rng).await;
    }
    assert!(before.next > 0 && before.vote > 0 && before.snapshot > 0, "{before:?}");
}

/// From one start to the next power cut. Returns what must be there at the next start.
async fn one_life(scratch: &Scratch, before: Progress, rng: &mut Rng) -> Progress {
    let store = scratch.path().join("store.redb");
    let power = Power {
        synced: fs::read(&store).unwrap(),
        since: Vec::new(),
        steps_left: rng.u64(40..400),
        left_behind: None,
        rng: rng.fork(),
    };
    let platter = Arc::new(Platter(Mutex::new(power)));
    let Ok(disk) = Disk::open_on(scratch.path(), Some(platter.clone())) else {
        return leave(&store, &platter, before);
    };
    let mut confirmed = Progress::found(&kept(&disk));
    assert!(confirmed.is_not_behind(before), "{confirmed:?} is behind {before:?}");
    loop {
        let (next, changes) = confirmed.step(rng.u64(..));
        match disk.save(changes).await {
            Ok(()) => confirmed = next,
            Err(_) => break,
        }
    }
    disk.close().await;
    leave(&store, &platter, confirmed)
}

fn leave(store: &Path, platter: &Platter, confirmed: Progress) -> Progress {
    let left = locked(&platter.0).left_behind.take().expect("the power has failed");
    fs::write(store, left).unwrap();
    confirmed
}
