//! Questions, answers and streams, when all is well.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tamada_raft::link::{BODY_MAX_BYTES, CallError, Role};

use super::node::{COUNT, ECHO, LONG, Node, PANIC, REFUSE, WAIT, hello, identity, number, open, password, peer, seen};
use super::proxy::{Direction, Proxy};

#[tokio::test]
async fn a_question_is_answered_and_both_know_each_other() {
    for security in [open(), password("secret"), password("")] {
        let node = Node::start(&security).await;
        let peer = node.peer(&security);
        assert_eq!(peer.peer_identity(), None);
        assert_eq!(peer.call(ECHO, hello(), LONG).await, Ok(hello()));
        assert_eq!(peer.call(REFUSE, Bytes::new(), LONG).await, Err(CallError::Refused("no".to_owned())));
        assert_eq!(peer.peer_identity(), Some(identity(Role::Voter, "a:1")));
    }
}

#[tokio::test]
async fn names_are_looked_up() {
    let node = Node::start_at("localhost:0", "a:1", &open()).await;
    let by_name = peer(format!("localhost:{}", node.address.port()), &open());
    assert_eq!(by_name.call(ECHO, hello(), LONG).await, Ok(hello()));
    let nobody = peer("nobody.invalid:1", &open()).call(ECHO, hello(), LONG).await.unwrap_err();
    assert!(matches!(&nobody, CallError::NotSent(why) if why.starts_with("nobody.invalid:1: ")), "{nobody}");
}

#[tokio::test]
async fn more_questions_than_there_is_room_for_are_all_answered() {
    let node = Node::start(&open()).await;
    let peer = node.peer(&open());
    let answers = (0..2000).map(|n| {
        let peer = peer.clone();
        async move { peer.call(WAIT, number(n), LONG).await }
    });
    node.events.gate.add_permits(2000);
    for (n, answer) in (0..).zip(join_all(answers).await) {
        assert_eq!(answer, Ok(number(n)));
    }
}

#[tokio::test]
async fn a_question_that_is_given_up_ends_at_the_other_side() {
    let node = Node::start(&open()).await;
    let peer = node.peer(&open());
    let asked = tokio::spawn({
        let peer = peer.clone();
        async move { peer.call(WAIT, hello(), LONG).await }
    });
    seen(&node.events.waits, 1).await;
    asked.abort();
    seen(&node.events.left, 1).await;
    assert_eq!(peer.call(ECHO, hello(), LONG).await, Ok(hello()));
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_lost() {
    let node = Node::start(&open()).await;
    let peer = node.peer(&open());
    peer.call(ECHO, hello(), LONG).await.unwrap();
    let late = peer.call(WAIT, hello(), Duration::from_secs(1)).await;
    assert_eq!(late, Err(CallError::Lost(format!("{}: no answer in time", node.address))));
    assert_eq!(peer.call(ECHO, hello(), LONG).await, Ok(hello()));
}

#[tokio::test]
async fn a_far_side_that_fails_says_so() {
    let node = Node::start(&open()).await;
    let peer = node.peer(&open());
    let failed = peer.call(PANIC, hello(), LONG).await;
    assert_eq!(failed, Err(CallError::Refused("it failed while answering".to_owned())));
    assert_eq!(peer.call(ECHO, hello(), LONG).await, Ok(hello()));
}

#[tokio::test]
async fn a_stream_brings_all_items_in_order_and_ends() {
    let node = Node::start(&open()).await;
    let mut stream = node.peer(&open()).open_stream(COUNT, number(1000), LONG).await.unwrap();
    for n in 0..1000 {
        assert_eq!(stream.next().await, Ok(Some(number(n))));
    }
    assert_eq!(stream.next().await, Ok(None));
    assert_eq!(stream.next().await, Ok(None));
    let refused = node.peer(&open()).open_stream(REFUSE, number(1), LONG).await.err();
    assert_eq!(refused, Some(CallError::Refused("no".to_owned())));
}

#[tokio::test]
async fn a_stream_that_nobody_reads_is_in_nobodys_way() {
    let node = Node::start(&open()).await;
    let peer = node.peer(&open());
    let mut stream = peer.open_stream(COUNT, number(1000), LONG).await.unwrap();
    for n in 0..100 {
        assert_eq!(peer.call(ECHO, number(n), LONG).await, Ok(number(n)));
    }
    for n in 0..1000 {
        assert_eq!(stream.next().await, Ok(Some(number(n))));
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_ends_at_the_other_side() {
    let node = Node::start(&open()).await;
    let mut stream = node.peer(&open()).open_stream(COUNT, number(u32::MAX), LONG).await.unwrap();
    assert_eq!(stream.next().await, Ok(Some(number(0))));
    drop(stream);
    seen(&node.events.streams_ended, 1).await;
}

#[tokio::test]
async fn short_messages_do_not_wait_behind_long_ones() {
    let node = Node::start(&open()).await;
    let proxy = Proxy::to(node.address).await;
    let peer = peer(proxy.address, &open());
    peer.call(ECHO, hello(), LONG).await.unwrap();
    proxy.hold();
    let long = Bytes::from(vec![7; BODY_MAX_BYTES]);
    let asked = tokio::spawn({
        let (peer, long) = (peer.clone(), long.clone());
        async move { peer.call(ECHO, long, LONG).await }
    });
    let is_long = |seen: &(Direction, usize)| seen.0 == Direction::Up && seen.1 > 16 * 1024;
    proxy.wait_until_seen(|seen| seen.iter().any(is_long)).await;
    let short = peer.call(ECHO, hello(), LONG);
    let (answer, ()) = tokio::join!(short, async { proxy.release() });
    assert_eq!(answer, Ok(hello()));
    assert!(!asked.is_finished(), "the short one came first");
    assert!(asked.await.unwrap() == Ok(long));
}

#[tokio::test]
async fn what_is_too_long_is_not_sent() {
    let node = Node::start(&open()).await;
    let too_long = node.peer(&open()).call(ECHO, vec![0; BODY_MAX_BYTES + 1].into(), LONG).await.unwrap_err();
    assert!(matches!(&too_long, CallError::NotSent(why) if why.contains("more than")), "{too_long}");
}

#[tokio::test]
async fn a_connection_is_driven_by_one_runtime_and_used_from_others() {
    let node = Node::start(&open()).await;
    let peer = node.peer(&open());
    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let there = peer.clone();
    let stream = other.spawn(async move {
        there.call(ECHO, hello(), LONG).await.unwrap();
        there.open_stream(COUNT, number(u32::MAX), LONG).await.unwrap()
    });
    let mut stream = stream.await.unwrap();
    assert_eq!(peer.call(ECHO, hello(), LONG).await, Ok(hello()));
    // Whoever waits is told when the runtime that drives the connection goes away, and the next question makes a new one.
    other.shutdown_background();
    let lost = loop {
        match stream.next().await {
            Ok(item) => assert!(item.is_some()),
            Err(why) => break why,
        }
    };
    assert_eq!(lost, CallError::Lost(format!("{}: the connection was given up", node.address)));
    assert_eq!(peer.call(ECHO, hello(), LONG).await, Ok(hello()));
}
