//! One member's side of the store, or an operator's: what it asks, and what it makes of the answers.
//!
//! A write may need more than one message: a lease first, a look before. So whoever carries the messages is handed the
//! next one ([`Heard::Next`]) until there is an outcome. If no answer comes, it says so ([`Client::unanswered`]).

use std::sync::Arc;
use std::time::Duration;

use tamada_core::{DcsWrite, WriteOutcome};
use tamada_model::{Cluster, Document, FailoverRequest, Lsn, Member, MemberName, Mono, Stamp, Status};
use tamada_wire::keys::{self, CONFIG, FAILOVER, HISTORY, INITIALIZE};

use super::Answer;
use super::lease::MyLease;
use super::lock::Whose;
use super::ours::{News, Ours, Published};
use super::txn::{Compare, Key, LeaseId, Op, Outcome, Refusal, Reply, Revision, Txn, is_absent, revision};

/// What one message to the store carries.
#[derive(Clone, Debug)]
pub struct Request(Arc<Message>);

#[derive(Clone, Debug)]
struct Message {
    ask: Ask,
    step: Step,
    asked: Mono,
    before: Before,
}

/// As the store reads it.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Read { at_least: Revision, member: Key },
    Write(Txn),
}

/// As the client reads it: where in an operation it stands.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Read,
    /// A lease, for what comes then. `from`: the one that it takes the place of.
    BeginLease {
        lease: LeaseId,
        ttl: Duration,
        from: Option<LeaseId>,
        then: Wish,
        round: Round,
    },
    Under {
        lease: LeaseId,
        wish: Wish,
        round: Round,
    },
    /// Before a release: what there is to end.
    LookBeforeRelease {
        last: Option<Lsn>,
    },
    Release {
        since: Option<Revision>,
    },
    Create {
        value: Arc<str>,
    },
    /// A compare-and-swap; `None`: towards absence.
    Swap {
        wanted: Option<Arc<str>>,
    },
    Plain,
}

/// What needs a lease.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    Acquire,
    Renew(News),
    /// Puts the lock under our lease, over exactly what we saw there.
    Seize {
        seen: Revision,
        whose: Whose,
        news: News,
        tries: u32,
    },
    Release {
        last: Option<Lsn>,
    },
    Touch {
        record: Member,
        value: Arc<str>,
        renewal: Renewal,
    },
}

/// Whether a touch renews the lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Renewal {
    Due,
    Fresh,
}

/// When the store does not know the lease any more, it is done once more under a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Round {
    First,
    Second,
}

/// Whether an earlier try may have been carried out without our hearing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Before {
    Nothing,
    MaybeDone,
}

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
    done_at: Revision,
}

impl Request {
    /// The same once more, because nobody answered: a client that has time left asks again.
    pub fn again(&self) -> Request {
        Request(Arc::new(Message { before: Before::MaybeDone, ..(*self.0).clone() }))
    }

    pub(super) fn ask(&self) -> &Ask {
        &self.0.ask
    }
}

impl Client {
    /// A new process of this member. No other client has this `id`.
    pub fn new(name: MemberName, ttl: Duration, id: u64) -> Self {
        Self { ours: Ours::new(&name), lease: MyLease::new(ttl, id), seen: 0, done_at: 0 }
    }

    /// One who has no lease, and may not ask for what needs one.
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
        request(ask, Step::Read, now)
    }

    pub fn write(&mut self, write: &DcsWrite, now: Mono) -> Request {
        match write {
            DcsWrite::Acquire => self.under_lease(Wish::Acquire, Round::First, now),
            DcsWrite::Renew { status } => self.renew(status.as_ref(), None, now),
            DcsWrite::Take => self.take(now),
            DcsWrite::Release { last } => self.release(*last, now),
            DcsWrite::BeginBootstrap => create(INITIALIZE, "", now),
            DcsWrite::SetInitialize { id, over_existing: false } => create(INITIALIZE, &id.to_string(), now),
            DcsWrite::SetInitialize { id, over_existing: true } => self.put(INITIALIZE, &id.to_string(), None, now),
            DcsWrite::DeleteInitialize => self.delete(INITIALIZE, None, now),
            DcsWrite::SetConfig(config) => self.put(CONFIG, &keys::config_json(config), None, now),
            DcsWrite::ClearFailover(judged) => self.set_failover(&FailoverRequest::default(), Some(judged), now),
            DcsWrite::SetFailover { request, judged } => self.set_failover(request, Some(judged), now),
            DcsWrite::SetHistory(history) => self.put(HISTORY, &keys::history_json(history), None, now),
        }
    }

    /// `None` parts are left as they are.
    pub fn renew(&mut self, status: Option<&Status>, failsafe: Option<&Document>, now: Mono) -> Request {
        let news = self.ours.news(status, failsafe);
        self.under_lease(Wish::Renew(news), Round::First, now)
    }

    /// Our member key. `None`: the store has exactly this, under a lease that was renewed not long ago.
    pub fn touch(&mut self, record: &Member, now: Mono) -> Option<Request> {
        let known = self.lease.usable().and_then(|lease| Some((lease, self.ours.published(lease, record)?)));
        // A third of the ttl is often enough for a member key; see `tamada-dcs`, which asks for the same.
        let fresh = self.lease.usable().filter(|lease| self.lease.is_fresh(*lease, self.lease.ttl * 4 / 15, now));
        if let (Some((_, at)), Some(_)) = (known, fresh) {
            self.done_at = at;
            return None;
        }
        let renewal = fresh.map_or(Renewal::Due, |_| Renewal::Fresh);
        let wish = Wish::Touch { record: record.clone(), value: keys::member_json(record).into(), renewal };
        Some(self.under_lease(wish, Round::First, now))
    }

    pub fn delete_member(&mut self, now: Mono) -> Request {
        self.ours.publish(None);
        plain(Op::Delete(self.ours.member_key.clone()), now)
    }

    pub fn set_failover(&mut self, wanted: &FailoverRequest, judged: Option<&Stamp>, now: Mono) -> Request {
        self.put(FAILOVER, &keys::failover_json(wanted), judged, now)
    }

    /// Over the value read under `judged`, or unconditionally.
    pub fn put(&mut self, key: &'static str, value: &str, judged: Option<&Stamp>, now: Mono) -> Request {
        let value: Arc<str> = value.into();
        let put = Op::Put { key: Key::Borrowed(key), value: value.clone(), lease: 0 };
        swap(key, put, Some(value), judged, now)
    }

    pub fn delete(&mut self, key: &'static str, judged: Option<&Stamp>, now: Mono) -> Request {
        swap(key, Op::Delete(Key::Borrowed(key)), None, judged, now)
    }

    /// Everything of this cluster.
    pub fn delete_cluster(&mut self, now: Mono) -> Request {
        self.ours.publish(None);
        plain(Op::DeleteAll, now)
    }
}

/// Hearing.
impl Client {
    pub fn hear(&mut self, request: &Request, answer: Answer, now: Mono) -> Heard {
        let Message { step, before, asked, .. } = &*request.0;
        match answer {
            Answer::Cluster { cluster, revision, ours } => {
                // Less than before: the store was restored, and what we were told before is no more.
                self.seen = revision;
                if let Some(written) = ours {
                    self.ours.compare(written);
                }
                Heard::Cluster(cluster)
            }
            Answer::Written(outcome) => {
                self.seen = self.seen.max(outcome.revision);
                self.hear_step(step, outcome, Asked { asked: *asked, before: *before, now })
            }
        }
    }

    /// It was sent, and no answer came in time.
    pub fn unanswered(&mut self, request: &Request) -> WriteOutcome {
        let failed = WriteOutcome::Failed("the store did not answer".to_owned());
        match &request.0.step {
            Step::Read | Step::BeginLease { .. } | Step::LookBeforeRelease { .. } => return failed,
            Step::Under { wish, .. } => match wish {
                Wish::Acquire | Wish::Seize { .. } => self.lease.doubt(),
                Wish::Touch { .. } => self.ours.publish(None),
                Wish::Renew(_) | Wish::Release { .. } => {}
            },
            Step::Release { .. } | Step::Create { .. } | Step::Swap { .. } | Step::Plain => {}
        }
        WriteOutcome::Unclear("the store did not answer".to_owned())
    }

    fn hear_step(&mut self, step: &Step, outcome: Outcome, asked: Asked) -> Heard {
        let Outcome { revision, result } = outcome;
        if let Step::BeginLease { lease, ttl, from, then, round } = step {
            return match result {
                Ok(_) => {
                    self.begun(*lease, *ttl, *from, asked.asked);
                    Heard::Next(self.under_lease(then.clone(), *round, asked.now))
                }
                Err(refusal) => self.not_begun(*from, refusal, then, *round, asked.now),
            };
        }
        match (step, result) {
            (Step::Under { lease, wish, round }, Err(_)) => self.lease_is_gone(*lease, wish, *round, asked),
            (Step::Under { lease, wish, .. }, Ok(reply)) => {
                if reply.renewed {
                    self.lease.confirmed(*lease, asked.asked);
                }
                self.hear_under(*lease, wish, revision, &reply, asked)
            }
            (_, Err(_)) => Heard::Written(WriteOutcome::Failed("there is no such lease".to_owned())),
            (Step::LookBeforeRelease { last }, Ok(reply)) => self.looked_before_release(*last, &reply, asked.now),
            (Step::Release { since }, Ok(reply)) => match since.is_some() && (reply.held || asked.maybe_before()) {
                true => self.done(revision),
                false => beaten(),
            },
            (Step::Create { value }, Ok(reply)) => self.created(value, revision, &reply, asked),
            (Step::Swap { wanted }, Ok(reply)) => self.swapped(wanted.as_ref(), revision, &reply, asked),
            (Step::Read | Step::BeginLease { .. } | Step::Plain, Ok(_)) => self.done(revision),
        }
    }

    fn hear_under(&mut self, lease: LeaseId, wish: &Wish, revision: Revision, reply: &Reply, asked: Asked) -> Heard {
        match wish {
            Wish::Acquire => self.acquired(lease, revision, reply, asked),
            Wish::Renew(news) => self.renewed(news, revision, reply, asked),
            Wish::Seize { whose, news, tries, .. } => {
                self.seized(lease, (*whose, *tries), news, (revision, reply), asked)
            }
            Wish::Release { .. } => self.done(revision),
            Wish::Touch { record, .. } => {
                let at = reply.found().map_or(revision, |found| found.modified);
                self.ours.publish(Some(Published { lease, record: record.clone(), at }));
                self.done(at)
            }
        }
    }

    /// Create-only. When an earlier try may have got through and the key has the value we wanted, it is not known whose
    /// it is: two members write the same.
    fn created(&mut self, value: &Arc<str>, revision: Revision, reply: &Reply, asked: Asked) -> Heard {
        match reply.found() {
            None if reply.held => self.done(revision),
            Some(found) if asked.maybe_before() && found.value == *value => {
                let why = "the key exists now, and may have been created by us";
                Heard::Written(WriteOutcome::Unclear(why.to_owned()))
            }
            Some(_) | None => beaten(),
        }
    }

    /// If the comparison fails after a try of unknown fate and the key is as we want it, that try was it.
    fn swapped(&mut self, wanted: Option<&Arc<str>>, revision: Revision, reply: &Reply, asked: Asked) -> Heard {
        match (reply.found(), wanted) {
            _ if reply.held => self.done(revision),
            (Some(found), Some(wanted)) if asked.maybe_before() && found.value == *wanted => self.done(found.modified),
            (None, None) if asked.maybe_before() => self.done(revision),
            (Some(_) | None, _) => beaten(),
        }
    }

    pub(super) fn done(&mut self, at: Revision) -> Heard {
        self.done_at = at;
        Heard::Written(WriteOutcome::Done)
    }
}

/// The lease: how it begins, ends, and is moved from.
impl Client {
    /// Under the lease we have, or after a message that begins one.
    pub(super) fn under_lease(&mut self, wish: Wish, round: Round, now: Mono) -> Request {
        match self.lease.usable() {
            Some(lease) => self.wished(lease, wish, round, now),
            None => self.begin_lease(self.lease.id(), wish, round, now),
        }
    }

    /// A new lease; all that is ours under the old one comes along, and the old one is ended, in one transaction.
    /// Whatever was done until then has come along, and what was not done will never be.
    fn begin_lease(&mut self, from: Option<LeaseId>, then: Wish, round: Round, now: Mono) -> Request {
        let (lease, ttl) = (self.lease.new_id(), self.lease.ttl);
        let mut ops = vec![Op::Grant { lease, ttl }];
        if let Some(old) = from {
            self.ours.publish(None);
            let moves = |key: Key| {
                let when = vec![Compare::Under(key.clone(), old)];
                Op::Txn(Box::new(Txn { when, then: vec![Op::Move { key, lease }], otherwise: Vec::new() }))
            };
            ops.extend([Key::Borrowed(keys::LEADER), self.ours.member_key.clone()].map(moves));
            ops.push(Op::Revoke(old));
        }
        let step = Step::BeginLease { lease, ttl, from, then, round };
        request(Ask::Write(Txn::just(ops)), step, now)
    }

    /// Two may have been asked for at once. The one we have is kept then, and this one left to run out.
    fn begun(&mut self, lease: LeaseId, ttl: Duration, from: Option<LeaseId>, asked: Mono) {
        if self.lease.id() == from {
            self.lease.begun(lease, ttl, asked);
        }
    }

    fn not_begun(&mut self, from: Option<LeaseId>, refusal: Refusal, then: &Wish, round: Round, now: Mono) -> Heard {
        match (refusal, from) {
            // It ended by itself, with all that was under it.
            (Refusal::LeaseNotFound, Some(old)) => self.lease.lost(old),
            (Refusal::LeaseNotFound, None) | (Refusal::LeaseExists, _) => {}
        }
        Heard::Next(self.under_lease(then.clone(), round, now))
    }

    fn lease_is_gone(&mut self, lease: LeaseId, wish: &Wish, round: Round, asked: Asked) -> Heard {
        self.lease.lost(lease);
        match (round, asked.before) {
            (Round::First, _) => Heard::Next(self.under_lease(wish.clone(), Round::Second, asked.now)),
            (Round::Second, Before::Nothing) => {
                Heard::Written(WriteOutcome::Failed("there is no such lease".to_owned()))
            }
            (Round::Second, Before::MaybeDone) => {
                Heard::Written(WriteOutcome::Unclear("there is no such lease".to_owned()))
            }
        }
    }

    fn wished(&mut self, lease: LeaseId, wish: Wish, round: Round, now: Mono) -> Request {
        let txn = match &wish {
            Wish::Acquire => self.acquiring(lease),
            Wish::Renew(news) => self.renewing(lease, news),
            Wish::Seize { seen, news, .. } => self.seizing(lease, *seen, news),
            Wish::Release { last } => return self.look_before_release(*last, now),
            Wish::Touch { value, renewal, .. } => self.touching(lease, value, *renewal),
        };
        request(Ask::Write(txn), Step::Under { lease, wish, round }, now)
    }

    fn touching(&self, lease: LeaseId, value: &Arc<str>, renewal: Renewal) -> Txn {
        let key = &self.ours.member_key;
        let when = vec![Compare::Has(key.clone(), value.clone()), Compare::Under(key.clone(), lease)];
        let renewed = |op| match renewal {
            Renewal::Due => vec![Op::KeepAlive(lease), op],
            Renewal::Fresh => vec![op],
        };
        let put = Op::Put { key: key.clone(), value: value.clone(), lease };
        Txn { when, then: renewed(Op::Look(key.clone())), otherwise: renewed(put) }
    }
}

/// When a request was asked, and when its answer is heard.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    asked: Mono,
    before: Before,
    pub now: Mono,
}

impl Asked {
    pub fn maybe_before(self) -> bool {
        self.before == Before::MaybeDone
    }
}

pub(super) fn request(ask: Ask, step: Step, asked: Mono) -> Request {
    Request(Arc::new(Message { ask, step, asked, before: Before::Nothing }))
}

pub(super) fn beaten() -> Heard {
    Heard::Written(WriteOutcome::Beaten)
}

fn plain(op: Op, now: Mono) -> Request {
    request(Ask::Write(Txn::just([op])), Step::Plain, now)
}

fn create(key: &'static str, value: &str, now: Mono) -> Request {
    let (key, value) = (Key::Borrowed(key), Arc::<str>::from(value));
    let put = Op::Put { key: key.clone(), value: value.clone(), lease: 0 };
    let txn = Txn { when: vec![is_absent(key.clone())], then: vec![put], otherwise: vec![Op::Look(key)] };
    request(Ask::Write(txn), Step::Create { value }, now)
}

fn swap(key: &'static str, op: Op, wanted: Option<Arc<str>>, judged: Option<&Stamp>, now: Mono) -> Request {
    let Some(judged) = judged else { return plain(op, now) };
    let key = Key::Borrowed(key);
    let when = vec![Compare::ModifiedAt(key.clone(), revision(judged))];
    let txn = Txn { when, then: vec![op], otherwise: vec![Op::Look(key)] };
    request(Ask::Write(txn), Step::Swap { wanted }, now)
}
