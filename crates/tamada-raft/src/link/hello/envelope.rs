//! The messages of the hello, as bytes.
//!
//! ```text
//!   envelope = "TAMADA" │ what u8 │ oldest u16 │ newest u16 │ length u16 │ body
//!
//!   1 hello         share [32] │ password u8 (1: has one)
//!   2 introduction  sealed; from the dialer: identity; from the listener: 0 │ identity, or 1 │ text why not
//!   3 refusal       reason u8
//!
//!   identity = role u8 (0 voter, 1 client) │ has cluster u8 │ cluster u64 │ node u64 │ address text │ software text
//!   text     = length u16 │ UTF-8
//! ```
//!
//! `oldest` and `newest` say which versions of the protocol the sender speaks. The envelope is the same in all of them,
//! and later ones may add to the end of each body.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::super::seal::{SHARE_BYTES, Sealer, TAG_BYTES};
use super::super::{Identity, Password, Role};

const MAGIC: [u8; 6] = *b"TAMADA";
const ENVELOPE_BYTES: usize = 13;
/// Far more than any version should need, and little enough to be kept for every stranger.
const BODY_MAX: usize = 2048;
/// Of each text in an identity, and of the sentence that says why not.
const TEXT_MAX: usize = 600;
/// The first byte of everybody who begins with TLS.
pub const TLS_RECORD: u8 = 0x16;

const OURS: Versions = Versions { oldest: 1, newest: 1 };

/// Which versions of the protocol somebody speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    oldest: u16,
    newest: u16,
}

impl Versions {
    /// What to say of somebody with whom we have none in common.
    pub fn differ_from_ours(self) -> Option<String> {
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

/// A message of the hello.
pub struct Envelope {
    pub speaks: Versions,
    /// All of it, as it came over the wire.
    pub bytes: Vec<u8>,
    what: u8,
}

/// Why there is no envelope.
#[derive(Debug)]
pub enum Unread {
    /// The connection has ended.
    Gone(String),
    /// TLS says that our certificate was not accepted.
    Alert(String),
    /// It begins with TLS, and we did not expect that.
    Tls,
    Garbled,
}

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

impl Envelope {
    pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Self, Unread> {
        let mut bytes = vec![0; ENVELOPE_BYTES];
        stream.read_exact(&mut bytes[..1]).await?;
        match bytes[0] {
            TLS_RECORD => return Err(Unread::Tls),
            // Others may never send more than this.
            first if first != MAGIC[0] => return Err(Unread::Garbled),
            _ => {}
        }
        stream.read_exact(&mut bytes[1..]).await?;
        let (magic, mut rest) = bytes.split_at(MAGIC.len());
        let what = rest.get_u8();
        let speaks = Versions { oldest: rest.get_u16(), newest: rest.get_u16() };
        let length = usize::from(rest.get_u16());
        if magic != MAGIC || length > BODY_MAX || speaks.oldest > speaks.newest {
            return Err(Unread::Garbled);
        }
        bytes.resize(ENVELOPE_BYTES + length, 0);
        stream.read_exact(&mut bytes[ENVELOPE_BYTES..]).await?;
        Ok(Self { what, speaks, bytes })
    }

    pub fn hello(&self) -> Result<Hello, Refusal> {
        self.expect(What::Hello)?;
        Hello::decode(&self.bytes[ENVELOPE_BYTES..]).ok_or(Refusal::Garbled)
    }

    /// The sealed body.
    pub fn introduction(&mut self) -> Result<&mut [u8], Refusal> {
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

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|cause| cause.downcast_ref()) {
            Some(rustls::Error::AlertReceived(alert)) => Self::Alert(format!("{alert:?}")),
            Some(_) | None if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Gone("it closed the connection".into())
            }
            Some(_) | None => Self::Gone(error.to_string()),
        }
    }
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

/// What is said before anything is known.
pub struct Hello {
    pub share: [u8; SHARE_BYTES],
    pub password: Knows,
}

/// Each side says in its hello whether it has a password, so that both can say in plain words what is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Knows {
    NoPassword,
    APassword,
}

impl Knows {
    pub fn of(password: Option<&Password>) -> Self {
        if password.is_some() { Self::APassword } else { Self::NoPassword }
    }
}

impl Hello {
    pub fn envelope(&self) -> Bytes {
        let mut body = self.share.to_vec();
        body.push(match self.password {
            Knows::NoPassword => 0,
            Knows::APassword => 1,
        });
        envelope(What::Hello, &body)
    }

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

/// The first thing that is sealed; that it opens is the proof.
pub fn introduction(sealer: &mut Sealer, plain: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(plain.len() + TAG_BYTES);
    body.put_slice(plain);
    sealer.seal(&mut body, 0);
    envelope(What::Introduction, &body)
}

/// What one side says when it will not go on, before both know each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    Version,
    /// The listener has a password, the dialer has none.
    PasswordMissing,
    /// The dialer has a password, the listener has none.
    PasswordUnknown,
    PasswordDiffers,
    TlsMissing,
    Garbled,
    Full,
    /// A number that this version does not know.
    Other(u8),
}

impl Refusal {
    const KNOWN: [Self; 7] = [
        Self::Version,
        Self::PasswordMissing,
        Self::PasswordUnknown,
        Self::PasswordDiffers,
        Self::TlsMissing,
        Self::Garbled,
        Self::Full,
    ];

    pub fn envelope(self) -> Bytes {
        envelope(What::Refusal, &[self.number()])
    }

    fn number(self) -> u8 {
        match self {
            Self::Version => 1,
            Self::PasswordMissing => 2,
            Self::PasswordUnknown => 3,
            Self::PasswordDiffers => 4,
            Self::TlsMissing => 5,
            Self::Garbled => 6,
            Self::Full => 7,
            Self::Other(number) => number,
        }
    }

    fn numbered(number: u8) -> Self {
        Self::KNOWN.into_iter().find(|refusal| refusal.number() == number).unwrap_or(Self::Other(number))
    }
}

/// The listener's last word in the hello.
pub enum Admission {
    Welcome(Identity),
    No(String),
}

impl Admission {
    pub fn encoded(&self) -> Vec<u8> {
        match self {
            Self::Welcome(identity) => [&[0], identity.encoded().as_slice()].concat(),
            Self::No(why) => {
                let mut bytes = vec![1];
                put_text(&mut bytes, why);
                bytes
            }
        }
    }

    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        match bytes.try_get_u8().ok()? {
            0 => Identity::decode(bytes).map(Self::Welcome),
            1 => text(&mut bytes).map(Self::No),
            _ => None,
        }
    }
}

impl Identity {
    pub(in crate::link) fn encoded(&self) -> Vec<u8> {
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

    pub(in crate::link) fn decode(mut bytes: &[u8]) -> Option<Self> {
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
            address: text(&mut bytes)?,
            software: text(&mut bytes)?,
        })
    }
}

/// What is longer than a text may be loses its end.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(TEXT_MAX)];
    bytes.put_u16(u16::try_from(text.len()).expect("it was cut to fit"));
    bytes.put_slice(text.as_bytes());
}

/// Text that may stand in a log.
fn text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::from(bytes.try_get_u16().ok()?);
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    let text = std::str::from_utf8(text).ok()?;
    (!text.contains(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identity(role: Role, cluster: Option<u64>, address: &str) -> Identity {
        Identity { role, cluster, node: 42, address: address.to_owned(), software: "tamada 0.1.0".to_owned() }
    }

    #[test]
    fn identities_come_back_as_they_went() {
        for identity in [
            identity(Role::Voter, Some(0), "[fe80::1]:2222"),
            identity(Role::Voter, None, "node-1:2222"),
            identity(Role::Client, Some(u64::MAX), ""),
        ] {
            assert_eq!(Identity::decode(&identity.encoded()), Some(identity));
        }
    }

    #[test]
    fn a_later_version_may_add_to_the_end() {
        let identity = identity(Role::Voter, None, "a:1");
        assert_eq!(Identity::decode(&[identity.encoded(), b"more".to_vec()].concat()), Some(identity));
    }

    #[test]
    fn text_that_would_spoil_a_log_is_not_taken() {
        assert!(Identity::decode(&identity(Role::Voter, None, "a\nrefused b").encoded()).is_none());
        let long = identity(Role::Voter, None, &"ä".repeat(400));
        assert_eq!(Identity::decode(&long.encoded()).unwrap().address, "ä".repeat(300));
    }

    #[test]
    fn every_refusal_has_its_number() {
        for refusal in Refusal::KNOWN {
            assert_eq!(Refusal::numbered(refusal.number()), refusal);
        }
        assert_eq!(Refusal::numbered(77), Refusal::Other(77));
    }

    #[test]
    fn both_sides_of_a_version_that_differs_know_what_to_do() {
        let of = |oldest, newest| Versions { oldest, newest }.differ_from_ours();
        assert_eq!(of(1, 1), None);
        assert_eq!(of(0, 9), None);
        assert_eq!(of(3, 4).unwrap(), "speaks protocol 3 and later, this node up to 1: upgrade this node");
        assert_eq!(of(0, 0).unwrap(), "speaks protocol up to 0, this node 1 and later: upgrade the other node");
    }

    fn read(bytes: &[u8]) -> Result<Envelope, Unread> {
        futures_util::FutureExt::now_or_never(Envelope::read(&mut &*bytes)).expect("there is nothing to wait for")
    }

    #[test]
    fn others_than_ours_are_told_apart() {
        assert!(matches!(read(b"GET / HTTP/1.1\r\n\r\n"), Err(Unread::Garbled)));
        assert!(matches!(read(b"\x16\x03\x01\x02\x00\x01"), Err(Unread::Tls)));
        assert!(matches!(read(b""), Err(Unread::Gone(_))));
        assert!(matches!(read(b"TAMADA\x01"), Err(Unread::Gone(_))));
        assert!(matches!(read(b"TAMADA\x01\0\x01\0\x01\xff\xff"), Err(Unread::Garbled)));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_answered(random in proptest::collection::vec(any::<u8>(), 0..200), ours: bool) {
            let bytes = if ours { [&MAGIC[..], &random].concat() } else { random.clone() };
            if let Ok(mut envelope) = read(&bytes) {
                let _ = (envelope.hello().is_ok(), envelope.introduction().is_ok(), envelope.speaks.differ_from_ours());
            }
            let _ = (Identity::decode(&random), Admission::decode(&random).is_some());
        }
    }
}
