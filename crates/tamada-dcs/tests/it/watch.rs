//! The bell through restarts and compaction, what an absent store costs, and a store whose history was replaced.

use std::time::Duration;

use tamada_dcs::{Freshness, Renewal, StoreError};
use tamada_model::Document;

use crate::admin::{self, Compact};
use crate::proxy::Proxy;
use crate::server::{Server, newest};
use crate::support::{GENEROUS, SOON, done, fixed, open, open_a, record, rung};

#[tokio::test]
async fn the_bell_rings_after_compaction_and_after_a_restart() {
    let mut server = Server::alone(newest()).await;
    let listener = open_a(&server.config(), "watch");
    let writer = open_a(&server.config(), "watch");
    let mut bell = listener.changed();
    rung(&mut bell).await;
    let stamp = done(writer.set_config(&Document::new(), None, SOON).await);
    rung(&mut bell).await;
    let revision = stamp.as_str().parse().expect("a revision");
    admin::ask(server.plan.port, Compact { revision, physical: true }).await;
    done(writer.set_config(&Document::new(), None, SOON).await);
    rung(&mut bell).await;

    server.kill();
    server.start_again();
    // It begins anew by itself, and hears what comes then.
    rung(&mut bell).await;
    done(writer.set_config(&Document::new(), None, GENEROUS).await);
    rung(&mut bell).await;
}

#[tokio::test]
async fn an_absent_store_costs_few_attempts() {
    // The proxy accepts and hangs up, since nobody listens behind it.
    let proxy = Proxy::to(tamada_testing::free_port()).await;
    let store = open_a(&fixed(&[proxy.port]), "absent");
    let _bell = store.changed();
    let begun = async {
        while proxy.accepted() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(GENEROUS, begun).await.expect("it is attempted");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(proxy.accepted() <= 40, "{} attempts in 4 s", proxy.accepted());
}

#[tokio::test]
async fn a_dropped_store_stops_watching() {
    let server = Server::alone(newest()).await;
    let store = open_a(&server.config(), "dropped");
    let mut bell = store.changed();
    rung(&mut bell).await;
    drop(store);
    let end = tokio::time::timeout(GENEROUS, bell.changed()).await.expect("the watch ends");
    end.expect_err("nobody is left to ring");
}

#[tokio::test]
async fn another_history_is_believed_only_after_a_ttl_without_the_old_one() {
    let (known, other) = (Server::alone(newest()).await, Server::alone(newest()).await);
    let proxy = Proxy::to(known.plan.port).await;
    // Long beside what a busy machine may add to the first reading.
    let ttl = Duration::from_secs(15);
    let store = open(&fixed(&[proxy.port]), "history", "a", ttl);
    let elsewhere = open_a(&other.config(), "history");
    done(store.acquire_leader(SOON).await);
    done(store.touch_member(&record(1), SOON).await);

    drop(known);
    proxy.turn_to(other.plan.port);
    let brief = Duration::from_secs(2);
    match store.read(Freshness::Linearizable, brief).await {
        Err(StoreError::Unreachable(why)) => assert!(why.contains("belongs to cluster"), "{why}"),
        answer => panic!("{answer:?}"),
    }
    // A node that is not believed is not written to either.
    assert!(elsewhere.read(Freshness::Linearizable, SOON).await.expect("it answers").leader.is_none());

    let cluster = store.read(Freshness::Linearizable, GENEROUS).await.expect("it is the truth now");
    assert!(cluster.leader.is_none());
    done(store.renew_leader(Renewal::default(), SOON).await);
    done(store.touch_member(&record(1), SOON).await);
    let cluster = elsewhere.read(Freshness::Linearizable, SOON).await.expect("it answers");
    assert_eq!((cluster.leader.is_some(), cluster.members.len()), (true, 1));
}
