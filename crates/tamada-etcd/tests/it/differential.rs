//! The same questions to a real etcd and to the endpoint: they must give the same answers.
//!
//! Both begin empty, so even their revisions must agree all the way. What cannot agree (who answers, how much of a
//! lease is left) is blanked before comparing.

use std::fmt::Debug;

use fastrand::Rng;
use tamada_etcd::messages::*;
use tonic::Status;

use crate::caller::Caller;
use crate::etcd::Etcd;
use crate::store::Store;

const KEYS: [&str; 8] = ["a", "a/1", "a/2", "b", "b/1", "c", "service/x/leader", "\u{ff}"];
const ENDS: [&[u8]; 7] = [b"", b"", b"\0", b"a", b"b", b"c", b"z"];
const VALUES: [&str; 5] = ["", "v", "w", "x", "zebra"];
const LEASES: [i64; 5] = [0, 7, 8, 9, 10];

/// Our history is shorter than etcd's; older revisions may not be asked for.
const REVISIONS_MAX: i64 = 900;

#[tokio::test]
async fn random_questions_have_the_same_answers() {
    for seed in [1, 2] {
        let (etcd, ours) = (Etcd::start().await, Store::alone().await);
        let pair = Pair { etcd: Caller::to(etcd.port).await, ours: ours.caller(0).await };
        let mut questions = Questions { chance: Rng::with_seed(seed), revision: 1 };
        let mut asked = 0;
        while asked < 3000 && questions.revision < REVISIONS_MAX {
            questions.ask_one(&pair).await.unwrap_or_else(|why| panic!("seed {seed}, question {asked}: {why}"));
            asked += 1;
        }
    }
}

struct Pair {
    etcd: Caller,
    ours: Caller,
}

impl Pair {
    /// The revision after it, if they agree.
    async fn ask<C: Call + Debug>(&self, question: C, blank: impl Fn(&mut C::Answer)) -> Result<i64, String>
    where
        C::Answer: PartialEq + Debug,
    {
        let [etcd, ours] = [self.etcd.ask(question.clone()).await, self.ours.ask(question.clone()).await];
        let revision = etcd.as_ref().ok().and_then(Headed::header).map_or(0, |header| header.revision);
        let (etcd, ours) = (blanked(etcd, &blank), blanked(ours, &blank));
        if etcd == ours {
            return Ok(revision);
        }
        Err(format!("{question:?}\netcd: {etcd:?}\nours: {ours:?}"))
    }
}

/// What is compared: the answer with its revision, or code and text of the error.
fn blanked<A: Headed>(answer: Result<A, Status>, blank: impl Fn(&mut A)) -> Result<(A, i64), (tonic::Code, String)> {
    let mut answer = answer.map_err(|status| (status.code(), status.message().to_owned()))?;
    let revision = answer.header().map_or(-1, |header| header.revision);
    blank(&mut answer);
    Ok((answer, revision))
}

struct Questions {
    chance: Rng,
    revision: i64,
}

impl Questions {
    async fn ask_one(&mut self, pair: &Pair) -> Result<(), String> {
        let revision = match self.chance.u8(0..100) {
            0..30 => self.ask_range(pair).await?,
            30..50 => pair.ask(self.put(), |a| a.header = None).await?,
            50..60 => pair.ask(self.delete(), |a| a.header = None).await?,
            60..80 => pair.ask(self.txn(0), |a| a.header = None).await?,
            80..85 => pair.ask(self.grant(), |a| a.header = None).await?,
            85..88 => pair.ask(LeaseRevokeRequest { id: self.lease() }, |a| a.header = None).await?,
            88..91 => pair.ask(LeaseKeepAliveRequest { id: self.lease() }, |a| a.header = None).await?,
            91..95 => {
                let question = LeaseTimeToLiveRequest { id: self.lease(), keys: self.chance.bool() };
                let blank = |answer: &mut LeaseTimeToLiveResponse| {
                    answer.header = None;
                    answer.ttl = answer.ttl.min(0);
                    answer.keys.sort();
                };
                pair.ask(question, blank).await?
            }
            95..98 => {
                let blank = |answer: &mut LeaseLeasesResponse| {
                    answer.header = None;
                    answer.leases.sort_by_key(|lease| lease.id);
                };
                pair.ask(LeaseLeasesRequest {}, blank).await?
            }
            _ => {
                let revision = self.chance.i64(self.revision - 30..self.revision + 2);
                pair.ask(CompactionRequest { revision: revision.max(1) }, |a| a.header = None).await?
            }
        };
        self.revision = self.revision.max(revision);
        Ok(())
    }

    /// Of keys without values the newest etcd does not tell the lease any more. We do, as those before it.
    async fn ask_range(&mut self, pair: &Pair) -> Result<i64, String> {
        let question = self.range();
        let keys_only = question.keys_only;
        let blank = |answer: &mut RangeResponse| {
            answer.header = None;
            answer.kvs.iter_mut().filter(|_| keys_only).for_each(|kv| kv.lease = 0);
        };
        pair.ask(question, blank).await
    }

    fn key(&mut self) -> Vec<u8> {
        match self.chance.u8(0..100) {
            0 => Vec::new(),
            _ => self.one_of(&KEYS).as_bytes().to_vec(),
        }
    }

    fn range_end(&mut self) -> Vec<u8> {
        self.one_of(&ENDS).to_vec()
    }

    fn value(&mut self) -> Vec<u8> {
        self.one_of(&VALUES).as_bytes().to_vec()
    }

    fn lease(&mut self) -> i64 {
        self.one_of(&LEASES)
    }

    /// Mostly not.
    fn seldom(&mut self) -> bool {
        self.chance.u8(0..8) == 0
    }

    fn one_of<T: Copy>(&mut self, row: &[T]) -> T {
        row[self.chance.usize(0..row.len())]
    }

    /// None, one of the last, or one that is still to come.
    fn some_revision(&mut self) -> i64 {
        match self.chance.u8(0..10) {
            0..7 => 0,
            7..9 => self.chance.i64((self.revision - 20).max(1)..=self.revision),
            _ => self.chance.i64(0..self.revision + 3),
        }
    }

    fn range(&mut self) -> RangeRequest {
        RangeRequest {
            key: self.key(),
            range_end: self.range_end(),
            limit: self.one_of(&[0, 0, 1, 2, 3, -1]),
            revision: self.some_revision(),
            sort_order: self.one_of(&[0, 0, 0, 1, 2, 2, 3]),
            sort_target: self.one_of(&[0, 0, 0, 1, 2, 3, 4, 5]),
            serializable: self.seldom(),
            keys_only: self.seldom(),
            count_only: self.seldom(),
            min_mod_revision: if self.seldom() { self.some_revision() } else { 0 },
            max_mod_revision: if self.seldom() { self.some_revision() } else { 0 },
            min_create_revision: if self.seldom() { self.some_revision() } else { 0 },
            max_create_revision: if self.seldom() { self.some_revision() } else { 0 },
        }
    }

    /// Of two things that may be wrong with a put, a key and a lease that are not there, etcd complains about the one or
    /// the other, depending on whether it is alone or in a transaction.
    fn put(&mut self) -> PutRequest {
        let ignore_value = self.seldom();
        PutRequest {
            key: self.key(),
            value: self.value(),
            lease: if !ignore_value && self.seldom() { self.lease() } else { 0 },
            prev_kv: self.chance.bool(),
            ignore_value,
            ignore_lease: self.seldom(),
        }
    }

    fn delete(&mut self) -> DeleteRangeRequest {
        DeleteRangeRequest { key: self.key(), range_end: self.range_end(), prev_kv: self.chance.bool() }
    }

    /// etcd does not notice that a key is put and deleted in one transaction if it is deleted with all keys after it. The
    /// store does.
    fn delete_up_to(&mut self) -> DeleteRangeRequest {
        let delete = self.delete();
        if delete.range_end == b"\0" { DeleteRangeRequest { range_end: b"z".to_vec(), ..delete } } else { delete }
    }

    fn txn(&mut self, depth: u8) -> TxnRequest {
        let [compares, successes, failures] = [3, 4, 4].map(|most| self.chance.u8(0..most));
        TxnRequest {
            compare: (0..compares).map(|_| self.compare()).collect(),
            success: (0..successes).map(|_| self.op(depth)).collect(),
            failure: (0..failures).map(|_| self.op(depth)).collect(),
        }
    }

    fn op(&mut self, depth: u8) -> RequestOp {
        let request = match self.chance.u8(0..100) {
            0..30 => Operation::Range(RangeRequest { keys_only: false, ..self.range() }),
            30..65 => Operation::Put(self.put()),
            65..85 => Operation::DeleteRange(self.delete_up_to()),
            85..99 if depth < 2 => Operation::Txn(self.txn(depth + 1)),
            _ => return RequestOp { request: None },
        };
        RequestOp { request: Some(request) }
    }

    fn compare(&mut self) -> Compare {
        let number = self.one_of(&[-1, 0, 0, 1, 2, 7, self.revision - 3, self.revision]);
        let (target, expected) = match self.chance.u8(0..6) {
            0 => (CompareTarget::Version, Expected::Version(number)),
            1 => (CompareTarget::Create, Expected::CreateRevision(number)),
            2 => (CompareTarget::Mod, Expected::ModRevision(number)),
            3 => (CompareTarget::Lease, Expected::Lease(number)),
            4 => (CompareTarget::Value, Expected::Value(self.value())),
            // Told in two ways that do not agree.
            _ => (CompareTarget::Value, Expected::Version(number)),
        };
        Compare {
            result: self.chance.i32(0..4),
            target: target.into(),
            key: self.key(),
            expected: Some(expected),
            range_end: if self.seldom() { self.range_end() } else { Vec::new() },
        }
    }

    fn grant(&mut self) -> LeaseGrantRequest {
        // With zero the store chooses, and each chooses another.
        let id = self.one_of(&LEASES[1..]);
        LeaseGrantRequest { ttl: self.one_of(&[100, 1000, 9_000_000_000, 9_000_000_001]), id }
    }
}
