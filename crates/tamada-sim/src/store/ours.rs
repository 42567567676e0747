//! What is ours in the store: our name, and what we wrote there last.
//!
//! The memory of our writes only spares writing the same again; every reading corrects it.

use std::sync::Arc;

use tamada_model::{Document, Member, MemberName, Status};
use tamada_wire::json;
use tamada_wire::keys::{FAILSAFE, STATUS, member_key, status_json};

use super::WrittenAt;
use super::txn::{Found, Key, LeaseId, Op, Revision};

#[derive(Clone, Debug)]
pub(super) struct Ours {
    pub name: Arc<str>,
    pub member_key: Key,
    /// We hold the lock, as far as the last answer about it told.
    leading: Leading,
    /// Cleared when a reading shows something else. Stale: a key that was deleted by hand would come back late.
    member: Option<Published>,
    /// As we last wrote them in this reign; cleared when it ends and when a reading shows something else. Stale: an old
    /// position would stand in the store for as long as ours does not change.
    status: Option<(Status, Revision)>,
    failsafe: Option<(Document, Revision)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Leading {
    Yes,
    No,
}

/// Our member key, as we wrote it.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub lease: LeaseId,
    pub record: Member,
    pub at: Revision,
}

/// What a renewal has to write besides the lock.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    status: Option<(Status, Arc<str>)>,
    failsafe: Option<(Document, Arc<str>)>,
}

impl News {
    pub fn puts(&self) -> impl Iterator<Item = Op> {
        let put = |key, value: &Arc<str>| Op::Put { key: Key::Borrowed(key), value: value.clone(), lease: 0 };
        let status = self.status.as_ref().map(|(_, value)| put(STATUS, value));
        status.into_iter().chain(self.failsafe.as_ref().map(|(_, value)| put(FAILSAFE, value)))
    }
}

impl Ours {
    pub fn new(name: &MemberName) -> Self {
        Self {
            name: name.as_str().into(),
            member_key: Key::Owned(member_key(name)),
            leading: Leading::No,
            member: None,
            status: None,
            failsafe: None,
        }
    }

    pub fn is_me(&self, found: &Found) -> bool {
        found.value == self.name
    }

    pub fn holds(&self, found: &Found, lease: LeaseId) -> bool {
        self.is_me(found) && found.lease == lease
    }

    pub fn is_leading(&self) -> bool {
        self.leading == Leading::Yes
    }

    /// What an answer told about the lock.
    pub fn leads(&mut self, leading: Leading) {
        if self.leading != leading {
            self.leading = leading;
            self.status = None;
            self.failsafe = None;
        }
    }

    /// When we wrote exactly this under this lease, if the store has it still.
    pub fn published(&self, lease: LeaseId, record: &Member) -> Option<Revision> {
        let same = |ours: &&Published| ours.lease == lease && ours.record == *record;
        self.member.as_ref().filter(same).map(|ours| ours.at)
    }

    /// `None`: we do not know any more what the store has.
    pub fn publish(&mut self, member: Option<Published>) {
        self.member = member;
    }

    /// What the store does not have yet.
    pub fn news(&self, status: Option<&Status>, failsafe: Option<&Document>) -> News {
        let known = |status: &&Status| self.status.as_ref().is_some_and(|(known, _)| known == *status);
        let status = status.filter(|status| !known(status));
        let known = |members: &&Document| self.failsafe.as_ref().is_some_and(|(known, _)| known == *members);
        let failsafe = failsafe.filter(|members| !known(members));
        News {
            status: status.map(|status| (status.clone(), status_json(status).into())),
            failsafe: failsafe.map(|members| (members.clone(), json::compact(&members.clone().into()).into())),
        }
    }

    pub fn remember(&mut self, news: &News, at: Revision) {
        if let Some((status, _)) = &news.status {
            self.status = Some((status.clone(), at));
        }
        if let Some((members, _)) = &news.failsafe {
            self.failsafe = Some((members.clone(), at));
        }
    }

    /// Somebody may have deleted or overwritten what we wrote.
    pub fn compare(&mut self, written: WrittenAt) {
        self.member.take_if(|ours| ours.at != written.member);
        self.status.take_if(|(_, at)| *at != written.status);
        self.failsafe.take_if(|(_, at)| *at != written.failsafe);
    }
}
