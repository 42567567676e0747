//! The lock: the `leader` key with our name in it, under our lease.
//!
//! Its holder counts the ttl from the moment it asked, so every answer here that means "yours" is that of a transaction
//! which also renewed the lease.

use tamada_core::WriteOutcome;
use tamada_model::{Lsn, Mono, Status};
use tamada_wire::keys::{LEADER, STATUS, parse_status, status_json};

use super::client::{Client, Heard, Told};
use super::ours::{Leading, News};
use super::request::{Before, Request, Round, Step, Wish};
use super::txn::{Compare, Found, Key, LeaseId, Op, Revision, Txn, is_absent};

/// How often we look again when others change the key between our look and our write.
const TRIES: u32 = 5;
const KEY: Key = Key::Borrowed(LEADER);

/// Whose lock may be overwritten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whose {
    OursOrNobodys,
    Anybodys,
}

/// What is asked.
impl Client {
    pub(super) fn take(&mut self, now: Mono) -> Request {
        let wish = Wish::Seize { seen: 0, whose: Whose::Anybodys, news: News::default(), tries: TRIES };
        self.under_lease(wish, Round::First, now)
    }

    /// Nothing that was asked before may bring the key back, so a lease in doubt is ended first.
    pub(super) fn release(&mut self, last: Option<Lsn>, now: Mono) -> Request {
        self.ours.leads(Leading::No);
        match self.lease.is_doubted() {
            true => self.under_lease(Wish::Release { last }, Round::First, now),
            false => self.look_before_release(last, now),
        }
    }

    pub(super) fn look_before_release(&self, last: Option<Lsn>, now: Mono) -> Request {
        let looks = Txn::just([Op::Look(KEY), Op::Look(Key::Borrowed(STATUS))]);
        Request::write(looks, Step::LookBeforeRelease { last }, now)
    }

    pub(super) fn acquiring(&self, lease: LeaseId) -> Txn {
        Txn {
            when: vec![is_absent(KEY)],
            then: vec![Op::KeepAlive(lease), self.lock_under(lease)],
            otherwise: vec![Op::KeepAlive(lease), Op::Look(KEY)],
        }
    }

    pub(super) fn renewing(&self, lease: LeaseId, news: &News) -> Txn {
        let mut then = vec![Op::KeepAlive(lease)];
        then.extend(news.puts());
        then.push(Op::Look(KEY));
        let when = vec![Compare::Has(KEY, self.ours.name.clone()), Compare::Under(KEY, lease)];
        Txn { when, then, otherwise: vec![Op::Look(KEY)] }
    }

    pub(super) fn seizing(&self, lease: LeaseId, seen: Revision, news: &News) -> Txn {
        let mut then = vec![Op::KeepAlive(lease)];
        then.extend(news.puts());
        then.push(self.lock_under(lease));
        Txn { when: vec![Compare::ModifiedAt(KEY, seen)], then, otherwise: vec![Op::Look(KEY)] }
    }

    fn lock_under(&self, lease: LeaseId) -> Op {
        Op::Put { key: KEY, value: self.ours.name.clone(), lease }
    }
}

/// Ends the reign that began then, if there is one, and tells the last position unless another one has begun.
pub(super) fn releasing(since: Option<Revision>, status: Option<Op>) -> Txn {
    let gone = Txn { when: vec![is_absent(KEY)], then: status.iter().cloned().collect(), otherwise: Vec::new() };
    match since {
        Some(since) => Txn {
            when: vec![Compare::CreatedAt(KEY, since)],
            then: status.into_iter().chain([Op::Delete(KEY)]).collect(),
            otherwise: vec![Op::Txn(Box::new(gone))],
        },
        None => gone,
    }
}

/// What is heard.
impl Client {
    /// Our own name under our own lease is an earlier success.
    pub(super) fn acquired(&mut self, lease: LeaseId, told: Told<'_>) -> Heard {
        self.doubt(told.before);
        match told.reply.found() {
            None if told.reply.held => self.ours_now(told.revision),
            Some(found) if self.ours.holds(found, lease) => self.ours_now(found.modified),
            Some(_) | None => self.anothers(),
        }
    }

    pub(super) fn renewed(&mut self, news: &News, told: Told<'_>) -> Heard {
        match told.reply.found() {
            Some(found) if told.reply.held => {
                let heard = self.ours_now(found.modified);
                self.ours.remember(news, told.revision);
                heard
            }
            Some(found) if !self.ours.is_me(found) => self.anothers(),
            at => self.seize(at, Whose::OursOrNobodys, news.clone(), TRIES, told.now),
        }
    }

    /// If the key has changed since we looked, what came is looked at anew.
    pub(super) fn seized(
        &mut self,
        lease: LeaseId,
        whose: Whose,
        news: &News,
        tries_left: u32,
        told: Told<'_>,
    ) -> Heard {
        self.doubt(told.before);
        if told.reply.held {
            let heard = self.ours_now(told.revision);
            self.ours.remember(news, told.revision);
            return heard;
        }
        match told.reply.found() {
            // An earlier try got through unheard.
            Some(found) if told.before == Before::MaybeDone && self.ours.holds(found, lease) => {
                self.ours_now(found.modified)
            }
            Some(found) if whose == Whose::OursOrNobodys && !self.ours.is_me(found) => self.anothers(),
            at if tries_left > 1 => self.seize(at, whose, news.clone(), tries_left - 1, told.now),
            Some(_) | None => {
                Heard::Written(WriteOutcome::Failed("the lock changes faster than we can look".to_owned()))
            }
        }
    }

    pub(super) fn looked_before_release(&mut self, last: Option<Lsn>, told: Told<'_>) -> Heard {
        let mut looks = told.reply.looks.iter().map(Option::as_ref);
        let (leader, status) = (looks.next().flatten(), looks.next().flatten());
        let since = match leader {
            Some(found) if self.ours.is_me(found) => Some(found.created),
            Some(_) => return Heard::beaten(),
            None => None,
        };
        let status = last.map(|last| telling(last, status));
        Heard::Next(Request::write(releasing(since, status), Step::Release { since }, told.now))
    }

    pub(super) fn released(&mut self, since: Option<Revision>, told: Told<'_>) -> Heard {
        match (since, told.before) {
            (Some(_), _) if told.reply.held => self.done(told.revision),
            (Some(_), Before::MaybeDone) => self.done(told.revision),
            (Some(_), Before::Nothing) | (None, _) => Heard::beaten(),
        }
    }

    fn seize(&mut self, at: Option<&Found>, whose: Whose, news: News, tries: u32, now: Mono) -> Heard {
        let seen = at.map_or(0, |found| found.modified);
        Heard::Next(self.under_lease(Wish::Seize { seen, whose, news, tries }, Round::First, now))
    }

    fn ours_now(&mut self, at: Revision) -> Heard {
        self.ours.leads(Leading::Yes);
        self.done(at)
    }

    fn anothers(&mut self) -> Heard {
        self.ours.leads(Leading::No);
        Heard::beaten()
    }

    /// A try that nobody answered may still be under way. Once we have given it up, it must not be carried out.
    fn doubt(&mut self, before: Before) {
        match before {
            Before::MaybeDone => self.lease.doubt(),
            Before::Nothing => {}
        }
    }
}

/// The last position, beside what `status` tells already.
fn telling(last: Lsn, status: Option<&Found>) -> Op {
    let present = status.map(|found| parse_status(found.value.as_bytes())).unwrap_or_default();
    let value = status_json(&Status { optime: last, ..present }).into();
    Op::Put { key: Key::Borrowed(STATUS), value, lease: 0 }
}
