//! Who has waited for answers looks at the store again before taking the lock.
//!
//! 1. The lock is free. a asks b and c, who stand still, and waits for two seconds.
//! 2. Meanwhile b wakes, takes the lock, is promoted, writes, and is shut down: what it published is in the store.
//! 3. a has no answer and a view from before all that. It takes the lock, which is free again, and leads without what b
//!    wrote, although it knows how far b came if it only looks.
//!
//! Therefore the store is read once more when answers have taken a while. They still hold if nobody has led meanwhile:
//! whoever leads publishes where it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tamada_model::{Cluster, MemberName, Mono, Now, PeerAnswer};

use super::Agent;
use crate::decision::{Decision, Verdict};
use crate::plant::{Plant, is_planted};
use crate::view::{Asked, Observation, Seen};

/// Nobody takes the lock, is promoted, and is gone again in less.
const A_WHILE: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(super) enum SecondLook {
    #[default]
    NotYet,
    /// The store is being read again; this is what was seen and heard before.
    Taken(Arc<Cluster>, BTreeMap<MemberName, PeerAnswer>),
    /// It showed the same.
    Had,
}

impl Agent {
    pub(super) fn wants_second_look(&mut self, decision: &Decision, seen: &Observation, now: Now) -> bool {
        let (Verdict::Acquire, Seen::Fresh { at, fact }, Some(peers)) =
            (&decision.verdict, &seen.cluster, &seen.asked.peers)
        else {
            return false;
        };
        match self.second_look {
            SecondLook::Had => false,
            SecondLook::NotYet | SecondLook::Taken(..) if took_a_while(*at, now) => {
                self.second_look = SecondLook::Taken(fact.clone(), peers.clone());
                true
            }
            SecondLook::NotYet | SecondLook::Taken(..) => false,
        }
    }

    /// What is known already in a new pass: the answers to the last one, if that was only to be looked at again.
    pub(super) fn answers_that_hold(&mut self, cluster: &Seen<Arc<Cluster>>) -> Asked {
        match (std::mem::take(&mut self.second_look), cluster) {
            (SecondLook::Taken(before, peers), Seen::Fresh { fact, .. }) if nobody_led(&before, fact) => {
                self.second_look = SecondLook::Had;
                Asked { peers: Some(peers), ..Asked::default() }
            }
            (SecondLook::NotYet | SecondLook::Taken(..) | SecondLook::Had, _) => Asked::default(),
        }
    }
}

fn took_a_while(at: Mono, now: Now) -> bool {
    now.mono.since(at) > A_WHILE && !is_planted(Plant::OldViewReused)
}

fn nobody_led(before: &Cluster, after: &Cluster) -> bool {
    after.is_unlocked()
        && before.status == after.status
        && before.history == after.history
        && before.failover == after.failover
}
