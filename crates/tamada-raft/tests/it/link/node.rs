//! A node that answers, and whoever asks it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tamada_raft::link::{Handler, Identity, Listener, Password, Peer, Role, Security};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

/// Generous: a busy machine must not fail a test.
pub const LONG: Duration = Duration::from_secs(60);

pub const ECHO: u16 = 1;
pub const REFUSE: u16 = 2;
/// Answers when the gate is opened, once for each permit.
pub const WAIT: u16 = 3;
pub const PANIC: u16 = 4;
/// As a stream: as many items as the body says.
pub const COUNT: u16 = 5;

/// The cluster that nobody here lets in.
pub const FOREIGN: u64 = 666;

/// What happens at the far side.
pub struct Events {
    pub gate: Semaphore,
    /// One for each call that waits at the gate.
    pub waits: Semaphore,
    /// One for each call that left the gate, through it or not.
    pub left: Semaphore,
    /// One for each stream that has nobody left to send to, or nothing.
    pub streams_ended: Semaphore,
}

impl Events {
    fn none_yet() -> Self {
        let [gate, waits, left, streams_ended] = [(); 4].map(|()| Semaphore::new(0));
        Self { gate, waits, left, streams_ended }
    }
}

/// Waits for so many of them.
pub async fn seen(events: &Semaphore, many: u32) {
    let seen = tokio::time::timeout(LONG, events.acquire_many(many)).await;
    seen.expect("it happens in time").expect("it is never closed").forget();
}

struct Desk {
    name: &'static str,
    events: Arc<Events>,
}

struct Left(Arc<Events>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.left.add_permits(1);
    }
}

impl Handler for Desk {
    fn identity(&self) -> Identity {
        identity(Role::Voter, self.name)
    }

    fn admit(&self, peer: &Identity) -> Result<(), String> {
        match peer.cluster {
            Some(FOREIGN) => Err("it belongs to another cluster".to_owned()),
            Some(_) | None => Ok(()),
        }
    }

    fn call(&self, _: &Identity, kind: u16, body: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        let events = self.events.clone();
        Box::pin(async move {
            match kind {
                ECHO => Ok(body),
                WAIT => {
                    let _left = Left(events.clone());
                    events.waits.add_permits(1);
                    events.gate.acquire().await.expect("it is never closed").forget();
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
        let events = self.events.clone();
        Box::pin(async move {
            if kind != COUNT {
                return Err("no".to_owned());
            }
            let many = u32::from_be_bytes(body[..].try_into().expect("four bytes"));
            let (items, receiver) = mpsc::channel(1);
            tokio::spawn(async move {
                for n in 0..many {
                    if items.send(number(n)).await.is_err() {
                        break;
                    }
                }
                events.streams_ended.add_permits(1);
            });
            Ok(receiver)
        })
    }
}

/// Ends with all its connections when it is dropped.
pub struct Node {
    pub address: SocketAddr,
    pub events: Arc<Events>,
    serving: JoinHandle<()>,
}

impl Node {
    pub async fn start(security: &Security) -> Self {
        Self::start_at("127.0.0.1:0", "a:1", security).await
    }

    pub async fn start_at(address: &str, name: &'static str, security: &Security) -> Self {
        let listener = Listener::bind(address, security).await.expect("a port");
        let address = listener.address().expect("it is bound");
        let events = Arc::new(Events::none_yet());
        let serving = tokio::spawn(listener.serve(Arc::new(Desk { name, events: events.clone() })));
        Self { address, events, serving }
    }

    pub fn peer(&self, security: &Security) -> Peer {
        peer(self.address, security)
    }

    pub async fn stop(mut self) {
        self.serving.abort();
        drop((&mut self.serving).await);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub fn peer(address: impl ToString, security: &Security) -> Peer {
    Peer::new(address.to_string(), security, Arc::new(|| identity(Role::Client, "")))
}

pub fn identity(role: Role, address: &str) -> Identity {
    Identity { role, cluster: Some(7), node: 1, address: address.to_owned(), software: "tamada 0.1.0".to_owned() }
}

pub fn open() -> Security {
    Security::default()
}

pub fn password(text: &str) -> Security {
    Security { password: Some(Password::new(text)), tls: None }
}

pub fn number(n: u32) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

pub fn hello() -> Bytes {
    Bytes::from_static(b"hello")
}
