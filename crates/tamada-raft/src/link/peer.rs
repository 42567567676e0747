//! A node that we ask: a handle that connects when it is needed, and again when the connection is lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::dial::Dialer;
use super::line::{Line, Stream};
use super::{CallError, Identity, Security};
use crate::clock::{self, Deadline};

/// Between two tries to reach a peer that is away, a little less or more: whoever asks waits for the next try.
const PAUSE: Duration = Duration::from_millis(50);
/// A peer that refused us is not asked again before this; whoever asks is told at once.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// Cheap to clone; all clones share one connection. Usable from every runtime; the connection is driven by the one on
/// which it was needed first, and made anew when that one is gone.
#[derive(Clone)]
pub struct Peer(Arc<Shared>);

struct Shared {
    dialer: Arc<Dialer>,
    state: Mutex<State>,
    memory: Mutex<Memory>,
}

/// What outlives a connection.
#[derive(Default)]
struct Memory {
    /// As the peer introduced itself last.
    identity: Option<Identity>,
    /// Why it could not be reached last; cleared when it was.
    trouble: Option<CallError>,
}

type Dialed = Result<Arc<Line>, CallError>;

enum State {
    Down,
    /// Not again before this.
    Failed(CallError, Duration),
    Dialing(watch::Receiver<Option<Dialed>>),
    Up(Arc<Line>),
}

impl Peer {
    /// Connects when the first question is asked. `identity` tells who we are, whenever we introduce ourselves.
    pub fn new(
        address: impl Into<String>,
        security: &Security,
        identity: Arc<dyn Fn() -> Identity + Send + Sync>,
    ) -> Self {
        let dialer = Arc::new(Dialer::new(address.into(), security, identity));
        Self(Arc::new(Shared { dialer, state: Mutex::new(State::Down), memory: Mutex::default() }))
    }

    pub fn address(&self) -> &str {
        self.0.dialer.address()
    }

    /// Asks, and waits for the answer; connects first if need be, all within this time.
    pub async fn call(&self, kind: u16, body: Bytes, within: Duration) -> Result<Bytes, CallError> {
        let limit = Deadline::after(within);
        self.line(limit).await?.call(kind, body, limit).await
    }

    /// Asks for many answers, and waits until the other side has agreed.
    pub async fn open_stream(&self, kind: u16, body: Bytes, within: Duration) -> Result<Stream, CallError> {
        let limit = Deadline::after(within);
        self.line(limit).await?.subscribe(kind, body, limit).await
    }

    /// Who the peer was when we last met.
    pub fn peer_identity(&self) -> Option<Identity> {
        self.0.memory().identity.clone()
    }

    async fn line(&self, limit: Deadline) -> Dialed {
        let mut dialing = match self.0.line_or_dial() {
            Now::Up(line) => return Ok(line),
            Now::Refused(why) => return Err(why),
            Now::Dialing(dialing) => dialing,
        };
        let unreached = |why: &str| CallError::NotSent(format!("{}: {why}", self.address()));
        match limit.limit(dialing.wait_for(Option::is_some)).await {
            Some(Ok(dialed)) => dialed.clone().unwrap_or_else(|| Err(unreached("no connection"))),
            Some(Err(_)) => Err(unreached("the dialing was given up")),
            None => Err(self.0.memory().trouble.clone().unwrap_or_else(|| unreached("no connection in time"))),
        }
    }
}

enum Now {
    Up(Arc<Line>),
    Refused(CallError),
    Dialing(watch::Receiver<Option<Dialed>>),
}

impl Shared {
    fn line_or_dial(self: &Arc<Self>) -> Now {
        let mut state = self.lock();
        let pause = match &*state {
            State::Up(line) if !line.has_ended() => return Now::Up(line.clone()),
            // Its sender lives as long as the task that dials.
            State::Dialing(dialing) if dialing.has_changed().is_ok() => return Now::Dialing(dialing.clone()),
            State::Failed(why @ CallError::Refused(_), until) if clock::now() < *until => {
                return Now::Refused(why.clone());
            }
            State::Failed(_, until) => until.saturating_sub(clock::now()),
            State::Down | State::Up(_) | State::Dialing(_) => Duration::ZERO,
        };
        let (told, dialing) = watch::channel(None);
        *state = State::Dialing(dialing.clone());
        tokio::spawn(self.clone().dial(pause, told));
        Now::Dialing(dialing)
    }

    async fn dial(self: Arc<Self>, pause: Duration, told: watch::Sender<Option<Dialed>>) {
        tokio::time::sleep(pause).await;
        let dialed = self.dialer.dial().await;
        let state = match &dialed {
            Ok(line) => {
                *self.memory() = Memory { identity: Some(line.peer.clone()), trouble: None };
                State::Up(line.clone())
            }
            Err(trouble) => {
                self.memory().trouble = Some(trouble.clone());
                State::Failed(trouble.clone(), clock::now() + pause_after(trouble))
            }
        };
        *self.lock() = state;
        told.send_replace(Some(dialed));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pause_after(trouble: &CallError) -> Duration {
    match trouble {
        CallError::Refused(_) => PAUSE_AFTER_REFUSAL,
        CallError::NotSent(_) | CallError::Lost(_) => PAUSE.mul_f64(0.5 + fastrand::f64()),
    }
}
