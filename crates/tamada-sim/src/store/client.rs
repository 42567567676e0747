//! One member's side of the store, or an operator's: what it asks, and what it makes of the answers.
//!
//! A write may need more than one message: a lease first, a look before. So whoever carries the messages is handed the
//! next one ([`Heard::Next`]) until there is an outcome. When no answer comes, it tells ([`Client::unanswered`]).

use std::sync::Arc;
use std::time::Duration;

use tamada_core::{DcsWrite, WriteOutcome};
use tamada_model::{Cluster, Document, FailoverRequest, Member, MemberName, Mono, Stamp, Status};
use tamada_wire::keys::{self, CONFIG, FAILOVER, HISTORY, INITIALIZE, SYNC};

use super::Answer;
use super::lease::MyLease;
use super::ours::Ours;
use super::request::{Ask, Before, Message, Renews, Request, Round, Step, Wish};
use super::txn::{Key, LeaseId, Op, Outcome, Refusal, Reply, Revision};

/// What an answer means.
#[derive(Clone, Debug)]
pub enum Heard {
    Cluster(Arc<Cluster>),
    Written(WriteOutcome),
    /// There is more to ask.
    Next(Request),
}

#[derive(Clone, Debug)]
pub struct Client {
    pub(super) ours: Ours,
    pub(super) lease: MyLease,
    /// The newest revision that we were told of. Stale: a reading that may lag could show less than the one before.
    seen: Revision,
    /// See [`Client::done_at`].
    done_at: Revision,
}

/// An answer to a write.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    pub reply: &'a Reply,
    /// After the write.
    pub revision: Revision,
    pub asked: Mono,
    pub before: Before,
    pub now: Mono,
}

/// Asking.
impl Client {
    /// A new process of this member. No other client has this `id`, not even an earlier one of the same name.
    pub fn new(name: MemberName, ttl: Duration, id: u64) -> Self {
        Self { ours: Ours::new(&name), lease: MyLease::new(ttl, id), seen: 0, done_at: 0 }
    }

    /// Somebody without a lease, who asks for nothing that needs one.
    pub fn operator(id: u64) -> Self {
        Self::new(MemberName::new(""), Duration::ZERO, id)
    }

    /// Holds from the next renewal or touch on.
    pub fn set_ttl(&mut self, ttl: Duration) {
        self.lease.ttl = ttl;
    }

    /// As far as the last answer about the lock told. See [`super::Changes::concern`].
    pub fn is_leading(&self) -> bool {
        self.ours.is_leading()
    }

    /// The revision under which what was last done stands in the store.
    pub fn done_at(&self) -> Revision {
        self.done_at
    }

    pub fn read(&self, now: Mono) -> Request {
        let ask = Ask::Read { at_least: self.seen, member: self.ours.member_key.clone() };
        Request::new(ask, Step::Read, now)
    }

    pub fn write(&mut self, write: &DcsWrite, now: Mono) -> Request {
        match write {
            DcsWrite::Acquire => self.under_lease(Wish::Acquire, Round::First, now),
            DcsWrite::Renew { status } => self.renew(status.as_ref(), None, now),
            DcsWrite::Take => self.take(now),
            DcsWrite::Release { last } => self.release(*last, now),
            DcsWrite::BeginBootstrap => Request::create(Key::Borrowed(INITIALIZE), "", now),
            DcsWrite::SetInitialize { id, over_existing: false } => {
                Request::create(Key::Borrowed(INITIALIZE), &id.to_string(), now)
            }
            DcsWrite::SetInitialize { id, over_existing: true } => self.put(INITIALIZE, &id.to_string(), None, now),
            DcsWrite::DeleteInitialize => self.delete(INITIALIZE, None, now),
            DcsWrite::SetConfig(config) => self.put(CONFIG, &keys::config_json(config), None, now),
            DcsWrite::ClearFailover(judged) => self.set_failover(&FailoverRequest::default(), Some(judged), now),
            DcsWrite::SetFailover { request, judged } => self.set_failover(request, Some(judged), now),
            DcsWrite::SetSync { sync, judged } => self.put(SYNC, &keys::sync_json(sync), judged.as_ref(), now),
            DcsWrite::DeleteSync(judged) => self.delete(SYNC, Some(judged), now),
            DcsWrite::SetHistory(history) => self.put(HISTORY, &keys::history_json(history), None, now),
        }
    }

    /// The lock, and what is new of these. `None` parts are left as they are.
    pub fn renew(&mut self, status: Option<&Status>, failsafe: Option<&Document>, now: Mono) -> Request {
        let news = self.ours.news(status, failsafe);
        self.under_lease(Wish::Renew(news), Round::First, now)
    }

    /// Our member key. `None`: the store has exactly this, under a lease that was renewed not long ago.
    pub fn touch(&mut self, record: &Member, now: Mono) -> Option<Request> {
        let fresh = self.lease.fresh(now);
        if let Some(at) = fresh.and_then(|lease| self.ours.published(lease, record)) {
            self.done_at = at;
            return None;
        }
        let value = keys::member_json(record).into();
        let renews = fresh.map_or(Renews::Lease, |_| Renews::Nothing);
        let wish = Wish::Touch { record: record.clone(), value, renews };
        Some(self.under_lease(wish, Round::First, now))
    }

    pub fn delete_member(&mut self, now: Mono) -> Request {
        self.ours.publish(None);
        Request::just(Op::Delete(self.ours.member_key.clone()), now)
    }

    /// An empty one clears the key.
    pub fn set_failover(&mut self, wanted: &FailoverRequest, judged: Option<&Stamp>, now: Mono) -> Request {
        self.put(FAILOVER, &keys::failover_json(wanted), judged, now)
    }

    /// Over the value read under `judged`, or unconditionally.
    pub fn put(&mut self, key: &'static str, value: &str, judged: Option<&Stamp>, now: Mono) -> Request {
        let (key, value) = (Key::Borrowed(key), Arc::<str>::from(value));
        let put = Op::Put { key: key.clone(), value: value.clone(), lease: 0 };
        match judged {
            Some(judged) => Request::swap(key, put, Some(value), judged, now),
            None => Request::just(put, now),
        }
    }

    pub fn delete(&mut self, key: &'static str, judged: Option<&Stamp>, now: Mono) -> Request {
        let delete = Op::Delete(Key::Borrowed(key));
        match judged {
            Some(judged) => Request::swap(Key::Borrowed(key), delete, None, judged, now),
            None => Request::just(delete, now),
        }
    }

    /// Everything of this cluster.
    pub fn delete_cluster(&mut self, now: Mono) -> Request {
        self.ours.publish(None);
        Request::just(Op::DeleteAll, now)
    }
}

/// Hearing.
impl Client {
    /// Of each request at most once. An answer that comes after [`Client::unanswered`] is for nobody.
    pub fn hear(&mut self, request: &Request, answer: Answer, now: Mono) -> Heard {
        let Message { ask, step, before, asked } = request.message();
        match answer {
            Answer::Cluster { cluster, revision, ours } => {
                let went_back = match ask {
                    Ask::Read { at_least, .. } => revision < *at_least,
                    Ask::Write(_) => false,
                };
                // The store was restored: what we were told before is no more.
                self.seen = if went_back { revision } else { self.seen.max(revision) };
                if let Some(written) = ours {
                    self.ours.compare(written);
                }
                Heard::Cluster(cluster)
            }
            Answer::Written(Outcome { revision, result }) => {
                self.seen = self.seen.max(revision);
                match result {
                    Ok(reply) => {
                        let told = Told { reply: &reply, revision, asked: *asked, before: *before, now };
                        self.hear_reply(step, told)
                    }
                    Err(refusal) => self.hear_refusal(request.message(), refusal, now),
                }
            }
        }
    }

    /// It was sent, and no answer came in time.
    pub fn unanswered(&mut self, request: &Request) -> WriteOutcome {
        let why = "the store did not answer".to_owned();
        match &request.message().step {
            Step::Read | Step::BeginLease { .. } | Step::LookBeforeRelease { .. } => return WriteOutcome::Failed(why),
            Step::Under { wish, .. } => match wish {
                Wish::Acquire | Wish::Seize { .. } => self.lease.doubt(),
                Wish::Touch { .. } => self.ours.publish(None),
                Wish::Renew(_) | Wish::Release { .. } => {}
            },
            Step::Release { .. } | Step::Create { .. } | Step::Swap { .. } | Step::Write => {}
        }
        WriteOutcome::Unclear(why)
    }

    /// There was no way to send it.
    pub fn unsent(&mut self, request: &Request) -> WriteOutcome {
        match request.message().before {
            Before::Nothing => WriteOutcome::Failed("the store cannot be reached".to_owned()),
            Before::MaybeDone => self.unanswered(request),
        }
    }

    fn hear_reply(&mut self, step: &Step, told: Told<'_>) -> Heard {
        match step {
            Step::Read => unreachable!("a reading is answered with a cluster"),
            Step::BeginLease { lease, ttl, from, then, round } => {
                self.begun(*lease, *ttl, *from, told.asked);
                Heard::Next(self.under_lease(then.clone(), *round, told.now))
            }
            Step::Under { lease, wish, .. } => {
                if told.reply.renewed {
                    self.lease.confirmed(*lease, told.asked);
                }
                self.hear_wish(*lease, wish, told)
            }
            Step::LookBeforeRelease { last } => self.looked_before_release(*last, told),
            Step::Release { since } => self.released(*since, told),
            Step::Create { value } => self.created(value, told),
            Step::Swap { wanted } => self.swapped(wanted.as_ref(), told),
            Step::Write => self.done(told.revision),
        }
    }

    fn hear_wish(&mut self, lease: LeaseId, wish: &Wish, told: Told<'_>) -> Heard {
        match wish {
            Wish::Acquire => self.acquired(lease, told),
            Wish::Renew(news) => self.renewed(news, told),
            Wish::Seize { whose, news, tries, .. } => self.seized(lease, *whose, news, *tries, told),
            Wish::Release { .. } => unreachable!("a release looks first, and names no lease"),
            Wish::Touch { record, .. } => self.touched(lease, record, told),
        }
    }

    fn hear_refusal(&mut self, refused: &Message, why: Refusal, now: Mono) -> Heard {
        match &refused.step {
            Step::BeginLease { lease, ttl, from, then, round } => {
                match why {
                    // Its number is ours alone, so an earlier try was carried out.
                    Refusal::LeaseExists => self.begun(*lease, *ttl, *from, refused.asked),
                    // The old one ended by itself, with all that was under it.
                    Refusal::LeaseNotFound => from.iter().for_each(|old| self.lease.lost(*old)),
                }
                Heard::Next(self.under_lease(then.clone(), *round, now))
            }
            Step::Under { lease, wish, round } => self.lease_is_gone(*lease, wish, *round, refused.before, now),
            Step::Read
            | Step::LookBeforeRelease { .. }
            | Step::Release { .. }
            | Step::Create { .. }
            | Step::Swap { .. }
            | Step::Write => unreachable!("{why:?}, of a request that names no lease"),
        }
    }

    pub(super) fn done(&mut self, at: Revision) -> Heard {
        self.done_at = at;
        Heard::Written(WriteOutcome::Done)
    }
}

impl Heard {
    pub(super) fn beaten() -> Heard {
        Heard::Written(WriteOutcome::Beaten)
    }
}
