//! What is said on a connection after the hello.
//!
//! ```text
//!   record  = length u32 │ sealed( frame )
//!   frame   = what u8 │ more u8 │ kind u16 │ id u64 │ up to 16 KiB of the body
//! ```
//!
//! Numbers are big-endian; the length counts what follows it. A body that does not fit into one frame goes out in
//! several, and all but the last have `more` set. Between them frames of other messages may stand, so that a heartbeat
//! never waits behind a snapshot for longer than a few frames take; but only one body at a time is cut up like this in
//! each direction, so that nobody has to put together more than one.
//!
//! The dialer asks, the listener answers. `id` is the dialer's number for the question, and comes back with everything
//! that belongs to it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::BODY_MAX_BYTES;
use super::seal::{Opener, Sealer, TAG_BYTES};

/// A heartbeat waits behind a batch of these and what the kernel holds, 112 KiB at most: 10 ms at 100 Mbit/s.
pub const CHUNK_BYTES: usize = 16 * 1024;
const HEAD_BYTES: usize = 12;
const LENGTH_BYTES: usize = 4;
const AT_REST_BYTES: usize = 2048;
const RECORD_MAX: usize = HEAD_BYTES + CHUNK_BYTES + TAG_BYTES;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A question that wants one answer. `kind` says what it is about.
    Call,
    /// A question that wants many answers.
    Subscribe,
    /// The answer to a call.
    Reply,
    /// The other answer: a text that says why not.
    Refusal,
    /// The consent to a subscription: items will follow.
    Opened,
    /// One of many answers.
    Item,
    /// There will be no more of them.
    End,
    /// The dialer does not want the answer any more. In the middle of a question: its rest will not come.
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
            self.make_room();
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

    /// At rest a connection keeps little; while a long body comes it reads in large strides. What is there already is
    /// less than one record.
    fn make_room(&mut self) {
        if self.partial.is_some() {
            return self.buffer.reserve(2 * RECORD_MAX);
        }
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        let length = self.buffer.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
        let wanted = AT_REST_BYTES.max(LENGTH_BYTES + length);
        self.buffer.reserve(wanted - self.buffer.len());
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
        (More::Ends, Some((begun, _))) if new.what == What::Cancel && new.id == begun.id => Ok(Heard::Whole(new)),
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
    const ALL: [Self; 11] = [
        Self::Call,
        Self::Subscribe,
        Self::Reply,
        Self::Refusal,
        Self::Opened,
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
            Self::Opened => 5,
            Self::Item => 6,
            Self::End => 7,
            Self::Cancel => 8,
            Self::Room => 9,
            Self::Ping => 10,
            Self::Pong => 11,
        }
    }

    fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::super::seal::{Hellos, KeyPair};
    use super::*;

    fn one_way() -> (Sealer, Opener) {
        let [dialer, listener] = [(); 2].map(|()| KeyPair::generate().unwrap());
        let shares = (dialer.share, listener.share);
        let hellos = Hellos { dialer: b"", listener: b"" };
        let from = dialer.agree(&shares.1, None, &hellos).unwrap().of_dialer().0;
        (from, listener.agree(&shares.0, None, &hellos).unwrap().of_listener().1)
    }

    fn call(id: u64, body_bytes: usize) -> Message {
        Message { what: What::Call, kind: 3, id, body: vec![id as u8; body_bytes].into() }
    }

    fn inbox(bytes: &[u8], opener: Opener) -> Inbox<&[u8]> {
        Inbox::new(bytes, opener)
    }

    fn next(inbox: &mut Inbox<&[u8]>) -> Result<Heard, String> {
        inbox.next().now_or_never().expect("there is nothing to wait for")
    }

    fn all(inbox: &mut Inbox<&[u8]>) -> (Vec<Message>, String) {
        let mut whole = Vec::new();
        loop {
            match next(inbox) {
                Ok(Heard::Whole(message)) => whole.push(message),
                Ok(Heard::Part) => {}
                Err(why) => return (whole, why),
            }
        }
    }

    #[test]
    fn messages_of_all_sizes_come_back_as_they_went() {
        let (mut sealer, opener) = one_way();
        let sizes = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES];
        let sent: Vec<_> = (0..).zip(sizes).map(|(id, size)| call(id, size)).collect();
        let mut wire = BytesMut::new();
        for mut message in sent.clone() {
            while !message.seal_frame(&mut sealer, &mut wire) {}
        }
        let (heard, why) = all(&mut inbox(&wire, opener));
        assert_eq!(heard, sent);
        assert_eq!(why, "it closed the connection");
    }

    #[test]
    fn short_messages_come_through_between_the_parts_of_a_long_one() {
        let (mut sealer, opener) = one_way();
        let (mut long, mut short) = (call(1, 2 * CHUNK_BYTES), call(2, 10));
        let sent = [short.clone(), long.clone()];
        let mut wire = BytesMut::new();
        long.seal_frame(&mut sealer, &mut wire);
        short.seal_frame(&mut sealer, &mut wire);
        long.seal_frame(&mut sealer, &mut wire);
        assert_eq!(all(&mut inbox(&wire, opener)).0, sent);
    }

    #[test]
    fn a_question_that_is_taken_back_half_way_is_forgotten() {
        let (mut sealer, opener) = one_way();
        let (mut dropped, mut cancel, mut other) =
            (call(1, 2 * CHUNK_BYTES), Message::bare(What::Cancel, 1), call(2, 2 * CHUNK_BYTES));
        let sent = [cancel.clone(), other.clone()];
        let mut wire = BytesMut::new();
        dropped.seal_frame(&mut sealer, &mut wire);
        cancel.seal_frame(&mut sealer, &mut wire);
        while !other.seal_frame(&mut sealer, &mut wire) {}
        assert_eq!(all(&mut inbox(&wire, opener)).0, sent);
    }

    #[test]
    fn two_long_messages_at_once_are_not_taken() {
        let (mut sealer, opener) = one_way();
        let mut wire = BytesMut::new();
        call(1, 2 * CHUNK_BYTES).seal_frame(&mut sealer, &mut wire);
        call(2, 2 * CHUNK_BYTES).seal_frame(&mut sealer, &mut wire);
        assert_eq!(all(&mut inbox(&wire, opener)).1, "two messages are cut up at once");
    }

    #[test]
    fn a_message_without_end_is_not_collected_for_ever() {
        let (mut sealer, opener) = one_way();
        let mut wire = BytesMut::new();
        let mut endless = call(1, BODY_MAX_BYTES + CHUNK_BYTES + 1);
        while !endless.seal_frame(&mut sealer, &mut wire) {}
        let (heard, why) = all(&mut inbox(&wire, opener));
        assert!(heard.is_empty() && why.contains("larger than"), "{why}");
    }

    #[test]
    fn a_message_cut_short_is_not_a_message() {
        let (mut sealer, opener) = one_way();
        let mut wire = BytesMut::new();
        call(1, 100).seal_frame(&mut sealer, &mut wire);
        let (heard, why) = all(&mut inbox(&wire[..wire.len() - 1], opener));
        assert!(heard.is_empty() && why.contains("in the middle"), "{why}");
    }

    #[test]
    fn at_rest_little_is_kept() {
        let (mut sealer, opener) = one_way();
        let mut wire = BytesMut::new();
        call(1, CHUNK_BYTES).seal_frame(&mut sealer, &mut wire);
        let mut inbox = inbox(&wire, opener);
        all(&mut inbox);
        assert!(inbox.buffer.capacity() <= 2 * AT_REST_BYTES, "{}", inbox.buffer.capacity());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_answered(random in proptest::collection::vec(any::<u8>(), 0..100), length in 0..100u32) {
            let (_, opener) = one_way();
            let wire = [&length.to_be_bytes()[..], &random].concat();
            prop_assert!(all(&mut inbox(&wire, opener)).0.is_empty());
        }

        #[test]
        fn whatever_is_inside_is_answered(frames in proptest::collection::vec(
            (0..14u8, 0..2u8, any::<u16>(), 0..3u64, 0..100usize), 0..20,
        )) {
            let (mut sealer, opener) = one_way();
            let mut wire = BytesMut::new();
            for (what, more, kind, id, body_bytes) in frames {
                wire.put_u32((HEAD_BYTES + body_bytes + TAG_BYTES) as u32);
                let start = wire.len();
                wire.put_u8(what);
                wire.put_u8(more);
                wire.put_u16(kind);
                wire.put_u64(id);
                wire.put_bytes(0, body_bytes);
                sealer.seal(&mut wire, start);
            }
            all(&mut inbox(&wire, opener));
        }
    }
}
