//! Between etcd's messages and the store's own words. No I/O: what etcd refuses before it looks at a key ([`check`]),
//! what a request asks of the store ([`ask`]), and what its reply is in etcd's form ([`tell`], [`shape`]).

pub mod ask;
pub mod check;
pub mod shape;
pub mod tell;

use bytes::Bytes;
use tamada_raft::Keys;

/// A range end of one zero byte means: this key and all after it.
const TO_THE_END: &[u8] = &[0];

pub fn keys(key: &[u8], range_end: &[u8]) -> Keys {
    let key = Bytes::copy_from_slice(key);
    match range_end {
        [] => Keys::One(key),
        TO_THE_END => Keys::From(key),
        end => Keys::Between(key, Bytes::copy_from_slice(end)),
    }
}

/// As etcd writes numbers that cannot be negative.
pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
