//! The conformance suite, which real stores pass, on the model store.
//!
//! Time is tokio's, and stands still while anybody has something to do: nothing here depends on the machine.

mod member;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tamada_dcs::conformance::{Bench, CHECKS};
use tamada_dcs::{Answer, Store};
use tamada_model::Mono;
use tamada_sim::store::Changes;
use tamada_sim::{Chance, Moment};
use tokio::sync::Notify;
use tokio::time::Instant;

use member::Member;

/// How messages reach the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Delivery {
    Once,
    /// And then once more, before the first is answered.
    Twice,
    /// The first answer is lost, and the member asks again.
    AnswerLost,
}

/// One store for each cluster. All are looked after until the test ends.
struct Model {
    delivery: Delivery,
    worlds: Mutex<BTreeMap<String, Arc<World>>>,
    members: AtomicU64,
    begun: Instant,
}

/// One cluster's store, and who listens to its bell.
struct World {
    store: Mutex<tamada_sim::store::Store>,
    chance: Mutex<Chance>,
    delivery: Delivery,
    listeners: Mutex<Vec<Weak<Member>>>,
    handled: Notify,
    begun: Instant,
}

impl World {
    fn now(&self) -> Moment {
        Moment::new(self.begun.elapsed())
    }

    fn mono(&self) -> Mono {
        Mono::new(self.begun.elapsed())
    }

    /// One way through the network.
    async fn travel(&self) {
        let (least, most) = (Duration::from_micros(100), Duration::from_millis(3));
        let time = locked(&self.chance).between(least, most);
        tokio::time::sleep(time).await;
    }

    fn with_store<T>(&self, act: impl FnOnce(&mut tamada_sim::store::Store, Moment) -> T) -> T {
        let (answer, changes) = {
            let mut store = locked(&self.store);
            let answer = act(&mut store, self.now());
            (answer, store.take_changes())
        };
        self.handled.notify_one();
        self.ring(changes);
        answer
    }

    fn ring(&self, changes: Changes) {
        let listeners: Vec<_> = locked(&self.listeners).iter().filter_map(Weak::upgrade).collect();
        for member in listeners {
            member.hear_bell(changes);
        }
    }

    /// Ends leases a little late, as stores do.
    async fn keep_leases(self: Arc<Self>) {
        loop {
            let next = locked(&self.store).next_expiry();
            let due = async {
                match next {
                    Some(end) => tokio::time::sleep_until(self.begun + Duration::from_nanos(end.nanos()) + LATE).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.with_store(|store, now| store.expire(now)),
                () = self.handled.notified() => {}
            }
        }
    }
}

const LATE: Duration = Duration::from_millis(100);

impl Model {
    fn new(delivery: Delivery) -> Arc<Self> {
        let begun = Instant::now();
        Arc::new(Self { delivery, worlds: Mutex::default(), members: AtomicU64::new(1), begun })
    }

    fn world(&self, scope: &str) -> Arc<World> {
        let mut worlds = locked(&self.worlds);
        let number = worlds.len() as u64;
        let begin = || {
            let world = Arc::new(World {
                store: Mutex::default(),
                chance: Mutex::new(Chance::new(number)),
                delivery: self.delivery,
                listeners: Mutex::default(),
                handled: Notify::new(),
                begun: self.begun,
            });
            tokio::spawn(world.clone().keep_leases());
            world
        };
        worlds.entry(scope.to_owned()).or_insert_with(begin).clone()
    }
}

impl Bench for Model {
    fn open(&self, scope: &str, member: &str, ttl: Duration) -> Arc<dyn Store> {
        let number = self.members.fetch_add(1, Ordering::Relaxed);
        Member::open(self.world(scope), member, ttl, number)
    }

    fn shortest_ttl(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn late_by(&self) -> Duration {
        LATE
    }

    fn pass(&self, time: Duration) -> Answer<'_, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn end_session(&self, session: &str) -> Answer<'_, ()> {
        let session = session.to_owned();
        Box::pin(async move {
            for world in locked(&self.worlds).values() {
                world.with_store(|store, now| store.end_session(&session, now));
            }
        })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn conforms(bench: Arc<dyn Bench>, except: &[&str]) {
    let checks = CHECKS.iter().filter(|check| !except.contains(&check.name));
    let running: Vec<_> = checks.map(|check| (check.name, tokio::spawn(check.run(bench.clone())))).collect();
    let mut broken = Vec::new();
    for (name, check) in running {
        match check.await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => broken.push(format!("{name}: {why}")),
            Err(panic) => broken.push(format!("{name}: {panic}")),
        }
    }
    assert!(broken.is_empty(), "{} of {} checks failed:\n{}", broken.len(), CHECKS.len(), broken.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn the_model_store_conforms() {
    conforms(Model::new(Delivery::Once), &[]).await;
}

/// Except where a test goes on from the stamp of a write without a condition: done twice, it has another stamp. So it
/// is in real stores.
#[tokio::test(start_paused = true)]
async fn a_model_store_that_is_told_everything_twice_conforms() {
    let goes_on_from_a_stamp = [
        "config_is_compared_and_swapped",
        "failover_is_compared_and_swapped_and_cleared",
        "sync_is_compared_swapped_and_deleted",
        "of_many_swaps_at_once_only_one_wins",
    ];
    conforms(Model::new(Delivery::Twice), &goes_on_from_a_stamp).await;
}

/// Except where `initialize` is created, of which it cannot be known whose it is then, and where the stamp of the lock
/// matters: after an acquisition in doubt it is moved to another lease. So it is in the embedded store.
#[tokio::test(start_paused = true)]
async fn a_model_store_whose_answers_are_lost_conforms() {
    let creates_initialize = [
        "a_bootstrap_begins_once",
        "initialize_is_written_over_or_not_as_asked",
        "the_bell_rings_for_what_concerns_a_member",
    ];
    let sees_the_move = ["acquiring_what_is_ours_succeeds", "the_bell_is_silent_about_the_leaders_own_status"];
    conforms(Model::new(Delivery::AnswerLost), &[&creates_initialize[..], &sees_the_move].concat()).await;
}
