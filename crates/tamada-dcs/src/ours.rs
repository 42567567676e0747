//! What is ours in a store: our part of its keys, our name, and what we wrote there last.
//!
//! Shared by the stores whose keys are a tree with revisions and leases. The memory of our writes only spares writing
//! the same again; every reading and every bell corrects it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tamada_model::{MemberName, Stamp, StoreScope};
use tamada_wire::keys::{Entry, FAILSAFE, STATUS, member_key, status_json};

use crate::Renewal;

/// The cluster's part of the tree.
#[derive(Clone, Debug)]
pub struct Keys {
    /// With trailing slash, so that `zabbix` does not include `zabbix2`.
    prefix: String,
}

impl Keys {
    pub fn new(base: &str) -> Self {
        Self { prefix: format!("{}/", base.trim_end_matches('/')) }
    }

    pub fn key(&self, relative: &str) -> Vec<u8> {
        format!("{}{relative}", self.prefix).into_bytes()
    }

    pub fn relative<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(key.strip_prefix(self.prefix.as_bytes())?).ok()
    }

    /// All keys: from the prefix up to its successor, `…/` to `…0`.
    pub fn whole_range(&self) -> (Vec<u8>, Vec<u8>) {
        let start = self.prefix.clone().into_bytes();
        let mut end = start.clone();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        (start, end)
    }
}

pub struct Ours {
    pub keys: Keys,
    me: MemberName,
    /// We hold the lock, as far as the last answer about it told. Says whose `status` changes ring the bell, and
    /// whether a lock of ours under another lease is worth a line.
    leading: AtomicBool,
    known: Mutex<Known>,
}

/// What the store has from us, so that it need not be written again.
#[derive(Default)]
struct Known {
    /// Our member key as last written. Cleared when anybody shows us something else. Stale: a key that was deleted by
    /// hand would come back late.
    member: Option<Published>,
    /// `status` and `failsafe` as we last wrote them in this reign. Cleared when it ends and when a reading shows
    /// something else. Stale: an old position would stand in the store for as long as ours does not change.
    status: Option<String>,
    failsafe: Option<String>,
}

/// Our member key, as we wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Published {
    pub lease: i64,
    pub value: String,
    pub stamp: Stamp,
}

/// What a renewal has to write besides the lock.
#[derive(Default, Debug)]
pub struct News {
    status: Option<String>,
    failsafe: Option<String>,
}

impl News {
    pub fn is_empty(&self) -> bool {
        self.status.is_none() && self.failsafe.is_none()
    }

    /// Keys relative to the cluster's, and their values.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, String)> {
        let status = self.status.clone().map(|value| (STATUS, value));
        let failsafe = self.failsafe.clone().map(|value| (FAILSAFE, value));
        status.into_iter().chain(failsafe)
    }
}

impl Ours {
    pub fn new(scope: StoreScope) -> Self {
        Self { keys: Keys::new(&scope.base), me: scope.name, leading: AtomicBool::new(false), known: Mutex::default() }
    }

    pub fn name(&self) -> Vec<u8> {
        self.me.as_str().as_bytes().to_vec()
    }

    pub fn is_me(&self, value: &[u8]) -> bool {
        value == self.me.as_str().as_bytes()
    }

    pub fn member_key(&self) -> Vec<u8> {
        self.keys.key(&member_key(&self.me))
    }

    pub fn is_leading(&self) -> bool {
        self.leading.load(Ordering::Relaxed)
    }

    /// What an answer told about the lock.
    pub fn leads(&self, leads: bool) {
        let led = self.leading.swap(leads, Ordering::Relaxed);
        if led != leads {
            let mut known = self.known();
            known.status = None;
            known.failsafe = None;
        }
    }

    /// Our member key, if the store has exactly this value under this lease.
    pub fn published(&self, lease: i64, value: &str) -> Option<Stamp> {
        let known = self.known();
        let same = known.member.as_ref().filter(|member| member.lease == lease && member.value == value)?;
        Some(same.stamp.clone())
    }

    /// `None`: we do not know any more what the store has.
    pub fn publish(&self, member: Option<Published>) {
        self.known().member = member;
    }

    /// The parts of the renewal that the store does not have yet.
    pub fn news(&self, renewal: &Renewal) -> News {
        let known = self.known();
        let status = renewal.status.as_ref().map(status_json);
        let failsafe = renewal.failsafe.as_ref().map(|members| tamada_wire::json::compact(&members.clone().into()));
        News {
            status: status.filter(|value| known.status.as_ref() != Some(value)),
            failsafe: failsafe.filter(|value| known.failsafe.as_ref() != Some(value)),
        }
    }

    pub fn remember(&self, news: &News) {
        let mut known = self.known();
        if news.status.is_some() {
            known.status.clone_from(&news.status);
        }
        if news.failsafe.is_some() {
            known.failsafe.clone_from(&news.failsafe);
        }
    }

    /// Somebody may have deleted or overwritten what we wrote: this is what the store has.
    pub fn compare(&self, entries: &[Entry<'_>]) {
        let find = |key: &str| entries.iter().find(|entry| entry.key == key);
        let has = |key, value: &String| find(key).is_some_and(|entry| entry.value == value.as_bytes());
        let member = find(&member_key(&self.me));
        let is_published = |published: &Published| {
            member.is_some_and(|entry| {
                entry.session == Some(published.lease.to_string()) && entry.value == published.value.as_bytes()
            })
        };
        let mut known = self.known();
        known.member.take_if(|published| !is_published(published));
        known.status.take_if(|value| !has(STATUS, value));
        known.failsafe.take_if(|value| !has(FAILSAFE, value));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_a_cluster_ends_before_its_namesakes() {
        let keys = Keys::new("/service/zabbix");
        assert_eq!(keys.whole_range(), (b"/service/zabbix/".to_vec(), b"/service/zabbix0".to_vec()));
        assert_eq!(keys.relative(b"/service/zabbix/members/a"), Some("members/a"));
        assert_eq!(keys.relative(b"/service/zabbix2/leader"), None);
    }
}
