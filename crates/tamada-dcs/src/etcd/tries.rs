//! How one deadline is divided among the tries of a call.
//!
//! With n nodes there are n + 1 shares: each node once, and one spare, which for a single node is the chance that only
//! the connection was dead. A try that fails early leaves its time to the others. When all have failed we go on until
//! the deadline, with pauses, since a store that restarts is back in a moment.

use std::time::Duration;

use super::client::Trouble;
use crate::clock::Deadline;

/// dcs-layout.md 8.1
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub struct Tries {
    deadline: Deadline,
    nodes: usize,
    done: usize,
    pause: Duration,
    maybe_done: bool,
    /// The last complaint about each node, in the order of trying.
    why: Vec<String>,
}

impl Tries {
    pub fn new(deadline: Deadline) -> Self {
        Self { deadline, nodes: 1, done: 0, pause: FIRST_PAUSE, maybe_done: false, why: Vec::new() }
    }

    /// Until when the next try may take; `None` when there is no time for one.
    pub fn next(&mut self, nodes: usize) -> Option<Deadline> {
        self.nodes = nodes.max(1);
        if self.deadline.has_passed() {
            return None;
        }
        let shares = (self.nodes + 1).saturating_sub(self.done).max(1);
        Some(Deadline::after(self.deadline.left() / u32::try_from(shares).unwrap_or(u32::MAX)))
    }

    pub fn failed(&mut self, why: String, maybe_done: bool) {
        self.done += 1;
        self.maybe_done |= maybe_done;
        if self.why.len() == self.nodes {
            self.why.remove(0);
        }
        self.why.retain(|other| *other != why);
        self.why.push(why);
    }

    /// Waits a little after every round of failures, so that an absent store costs no CPU.
    pub async fn pause(&mut self) {
        if self.done.is_multiple_of(self.nodes) {
            let jitter = Duration::from_millis(fastrand::u64(0..100));
            tokio::time::sleep((self.pause + jitter).min(self.deadline.left())).await;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    pub fn maybe_done(&self) -> bool {
        self.maybe_done
    }

    /// No time left.
    pub fn end(self) -> Trouble {
        let why = if self.why.is_empty() { "no time left to ask etcd".to_owned() } else { self.why.join("; ") };
        if self.maybe_done { Trouble::Unclear(why) } else { Trouble::NotSent(why) }
    }

    /// A final answer, seen in the light of the tries before it.
    pub fn after(self, last: Trouble) -> Trouble {
        match last {
            Trouble::Said(status, before) => Trouble::Said(status, before || self.maybe_done),
            Trouble::Refused(why) if self.maybe_done => Trouble::Unclear(why),
            other @ (Trouble::Refused(_) | Trouble::NotSent(_) | Trouble::Unclear(_)) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_node_has_its_share_and_what_is_not_used_goes_on() {
        let mut tries = Tries::new(Deadline::after(Duration::from_secs(8)));
        let share = |tries: &mut Tries| tries.next(3).unwrap().left().as_millis();
        assert_eq!(share(&mut tries), 2000);
        tokio::time::advance(Duration::from_secs(2)).await;
        tries.failed("a".into(), true);
        assert_eq!(share(&mut tries), 2000);
        tries.failed("b".into(), false);
        assert_eq!(share(&mut tries), 3000);
        tokio::time::advance(Duration::from_secs(6)).await;
        tries.failed("c".into(), false);
        assert!(tries.next(3).is_none());
        assert!(matches!(tries.end(), Trouble::Unclear(why) if why == "a; b; c"));
    }
}
