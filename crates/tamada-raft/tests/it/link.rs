//! Nodes that talk, and those that try to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tamada_raft::link::{CallError, Handler, Identity, Listener, Password, Peer, Role, Security};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

/// Generous: a busy machine must not fail a test.
const LONG: Duration = Duration::from_secs(60);

const ECHO: u16 = 1;
const REFUSE: u16 = 2;
/// Answers when [`Node::release`] says so.
const WAIT: u16 = 3;
/// As a stream: as many items as the body says.
const COUNT: u16 = 4;
const PANIC: u16 = 5;

/// The far side: answers, and counts what it works on.
struct Desk {
    name: &'static str,
    gate: Arc<Semaphore>,
    asked: AtomicUsize,
    streams: Arc<Semaphore>,
}

impl Handler for Desk {
    fn identity(&self) -> Identity {
        identity(Role::Voter, self.name)
    }

    fn admit(&self, peer: &Identity) -> Result<(), String> {
        if peer.cluster == Some(666) { Err("it belongs to cluster 666".to_owned()) } else { Ok(()) }
    }

    fn call(&self, peer: &Identity, kind: u16, body: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        assert_eq!(peer.role, Role::Client);
        self.asked.fetch_add(1, Ordering::SeqCst);
        let gate = self.gate.clone();
        Box::pin(async move {
            match kind {
                ECHO => Ok(body),
                WAIT => {
                    gate.acquire().await.expect("it is never closed").forget();
                    Ok(body)
                }
                PANIC => panic!("as asked"),
                _ => Err("no".to_owned()),
            }
        })
    }

    fn stream(
        &self,
        _: &Identity,
        kind: u16,
        body: Bytes,
    ) -> BoxFuture<'static, Result<mpsc::Receiver<Bytes>, String>> {
        let ended = self.streams.clone();
        Box::pin(async move {
            if kind != COUNT {
                return Err("no".to_owned());
            }
            let many = u32::from_be_bytes(body[..].try_into().expect("four bytes"));
            let (items, receiver) = mpsc::channel(1);
            tokio::spawn(async move {
                for n in 0..many {
                    if items.send(Bytes::copy_from_slice(&n.to_be_bytes())).await.is_err() {
                        break;
                    }
                }
                ended.add_permits(1);
            });
            Ok(receiver)
        })
    }
}

struct Node {
    address: SocketAddr,
    desk: Arc<Desk>,
    serving: JoinHandle<()>,
}

impl Node {
    async fn start(name: &'static str, security: &Security) -> Self {
        Self::start_at("127.0.0.1:0", name, security).await
    }

    async fn start_at(address: &str, name: &'static str, security: &Security) -> Self {
        let listener = Listener::bind(address, security).await.expect("a port");
        let address = listener.address().expect("it is bound");
        let desk = Arc::new(Desk {
            name,
            gate: Arc::new(Semaphore::new(0)),
            asked: AtomicUsize::new(0),
            streams: Arc::new(Semaphore::new(0)),
        });
        let serving = tokio::spawn(listener.serve(desk.clone()));
        Self { address, desk, serving }
    }

    fn peer(&self, security: &Security) -> Peer {
        Peer::new(self.address.to_string(), security, Arc::new(|| identity(Role::Client, "")))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn identity(role: Role, address: &str) -> Identity {
    Identity { role, cluster: Some(7), node: 1, address: address.to_owned(), software: "tamada 0.1.0".to_owned() }
}

fn password(text: &str) -> Security {
    Security { password: Some(Password::new(text)), tls: None }
}

#[tokio::test]
async fn a_question_is_answered_and_both_know_each_other() {
    for security in [Security::default(), password("secret")] {
        let node = Node::start("a:1", &security).await;
        let peer = node.peer(&security);
        assert_eq!(peer.call(ECHO, Bytes::from("hello"), LONG).await, Ok(Bytes::from("hello")));
        assert_eq!(peer.call(REFUSE, Bytes::new(), LONG).await, Err(CallError::Refused("no".to_owned())));
        assert_eq!(peer.peer_identity(), Some(identity(Role::Voter, "a:1")));
    }
}

#[tokio::test]
async fn a_stream_brings_all_items_in_order_and_ends() {
    let node = Node::start("a:1", &Security::default()).await;
    let peer = node.peer(&Security::default());
    let mut stream = peer.open_stream(COUNT, Bytes::copy_from_slice(&1000u32.to_be_bytes()), LONG).await.unwrap();
    for n in 0..1000u32 {
        assert_eq!(stream.next().await.unwrap().unwrap(), n.to_be_bytes()[..]);
    }
    assert_eq!(stream.next().await, Ok(None));
    assert_eq!(stream.next().await, Ok(None));
}
