//! Three etcd nodes, of which some move, die, freeze or leave.

use std::sync::Arc;
use std::time::Duration;

use tamada_dcs::clock::mono;
use tamada_dcs::{Freshness, Renewal, Store, Written};
use tamada_etcd::messages::{MemberListRequest, StatusRequest};

use tamada_model::Document;

use crate::admin::{self, MoveLeader, RemoveMember};
use crate::server::{Plan, Server, answers, newest};
use crate::support::{GENEROUS, LATE, SOON, config, done, fixed, open, open_a, record, rung};

async fn three_nodes() -> Vec<Server> {
    let mut plans: Vec<_> = (0..3).map(|_| Plan::new(newest())).collect();
    for (n, plan) in plans.iter_mut().enumerate() {
        plan.name = format!("n{n}");
    }
    let cluster = plans.iter().map(Plan::peer).collect::<Vec<_>>().join(",");
    // Otherwise etcd lets no member go during the first five seconds.
    let at_once = ["--strict-reconfig-check=false"];
    let start = |plan: Plan| Plan { cluster: Some(cluster.clone()), ..plan.with(&at_once) }.start();
    let nodes: Vec<_> = plans.into_iter().map(start).collect();
    for node in &nodes {
        node.answers().await;
    }
    nodes
}

/// The place of the raft leader among the nodes, as this node knows it, with its id and another's.
async fn raft_leader(nodes: &[Server], asked: usize) -> (usize, u64, u64) {
    let port = nodes[asked].plan.port;
    let leader = admin::ask(port, StatusRequest {}).await.leader;
    let members = admin::ask(port, MemberListRequest {}).await.members;
    let name = &members.iter().find(|member| member.id == leader).expect("the leader is a member").name;
    let place = nodes.iter().position(|node| node.plan.name == *name).expect("it is one of ours");
    let other = members.iter().find(|member| member.id != leader).expect("there are three").id;
    (place, leader, other)
}

async fn id_of(nodes: &[Server], asked: usize, node: usize) -> u64 {
    let members = admin::ask(nodes[asked].plan.port, MemberListRequest {}).await.members;
    members.iter().find(|member| member.name == nodes[node].plan.name).expect("it is a member").id
}

async fn renews(store: &Arc<dyn Store>) {
    done(store.renew_leader(Renewal::default(), SOON).await);
}

#[tokio::test]
async fn a_leader_keeps_its_lock_while_raft_leaders_move_and_nodes_die() {
    let mut nodes = three_nodes().await;
    // Only the first is configured; the others must be found out.
    let store = open_a(&config(&[nodes[0].plan.port]), "moving");
    done(store.acquire_leader(SOON).await);
    let mut bell = store.changed();
    rung(&mut bell).await;

    let (place, _, other) = raft_leader(&nodes, 0).await;
    admin::ask(nodes[place].plan.port, MoveLeader { to: other }).await;
    renews(&store).await;
    store.read(Freshness::Linearizable, SOON).await.expect("reading goes on");

    nodes[0].kill();
    renews(&store).await;
    done(open_a(&config(&[nodes[1].plan.port]), "moving").touch_member(&record(1), SOON).await);
    rung(&mut bell).await;

    nodes[0].start_again();
    nodes[0].answers().await;
    nodes[1].kill();
    renews(&store).await;
    nodes[1].start_again();
    nodes[1].answers().await;
    nodes[2].kill();
    renews(&store).await;
}

#[tokio::test]
async fn a_node_that_was_removed_is_left() {
    let nodes = three_nodes().await;
    let store = open_a(&config(&[nodes[0].plan.port]), "removed");
    done(store.acquire_leader(SOON).await);
    let mut bell = store.changed();
    rung(&mut bell).await;
    let id = id_of(&nodes, 1, 0).await;
    admin::ask(nodes[1].plan.port, RemoveMember { id }).await;
    renews(&store).await;
    // The watch begins anew on another node.
    rung(&mut bell).await;
    renews(&store).await;
}

/// A node that slept through fifty writes may answer with what it knows; that is older than what we know.
#[tokio::test]
async fn a_reading_from_a_node_that_slept_does_not_go_back() {
    let nodes = three_nodes().await;
    let store = open_a(&fixed(&[nodes[0].plan.port, nodes[2].plan.port]), "slept");
    // Writes through a store of their own: one that was tried on the frozen node would be carried out when it wakes.
    let writer = open_a(&fixed(&[nodes[0].plan.port]), "slept");
    // A follower sleeps: a sleeping raft leader would, on waking, pass on the write that was forwarded to it before.
    let (leader, _, _) = raft_leader(&nodes, 0).await;
    if leader != 0 {
        let to = id_of(&nodes, 0, 0).await;
        admin::ask(nodes[leader].plan.port, MoveLeader { to }).await;
    }
    nodes[2].freeze();
    let config = |n: u64| -> Document { [("ttl".to_owned(), n.into())].into_iter().collect() };
    for n in 1..=50 {
        done(writer.set_config(&config(n), None, SOON).await);
    }
    store.read(Freshness::Linearizable, GENEROUS).await.expect("two of three nodes serve");
    nodes[2].thaw();
    nodes[0].freeze();
    let cluster = store.read(Freshness::Monotonic, Duration::from_secs(30)).await.expect("two of three nodes serve");
    assert_eq!(cluster.config.map(|read| read.value), Some(config(50)));
}

#[tokio::test]
async fn without_a_majority_nothing_is_promised() {
    let nodes = three_nodes().await;
    let ports: Vec<_> = nodes.iter().map(|node| node.plan.port).collect();
    let leader = open(&config(&ports), "minority", "a", Duration::from_secs(30));
    let rival = open(&config(&ports), "minority", "b", Duration::from_secs(30));
    done(leader.acquire_leader(SOON).await);
    done(rival.touch_member(&record(1), SOON).await);
    nodes[1].freeze();
    nodes[2].freeze();
    let brief = Duration::from_secs(3);
    let begun = mono();
    let (renewed, acquired, read) = tokio::join!(
        leader.renew_leader(Renewal::default(), brief),
        rival.acquire_leader(brief),
        rival.read(Freshness::Linearizable, brief),
    );
    assert!(matches!(renewed, Written::Unclear(_) | Written::Failed(_)), "{renewed:?}");
    assert!(matches!(acquired, Written::Unclear(_) | Written::Failed(_)), "{acquired:?}");
    read.expect_err("nothing can be read in order");
    assert!(mono().since(begun) < brief + LATE, "took {:?}", mono().since(begun));
    nodes[1].thaw();
    nodes[2].thaw();
    answers(config(&ports)).await;
    done(leader.renew_leader(Renewal::default(), GENEROUS).await);
    assert_eq!(rival.acquire_leader(GENEROUS).await, Written::Beaten);
}
