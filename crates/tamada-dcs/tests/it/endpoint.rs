//! etcd's protocol as the embedded store speaks it: three voters, each with an endpoint and a password, and our own
//! etcd adapter as their client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tamada_dcs::clock::mono;
use tamada_dcs::conformance::Bench;
use tamada_dcs::{Answer, Freshness, Renewal, Store, StoreError};
use tamada_etcd::{EtcdEndpoint, EtcdEndpointConfig};
use tamada_model::{Etcd3Config, Secret};
use tamada_raft::{Op, Txn};
use tamada_testing::free_port;

use crate::calm::conforms;
use crate::support::{GENEROUS, config, done, open, open_a, record, rung};
use crate::voters::{Voters, done as done_at};

const PASSWORD: &str = "of all voters";

/// Three voters and their endpoints.
struct Three {
    endpoints: Vec<Option<EtcdEndpoint>>,
    ports: Vec<u16>,
    voters: Voters,
    opened: AtomicUsize,
}

impl Three {
    async fn new() -> Self {
        let voters = Voters::three().await;
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let mut endpoints = Vec::new();
        for (place, port) in ports.iter().enumerate() {
            let listen = format!("127.0.0.1:{port}");
            let advertise = Some(listen.clone());
            let config = EtcdEndpointConfig { listen, password: Some(PASSWORD.into()), tls: None, advertise };
            let endpoint = EtcdEndpoint::start(voters.client(place), config).await;
            endpoints.push(Some(endpoint.expect("an endpoint starts")));
        }
        Self { endpoints, ports, voters, opened: AtomicUsize::new(0) }
    }

    /// Each time another endpoint comes first, as if the clients were on three hosts.
    fn config(&self) -> Etcd3Config {
        self.config_from(self.opened.fetch_add(1, Ordering::Relaxed) % self.ports.len())
    }

    fn config_from(&self, first: usize) -> Etcd3Config {
        let mut ports = self.ports.clone();
        ports.rotate_left(first);
        Etcd3Config { username: Some("patroni".into()), password: Some(Secret::new(PASSWORD)), ..config(&ports) }
    }

    /// The voter with its endpoint.
    async fn stop(&mut self, place: usize) {
        self.endpoints[place] = None;
        self.voters.stop(place).await;
    }
}

impl Bench for Three {
    fn open(&self, scope: &str, member: &str, ttl: Duration) -> Arc<dyn Store> {
        open(&self.config(), scope, member, ttl)
    }

    /// As with etcd: our client renews in the same rhythm, on the same busy machine.
    fn shortest_ttl(&self) -> Duration {
        Duration::from_secs(4)
    }

    fn late_by(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn pass(&self, time: Duration) -> Answer<'_, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn now(&self) -> Duration {
        mono().since_boot()
    }

    fn end_session(&self, session: &str) -> Answer<'_, ()> {
        let lease = session.parse().expect("a lease id");
        Box::pin(async move {
            let revoke = Txn { then: vec![Op::Revoke(lease)], ..Txn::default() };
            done_at(&self.voters.client(0), revoke).await.result.expect("the lease is there");
        })
    }
}

#[tokio::test]
async fn our_etcd_adapter_conforms_on_the_embedded_store() {
    let three = Arc::new(Three::new().await);
    let client = three.voters.client(0);
    conforms(three, client).await;
}

#[tokio::test]
async fn a_leader_goes_on_when_its_endpoint_is_lost() {
    let three = Three::new().await;
    let leader = three.voters.leader().await;
    goes_on(three, (leader + 1) % 3, (leader + 1) % 3).await;
}

#[tokio::test]
async fn a_leader_goes_on_when_the_voter_behind_its_endpoint_loses_its_own_leader() {
    let three = Three::new().await;
    let leader = three.voters.leader().await;
    goes_on(three, (leader + 1) % 3, leader).await;
}

async fn goes_on(mut three: Three, asked: usize, lost: usize) {
    let store = open_a(&three.config_from(asked), "lost");
    let mut bell = store.changed();
    done(store.acquire_leader(GENEROUS).await);
    done(store.touch_member(&record(1), GENEROUS).await);
    rung(&mut bell).await;
    three.stop(lost).await;
    done(store.renew_leader(Renewal::default(), GENEROUS).await);
    // The bell is there again as well, and tells of others.
    bell.mark_unchanged();
    let other = open(&three.config_from((lost + 1) % 3), "lost", "b", Duration::from_secs(30));
    done(other.touch_member(&record(2), GENEROUS).await);
    rung(&mut bell).await;
}

#[tokio::test]
async fn a_wrong_password_is_told_in_one_sentence() {
    let three = Three::new().await;
    let wrong = Etcd3Config { password: Some(Secret::new("guess")), ..three.config() };
    match open_a(&wrong, "wrong").read(Freshness::Linearizable, GENEROUS).await {
        Err(StoreError::Refused(why)) => assert!(why.contains("etcd3.password") && !why.contains("guess"), "{why}"),
        other => panic!("{other:?}"),
    }
    let nobody = Etcd3Config { username: None, ..three.config() };
    match open_a(&nobody, "wrong").read(Freshness::Linearizable, GENEROUS).await {
        Err(StoreError::Refused(why)) => assert!(why.contains("etcd3.username"), "{why}"),
        other => panic!("{other:?}"),
    }
}
