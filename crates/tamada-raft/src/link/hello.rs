//! The hello: how two strangers become a dialer and a listener who know each other.
//!
//! ```text
//!   dialer                                       listener
//!     hello: versions, share, password or not ──►
//!     ◄── hello: versions, share, password or not             or a refusal
//!     introduction (sealed): who I am ──►                     opens only with the same password
//!     ◄── introduction (sealed): who I am, or why not you     or a refusal
//! ```
//!
//! The dialer proves first that it knows the password. A listener is easily reached by everybody, a dialer only by who
//! sits at the address that it dials; so this order gives the fewest people something to try passwords against.
//!
//! A refusal is a number, not a text: it comes from somebody who has not proved anything, and words of theirs do not
//! belong into our log.

mod envelope;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::seal::{Hellos, KeyPair, Opener, Sealer};
use super::{CallError, Handler, Identity, Password};
pub use envelope::TLS_RECORD;
use envelope::{Admission, Envelope, Hello, Knows, Refusal, Unread, introduction};

/// So long a stranger may take to hear why.
const LINGER: Duration = Duration::from_secs(1);

/// A connection whose two ends know each other.
pub struct Session {
    pub peer: Identity,
    pub sealer: Sealer,
    pub opener: Opener,
}

/// Somebody who dialed us and did not become a peer.
#[derive(Debug, PartialEq, Eq)]
pub enum Stranger {
    /// Went away or stayed silent, as port scanners and health checks do.
    Gone,
    /// Refused, with the reason for our log.
    Refused(String),
}

/// The dialer's part. Errors are whole sentences.
pub async fn dial<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    address: &str,
    me: &Identity,
    password: Option<&Password>,
) -> Result<Session, CallError> {
    let refused = |refusal| refused(address, refusal);
    let unread = |unread| unheard(address, unread);

    let pair = KeyPair::generate().ok_or_else(|| CallError::NotSent(NO_CHANCE.to_owned()))?;
    let mine = Hello { share: pair.share, password: Knows::of(password) }.envelope();
    send(stream, &mine).await.map_err(|error| unread(error.into()))?;
    let answer = Envelope::read(stream).await.map_err(unread)?;
    if let Some(why) = answer.speaks.differ_from_ours() {
        return Err(CallError::Refused(format!("{address} {why}")));
    }
    let theirs = answer.hello().map_err(refused)?;
    agree_on_password(Knows::of(password), theirs.password).map_err(refused)?;

    let hellos = Hellos { dialer: &mine, listener: &answer.bytes };
    let keys = pair.agree(&theirs.share, password, &hellos).ok_or_else(|| refused(Refusal::Garbled))?;
    let (mut sealer, mut opener) = keys.of_dialer();
    send(stream, &introduction(&mut sealer, &me.encoded())).await.map_err(|error| unread(error.into()))?;
    let mut answer = Envelope::read(stream).await.map_err(unread)?;
    let sealed = answer.introduction().map_err(refused)?;
    let plain = opener.open(sealed).ok_or_else(|| impostor(address))?;
    match Admission::decode(plain).ok_or_else(|| refused(Refusal::Garbled))? {
        Admission::Welcome(peer) => Ok(Session { peer, sealer, opener }),
        Admission::No(why) => Err(CallError::Refused(format!("{address} refused us: {why}"))),
    }
}

/// The listener's part.
pub async fn listen<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    handler: &dyn Handler,
    password: Option<&Password>,
) -> Result<Session, Stranger> {
    let hello = match Envelope::read(stream).await {
        // Whatever we answer is not TLS, and tells the dialer that we do not speak it.
        Err(Unread::Tls) => {
            refuse(stream, Refusal::Garbled).await;
            return Err(Unread::Tls.into());
        }
        read => read?,
    };
    if let Some(why) = hello.speaks.differ_from_ours() {
        refuse(stream, Refusal::Version).await;
        return Err(Stranger::Refused(format!("it {why}")));
    }
    let theirs = hello.hello()?;
    if let Err(refusal) = agree_on_password(theirs.password, Knows::of(password)) {
        refuse(stream, refusal).await;
        return Err(refusal.into());
    }
    let pair = KeyPair::generate().ok_or_else(|| Stranger::Refused(NO_CHANCE.to_owned()))?;
    let mine = Hello { share: pair.share, password: Knows::of(password) }.envelope();
    send(stream, &mine).await.map_err(|_| Stranger::Gone)?;

    let mut answer = Envelope::read(stream).await?;
    let hellos = Hellos { dialer: &hello.bytes, listener: &mine };
    let (mut sealer, mut opener) = pair.agree(&theirs.share, password, &hellos).ok_or(Refusal::Garbled)?.of_listener();
    let Some(plain) = opener.open(answer.introduction()?) else {
        refuse(stream, Refusal::PasswordDiffers).await;
        return Err(Refusal::PasswordDiffers.into());
    };
    let peer = Identity::decode(plain).ok_or(Refusal::Garbled)?;
    let admission = match handler.admit(&peer) {
        Ok(()) => Admission::Welcome(handler.identity()),
        Err(why) => Admission::No(why),
    };
    send(stream, &introduction(&mut sealer, &admission.encoded())).await.map_err(|_| Stranger::Gone)?;
    match admission {
        Admission::Welcome(_) => Ok(Session { peer, sealer, opener }),
        Admission::No(why) => Err(Stranger::Refused(format!("{why} ({peer})"))),
    }
}

/// For a listener that expects TLS and heard none: tells the dialer so, if it is one of ours.
pub async fn ask_for_tls<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Stranger {
    match Envelope::read(stream).await {
        Ok(_) => {
            refuse(stream, Refusal::TlsMissing).await;
            Refusal::TlsMissing.into()
        }
        Err(unread) => unread.into(),
    }
}

/// For a listener that has all the connections it can have.
pub async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Stranger {
    refuse(stream, Refusal::Full).await;
    Refusal::Full.into()
}

/// Closes our side and waits until the other one has closed its own: a socket that is closed with bytes unread takes
/// back what was said last.
pub async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let until_the_end = async {
        stream.shutdown().await?;
        while stream.read(&mut [0; 256]).await? > 0 {}
        io::Result::Ok(())
    };
    drop(tokio::time::timeout(LINGER, until_the_end).await);
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, refusal: Refusal) {
    // Whether it arrives makes no difference to us.
    drop(send(stream, &refusal.envelope()).await);
    linger(stream).await;
}

fn agree_on_password(dialer: Knows, listener: Knows) -> Result<(), Refusal> {
    match (dialer, listener) {
        (Knows::NoPassword, Knows::NoPassword) | (Knows::APassword, Knows::APassword) => Ok(()),
        (Knows::NoPassword, Knows::APassword) => Err(Refusal::PasswordMissing),
        (Knows::APassword, Knows::NoPassword) => Err(Refusal::PasswordUnknown),
    }
}

const NO_CHANCE: &str = "the system has no random numbers";

fn impostor(address: &str) -> CallError {
    CallError::Refused(format!("{address} does not know our raft.password"))
}

fn unheard(address: &str, unread: Unread) -> CallError {
    match unread {
        Unread::Gone(why) => CallError::NotSent(format!("{address}: no hello: {why}")),
        Unread::Alert(why) => CallError::Refused(format!("{address} refused us: TLS: {why}")),
        Unread::Garbled | Unread::Tls => refused(address, Refusal::Garbled),
    }
}

/// As the dialer is told.
fn refused(address: &str, refusal: Refusal) -> CallError {
    CallError::Refused(match refusal {
        Refusal::Version => format!("{address} refused us: its protocol has another version"),
        Refusal::PasswordMissing => format!("{address} refused us: it has a raft.password, this node has none"),
        Refusal::PasswordUnknown => format!("{address} refused us: it has no raft.password, this node has one"),
        Refusal::PasswordDiffers => format!("{address} refused us: raft.password differs"),
        Refusal::TlsMissing => format!("{address} refused us: it speaks TLS, this node does not"),
        Refusal::Full => format!("{address} refused us: it has too many connections"),
        Refusal::Garbled => format!("{address} does not speak the store's protocol"),
        Refusal::Other(number) => format!("{address} refused us: reason {number}, which this version does not know"),
    })
}

/// As the listener logs it.
impl From<Refusal> for Stranger {
    fn from(refusal: Refusal) -> Self {
        let why = match refusal {
            Refusal::Version => "it speaks another version of the protocol",
            Refusal::PasswordMissing => "it has no raft.password, this node has one",
            Refusal::PasswordUnknown => "it has a raft.password, this node has none",
            Refusal::PasswordDiffers => "wrong raft.password",
            Refusal::TlsMissing => "it speaks without TLS",
            Refusal::Full => "there are too many connections",
            Refusal::Garbled | Refusal::Other(_) => "it does not speak the store's protocol",
        };
        Self::Refused(why.to_owned())
    }
}

impl From<Unread> for Stranger {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Gone(_) => Self::Gone,
            Unread::Alert(why) => Self::Refused(format!("TLS: {why}")),
            Unread::Tls => Self::Refused("it speaks TLS, this node does not".to_owned()),
            Unread::Garbled => Refusal::Garbled.into(),
        }
    }
}
