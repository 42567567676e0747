//! The conformance suite on the embedded store: through a voter of this process, through the one that leads the
//! consensus, and from far away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tamada_dcs::clock::mono;
use tamada_dcs::conformance::{Bench, CHECKS, Check};
use tamada_dcs::embedded::Embedded;
use tamada_dcs::{Answer, Store};
use tamada_raft::{Client, Op, Txn};
use tokio::task::JoinHandle;

use crate::support::scope;
use crate::voters::{Voters, done, security};

/// The shortest that can be configured.
const SHORTEST: Duration = Duration::from_millis(500);
/// If the machine is too busy for that, twice as long, and so on.
const ROUNDS: u32 = 6;

struct Round {
    client: Client,
    number: u32,
}

impl Bench for Round {
    fn open(&self, name: &str, member: &str, ttl: Duration) -> Arc<dyn Store> {
        let name = format!("{name}-{}", self.number);
        Arc::new(Embedded::open(self.client.clone(), scope(&name, member, ttl)))
    }

    fn shortest_ttl(&self) -> Duration {
        SHORTEST * 2u32.pow(self.number)
    }

    /// The leader judges at once, and its word has to come through the log.
    fn late_by(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn pass(&self, time: Duration) -> Answer<'_, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn now(&self) -> Duration {
        mono().since_boot()
    }

    fn end_session(&self, session: &str) -> Answer<'_, ()> {
        let id = session.parse().expect("a lease id");
        Box::pin(async move {
            let ended = done(&self.client, Txn { then: vec![Op::Revoke(id)], ..Txn::default() }).await;
            ended.result.expect("the lease is there");
        })
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
                done(&client, Txn::default()).await;
                slowest.fetch_max(mono().since(begun).as_millis() as u64, Ordering::Relaxed);
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

/// A lease of half a second ends under a holder that wants to renew it, if the machine stands still for a moment. So
/// what fails while the store was slow is checked again with a longer one, until the store was fast enough to tell.
async fn conforms(client: Client) {
    let mut checks = CHECKS.to_vec();
    for number in 0..ROUNDS {
        let bench = Arc::new(Round { client: client.clone(), number });
        let slowness = Slowness::measure(client.clone());
        let broken = run(&checks, bench.clone()).await;
        if broken.is_empty() {
            return;
        }
        let (slowest, ttl) = (slowness.so_far(), bench.shortest_ttl());
        let told: Vec<String> = broken.iter().map(|(check, why)| format!("{}: {why}", check.name)).collect();
        let told = format!(
            "{} of {} failed, ttl {ttl:?}, slowest {slowest:?}:\n{}",
            told.len(),
            checks.len(),
            told.join("\n")
        );
        assert!(slowest > ttl / 4, "{told}");
        println!("{told}");
        checks = broken.into_iter().map(|(check, _)| check).collect();
    }
    panic!("the machine was too busy all the time");
}

async fn run(checks: &[Check], bench: Arc<Round>) -> Vec<(Check, String)> {
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

#[tokio::test]
async fn a_voter_conforms() {
    let voters = Voters::three().await;
    let (_, another) = voters.leader_and_another().await;
    conforms(another).await;
}

#[tokio::test]
async fn the_consensus_leader_conforms() {
    let voters = Voters::three().await;
    let (leader, _) = voters.leader_and_another().await;
    conforms(leader).await;
}

#[tokio::test]
async fn the_store_conforms_from_far_away() {
    let voters = Voters::three().await;
    conforms(Client::remote(voters.addresses().to_vec(), security())).await;
}
