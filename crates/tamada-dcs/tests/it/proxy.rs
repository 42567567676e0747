//! A TCP proxy that can go silent: what a firewall, a dead switch or a lost answer look like from the client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What the proxy does to a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    Open,
    /// Nothing passes, and nobody is told.
    Silent,
    /// After a request that contains these bytes has passed, nothing comes back on its connection.
    SwallowAnswerTo(&'static str),
}

struct Shared {
    target: AtomicU16,
    /// For the connections that exist; for those to come.
    present: Mutex<Way>,
    future: Mutex<Way>,
    accepted: AtomicUsize,
}

pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared {
            target: AtomicU16::new(target),
            present: Mutex::new(Way::Open),
            future: Mutex::new(Way::Open),
            accepted: AtomicUsize::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, shared.clone()));
        Self { port, shared, _tasks: tasks }
    }

    /// From now on, for all connections.
    pub fn set(&self, way: Way) {
        *lock(&self.shared.future) = way.clone();
        *lock(&self.shared.present) = way;
    }

    /// For the connections that exist now.
    pub fn set_present(&self, way: Way) {
        *lock(&self.shared.present) = way;
    }

    /// Where new connections lead.
    pub fn turn_to(&self, target: u16) {
        self.shared.target.store(target, Ordering::Relaxed);
    }

    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

fn lock(way: &Mutex<Way>) -> std::sync::MutexGuard<'_, Way> {
    way.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut pairs = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        let target = shared.target.load(Ordering::Relaxed);
        let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else { continue };
        let future = lock(&shared.future).clone();
        // The newest connection is the one to which `present` applies from now on.
        *lock(&shared.present) = future;
        let connection =
            Arc::new(Connection { shared: shared.clone(), deaf: Mutex::new(false), mute: Mutex::new(false) });
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        pairs.spawn(pump(from_client, to_server, connection.clone(), Direction::Up));
        pairs.spawn(pump(from_server, to_client, connection, Direction::Down));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// Once silent, a connection stays silent: bytes were lost.
struct Connection {
    shared: Arc<Shared>,
    deaf: Mutex<bool>,
    mute: Mutex<bool>,
}

impl Connection {
    fn lets_pass(&self, bytes: &[u8], direction: Direction) -> bool {
        let mut deaf = self.deaf.lock().unwrap_or_else(PoisonError::into_inner);
        let mut mute = self.mute.lock().unwrap_or_else(PoisonError::into_inner);
        match &*lock(&self.shared.present) {
            Way::Open => {}
            Way::Silent => (*deaf, *mute) = (true, true),
            Way::SwallowAnswerTo(text) => {
                let contains = bytes.windows(text.len()).any(|window| window == text.as_bytes());
                *mute |= direction == Direction::Up && contains;
            }
        }
        match direction {
            Direction::Up => !*deaf,
            Direction::Down => !*mute,
        }
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, connection: Arc<Connection>, direction: Direction) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..length];
        if connection.lets_pass(bytes, direction) && to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
