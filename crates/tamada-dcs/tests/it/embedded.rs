//! The conformance suite on the embedded store: through a voter of this process, through the one that leads the
//! consensus, and from far away.

use std::sync::Arc;
use std::time::Duration;

use tamada_dcs::clock::mono;
use tamada_dcs::conformance::Bench;
use tamada_dcs::embedded::Embedded;
use tamada_dcs::{Answer, Store};
use tamada_raft::{Client, Op, Txn};

use crate::calm::conforms;
use crate::support::scope;
use crate::voters::{Voters, done, security};

struct Through(Client);

impl Bench for Through {
    fn open(&self, name: &str, member: &str, ttl: Duration) -> Arc<dyn Store> {
        Arc::new(Embedded::open(self.0.clone(), scope(name, member, ttl)))
    }

    /// As short as can be configured.
    fn shortest_ttl(&self) -> Duration {
        Duration::from_millis(500)
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
            let ended = done(&self.0, Txn { then: vec![Op::Revoke(id)], ..Txn::default() }).await;
            ended.result.expect("the lease is there");
        })
    }
}

async fn conforms_through(client: Client) {
    conforms(Arc::new(Through(client.clone())), client).await;
}

#[tokio::test]
async fn a_voter_conforms() {
    let voters = Voters::three().await;
    let leader = voters.leader().await;
    conforms_through(voters.client((leader + 1) % 3)).await;
}

#[tokio::test]
async fn the_consensus_leader_conforms() {
    let voters = Voters::three().await;
    let leader = voters.leader().await;
    conforms_through(voters.client(leader)).await;
}

#[tokio::test]
async fn the_store_conforms_from_far_away() {
    let voters = Voters::three().await;
    conforms_through(Client::remote(voters.addresses().to_vec(), security())).await;
}
