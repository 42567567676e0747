//! What is said on a connection after the hello.
//!
//! ```text
//!   record  = length u32 │ sealed( frame )
//!   frame   = what u8 │ more u8 │ kind u16 │ id u64 │ up to 16 KiB of the body
//! ```
//!
//! Numbers are big-endian; the length counts what follows it. A body that does not fit into one frame goes out in
//! several, and all but the last have `more` set. Between them frames of other messages may stand, so that a heartbeat
//! never waits behind a snapshot for longer than one frame takes; but only one body at a time is cut up like this in
//! each direction, so that nobody has to put together more than one.
//!
//! The dialer asks, the listener answers. `id` is the dialer's number for the question, and comes back with everything
//! that belongs to it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::BODY_MAX_BYTES;
use super::seal::{Opener, Sealer, TAG_BYTES};

/// A heartbeat waits for one of these at most: 16 KiB are 1.3 ms at 100 Mbit/s.
pub const CHUNK_BYTES: usize = 16 * 1024;
const HEAD_BYTES: usize = 12;
const LENGTH_BYTES: usize = 4;
const RECORD_MAX: usize = HEAD_BYTES + CHUNK_BYTES + TAG_BYTES;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A question that wants one answer. `kind` says what it is about.
    Call,
    /// A question that wants many answers.
    Subscribe,
    /// The answer to a call; without a body, the consent to a subscription.
    Reply,
    /// The other answer: a text that says why not.
    Refusal,
    /// One of many answers.
    Item,
    /// There will be no more of them.
    End,
    /// The dialer does not want the answer any more.
    Cancel,
    /// The dialer has room for so many (`kind`) items more.
    Room,
    /// Are you there?
    Ping,
    /// Yes.
    Pong,
}

/// One thing said, whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub what: What,
    pub kind: u16,
    pub id: u64,
    pub body: Bytes,
}

impl Message {
    pub fn bare(what: What, id: u64) -> Self {
        Self { what, kind: 0, id, body: Bytes::new() }
    }

    pub fn answer(what: What, id: u64, body: Bytes) -> Self {
        Self { what, kind: 0, id, body }
    }

    pub fn is_small(&self) -> bool {
        self.body.len() <= CHUNK_BYTES
    }

    /// Seals the next frame of this message into the buffer, and takes what it holds out of the body. After the frame
    /// that was the last one the answer is true.
    pub fn seal_frame(&mut self, sealer: &mut Sealer, buffer: &mut BytesMut) -> bool {
        let chunk = self.body.split_to(self.body.len().min(CHUNK_BYTES));
        let length = HEAD_BYTES + chunk.len() + TAG_BYTES;
        buffer.reserve(LENGTH_BYTES + length);
        buffer.put_u32(u32::try_from(length).expect("a frame is small"));
        let start = buffer.len();
        buffer.put_u8(self.what.number());
        buffer.put_u8(u8::from(!self.body.is_empty()));
        buffer.put_u16(self.kind);
        buffer.put_u64(self.id);
        buffer.put_slice(&chunk);
        sealer.seal(buffer, start);
        self.body.is_empty()
    }
}

/// Reads what the other side says.
pub struct Inbox<R> {
    source: R,
    opener: Opener,
    buffer: BytesMut,
    /// The message of which not all has come yet.
    partial: Option<(Message, BytesMut)>,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Whole(Message),
    /// A part of a message; it shows that the other side is alive.
    Part,
}

impl<R: AsyncRead + Unpin> Inbox<R> {
    pub fn new(source: R, opener: Opener) -> Self {
        Self { source, opener, buffer: BytesMut::new(), partial: None }
    }

    /// The next frame. The error says how the connection ended. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Result<Heard, String> {
        loop {
            if let Some(heard) = self.take_frame()? {
                return Ok(heard);
            }
            self.buffer.reserve(LENGTH_BYTES + RECORD_MAX);
            match self.source.read_buf(&mut self.buffer).await {
                Ok(0) if self.buffer.is_empty() && self.partial.is_none() => {
                    return Err("it closed the connection".into());
                }
                Ok(0) => return Err("it closed the connection in the middle of a message".into()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn take_frame(&mut self) -> Result<Option<Heard>, String> {
        let Some(length) = self.buffer.first_chunk() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if !(HEAD_BYTES + TAG_BYTES..=RECORD_MAX).contains(&length) {
            return Err("a frame is forged: no frame has such a length".into());
        }
        if self.buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        let mut sealed = self.buffer.split_to(length);
        let Some(plain) = self.opener.open(&mut sealed) else {
            return Err("a frame is forged, or frames are missing: its seal does not open".into());
        };
        let (head, chunk) = plain.split_at(HEAD_BYTES);
        let (message, more) = Message::of_head(head).ok_or("a frame is garbled")?;
        assemble(&mut self.partial, message, chunk, more).map(Some)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum More {
    Follows,
    Ends,
}

fn assemble(
    partial: &mut Option<(Message, BytesMut)>,
    new: Message,
    chunk: &[u8],
    more: More,
) -> Result<Heard, String> {
    let belongs = partial.as_ref().is_some_and(|(begun, _)| (begun.what, begun.id) == (new.what, new.id));
    match (more, partial.take()) {
        (More::Ends, Some((begun, mut body))) if belongs => {
            body.put_slice(chunk);
            Ok(Heard::Whole(Message { body: body.freeze(), ..begun }))
        }
        (More::Ends, other) => {
            *partial = other;
            Ok(Heard::Whole(Message { body: Bytes::copy_from_slice(chunk), ..new }))
        }
        (More::Follows, Some(_)) if !belongs => Err("two messages are cut up at once".into()),
        (More::Follows, Some((_, body))) if body.len() + chunk.len() > BODY_MAX_BYTES => {
            Err(format!("a message is larger than {BODY_MAX_BYTES} bytes"))
        }
        (More::Follows, begun) => {
            let (begun, mut body) = begun.unwrap_or((new, BytesMut::new()));
            body.put_slice(chunk);
            *partial = Some((begun, body));
            Ok(Heard::Part)
        }
    }
}

impl Message {
    fn of_head(mut head: &[u8]) -> Option<(Self, More)> {
        let what = What::numbered(head.try_get_u8().ok()?)?;
        let more = if head.try_get_u8().ok()? == 0 { More::Ends } else { More::Follows };
        let kind = head.try_get_u16().ok()?;
        let id = head.try_get_u64().ok()?;
        Some((Self { what, kind, id, body: Bytes::new() }, more))
    }
}

impl What {
    const ALL: [Self; 10] = [
        Self::Call,
        Self::Subscribe,
        Self::Reply,
        Self::Refusal,
        Self::Item,
        Self::End,
        Self::Cancel,
        Self::Room,
        Self::Ping,
        Self::Pong,
    ];

    fn number(self) -> u8 {
        match self {
            Self::Call => 1,
            Self::Subscribe => 2,
            Self::Reply => 3,
            Self::Refusal => 4,
            Self::Item => 5,
            Self::End => 6,
            Self::Cancel => 7,
            Self::Room => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.number() == number)
    }
}
