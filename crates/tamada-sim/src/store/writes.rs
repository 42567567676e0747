//! The writes that need no lock: what is asked under the lease, and what the answers mean.

use std::sync::Arc;

use tamada_core::WriteOutcome;
use tamada_model::Member;

use super::client::{Client, Heard, Told};
use super::ours::Published;
use super::request::{Before, Renews};
use super::txn::{Compare, LeaseId, Op, Txn};

impl Client {
    pub(super) fn touching(&self, lease: LeaseId, value: &Arc<str>, renews: Renews) -> Txn {
        let key = &self.ours.member_key;
        let with_renewal = |op| match renews {
            Renews::Lease => vec![Op::KeepAlive(lease), op],
            Renews::Nothing => vec![op],
        };
        Txn {
            when: vec![Compare::Has(key.clone(), value.clone()), Compare::Under(key.clone(), lease)],
            then: with_renewal(Op::Look(key.clone())),
            otherwise: with_renewal(Op::Put { key: key.clone(), value: value.clone(), lease }),
        }
    }

    pub(super) fn touched(&mut self, lease: LeaseId, record: &Member, told: Told<'_>) -> Heard {
        let at = told.reply.found().map_or(told.revision, |found| found.modified);
        self.ours.publish(Some(Published { lease, record: record.clone(), at }));
        self.done(at)
    }

    /// When an earlier try may have got through and the key has the value we wanted, it is not known whose it is: two
    /// members write the same.
    pub(super) fn created(&mut self, value: &Arc<str>, told: Told<'_>) -> Heard {
        match (told.reply.found(), told.before) {
            (None, _) if told.reply.held => self.done(told.revision),
            (Some(found), Before::MaybeDone) if found.value == *value => {
                let why = "the key exists now, and may have been created by us";
                Heard::Written(WriteOutcome::Unclear(why.to_owned()))
            }
            (Some(_) | None, Before::MaybeDone | Before::Nothing) => Heard::beaten(),
        }
    }

    /// If the comparison fails after a try of unknown fate and the key is as we want it, that try was it.
    pub(super) fn swapped(&mut self, wanted: Option<&Arc<str>>, told: Told<'_>) -> Heard {
        if told.reply.held {
            return self.done(told.revision);
        }
        match (told.before, told.reply.found(), wanted) {
            (Before::MaybeDone, Some(found), Some(wanted)) if found.value == *wanted => self.done(found.modified),
            (Before::MaybeDone, None, None) => self.done(told.revision),
            (Before::MaybeDone | Before::Nothing, Some(_) | None, _) => Heard::beaten(),
        }
    }
}
