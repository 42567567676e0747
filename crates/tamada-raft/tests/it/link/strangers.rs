//! Who is refused, what they are told, and what is logged.

use std::sync::Arc;
use std::time::Duration;

use tamada_raft::link::{CallError, Identity, Listener, Peer, Role, Security};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::log::Log;
use super::node::{ECHO, FOREIGN, LONG, Node, hello, identity, open, password, peer};

/// As it stands in docs/store-protocol.md: a hello with these versions, without a password.
fn hello_of(oldest: u16, newest: u16) -> Vec<u8> {
    let versions = [oldest.to_be_bytes(), newest.to_be_bytes()].concat();
    [b"TAMADA\x01", &versions[..], &33u16.to_be_bytes(), &[9; 32], &[0]].concat()
}

async fn refusal(node: &Node, security: &Security) -> String {
    match node.peer(security).call(ECHO, hello(), LONG).await {
        Err(CallError::Refused(why)) => why.strip_prefix(&node.address.to_string()).expect("its address").to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn passwords_that_differ_are_refused_on_both_sides() {
    for (theirs, ours, told, logged) in [
        (password("right"), password("wrong"), "raft.password differs", "wrong raft.password"),
        (password("right"), open(), "it has a raft.password, this node has none", "it has no raft.password"),
        (open(), password("wrong"), "it has no raft.password, this node has one", "it has a raft.password"),
    ] {
        let log = Log::of_this_thread();
        let node = Node::start(&theirs).await;
        assert_eq!(refusal(&node, &ours).await, format!(" refused us: {told}"));
        log.wait_for(logged).await;
        assert!(log.text().contains("message=refused 127.0.0.1:"), "{}", log.text());
        assert_eq!(node.peer(&theirs).call(ECHO, hello(), LONG).await, Ok(hello()));
    }
}

#[tokio::test]
async fn whoever_keeps_trying_is_logged_once() {
    let log = Log::of_this_thread();
    let node = Node::start(&password("right")).await;
    for _ in 0..5 {
        refusal(&node, &password("wrong")).await;
    }
    log.wait_for("wrong raft.password").await;
    assert_eq!(log.text().matches("wrong raft.password").count(), 1);
}

#[tokio::test]
async fn a_refusal_is_not_asked_for_again_at_once() {
    let node = Node::start(&password("right")).await;
    let peer = node.peer(&password("wrong"));
    let first = peer.call(ECHO, hello(), LONG).await;
    assert_eq!(peer.call(ECHO, hello(), Duration::ZERO).await, first);
}

#[tokio::test]
async fn a_stranger_of_another_cluster_hears_why() {
    let log = Log::of_this_thread();
    let node = Node::start(&open()).await;
    let stranger = || Identity { cluster: Some(FOREIGN), ..identity(Role::Voter, "b:1") };
    let peer = Peer::new(node.address.to_string(), &open(), Arc::new(stranger));
    let why = peer.call(ECHO, hello(), LONG).await.unwrap_err();
    assert_eq!(why, CallError::Refused(format!("{} refused us: it belongs to another cluster", node.address)));
    log.wait_for("it belongs to another cluster (voter b:1, node 1)").await;
}

#[tokio::test]
async fn a_newer_peer_is_told_from_a_broken_one() {
    let newer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = newer.local_addr().unwrap();
    let answer = tokio::spawn(async move {
        let (mut stream, _) = newer.accept().await.unwrap();
        stream.write_all(&hello_of(3, 4)).await.unwrap();
        stream
    });
    let why = peer(address, &open()).call(ECHO, hello(), LONG).await.unwrap_err();
    let expected = format!("{address} speaks protocol 3 and later, this node up to 1: upgrade this node");
    assert_eq!(why, CallError::Refused(expected));
    drop(answer);

    let log = Log::of_this_thread();
    let node = Node::start(&open()).await;
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(&hello_of(3, 4)).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"TAMADA\x03\0\x01\0\x01\0\x01\x01", "our versions, and the reason");
    log.wait_for("it speaks protocol 3 and later, this node up to 1: upgrade this node").await;
}

#[tokio::test]
async fn something_else_at_the_address_is_told() {
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = web.local_addr().unwrap();
    let answer = tokio::spawn(async move {
        let (mut stream, _) = web.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    });
    let why = peer(address, &open()).call(ECHO, hello(), LONG).await.unwrap_err();
    assert_eq!(why, CallError::Refused(format!("{address} does not speak the store's protocol")));
    drop(answer);
}

#[tokio::test]
async fn noise_is_survived() {
    let log = Log::of_this_thread();
    let node = Node::start(&password("secret")).await;
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..100 {
        let mut noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(round * 7).collect();
        if round % 2 == 0 {
            let keep = random.usize(..hello_of(1, 1).len());
            noise.splice(..0, hello_of(1, 1)[..keep].iter().copied());
        }
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        // It may have been sent away before the end.
        let _ = stream.write_all(&noise).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!(node.peer(&password("secret")).call(ECHO, hello(), LONG).await, Ok(hello()));
    log.wait_for("it does not speak the store's protocol").await;
    assert!(!log.text().contains("panic"), "{}", log.text());
}

#[tokio::test]
async fn a_crowd_that_says_nothing_does_not_keep_peers_out() {
    let node = Node::start(&open()).await;
    let mut crowd = Vec::new();
    for _ in 0..300 {
        crowd.push(TcpStream::connect(node.address).await.unwrap());
    }
    assert_eq!(node.peer(&open()).call(ECHO, hello(), LONG).await, Ok(hello()));
    // The first of them was sent away, and so is the last in the end.
    for index in [0, 299] {
        let mut stream = &mut crowd[index];
        let end = tokio::time::timeout(LONG, AsyncReadExt::read(&mut stream, &mut [0])).await;
        assert!(matches!(end.expect("it is sent away"), Ok(0) | Err(_)));
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_listened_on_is_explained() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let why = |address: String| async move { Listener::bind(&address, &open()).await.err().expect("it cannot") };
    let expected = format!("raft.bind_addr {address}: address in use: another process listens there");
    assert_eq!(why(address).await, expected);
    let expected = "raft.bind_addr 192.0.2.1:2222: this machine does not have that address";
    assert_eq!(why("192.0.2.1:2222".to_owned()).await, expected);
    assert_eq!(why("*:x".to_owned()).await, "raft.bind_addr *:x: it has no port");
    assert!(Listener::bind("*:0", &open()).await.is_ok());
}
