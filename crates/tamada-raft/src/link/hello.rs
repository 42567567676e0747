//! The hello: how two strangers become a dialer and a listener who know each other.
//!
//! ```text
//!   dialer                                      listener
//!     hello: versions, share, password or not ──►
//!     ◄── hello: versions, share, password or not            or a refusal
//!     introduction (sealed): who I am ──►                    opens only with the same password
//!     ◄── introduction (sealed): who I am, or why not you    or a refusal
//! ```
//!
//! The dialer proves first that it knows the password. A listener is easily reached by everybody, a dialer only by who
//! sits at the address that it dials; so this order gives the fewest people something to try passwords against.
//!
//! Every message here travels in the same envelope, and the envelope is the same in all versions for ever: that is how
//! a node can say what is wrong to one of whom it understands nothing else. A refusal is a number, not a text: it comes
//! from somebody who has not proved anything, and his words do not belong into our log.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::seal::{Hellos, KeyPair, Opener, SHARE_BYTES, Sealer, TAG_BYTES};
use super::{CallError, Handler, Identity, Password, Role};

const MAGIC: [u8; 6] = *b"TAMADA";
const ENVELOPE_BYTES: usize = 13;
/// Far more than any version should need, and little enough to be kept for every stranger.
const BODY_MAX: usize = 2048;
/// Of each text in an identity, and of the sentence that says why not.
const TEXT_MAX: usize = 255;
/// The first byte of everybody who begins with TLS.
pub const TLS_RECORD: u8 = 0x16;

/// Which versions of the protocol somebody speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Versions {
    oldest: u16,
    newest: u16,
}

const OURS: Versions = Versions { oldest: 1, newest: 1 };

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

/// What one side says when it will not go on, before both know each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    Version,
    /// We have a password, the dialer has none.
    PasswordMissing,
    /// The dialer has a password, we have none.
    PasswordUnknown,
    PasswordDiffers,
    TlsMissing,
    Garbled,
    /// A number that this version does not know.
    Other(u8),
}

/// The dialer's part. Errors are whole sentences.
pub async fn dial<S>(
    stream: &mut S,
    address: &str,
    me: &Identity,
    password: Option<&Password>,
) -> Result<Session, CallError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let pair = KeyPair::generate().ok_or_else(|| CallError::NotSent("the system has no random numbers".to_owned()))?;
    let mine = Hello { share: pair.share, password: Knows::of(password) }.envelope();
    send(stream, &mine).await.map_err(|e| lost(address, &e))?;
    let answer = Envelope::read(stream).await.map_err(|e| unheard(address, &e))?;
    if let Some(why) = answer.speaks.differ_from_ours() {
        return Err(CallError::Refused(format!("{address} {why}")));
    }
    let theirs = answer.hello().map_err(|refusal| refused(address, refusal))?;
    agree_on_password(Knows::of(password), theirs.password).map_err(|refusal| refused(address, refusal))?;

    let hellos = Hellos { dialer: &mine, listener: &answer.bytes };
    let keys = pair.agree(&theirs.share, password, &hellos).ok_or_else(|| refused(address, Refusal::Garbled))?;
    let (mut sealer, mut opener) = keys.of_dialer();
    send(stream, &introduction(&mut sealer, &me.encoded())).await.map_err(|e| lost(address, &e))?;
    let mut answer = Envelope::read(stream).await.map_err(|e| unheard(address, &e))?;
    let body = answer.introduction().map_err(|refusal| refused(address, refusal))?;
    let plain =
        opener.open(body).ok_or_else(|| CallError::Refused(format!("{address} does not know our raft.password")))?;
    match Admission::decode(plain).ok_or_else(|| refused(address, Refusal::Garbled))? {
        Admission::Welcome(peer) => Ok(Session { peer, sealer, opener }),
        Admission::No(why) => Err(CallError::Refused(format!("{address} refused us: {why}"))),
    }
}

/// The listener's part.
pub async fn listen<S>(stream: &mut S, handler: &dyn Handler, password: Option<&Password>) -> Result<Session, Stranger>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hello = Envelope::read(stream).await.map_err(Stranger::from)?;
    if let Some(why) = hello.speaks.differ_from_ours() {
        refuse(stream, Refusal::Version).await;
        return Err(Stranger::Refused(format!("it {why}")));
    }
    let theirs = hello.hello().map_err(|_| Stranger::garbled())?;
    if let Err(refusal) = agree_on_password(theirs.password, Knows::of(password)) {
        refuse(stream, refusal).await;
        return Err(Stranger::Refused(refusal.of_stranger().to_owned()));
    }
    let pair = KeyPair::generate().ok_or_else(|| Stranger::Refused("the system has no random numbers".to_owned()))?;
    let mine = Hello { share: pair.share, password: Knows::of(password) }.envelope();
    send(stream, &mine).await.map_err(|_| Stranger::Gone)?;

    let mut answer = Envelope::read(stream).await.map_err(Stranger::from)?;
    let hellos = Hellos { dialer: &hello.bytes, listener: &mine };
    let keys = pair.agree(&theirs.share, password, &hellos).ok_or_else(Stranger::garbled)?;
    let (mut sealer, mut opener) = keys.of_listener();
    let Some(plain) = opener.open(answer.introduction().map_err(|_| Stranger::garbled())?) else {
        refuse(stream, Refusal::PasswordDiffers).await;
        return Err(Stranger::Refused(Refusal::PasswordDiffers.of_stranger().to_owned()));
    };
    let peer = Identity::decode(&mut &*plain).ok_or_else(Stranger::garbled)?;
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
            Stranger::Refused(Refusal::TlsMissing.of_stranger().to_owned())
        }
        Err(unread) => Stranger::from(unread),
    }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Whether it arrives makes no difference to us.
async fn refuse<S: AsyncWrite + Unpin>(stream: &mut S, refusal: Refusal) {
    drop(send(stream, &envelope(What::Refusal, &[refusal.number()])).await);
    drop(stream.shutdown().await);
}

fn introduction(sealer: &mut Sealer, plain: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(plain.len() + TAG_BYTES);
    body.put_slice(plain);
    sealer.seal(&mut body, 0);
    envelope(What::Introduction, &body)
}

fn lost(address: &str, error: &std::io::Error) -> CallError {
    CallError::NotSent(format!("{address}: {error}"))
}

fn unheard(address: &str, unread: &Unread) -> CallError {
    match unread {
        Unread::Gone(why) => CallError::NotSent(format!("{address} {why} during the hello")),
        Unread::Garbled | Unread::Tls => refused(address, Refusal::Garbled),
    }
}

fn refused(address: &str, refusal: Refusal) -> CallError {
    CallError::Refused(match refusal {
        Refusal::Version => format!("{address} refused us: its protocol has another version"),
        Refusal::PasswordMissing => format!("{address} refused us: it has a raft.password, this node has none"),
        Refusal::PasswordUnknown => format!("{address} refused us: it has no raft.password, this node has one"),
        Refusal::PasswordDiffers => format!("{address} refused us: raft.password differs"),
        Refusal::TlsMissing => format!("{address} refused us: it speaks TLS, this node does not"),
        Refusal::Garbled => format!("{address} is not a node of this store: it speaks something else"),
        Refusal::Other(number) => format!("{address} refused us: reason {number}, which this version does not know"),
    })
}

/// Each side says in its hello whether it has a password, so that both can say it in plain words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Knows {
    NoPassword,
    APassword,
}

impl Knows {
    fn of(password: Option<&Password>) -> Self {
        if password.is_some() { Self::APassword } else { Self::NoPassword }
    }
}

fn agree_on_password(dialer: Knows, listener: Knows) -> Result<(), Refusal> {
    match (dialer, listener) {
        (Knows::NoPassword, Knows::NoPassword) | (Knows::APassword, Knows::APassword) => Ok(()),
        (Knows::NoPassword, Knows::APassword) => Err(Refusal::PasswordMissing),
        (Knows::APassword, Knows::NoPassword) => Err(Refusal::PasswordUnknown),
    }
}

impl Refusal {
    fn number(self) -> u8 {
        match self {
            Self::Version => 1,
            Self::PasswordMissing => 2,
            Self::PasswordUnknown => 3,
            Self::PasswordDiffers => 4,
            Self::TlsMissing => 5,
            Self::Garbled => 6,
            Self::Other(number) => number,
        }
    }

    fn numbered(number: u8) -> Self {
        let known =
            [Self::Version, Self::PasswordMissing, Self::PasswordUnknown, Self::PasswordDiffers, Self::TlsMissing];
        known.into_iter().find(|refusal| refusal.number() == number).unwrap_or(Self::Other(number))
    }

    /// As the listener logs it.
    fn of_stranger(self) -> &'static str {
        match self {
            Self::Version => "another version of the protocol",
            Self::PasswordMissing => "it has no raft.password, this node has one",
            Self::PasswordUnknown => "it has a raft.password, this node has none",
            Self::PasswordDiffers => "wrong raft.password",
            Self::TlsMissing => "it speaks without TLS",
            Self::Garbled | Self::Other(_) => "it speaks something else",
        }
    }
}

impl Stranger {
    fn garbled() -> Self {
        Self::Refused(Refusal::Garbled.of_stranger().to_owned())
    }
}

impl From<Unread> for Stranger {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Gone(_) => Self::Gone,
            Unread::Garbled => Self::garbled(),
            Unread::Tls => Self::Refused("it speaks TLS, this node does not".to_owned()),
        }
    }
}

impl Versions {
    fn differ_from_ours(self) -> Option<String> {
        if self.oldest > OURS.newest {
            let (theirs, ours) = (self.oldest, OURS.newest);
            return Some(format!("speaks protocol {theirs} and later, this node up to {ours}: upgrade this node"));
        }
        if self.newest < OURS.oldest {
            let (theirs, ours) = (self.newest, OURS.oldest);
            return Some(format!("speaks protocol up to {theirs}, this node {ours} and later: upgrade the other node"));
        }
        None
    }
}

/// What an envelope holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Hello,
    Introduction,
    Refusal,
}

impl What {
    fn number(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Introduction => 2,
            Self::Refusal => 3,
        }
    }
}

struct Envelope {
    what: u8,
    speaks: Versions,
    /// All of it, as it came over the wire.
    bytes: Vec<u8>,
}

/// Why there is no envelope.
#[derive(Debug)]
enum Unread {
    Gone(String),
    Garbled,
    Tls,
}

fn envelope(what: What, body: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(ENVELOPE_BYTES + body.len());
    bytes.put_slice(&MAGIC);
    bytes.put_u8(what.number());
    bytes.put_u16(OURS.oldest);
    bytes.put_u16(OURS.newest);
    bytes.put_u16(u16::try_from(body.len()).expect("our own messages are short"));
    bytes.put_slice(body);
    bytes.freeze()
}

impl Envelope {
    async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Self, Unread> {
        let gone = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Unread::Gone("closed the connection".to_owned()),
            _ => Unread::Gone(error.to_string()),
        };
        let mut bytes = vec![0; ENVELOPE_BYTES];
        stream.read_exact(&mut bytes[..1]).await.map_err(gone)?;
        match bytes[0] {
            TLS_RECORD => return Err(Unread::Tls),
            first if first != MAGIC[0] => return Err(Unread::Garbled),
            _ => {}
        }
        stream.read_exact(&mut bytes[1..]).await.map_err(gone)?;
        let (magic, mut rest) = bytes.split_at(MAGIC.len());
        let what = rest.get_u8();
        let speaks = Versions { oldest: rest.get_u16(), newest: rest.get_u16() };
        let length = usize::from(rest.get_u16());
        if magic != MAGIC || length > BODY_MAX || speaks.oldest > speaks.newest {
            return Err(Unread::Garbled);
        }
        bytes.resize(ENVELOPE_BYTES + length, 0);
        stream.read_exact(&mut bytes[ENVELOPE_BYTES..]).await.map_err(gone)?;
        Ok(Self { what, speaks, bytes })
    }

    fn hello(&self) -> Result<Hello, Refusal> {
        self.expect(What::Hello)?;
        Hello::decode(&self.bytes[ENVELOPE_BYTES..]).ok_or(Refusal::Garbled)
    }

    /// The sealed body.
    fn introduction(&mut self) -> Result<&mut [u8], Refusal> {
        self.expect(What::Introduction)?;
        Ok(&mut self.bytes[ENVELOPE_BYTES..])
    }

    fn expect(&self, what: What) -> Result<(), Refusal> {
        if self.what == what.number() {
            return Ok(());
        }
        match self.bytes.get(ENVELOPE_BYTES) {
            Some(number) if self.what == What::Refusal.number() => Err(Refusal::numbered(*number)),
            Some(_) | None => Err(Refusal::Garbled),
        }
    }
}

struct Hello {
    share: [u8; SHARE_BYTES],
    password: Knows,
}

impl Hello {
    fn envelope(&self) -> Bytes {
        let mut body = self.share.to_vec();
        body.push(match self.password {
            Knows::NoPassword => 0,
            Knows::APassword => 1,
        });
        envelope(What::Hello, &body)
    }

    /// Later versions may add to the end.
    fn decode(body: &[u8]) -> Option<Self> {
        let (share, rest) = body.split_first_chunk()?;
        let password = match rest.first()? {
            0 => Knows::NoPassword,
            1 => Knows::APassword,
            _ => return None,
        };
        Some(Self { share: *share, password })
    }
}

/// The listener's last word in the hello.
enum Admission {
    Welcome(Identity),
    No(String),
}

impl Admission {
    fn encoded(&self) -> Vec<u8> {
        match self {
            Self::Welcome(identity) => [&[0], identity.encoded().as_slice()].concat(),
            Self::No(why) => {
                let mut bytes = vec![1];
                put_text(&mut bytes, why);
                bytes
            }
        }
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        match bytes.try_get_u8().ok()? {
            0 => Identity::decode(&mut bytes).map(Self::Welcome),
            1 => text(&mut bytes).map(Self::No),
            _ => None,
        }
    }
}

impl Identity {
    fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_u8(match self.role {
            Role::Voter => 0,
            Role::Client => 1,
        });
        bytes.put_u8(u8::from(self.cluster.is_some()));
        bytes.put_u64(self.cluster.unwrap_or(0));
        bytes.put_u64(self.node);
        put_text(&mut bytes, &self.address);
        put_text(&mut bytes, &self.software);
        bytes
    }

    /// Later versions may add to the end.
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let role = match bytes.try_get_u8().ok()? {
            0 => Role::Voter,
            1 => Role::Client,
            _ => return None,
        };
        let has_cluster = bytes.try_get_u8().ok()? != 0;
        let cluster = bytes.try_get_u64().ok()?;
        Some(Self {
            role,
            cluster: has_cluster.then_some(cluster),
            node: bytes.try_get_u64().ok()?,
            address: text(bytes)?,
            software: text(bytes)?,
        })
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

/// What is longer than a text may be loses its end.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(TEXT_MAX)];
    bytes.push(u8::try_from(text.len()).expect("it was cut to fit into a byte"));
    bytes.put_slice(text.as_bytes());
}

/// Text that may stand in a log.
fn text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::from(bytes.try_get_u8().ok()?);
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    let text = std::str::from_utf8(text).ok()?;
    (!text.contains(char::is_control)).then(|| text.to_owned())
}
