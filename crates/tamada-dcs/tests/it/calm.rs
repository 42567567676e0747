//! The conformance suite on voters of this process, on a machine that may stand still for a moment.
//!
//! Then a lease of half a second ends under a holder that wants to renew it, and the voters elect another leader, which
//! makes a write unclear. So what fails while the store was slow is checked again, with a longer lease, until the store
//! was fast enough to tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tamada_dcs::clock::mono;
use tamada_dcs::conformance::{Bench, CHECKS, Check};
use tamada_dcs::{Answer, Store};
use tamada_raft::{Client, Txn};
use tokio::task::JoinHandle;

const ROUNDS: u32 = 6;
/// Two thirds of what the voters wait before they elect another leader.
const SLOW: Duration = Duration::from_millis(500);

/// The bench of one round: other keys, and the first round's ttl doubled each time.
struct Round<B> {
    bench: Arc<B>,
    number: u32,
}

impl<B: Bench> Bench for Round<B> {
    fn open(&self, scope: &str, member: &str, ttl: Duration) -> Arc<dyn Store> {
        self.bench.open(&format!("{scope}-{}", self.number), member, ttl)
    }

    fn shortest_ttl(&self) -> Duration {
        self.bench.shortest_ttl() * 2u32.pow(self.number)
    }

    fn late_by(&self) -> Duration {
        self.bench.late_by()
    }

    fn pass(&self, time: Duration) -> Answer<'_, ()> {
        self.bench.pass(time)
    }

    fn now(&self) -> Duration {
        self.bench.now()
    }

    fn end_session(&self, session: &str) -> Answer<'_, ()> {
        self.bench.end_session(session)
    }
}

/// How long the slowest of many small writes took: how long a renewal that is asked for in time may come late.
struct Slowness {
    millis: Arc<AtomicU64>,
    measuring: JoinHandle<()>,
}

impl Slowness {
    fn measure(client: Client) -> Self {
        let millis = Arc::new(AtomicU64::new(0));
        let slowest = millis.clone();
        let measuring = tokio::spawn(async move {
            loop {
                let begun = mono();
                tokio::time::sleep(Duration::from_millis(20)).await;
                client.submit(Txn::default(), Duration::from_secs(20)).await;
                let took = mono().since(begun).as_millis();
                slowest.fetch_max(u64::try_from(took).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        Self { millis, measuring }
    }

    fn so_far(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }
}

impl Drop for Slowness {
    fn drop(&mut self) {
        self.measuring.abort();
    }
}

/// `client`: a way to the voters behind the bench.
pub async fn conforms<B: Bench + 'static>(bench: Arc<B>, client: Client) {
    let mut checks = CHECKS.to_vec();
    for number in 0..ROUNDS {
        let round = Arc::new(Round { bench: bench.clone(), number });
        let slowness = Slowness::measure(client.clone());
        let broken = run(&checks, round.clone()).await;
        if broken.is_empty() {
            return;
        }
        let (slowest, ttl) = (slowness.so_far(), round.shortest_ttl());
        let told: Vec<String> = broken.iter().map(|(check, why)| format!("{}: {why}", check.name)).collect();
        let head = format!("{} of {} failed, ttl {ttl:?}, slowest write {slowest:?}", broken.len(), checks.len());
        let told = format!("{head}:\n{}", told.join("\n"));
        assert!(slowest > SLOW.min(ttl / 4), "{told}");
        println!("{told}");
        checks = broken.into_iter().map(|(check, _)| check).collect();
    }
    panic!("the machine was too busy all the time");
}

async fn run<B: Bench + 'static>(checks: &[Check], bench: Arc<Round<B>>) -> Vec<(Check, String)> {
    let running: Vec<_> = checks.iter().map(|check| (*check, tokio::spawn(check.run(bench.clone())))).collect();
    let mut broken = Vec::new();
    for (check, running) in running {
        match running.await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => broken.push((check, why)),
            Err(panic) => broken.push((check, panic.to_string())),
        }
    }
    broken
}
