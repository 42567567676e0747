//! Which answers to believe.
//!
//! A node that was cut off, restored from a backup, or belongs to another cluster answers quickly and politely, about a
//! world that is not ours. So we remember how far the store's history had come (cluster, raft term, revision), and what
//! lies behind that is not believed: the caller asks another node.
//!
//! 1. An operator restores etcd from last night's backup. Its revisions start again below what we have seen.
//! 2. Refusing for ever would leave the cluster without a leader until somebody restarts every agent.
//! 3. But while one single node still tells the history we know, the others are the odd ones.
//!
//! Therefore, when for a whole ttl nobody has told the history we know, and a node with a raft leader tells another, the
//! other is the truth now. By then every lease that anybody held in the old one has ended. Only nodes that stand in the
//! configuration may teach us so: an address learned from the cluster itself can be as vague as `localhost`, and lead
//! to somebody else's store.

use std::time::Duration;

use tamada_etcd::messages::ResponseHeader;
use tamada_model::Mono;

/// How far the store's history had come, as far as we were told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    cluster_id: u64,
    pub raft_term: u64,
    pub revision: i64,
}

/// What the answer's revision says about the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Ordered by the majority: its revision cannot be older than one told before we asked.
    Ordered,
    /// The node's own view, which may lag by a moment.
    Local,
}

/// Who vouches for the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vouched {
    ByConfiguration,
    ByClusterOnly,
}

/// Under which conditions an answer came.
#[derive(Clone, Copy, Debug)]
pub struct Hearing {
    /// What was known when we asked. Answers to requests in flight at the same time may overtake one another.
    pub before: Seen,
    pub standing: Standing,
    pub vouched: Vouched,
    pub ttl: Duration,
    pub now: Mono,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Belief {
    Believed,
    /// Believed from now on in place of all before; worth a warning.
    NewHistory(String),
    Disbelieved(String),
}

#[derive(Debug, Default)]
pub struct Guard {
    seen: Seen,
    /// Since when only other histories than ours were told. Set by the first such answer, cleared by any believed one.
    /// Stale: we would trust a cut-off node too early.
    contradicted_since: Option<Mono>,
}

impl Guard {
    pub fn seen(&self) -> Seen {
        self.seen
    }

    pub fn judge(&mut self, header: &ResponseHeader, hearing: Hearing) -> Belief {
        // Only the revision and the term may be overtaken; which cluster is ours is known at every moment.
        let before = Seen { cluster_id: self.seen.cluster_id, ..hearing.before };
        let Some(why) = contradiction(header, before, hearing.standing) else {
            self.contradicted_since = None;
            self.advance(header);
            return Belief::Believed;
        };
        if hearing.vouched == Vouched::ByClusterOnly {
            return Belief::Disbelieved(why);
        }
        let since = *self.contradicted_since.get_or_insert(hearing.now);
        if hearing.now.since(since) < hearing.ttl {
            return Belief::Disbelieved(why);
        }
        *self = Self::default();
        self.advance(header);
        Belief::NewHistory(why)
    }

    fn advance(&mut self, header: &ResponseHeader) {
        if header.cluster_id != 0 {
            self.seen.cluster_id = header.cluster_id;
        }
        self.seen.raft_term = self.seen.raft_term.max(header.raft_term);
        self.seen.revision = self.seen.revision.max(header.revision);
    }
}

/// Zero in a header means "not told".
fn contradiction(header: &ResponseHeader, before: Seen, standing: Standing) -> Option<String> {
    if header.cluster_id != 0 && before.cluster_id != 0 && header.cluster_id != before.cluster_id {
        return Some(format!("it belongs to cluster {:x} and not to {:x}", header.cluster_id, before.cluster_id));
    }
    if header.raft_term != 0 && header.raft_term < before.raft_term {
        return Some(format!("its raft term {} is older than {}", header.raft_term, before.raft_term));
    }
    if standing == Standing::Ordered && header.revision != 0 && header.revision < before.revision {
        return Some(format!("its revision {} is older than {}", header.revision, before.revision));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(30);

    fn header(cluster_id: u64, raft_term: u64, revision: i64) -> ResponseHeader {
        ResponseHeader { cluster_id, member_id: 1, raft_term, revision }
    }

    fn at(seconds: u64) -> Mono {
        Mono::new(Duration::from_secs(seconds))
    }

    fn hearing(guard: &Guard, seconds: u64) -> Hearing {
        let (standing, vouched) = (Standing::Ordered, Vouched::ByConfiguration);
        Hearing { before: guard.seen(), standing, vouched, ttl: TTL, now: at(seconds) }
    }

    fn told(guard: &mut Guard, header: ResponseHeader, seconds: u64) -> Belief {
        let hearing = hearing(guard, seconds);
        guard.judge(&header, hearing)
    }

    #[test]
    fn older_and_foreign_answers_are_not_believed() {
        let mut guard = Guard::default();
        assert_eq!(told(&mut guard, header(7, 3, 100), 0), Belief::Believed);
        for other in [header(8, 3, 200), header(7, 2, 200), header(7, 3, 99)] {
            assert!(matches!(told(&mut guard, other, 1), Belief::Disbelieved(_)));
        }
        assert_eq!(told(&mut guard, header(7, 4, 100), 2), Belief::Believed);
        assert_eq!(guard.seen(), Seen { cluster_id: 7, raft_term: 4, revision: 100 });
    }

    #[test]
    fn a_node_may_lag_where_it_speaks_for_itself() {
        let mut guard = Guard::default();
        told(&mut guard, header(7, 3, 100), 0);
        let local = Hearing { standing: Standing::Local, ..hearing(&guard, 1) };
        assert_eq!(guard.judge(&header(7, 3, 99), local), Belief::Believed);
        assert_eq!(guard.seen().revision, 100);
    }

    #[test]
    fn answers_may_overtake_one_another() {
        let mut guard = Guard::default();
        let early = hearing(&guard, 0);
        told(&mut guard, header(7, 3, 100), 0);
        assert_eq!(guard.judge(&header(7, 3, 99), early), Belief::Believed);
        assert_eq!(guard.seen().revision, 100);
    }

    #[test]
    fn another_history_becomes_the_truth_after_a_whole_ttl_without_the_old_one() {
        let mut guard = Guard::default();
        told(&mut guard, header(7, 3, 100), 0);
        assert!(matches!(told(&mut guard, header(8, 1, 5), 10), Belief::Disbelieved(_)));
        told(&mut guard, header(7, 3, 100), 20);
        assert!(matches!(told(&mut guard, header(8, 1, 5), 41), Belief::Disbelieved(_)));
        assert!(matches!(told(&mut guard, header(8, 1, 6), 70), Belief::Disbelieved(_)));
        assert!(matches!(told(&mut guard, header(8, 1, 7), 71), Belief::NewHistory(_)));
        assert_eq!(guard.seen(), Seen { cluster_id: 8, raft_term: 1, revision: 7 });
        assert!(matches!(told(&mut guard, header(7, 3, 101), 72), Belief::Disbelieved(_)));
    }

    #[test]
    fn an_address_that_only_the_cluster_told_teaches_no_new_history() {
        let mut guard = Guard::default();
        told(&mut guard, header(7, 3, 100), 0);
        for seconds in [1, 1000] {
            let learned = Hearing { vouched: Vouched::ByClusterOnly, ..hearing(&guard, seconds) };
            assert!(matches!(guard.judge(&header(8, 1, 5), learned), Belief::Disbelieved(_)));
        }
    }
}
