//! Peers that are away, frozen, cut off, or back again.

use std::time::Duration;

use tamada_raft::link::CallError;
use tamada_testing::free_port;
use tokio::net::TcpListener;

use super::node::{COUNT, ECHO, LONG, Node, WAIT, hello, number, open, peer, seen};
use super::proxy::Proxy;

/// Longer than a peer may be silent while something is asked.
const LONGER_THAN_PATIENCE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_peer_that_is_not_there_was_not_asked() {
    let address = format!("127.0.0.1:{}", free_port());
    let peer = peer(&address, &open());
    for _ in 0..3 {
        let why = peer.call(ECHO, hello(), LONG).await.unwrap_err();
        assert!(matches!(&why, CallError::NotSent(why) if why.starts_with(&address)), "{why}");
    }
    // When it comes, the next question finds it.
    let node = Node::start_at(&address, "a:1", &open()).await;
    assert_eq!(peer.call(ECHO, hello(), LONG).await, Ok(hello()));
    drop(node);
}

#[tokio::test]
async fn a_peer_that_accepts_and_says_nothing_was_not_asked() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = peer(silent.local_addr().unwrap(), &open());
    let why = peer.call(ECHO, hello(), Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(&why, CallError::NotSent(why) if why.ends_with("no connection in time")), "{why}");
    let why = peer.call(ECHO, hello(), LONG).await.unwrap_err();
    assert!(matches!(&why, CallError::NotSent(why) if why.ends_with("no answer in time")), "{why}");
}

#[tokio::test]
async fn a_peer_that_was_restarted_is_found_again() {
    let address = format!("127.0.0.1:{}", free_port());
    let first = Node::start_at(&address, "first:1", &open()).await;
    let peer = peer(&address, &open());
    assert_eq!(peer.call(ECHO, hello(), LONG).await, Ok(hello()));
    let waiting = tokio::spawn({
        let peer = peer.clone();
        async move { peer.call(WAIT, hello(), LONG).await }
    });
    seen(&first.events.waits, 1).await;
    first.stop().await;
    let why = waiting.await.unwrap().unwrap_err();
    assert!(matches!(&why, CallError::Lost(_)), "{why}");

    let _second = Node::start_at(&address, "second:1", &open()).await;
    assert_eq!(peer.call(ECHO, hello(), LONG).await, Ok(hello()));
    assert_eq!(peer.peer_identity().unwrap().address, "second:1");
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_noticed() {
    let node = Node::start(&open()).await;
    let proxy = Proxy::to(node.address).await;
    let peer = peer(proxy.address, &open());
    assert_eq!(peer.call(ECHO, hello(), LONG).await, Ok(hello()));
    let mut stream = peer.open_stream(COUNT, number(1000), LONG).await.unwrap();
    proxy.hold();
    // Long before its own deadline.
    let why = peer.call(ECHO, hello(), LONG).await.unwrap_err();
    assert_eq!(why, CallError::Lost(format!("{}: it does not answer any more", proxy.address)));
    while let Ok(item) = stream.next().await {
        assert!(item.is_some(), "a stream that was lost does not end as if all had been said");
    }
    // While it lasts nobody is reached, and then everybody is.
    let why = peer.call(ECHO, hello(), Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(&why, CallError::NotSent(_)), "{why}");
    proxy.release();
    let answered = async { while peer.call(ECHO, hello(), LONG).await.is_err() {} };
    tokio::time::timeout(LONG, answered).await.expect("it is reached again");
}

#[tokio::test]
async fn a_stream_at_rest_notices_it_too() {
    let node = Node::start(&open()).await;
    let proxy = Proxy::to(node.address).await;
    let mut stream = peer(proxy.address, &open()).open_stream(COUNT, number(u32::MAX), LONG).await.unwrap();
    proxy.hold();
    let lost = async { while stream.next().await.is_ok() {} };
    tokio::time::timeout(LONG, lost).await.expect("it is told");
}

#[tokio::test]
async fn who_thinks_for_long_is_not_taken_for_dead() {
    let node = Node::start(&open()).await;
    let proxy = Proxy::to(node.address).await;
    let peer = peer(proxy.address, &open());
    let mut waiting = Box::pin(peer.call(WAIT, hello(), LONG));
    assert!(tokio::time::timeout(LONGER_THAN_PATIENCE, &mut waiting).await.is_err());
    node.events.gate.add_permits(1);
    assert_eq!(waiting.await, Ok(hello()));
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn a_connection_at_rest_stays() {
    let node = Node::start(&open()).await;
    let proxy = Proxy::to(node.address).await;
    let peer = peer(proxy.address, &open());
    assert_eq!(peer.call(ECHO, hello(), LONG).await, Ok(hello()));
    // Question and answer, then a sign that both are there, and its answer.
    proxy.wait_until_seen(|seen| seen.len() >= 6).await;
    assert_eq!(peer.call(ECHO, hello(), LONG).await, Ok(hello()));
    assert_eq!(proxy.connections(), 1);
}
