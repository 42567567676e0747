//! Servers and connections that say nothing: each call ends within its deadline, and a silent node costs its share.

use std::time::Duration;

use tamada_dcs::clock::mono;
use tamada_dcs::{Freshness, Renewal, StoreError, Written};
use tamada_testing::free_port;

use crate::proxy::{Proxy, Way};
use crate::server::{Server, newest};
use crate::support::{GENEROUS, LATE, SOON, done, fixed, open_a, record, rung};

const BRIEF: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_frozen_server_costs_the_deadline_and_no_more() {
    let server = Server::alone(newest()).await;
    let store = open_a(&server.config(), "frozen");
    done(store.acquire_leader(SOON).await);
    server.freeze();

    let begun = mono();
    assert!(matches!(store.renew_leader(Renewal::default(), BRIEF).await, Written::Unclear(_)));
    assert!(mono().since(begun) < BRIEF + LATE, "took {:?}", mono().since(begun));
    let begun = mono();
    assert!(matches!(store.read(Freshness::Linearizable, BRIEF).await, Err(StoreError::Unreachable(_))));
    assert!(mono().since(begun) < BRIEF + LATE, "took {:?}", mono().since(begun));
    // By now there is no connection: nothing can have been written.
    let failed = store.delete_initialize(BRIEF).await;
    assert!(matches!(failed, Written::Failed(StoreError::Unreachable(_))), "{failed:?}");

    server.thaw();
    done(store.renew_leader(Renewal::default(), GENEROUS).await);
}

#[tokio::test]
async fn no_server_at_all_is_told_with_its_address() {
    let port = free_port();
    let store = open_a(&fixed(&[port]), "nobody");
    let begun = mono();
    match store.acquire_leader(BRIEF).await {
        Written::Failed(StoreError::Unreachable(why)) => {
            assert!(why.contains(&format!("http://127.0.0.1:{port}")) && why.contains("refused"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    assert!(mono().since(begun) < BRIEF + LATE, "took {:?}", mono().since(begun));
}

#[tokio::test]
async fn a_connection_in_a_black_hole_is_replaced_within_the_deadline() {
    let server = Server::alone(newest()).await;
    let proxy = Proxy::to(server.plan.port).await;
    let store = open_a(&fixed(&[proxy.port]), "black-hole");
    done(store.acquire_leader(SOON).await);
    proxy.set_present(Way::Silent);
    done(store.renew_leader(Renewal::default(), Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_dead_first_node_costs_next_to_nothing() {
    let server = Server::alone(newest()).await;
    let store = open_a(&fixed(&[free_port(), server.plan.port]), "dead-first");
    let begun = mono();
    done(store.acquire_leader(GENEROUS).await);
    let share = GENEROUS / 3;
    assert!(mono().since(begun) < share, "took {:?}", mono().since(begun));
}

#[tokio::test]
async fn a_silent_first_node_costs_its_share_and_once() {
    let server = Server::alone(newest()).await;
    let proxy = Proxy::to(server.plan.port).await;
    proxy.set(Way::Silent);
    let store = open_a(&fixed(&[proxy.port, server.plan.port]), "silent-first");
    let within = Duration::from_secs(24);
    let share = within / 3;
    let begun = mono();
    done(store.acquire_leader(within).await);
    assert!(mono().since(begun) < share * 2, "took {:?}", mono().since(begun));
    let begun = mono();
    done(store.renew_leader(Renewal::default(), within).await);
    assert!(mono().since(begun) < share, "took {:?}", mono().since(begun));
}

#[tokio::test]
async fn an_idle_connection_in_a_black_hole_is_noticed_by_its_pings() {
    let server = Server::alone(newest()).await;
    let proxy = Proxy::to(server.plan.port).await;
    let listener = open_a(&fixed(&[proxy.port]), "idle");
    let mut bell = listener.changed();
    rung(&mut bell).await;
    proxy.set_present(Way::Silent);
    // Nobody asks anything; the watch finds out by itself and begins anew.
    rung(&mut bell).await;
    done(open_a(&server.config(), "idle").touch_member(&record(1), SOON).await);
    rung(&mut bell).await;
}
