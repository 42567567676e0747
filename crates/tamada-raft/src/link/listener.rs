//! Where other nodes reach us: who comes, who may stay, and how many.
//!
//! Whoever connects is a stranger until the hello is over. Strangers are few and their time is short; when there are too
//! many, the one that has been here longest goes. A peer needs a few milliseconds for its hello, so it comes through even
//! while somebody keeps opening connections and says nothing.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::dial::Pipe;
use super::hello::{Session, Stranger};
use super::papers::Papers;
use super::refusals::Refusals;
use super::{Identity, Password, Security, hello, prepare, service};

/// Every agent of every cluster that keeps its keys here holds one or two.
const PEERS_MAX: usize = 512;
const STRANGERS_MAX: usize = 64;
const HELLO_WITHIN: Duration = Duration::from_secs(5);
const BACKLOG: u32 = 128;
/// When no connection can be accepted: out of file descriptors, most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// Who answers.
///
/// The futures are dropped when the dialer does not want the answer any more, or is gone. They run beside the
/// connection: while one waits, others are asked.
pub trait Handler: Send + Sync + 'static {
    /// How we introduce ourselves.
    fn identity(&self) -> Identity;

    /// Whether this peer may ask us anything; if not, a sentence for its operator that says why. That it knows the
    /// password has been seen already.
    fn admit(&self, peer: &Identity) -> Result<(), String>;

    fn call(&self, peer: &Identity, kind: u16, body: Bytes) -> BoxFuture<'static, Result<Bytes, String>>;

    /// Whatever comes from the channel goes to the peer, until the channel is closed on either side.
    fn stream(
        &self,
        peer: &Identity,
        kind: u16,
        body: Bytes,
    ) -> BoxFuture<'static, Result<mpsc::Receiver<Bytes>, String>>;
}

/// A bound socket.
pub struct Listener {
    socket: TcpListener,
    password: Option<Password>,
    tls: Option<Papers>,
}

impl Listener {
    /// `address` is host:port; `*` or nothing for the host means all of this machine's addresses. The error is a
    /// sentence for the operator.
    pub async fn bind(address: &str, security: &Security) -> Result<Self, String> {
        let (password, tls) = security.parts();
        if let Some(tls) = &tls {
            tls.check_for_listening().await?;
        }
        let socket = bind(address).await.map_err(|why| format!("raft.bind_addr {address}: {}", in_words(&why)))?;
        Ok(Self { socket, password, tls })
    }

    /// With port 0 asked for, the one that was given.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers until it is dropped; then all its connections end.
    pub async fn serve(self, handler: Arc<dyn Handler>) {
        let door = Arc::new(Door {
            password: self.password,
            tls: self.tls,
            handler,
            peers: Arc::new(Semaphore::new(PEERS_MAX)),
            strangers: Mutex::default(),
            refusals: Refusals::default(),
        });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok((tcp, from)) => drop(connections.spawn(door.clone().receive(tcp, from))),
                    Err(error) => {
                        door.refusals.note(None, &format!("no connection can be accepted: {error}"));
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

struct Door {
    password: Option<Password>,
    tls: Option<Papers>,
    handler: Arc<dyn Handler>,
    peers: Arc<Semaphore>,
    strangers: Mutex<Strangers>,
    refusals: Refusals,
}

/// By the order in which they came. Dropping a sender sends its stranger away.
#[derive(Default)]
struct Strangers {
    next: u64,
    here: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Door {
    async fn receive(self: Arc<Self>, tcp: TcpStream, from: SocketAddr) {
        let (number, sent_away) = self.let_in();
        let met = tokio::select! {
            met = tokio::time::timeout(HELLO_WITHIN, self.meet(tcp)) => met.unwrap_or(Err(Stranger::Gone)),
            _ = sent_away => Err(Stranger::Gone),
        };
        self.strangers().here.remove(&number);
        match met {
            Ok((pipe, session, _place)) => {
                let peer = session.peer.to_string();
                tracing::debug!(%from, peer, "connected");
                let why = service::serve(pipe, session, self.handler.clone()).await;
                tracing::debug!(%from, peer, why, "the connection has ended");
            }
            Err(Stranger::Refused(why)) => self.refusals.note(Some(from), &why),
            Err(Stranger::Gone) => tracing::debug!(%from, "went away without an introduction"),
        }
    }

    async fn meet(&self, mut tcp: TcpStream) -> Result<(Box<dyn Pipe>, Session, OwnedSemaphorePermit), Stranger> {
        prepare(&tcp).map_err(|_| Stranger::Gone)?;
        let mut pipe: Box<dyn Pipe> = match &self.tls {
            None => Box::new(tcp),
            Some(_) if !begins_with_tls(&tcp).await? => return Err(hello::ask_for_tls(&mut tcp).await),
            Some(tls) => Box::new(tls.accept(tcp).await?),
        };
        let Ok(place) = self.peers.clone().try_acquire_owned() else { return Err(hello::turn_away(&mut pipe).await) };
        let session = hello::listen(&mut pipe, &*self.handler, self.password.as_ref()).await?;
        Ok((pipe, session, place))
    }

    fn let_in(&self) -> (u64, oneshot::Receiver<()>) {
        let (stays, sent_away) = oneshot::channel();
        let mut strangers = self.strangers();
        while strangers.here.len() >= STRANGERS_MAX {
            strangers.here.pop_first();
        }
        let number = strangers.next;
        strangers.next += 1;
        strangers.here.insert(number, stays);
        (number, sent_away)
    }

    fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn begins_with_tls(tcp: &TcpStream) -> Result<bool, Stranger> {
    let mut first = [0];
    match tcp.peek(&mut first).await {
        Ok(1..) => Ok(first[0] == hello::TLS_RECORD),
        Ok(0) | Err(_) => Err(Stranger::Gone),
    }
}

/// All interfaces: one socket for IPv6 and IPv4 where the host has IPv6, else IPv4.
async fn bind(address: &str) -> io::Result<TcpListener> {
    let port = |port: &str| port.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "it has no port"));
    let candidates: Vec<SocketAddr> = match address.rsplit_once(':') {
        Some(("" | "*", number)) => {
            let port: u16 = port(number)?;
            vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]
        }
        Some(_) | None => tokio::net::lookup_host(address).await?.collect(),
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for candidate in candidates {
        match bind_one(candidate) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        socket2::SockRef::from(&socket).set_only_v6(false)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address in use: another process listens there".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => "not permitted: use a port above 1023".to_owned(),
        _ => error.to_string(),
    }
}
