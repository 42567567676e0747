//! Somebody in the middle, who sees every message go by and may lay hands on it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::node::LONG;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the dialer.
    Up,
    /// From the listener.
    Down,
}

/// What happens to one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trick {
    Alter,
    Repeat,
    Drop,
    /// The next one goes first.
    Swap,
    /// Back to whoever sent it.
    Reflect,
    /// Half of it, and the connection ends.
    Cut,
}

const ENVELOPE_BYTES: usize = 13;
const LENGTH_BYTES: usize = 4;

struct Shared {
    target: SocketAddr,
    trick: Mutex<Option<(Direction, Trick)>>,
    /// While it is held, nothing passes and nobody is told.
    held: watch::Sender<bool>,
    /// Direction and length of each message that came by after the hello.
    seen: watch::Sender<Vec<(Direction, usize)>>,
    accepted: watch::Sender<usize>,
}

pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            target,
            trick: Mutex::default(),
            held: watch::Sender::new(false),
            seen: watch::Sender::default(),
            accepted: watch::Sender::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, shared.clone()));
        Self { address, shared, _tasks: tasks }
    }

    /// Plays this trick on the next message of this direction.
    pub fn play(&self, direction: Direction, trick: Trick) {
        *self.shared.trick.lock().unwrap() = Some((direction, trick));
    }

    pub fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    pub fn release(&self) {
        self.shared.held.send_replace(false);
    }

    pub fn connections(&self) -> usize {
        *self.shared.accepted.borrow()
    }

    pub async fn wait_until_seen(&self, is_enough: impl Fn(&[(Direction, usize)]) -> bool) {
        let mut seen = self.shared.seen.subscribe();
        let enough = tokio::time::timeout(LONG, seen.wait_for(|seen| is_enough(seen))).await;
        enough.expect("it comes by in time").expect("the proxy is here");
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((dialer, _)) = listener.accept().await {
        shared.accepted.send_modify(|accepted| *accepted += 1);
        let Ok(listener) = TcpStream::connect(shared.target).await else { continue };
        connections.spawn(between(dialer, listener, shared.clone()));
    }
}

async fn between(dialer: TcpStream, listener: TcpStream, shared: Arc<Shared>) {
    let (from_dialer, to_dialer) = dialer.into_split();
    let (from_listener, to_listener) = listener.into_split();
    let (to_dialer, to_listener) = (tokio::sync::Mutex::new(to_dialer), tokio::sync::Mutex::new(to_listener));
    // When either direction ends, so does the other.
    tokio::select! {
        _ = pump(Direction::Up, from_dialer, &to_listener, &to_dialer, &shared) => {}
        _ = pump(Direction::Down, from_listener, &to_dialer, &to_listener, &shared) => {}
    }
}

type Writer = tokio::sync::Mutex<OwnedWriteHalf>;

async fn pump(
    direction: Direction,
    mut from: OwnedReadHalf,
    to: &Writer,
    back: &Writer,
    shared: &Shared,
) -> std::io::Result<()> {
    for _ in 0..2 {
        let envelope = read_envelope(&mut from).await?;
        write(to, &envelope, shared).await?;
    }
    let mut kept_back = None;
    loop {
        let mut record = read_record(&mut from).await?;
        shared.seen.send_modify(|seen| seen.push((direction, record.len())));
        match shared.take_trick(direction) {
            None => write(to, &record, shared).await?,
            Some(Trick::Alter) => {
                *record.last_mut().expect("it is not empty") ^= 1;
                write(to, &record, shared).await?;
            }
            Some(Trick::Repeat) => write(to, &record.repeat(2), shared).await?,
            Some(Trick::Drop) => {}
            Some(Trick::Swap) => {
                kept_back = Some(record);
                continue;
            }
            Some(Trick::Reflect) => write(back, &record, shared).await?,
            Some(Trick::Cut) => return write(to, &record[..record.len() / 2], shared).await,
        }
        if let Some(record) = kept_back.take() {
            write(to, &record, shared).await?;
        }
    }
}

impl Shared {
    fn take_trick(&self, direction: Direction) -> Option<Trick> {
        self.trick.lock().unwrap().take_if(|(meant, _)| *meant == direction).map(|(_, trick)| trick)
    }
}

async fn write(to: &Writer, bytes: &[u8], shared: &Shared) -> std::io::Result<()> {
    shared.held.subscribe().wait_for(|held| !held).await.expect("the proxy is here");
    to.lock().await.write_all(bytes).await
}

async fn read_envelope(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; ENVELOPE_BYTES];
    from.read_exact(&mut bytes).await?;
    let length = u16::from_be_bytes([bytes[ENVELOPE_BYTES - 2], bytes[ENVELOPE_BYTES - 1]]);
    bytes.resize(ENVELOPE_BYTES + usize::from(length), 0);
    from.read_exact(&mut bytes[ENVELOPE_BYTES..]).await?;
    Ok(bytes)
}

async fn read_record(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; LENGTH_BYTES];
    from.read_exact(&mut bytes).await?;
    let length = u32::from_be_bytes(bytes[..].try_into().expect("four bytes")) as usize;
    bytes.resize(LENGTH_BYTES + length, 0);
    from.read_exact(&mut bytes[LENGTH_BYTES..]).await?;
    Ok(bytes)
}
