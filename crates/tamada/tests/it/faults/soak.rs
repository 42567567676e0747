//! Faults as the dice fall, one upon the other, for as long as one likes:
//!
//! ```text
//! TAMADA_SOAK=600 cargo test -p tamada --test it soak -- --nocapture      for ten minutes
//! TAMADA_SEED=… cargo test -p tamada --test it soak -- --nocapture        one round again
//! ```
//!
//! The same seed makes the same faults at the same distances; what they hit in the voters differs from run to run.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::voters::Voters;
use super::workload::{Tally, Workload};
use crate::ground::scene::with_machines;

/// How many faults make a round.
const FAULTS: usize = 40;
/// The round that everybody plays, and its faults.
const EVERYBODYS: (u64, usize) = (1, 12);

/// Numbers are places in an order of the voters that begins with the leader of the moment.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Fault {
    Kill(usize),
    KillAll,
    Freeze(usize),
    Cut {
        from: usize,
        to: usize,
    },
    /// The first is alone with so many others.
    Part {
        others: usize,
    },
    /// From all clients.
    Hide(usize),
    LoseDisk(usize),
    Start,
    Thaw,
    Mend,
}

#[test]
fn faults_as_the_dice_fall() {
    with_machines("faults::soak::faults_as_the_dice_fall", || {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        match (number("TAMADA_SEED"), number("TAMADA_SOAK")) {
            (Some(seed), _) => drop(round(seed, FAULTS)),
            (None, Some(seconds)) => soak(Duration::from_secs(seconds)),
            (None, None) => drop(round(EVERYBODYS.0, EVERYBODYS.1)),
        }
    });
}

fn soak(time: Duration) {
    let (begun, mut rounds, mut sum) = (Instant::now(), 0, Tally::default());
    while begun.elapsed() < time {
        sum = sum.and(round(fastrand::u64(..), FAULTS));
        rounds += 1;
        eprintln!("{rounds} rounds, {} faults in {:?}: {sum}", rounds * FAULTS, begun.elapsed());
    }
}

fn round(seed: u64, faults: usize) -> Tally {
    let mut dice = Rng::with_seed(seed);
    let count = if dice.bool() { 3 } else { 5 };
    eprintln!("seed {seed}: {faults} faults on {count} voters");
    let mut scene = Scene { voters: Voters::apart("soak", count), frozen: BTreeSet::new() };
    scene.voters.start_all();
    let work = Workload::start(&scene.voters, seed);
    for _ in 0..faults {
        let fault = draw(&mut dice, count);
        let pause = Duration::from_millis(dice.u64(20..1500));
        eprintln!("  {fault:?}, then {pause:?}");
        scene.inflict(&fault);
        work.acknowledged_in(pause);
    }
    scene.heal();
    let tally = work.judge(&scene.voters);
    eprintln!("{tally}");
    tally
}

fn draw(dice: &mut Rng, count: usize) -> Fault {
    let mut any = || dice.usize(..count);
    let (one, other) = (any(), any());
    match dice.u8(..100) {
        0..18 => Fault::Kill(one),
        18..20 => Fault::KillAll,
        20..32 => Fault::Freeze(one),
        32..44 if one != other => Fault::Cut { from: one, to: other },
        44..54 => Fault::Part { others: other.min(count - 2) },
        54..58 => Fault::Hide(one),
        58..63 => Fault::LoseDisk(one),
        63..78 => Fault::Start,
        78..88 => Fault::Thaw,
        _ => Fault::Mend,
    }
}

struct Scene {
    voters: Voters,
    frozen: BTreeSet<usize>,
}

impl Scene {
    fn inflict(&mut self, fault: &Fault) {
        match fault {
            Fault::Kill(place) => self.kill(self.order()[*place]),
            Fault::KillAll => self.voters.all().for_each(|at| self.kill(at)),
            Fault::Freeze(place) => self.freeze(self.order()[*place]),
            Fault::Cut { from, to } => self.voters.cut(self.order()[*from], self.order()[*to]),
            Fault::Part { others } => {
                let order = self.order();
                let (these, those) = order.split_at(others + 1);
                self.voters.part(these, those);
            }
            Fault::Hide(place) => self.voters.hide(self.order()[*place]),
            Fault::LoseDisk(place) => self.lose_disk(*place),
            Fault::Start => self.start(),
            Fault::Thaw => self.thaw(),
            Fault::Mend => self.voters.mend_all(),
        }
    }

    /// The leader first, if one is known.
    fn order(&self) -> Vec<usize> {
        let awake = self.voters.running().into_iter().filter(|at| !self.frozen.contains(at));
        let leader = awake.filter_map(|at| self.voters.leader_of(at)).next();
        let mut order: Vec<usize> = self.voters.all().collect();
        order.sort_by_key(|at| Some(*at) != leader);
        order
    }

    fn kill(&mut self, at: usize) {
        self.voters.kill(at);
        self.frozen.remove(&at);
    }

    fn freeze(&mut self, at: usize) {
        if self.voters.running().contains(&at) {
            self.voters.freeze(at);
            self.frozen.insert(at);
        }
    }

    /// What was acknowledged is on a majority of disks. Before one of them is lost, all must have everything, or the
    /// store could rightly lose a write.
    fn lose_disk(&mut self, place: usize) {
        self.heal();
        self.voters.wait_for_whole();
        let at = self.order()[place];
        self.kill(at);
        self.voters.lose_disk(at);
        self.voters.start(at);
    }

    fn start(&mut self) {
        let running = self.voters.running();
        self.voters.all().filter(|at| !running.contains(at)).for_each(|at| self.voters.start(at));
    }

    fn thaw(&mut self) {
        std::mem::take(&mut self.frozen).into_iter().for_each(|at| self.voters.thaw(at));
    }

    fn heal(&mut self) {
        self.start();
        self.thaw();
        self.voters.mend_all();
    }
}
