//! One who holds leases, one after the other, and one who looks whether they are there.
//!
//! A lease may end early in nobody's eyes: as long as the holder may believe in it, counting from when he asked for what
//! was granted to him, nobody may find that it is gone. And a lease that is not renewed any more must end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tamada_raft::{Client, Keys, LeaseId, Op, Outcome, Previous, Put, Range, Reading, Refusal, Submitted, Txn, What};
use tokio::time::sleep;

use super::history::Record;

const TTL: Duration = Duration::from_millis(1500);
const RENEW_EVERY: Duration = Duration::from_millis(300);
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// After so many renewals the holder falls silent, and waits until the lease is seen to be gone.
const RENEWALS: usize = 8;
const PREFIX: &[u8] = b"lease/";

#[derive(Clone)]
pub struct Leases {
    record: Arc<Record>,
    tenures: Arc<Mutex<BTreeMap<LeaseId, Tenure>>>,
}

/// What is known of one lease. The instants are those of the record.
#[derive(Clone, Copy, Debug)]
struct Tenure {
    /// Until when the holder may believe in it.
    until: Duration,
    /// When somebody knew that it is gone.
    gone: Option<Duration>,
}

/// How an attempt to keep a lease ended.
enum Kept {
    Surely,
    Perhaps,
    Gone,
}

impl Leases {
    pub fn new(record: Arc<Record>) -> Self {
        Self { record, tenures: Arc::default() }
    }

    pub async fn hold(self, store: Client) {
        let mut id = 0;
        while !self.record.is_over() {
            id += 1;
            if self.keep(&store, id, grant(id)).await {
                self.renew(&store, id).await;
                while !self.record.is_over() && self.is_there(id) {
                    sleep(LOOK_EVERY).await;
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn renew(&self, store: &Client, id: LeaseId) {
        for _ in 0..RENEWALS {
            sleep(RENEW_EVERY).await;
            if self.record.is_over() || !self.is_there(id) {
                return;
            }
            self.keep(store, id, vec![Op::KeepAlive(id)]).await;
        }
    }

    /// Whether it is ours now.
    async fn keep(&self, store: &Client, id: LeaseId, how: Vec<Op>) -> bool {
        let asked = self.record.now();
        let txn = Txn { then: how, ..Txn::default() };
        let kept = match store.submit(txn, TTL / 2).await {
            Submitted::Done(Outcome { result: Ok(_), .. }) => Kept::Surely,
            Submitted::Done(Outcome { result: Err(Refusal::LeaseNotFound), .. }) => Kept::Gone,
            Submitted::Done(Outcome { result: Err(other), .. }) => panic!("lease {id} was refused: {other}"),
            Submitted::Unclear(_) | Submitted::Failed(_) => Kept::Perhaps,
        };
        let (until, now) = (asked + TTL, self.record.now());
        let mut tenures = self.tenures();
        match kept {
            Kept::Surely => {
                let tenure = tenures.entry(id).or_insert(Tenure { until, gone: None });
                tenure.until = tenure.until.max(until);
                true
            }
            Kept::Gone => {
                tenures.entry(id).and_modify(|tenure| tenure.is_gone_at(now));
                false
            }
            Kept::Perhaps => false,
        }
    }

    /// Until nobody holds leases any more, and all are gone.
    pub async fn look(self, store: Client) {
        while !self.record.is_over() || self.tenures().values().any(|tenure| tenure.gone.is_none()) {
            let held: Vec<LeaseId> = self.tenures().keys().copied().collect();
            let all = vec![Range::of(Keys::prefix(PREFIX))];
            if let Ok(reply) = store.read(all, Reading::Linearizable, Duration::from_secs(1)).await {
                let [Ok(range)] = &reply.ranges[..] else { panic!("one range was asked for: {:?}", reply.ranges) };
                let there = |id: LeaseId| range.kvs.iter().any(|kv| kv.key == key(id));
                let now = self.record.now();
                for id in held.into_iter().filter(|id| !there(*id)) {
                    self.tenures().entry(id).and_modify(|tenure| tenure.is_gone_at(now));
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// How many there were.
    pub fn check(&self) -> Result<usize, String> {
        let tenures = self.tenures();
        let early = tenures.iter().find(|(_, tenure)| tenure.gone.is_some_and(|gone| gone < tenure.until));
        match early {
            Some((id, tenure)) => Err(format!("lease {id} ended while its holder believed in it: {tenure:?}")),
            None => Ok(tenures.len()),
        }
    }

    fn is_there(&self, id: LeaseId) -> bool {
        self.tenures().get(&id).is_some_and(|tenure| tenure.gone.is_none())
    }

    fn tenures(&self) -> MutexGuard<'_, BTreeMap<LeaseId, Tenure>> {
        self.tenures.lock().expect("nobody panics with it")
    }
}

impl Tenure {
    fn is_gone_at(&mut self, now: Duration) {
        self.gone = Some(self.gone.map_or(now, |before| before.min(now)));
    }
}

fn grant(id: LeaseId) -> Vec<Op> {
    let put = Put { key: key(id), value: What::Set(Bytes::new()), lease: What::Set(id), previous: Previous::Unasked };
    vec![Op::Grant { id, ttl: TTL }, Op::Put(put)]
}

fn key(id: LeaseId) -> Bytes {
    [PREFIX, id.to_string().as_bytes()].concat().into()
}
