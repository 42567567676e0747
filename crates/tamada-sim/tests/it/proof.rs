//! The proof itself: fresh seeds break nothing, planted faults are found, and the same seed is the same run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tamada_sim::diary::Diary;
use tamada_sim::plant::{PLANTS, Plants};
use tamada_sim::scenario;
use tamada_sim::swarm;
use tamada_sim::world::{Outcome, World};

/// As many as `make test` has time for. Fresh ones each day: a seed is a number and costs nothing.
const SEEDS: u64 = 2000;

fn run(seed: u64, plants: Plants) -> Outcome {
    World::new(swarm::script(seed), plants, Diary::Closed).run()
}

/// All of them, on all processors, and what each came to if that is worth telling.
fn each<T: Sync>(items: &[T], check: impl Fn(&T) -> Option<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let told = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(what) = check(item) {
                        told.lock().expect("nobody panics with it in hand").push(what);
                    }
                }
            });
        }
    });
    told.into_inner().expect("nobody panicked with it in hand")
}

#[test]
fn fresh_seeds_break_no_promise() {
    // The day chooses them; the seeds of any day can be had again by their numbers.
    let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() / 86_400;
    let seeds: Vec<u64> = (0..SEEDS).map(|number| today * 1_000_000 + number).collect();
    let broken = each(&seeds, |seed| run(*seed, Plants::none()).violation.map(|what| format!("seed {seed}: {what}")));
    assert!(broken.is_empty(), "tamada-sim replay SEED tells the story of\n{}", broken.join("\n"));
}

#[test]
fn each_planted_fault_is_found_and_the_same_seed_without_it_is_clean() {
    let wrong = each(PLANTS, |plant| {
        let clean = run(plant.seed, Plants::none()).violation;
        match (run(plant.seed, plant.plants()).violation, clean) {
            (Some(_), None) => None,
            (None, _) => Some(format!("{}: seed {} does not find it any more", plant.name, plant.seed)),
            (Some(_), Some(what)) => Some(format!("{}: seed {} breaks without it, too: {what}", plant.name, plant.seed)),
        }
    });
    assert!(wrong.is_empty(), "tamada-sim plants NAME looks for another seed\n{}", wrong.join("\n"));
}

#[test]
fn the_same_seed_is_the_same_run() {
    let story = |seed| World::new(swarm::script(seed), Plants::none(), Diary::open()).run().diary.lines().join("\n");
    for seed in [1, 2, 3, 77] {
        assert!(story(seed) == story(seed), "seed {seed} makes two runs");
        assert!(story(seed).len() > 1000, "seed {seed} tells nothing");
    }
}

#[test]
fn every_scenario_of_the_list_keeps_the_promises() {
    let scenarios: Vec<_> = scenario::all().collect();
    let broken = each(&scenarios, |scenario| {
        scenario::run(scenario).map(|(_, what)| format!("{}: {}: {what}", scenario.number, scenario.what))
    });
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
