//! How commands, answers and whatever else is kept or sent look in bytes.
//!
//! There are two layers. A *message* is protobuf, declared by hand in `messages`: fields have numbers, and a newer
//! version may add some. Reading an answer passes over fields it does not know; the asker does not need them. A command
//! or a snapshot must be understood to the last byte, because a voter that passes over a part of it goes on with other
//! keys than the rest: [`whole`] refuses it. Messages mirror our own types and are converted at the edge.
//!
//! A *record* is what stands on a disk, or alone: a message with a checksum, and the number of its format.

mod command;
pub(crate) mod messages;
mod record;
mod reply;

use prost::Message;

use crate::txn::{Change, Command, LeaseView, Outcome, Range, RangeReply, Refusal};

pub(crate) use command::duration;
pub(crate) use record::{RecordKind, open, seal};

/// Why bytes could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    #[error("a newer version wrote it, in format {format}; this version knows formats up to {known}")]
    Newer { format: u8, known: u8 },
    #[error("a newer version wrote it: {0} is not known to this version")]
    Unknown(&'static str),
    #[error("it cannot be read: {0}")]
    Garbled(String),
}

impl From<prost::DecodeError> for CodecError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Garbled(error.to_string())
    }
}

/// One function to write each kind of message, and one to read it.
macro_rules! messages {
    ($($encode:ident, $decode:ident: $ours:ty as $message:ty, $how:ident;)*) => {$(
        pub(crate) fn $encode(value: &$ours) -> Vec<u8> {
            <$message>::from(value).encode_to_vec()
        }

        pub(crate) fn $decode(bytes: &[u8]) -> Result<$ours, CodecError> {
            $how::<$message>(bytes)?.try_into()
        }
    )*};
}

messages! {
    encode_command, decode_command: Command as messages::Command, whole;
    encode_range, decode_range: Range as messages::Range, whole;
    encode_outcome, decode_outcome: Outcome as messages::Outcome, known;
    encode_range_reply, decode_range_reply: RangeReply as messages::RangeReply, known;
    encode_change, decode_change: Change as messages::Change, known;
    encode_lease_view, decode_lease_view: LeaseView as messages::LeaseView, known;
    encode_refusal, decode_refusal: Refusal as messages::Refusal, known;
}

/// What is known of a message.
fn known<M: Message + Default>(bytes: &[u8]) -> Result<M, CodecError> {
    Ok(M::decode(bytes)?)
}

/// A message that is understood as a whole. What was read is as long as what it was read from, unless something in it was
/// passed over.
pub(crate) fn whole<M: Message + Default>(bytes: &[u8]) -> Result<M, CodecError> {
    let message = M::decode(bytes)?;
    if message.encoded_len() != bytes.len() {
        return Err(CodecError::Unknown("a part of it"));
    }
    Ok(message)
}

/// A list of messages all of which must be readable.
pub(crate) fn all<M, T: TryFrom<M, Error = CodecError>>(messages: Vec<M>) -> Result<Vec<T>, CodecError> {
    messages.into_iter().map(T::try_from).collect()
}

/// A part without which the message means nothing: absent if it was written by a version that knows other variants.
pub(crate) fn needed<T>(part: Option<T>, what: &'static str) -> Result<T, CodecError> {
    part.ok_or(CodecError::Unknown(what))
}

#[cfg(test)]
mod tests;
