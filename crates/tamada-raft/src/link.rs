//! How nodes talk: connections that know who is at the other end.
//!
//! One TCP connection for each pair and direction: the dialer asks, the listener answers, many questions at once. After
//! a hello in which both sides prove that they know the same password (`hello`), everything is sealed (`seal`) and
//! cut into small frames (`frame`). What is asked is none of its business: a number for the kind, and bytes.
//!
//! ```text
//!   Peer ── Dialer ── hello ──► Line ─── outbox ───►  frames  ───► Service ── Handler
//!           name, TCP, TLS      questions that wait ◄── outbox ───  questions that are worked on
//! ```
//!
//! What it protects against, with a password: strangers, in both directions; forged, altered, repeated, dropped and
//! reordered messages; and readers, also if they learn the password later. What it does not protect against:
//!
//! - Whoever knows the password. It is shared by all voters and clients, and says "one of us", not who.
//! - A weak password. Somebody who can pose as one of our addresses, while we dial it, gets one message to try passwords
//!   against at home. Each try costs `PASSWORD_ROUNDS` rounds of hashing; no exchange of this kind can make it
//!   impossible. And whoever reaches the port may try one with each connection. So: a long random password, or TLS.
//! - Silence. Who can cut the connection can cut it.
//!
//! Without a password it keeps out readers who only listen, and nobody else. TLS with an authority of one's own, beneath
//! all this, adds that every node has a name, and that passwords cannot be tried at all.
//!
//! The whole format is in docs/store-protocol.md.

mod dial;
mod frame;
mod hello;
mod line;
mod listener;
mod outbox;
mod papers;
mod peer;
mod refusals;
mod seal;
mod service;
pub mod tls;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ring::pbkdf2;
use tokio::net::TcpStream;

pub use line::Stream;
pub use listener::{Handler, Listener};
use papers::Papers;
pub use peer::Peer;
pub use tls::TlsFiles;

/// Of one question or answer. A snapshot is the longest: the store's whole content, which is kept far below this.
pub const BODY_MAX_BYTES: usize = 40 * 1024 * 1024;
/// Of one connection, with its streams, at once. The dialer waits until there is room.
const QUESTIONS_MAX: usize = 512;
/// So many items of a stream may be on their way; more are sent when these were taken.
const STREAM_ROOM: u16 = 32;
/// What the kernel may hold of us that it has not yet sent. All of it is in front of the next heartbeat.
const UNSENT_MAX_BYTES: u32 = 64 * 1024;
/// What was sent and is not even acknowledged after this ends the connection. Our own questions notice it much earlier;
/// this clears away what is left in the kernel when we have let go.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(10);

/// Of hashing, to make a key from a password. About ten milliseconds, once for each password in a process.
const PASSWORD_ROUNDS: NonZeroU32 = NonZeroU32::new(20_000).unwrap();
/// The same for everybody: both sides must come to the same key before they know anything of each other.
const PASSWORD_SALT: &[u8] = b"tamada store link: password";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Voter,
    Client,
}

/// How a node introduces itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub role: Role,
    /// `None`: it belongs to none yet, or does not know.
    pub cluster: Option<u64>,
    pub node: u64,
    /// Where it is reached; empty for clients.
    pub address: String,
    /// Name and version of the program.
    pub software: String,
}

/// What keeps strangers out.
#[derive(Clone, Debug, Default)]
pub struct Security {
    pub password: Option<Password>,
    pub tls: Option<TlsFiles>,
}

/// What all nodes of a store know and nobody else does. Clones share the key that is made from it.
#[derive(Clone)]
pub struct Password(Arc<Secret>);

struct Secret {
    text: String,
    key: OnceLock<[u8; 32]>,
}

/// Why a question has no answer. Each is one sentence.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// It certainly never reached the other side.
    #[error("{0}")]
    NotSent(String),
    /// It was sent, at least in part, and no answer came.
    #[error("{0}")]
    Lost(String),
    /// The other side answered, with a refusal; or one of us refused to talk to the other.
    #[error("{0}")]
    Refused(String),
}

impl Security {
    /// An empty password is none.
    fn parts(&self) -> (Option<Password>, Option<Papers>) {
        let password = self.password.clone().filter(|password| !password.0.text.is_empty());
        (password, self.tls.clone().map(Papers::new))
    }
}

impl Password {
    /// In the place of a key, where there is no password.
    const NONE: [u8; 32] = [0; 32];

    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Secret { text: text.into(), key: OnceLock::new() }))
    }

    fn key(&self) -> &[u8; 32] {
        self.0.key.get_or_init(|| {
            let mut key = [0; 32];
            let text = self.0.text.as_bytes();
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, PASSWORD_ROUNDS, PASSWORD_SALT, text, &mut key);
            key
        })
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Role::Voter => write!(f, "voter {}, node {:x}", self.address, self.node),
            Role::Client => write!(f, "client {}", self.software),
        }
    }
}

/// A socket as we like it: nothing waits for more to come, and little waits in the kernel.
fn prepare(tcp: &TcpStream) -> std::io::Result<()> {
    let socket = socket2::SockRef::from(tcp);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_MAX_BYTES)?;
    socket.set_tcp_user_timeout(Some(ACKNOWLEDGED_WITHIN))
}
