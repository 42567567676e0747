//! One client of the store, who does what the dice say and writes down how it ended.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use tamada_raft::{
    Client, Compare, Delete, Is, KeyValue, Keys, Op as Do, OpReply, Operand, Outcome, Previous, Put, Range, Reading,
    Revision, Submitted, Txn, TxnReply, What,
};

use super::history::{Act, End, Entry, Op, Record};

pub const KEYS: usize = 5;
pub const PREFIX: &[u8] = b"key/";
/// Values of one client are below those of the next.
const VALUES_EACH: u64 = 1_000_000;

pub struct Worker {
    number: usize,
    store: Client,
    record: Arc<Record>,
    dice: Rng,
    written: u64,
    /// When each key was modified last, as far as we know.
    modified: [Revision; KEYS],
    newest: Revision,
}

impl Worker {
    pub fn new(number: usize, store: Client, record: Arc<Record>, seed: u64) -> Self {
        let dice = Rng::with_seed(seed ^ number as u64);
        Self { number, store, record, dice, written: 0, modified: [0; KEYS], newest: 0 }
    }

    /// One operation after the other.
    pub async fn work(mut self) {
        while !self.record.is_over() {
            let key = self.dice.usize(..KEYS);
            let act = self.choose(key);
            // Some give up so early that they often do not hear how it ended.
            let within = if self.dice.u8(..) < 32 { Duration::from_millis(50) } else { Duration::from_secs(3) };
            let is_done = self.perform(key, act, within).await;
            let pause = if is_done { self.dice.u64(2..8) } else { 30 };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    fn choose(&mut self, key: usize) -> Act {
        match self.dice.u8(..100) {
            0..30 => Act::Get,
            30..40 => Act::GetLate(self.newest),
            40..70 => Act::Put(self.next_value()),
            70..95 => Act::Swap { expected: self.modified[key], value: self.next_value() },
            _ => Act::Delete,
        }
    }

    pub fn next_value(&mut self) -> u64 {
        self.written += 1;
        self.number as u64 * VALUES_EACH + self.written
    }

    async fn perform(&mut self, key: usize, act: Act, within: Duration) -> bool {
        let asked = self.record.now();
        let end = match act {
            Act::Get => self.read(key, Reading::Linearizable, within).await,
            Act::GetLate(revision) => self.read(key, Reading::AtLeast(revision), within).await,
            Act::Put(_) | Act::Swap { .. } | Act::Delete => self.write(key, act, within).await,
        };
        let op = Op { client: self.number, key, act, asked, ended: self.record.now(), end };
        self.record.add(op);
        if let End::Done { left, revision, .. } = end {
            self.modified[key] = left.map_or(0, |entry| entry.modified);
            self.newest = self.newest.max(revision);
        }
        op.is_done()
    }

    /// Until it is done. Each attempt is an operation of its own.
    pub async fn insist(&mut self, key: usize, mut act: impl FnMut(&mut Self) -> Act) {
        loop {
            let act = act(self);
            if self.perform(key, act, Duration::from_secs(5)).await {
                return;
            }
        }
    }

    /// The newest revision that we were told.
    pub fn newest(&self) -> Revision {
        self.newest
    }

    async fn read(&self, key: usize, how: Reading, within: Duration) -> End {
        let Ok(reply) = self.store.read(vec![Range::of(one(key))], how, within).await else { return End::Failed };
        let [Ok(range)] = &reply.ranges[..] else { panic!("one key was asked for: {:?}", reply.ranges) };
        let saw = range.kvs.first().map(entry);
        End::Done { saw, left: saw, revision: reply.revision }
    }

    async fn write(&self, key: usize, act: Act, within: Duration) -> End {
        match self.store.submit(transaction(key, act), within).await {
            Submitted::Done(Outcome { revision, result: Ok(reply) }) => told(act, &reply, revision),
            Submitted::Done(Outcome { result: Err(refusal), .. }) => panic!("{act:?} was refused: {refusal}"),
            Submitted::Unclear(_) => End::Unclear,
            Submitted::Failed(_) => End::Failed,
        }
    }
}

fn name(key: usize) -> Bytes {
    [PREFIX, key.to_string().as_bytes()].concat().into()
}

fn one(key: usize) -> Keys {
    Keys::One(name(key))
}

pub fn key(name: &[u8]) -> usize {
    let number = name.strip_prefix(PREFIX).and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
    number.unwrap_or_else(|| panic!("{name:?} is not a key of ours"))
}

pub fn value(bytes: &[u8]) -> u64 {
    let text = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    text.unwrap_or_else(|| panic!("{bytes:?} is not a value of ours"))
}

fn entry(kv: &KeyValue) -> Entry {
    Entry { value: value(&kv.value), modified: kv.modified }
}

/// Each tells what was there before, so that nothing happens unseen.
fn transaction(key: usize, act: Act) -> Txn {
    let put = |value: u64| {
        let value = What::Set(value.to_string().into());
        Do::Put(Put { key: name(key), value, lease: What::Set(0), previous: Previous::Asked })
    };
    match act {
        Act::Get | Act::GetLate(_) => Txn { then: vec![Do::Range(Range::of(one(key)))], ..Txn::default() },
        Act::Put(value) => Txn { then: vec![put(value)], ..Txn::default() },
        Act::Swap { expected, value } => Txn {
            when: vec![Compare { keys: one(key), is: Is::Equal, to: Operand::Modified(expected) }],
            then: vec![put(value)],
            otherwise: vec![Do::Range(Range::of(one(key)))],
        },
        Act::Delete => {
            Txn { then: vec![Do::Delete(Delete { keys: one(key), previous: Previous::Asked })], ..Txn::default() }
        }
    }
}

fn told(act: Act, reply: &TxnReply, revision: Revision) -> End {
    let (saw, left) = match (&reply.replies[..], act) {
        ([OpReply::Put { previous }], Act::Put(value) | Act::Swap { value, .. }) if reply.held => {
            (previous.as_ref().map(entry), Some(Entry { value, modified: revision }))
        }
        ([OpReply::Range(range)], _) => (range.kvs.first().map(entry), range.kvs.first().map(entry)),
        ([OpReply::Delete { previous, .. }], Act::Delete) => (previous.first().map(entry), None),
        (other, _) => panic!("{other:?} is no answer to {act:?}"),
    };
    End::Done { saw, left, revision }
}
