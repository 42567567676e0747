//! What this node knows of the others: who leads, who is heard, and whether that is a majority.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use openraft::{LogIdOptionExt, ServerState};

use super::Node;
use crate::ask::{Ask, Errand, Hop, Reply};
use crate::client::{Here, MemberStatus, StoreStatus};
use crate::clock;
use crate::consensus::{ELECTION, Membership};
use crate::disk::Health;

/// Who leads the consensus, as far as we know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Lead {
    Me,
    Other { node: u64, address: String },
    Nobody,
}

/// Who is silent for longer than an election takes is not counted on.
const SILENT: Duration = ELECTION;
/// How long a node waits for the leader's account of the members when it is asked for its status.
const LEADERS_ACCOUNT: Duration = Duration::from_secs(1);

/// When each of the other nodes was last heard: an answer of it, or a question.
#[derive(Default)]
pub(super) struct Heard(Mutex<BTreeMap<u64, Duration>>);

impl Heard {
    pub fn from(&self, node: u64) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(node, clock::now());
    }

    pub fn ago(&self, node: u64) -> Option<Duration> {
        let heard = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        heard.get(&node).map(|at| clock::now().saturating_sub(*at))
    }

    pub fn lately(&self, node: u64) -> bool {
        self.ago(node).is_some_and(|ago| ago < SILENT)
    }
}

impl Node {
    pub(super) fn lead(&self) -> Lead {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow();
        match metrics.current_leader {
            Some(node) if node == self.me && metrics.state == ServerState::Leader => Lead::Me,
            Some(node) if node != self.me => match metrics.membership_config.membership().get_node(&node) {
                Some(place) => Lead::Other { node, address: place.address.clone() },
                None => Lead::Nobody,
            },
            Some(_) | None => Lead::Nobody,
        }
    }

    /// The members as the log has them, confirmed or not.
    pub(super) fn membership(&self) -> Membership {
        self.raft.server_metrics().borrow().membership_config.membership().clone()
    }

    pub(super) fn hears_leader(&self) -> bool {
        match self.lead() {
            Lead::Me => true,
            Lead::Other { .. } => self.pulse.silence() < SILENT,
            Lead::Nobody => false,
        }
    }

    /// Voters that answer or ask, this node among them, are enough to decide; or the leader is heard, which falls silent
    /// when it hears no majority itself (see `consensus::pulse`).
    pub(super) fn hears_majority(&self) -> bool {
        match self.lead() {
            Lead::Other { .. } => self.hears_leader(),
            Lead::Me | Lead::Nobody => self.would_decide(&self.membership().voter_ids().collect::<Vec<_>>()),
        }
    }

    /// Whether those of these voters that we hear are a majority of them.
    pub(super) fn would_decide(&self, voters: &[u64]) -> bool {
        let heard = voters.iter().filter(|node| **node == self.me || self.heard.lately(**node)).count();
        heard * 2 > voters.len()
    }

    pub(super) fn why_nobody_answers(&self) -> String {
        if let Some(obstacle) = self.obstacle() {
            return obstacle;
        }
        let membership = self.membership();
        let silent = |node: &u64| *node != self.me && !self.heard.lately(*node);
        let address = |node| membership.get_node(&node).map_or_else(String::new, |place| place.address.clone());
        let silent: Vec<String> = membership.voter_ids().filter(silent).map(address).collect();
        let own = &self.config.self_addr;
        if membership.voter_ids().next().is_none() {
            return format!("{own} waits for its store to be founded");
        }
        if membership.get_node(&self.me).is_none() {
            return format!("{own} is no member of its store any more");
        }
        match self.lead() {
            _ if !self.hears_majority() => {
                format!(
                    "{} hears no majority of the store's voters: {} silent",
                    self.config.self_addr,
                    silent.join(", ")
                )
            }
            Lead::Other { address, .. } => format!("the store's leader {address} does not answer"),
            Lead::Me => format!("no majority confirmed in time; silent: {}", silent.join(", ")),
            Lead::Nobody => "the store's voters are electing a leader".to_owned(),
        }
    }

    pub(super) fn obstacle(&self) -> Option<String> {
        self.obstacle.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    pub(super) fn set_obstacle(&self, obstacle: Option<String>) {
        *self.obstacle.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = obstacle;
    }

    pub(super) fn here(&self) -> Option<Here> {
        if self.is_sidelined() {
            return None;
        }
        Some(Here {
            cluster: self.machine.cluster()?,
            node: self.me,
            term: self.raft.metrics().borrow().current_term,
            revision: self.machine.revision(),
            quorum: self.hears_majority(),
        })
    }

    /// Our own account; for what only the leader knows, the leader's.
    pub(super) async fn status(&self) -> StoreStatus {
        let mut status = self.own_status();
        if let Lead::Other { address, .. } = self.lead() {
            let errand = Errand { ask: Ask::Status, within: LEADERS_ACCOUNT, hop: Hop::Last };
            let peer = self.peers.at(&address);
            let account = tokio::time::timeout(LEADERS_ACCOUNT, peer.run(&errand)).await;
            if let Ok(Ok(Ok(Reply::Status(leaders)))) = account {
                status.members = leaders.members;
            }
        }
        status
    }

    pub(super) fn own_status(&self) -> StoreStatus {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow().clone();
        let lead = self.lead();
        let membership = metrics.membership_config.membership();
        let voters: Vec<u64> = membership.voter_ids().collect();
        let member = |(node, place): (&u64, &crate::consensus::Place)| {
            let confirmed = metrics.replication.as_ref().and_then(|replication| replication.get(node));
            let behind =
                confirmed.map(|log| metrics.last_log_index.unwrap_or(0).saturating_sub(log.index().unwrap_or(0)));
            let itself = *node == self.me;
            MemberStatus {
                address: place.address.clone(),
                node: *node,
                voter: voters.contains(node),
                heard: if itself { Some(Duration::ZERO) } else { self.heard.ago(*node).filter(|_| lead == Lead::Me) },
                behind: behind.filter(|_| lead == Lead::Me),
            }
        };
        StoreStatus {
            cluster: self.machine.cluster().unwrap_or(0),
            address: self.config.self_addr.clone(),
            node: self.me,
            leader: match &lead {
                Lead::Me => Some(self.config.self_addr.clone()),
                Lead::Other { address, .. } => Some(address.clone()),
                Lead::Nobody => None,
            },
            term: metrics.current_term,
            revision: self.machine.revision(),
            applied: metrics.last_applied.index().unwrap_or(0),
            snapshot: metrics.snapshot.index().unwrap_or(0),
            disk_bytes: self.disk.bytes(),
            quorum: self.hears_majority(),
            members: membership.nodes().map(member).collect(),
            invited: self.machine.invited(),
            warnings: self.warnings(membership),
        }
    }

    fn warnings(&self, membership: &Membership) -> Vec<String> {
        let mut warnings: Vec<String> = self.obstacle().into_iter().collect();
        if let Health::Full { .. } = *self.disk.health().borrow() {
            warnings.push(format!(
                "the disk of {} is full: it confirms nothing until there is room",
                self.config.self_addr
            ));
        }
        let voters = membership.voter_ids().count();
        if voters > 0 && voters.is_multiple_of(2) {
            warnings.push(even_number(voters));
        }
        let known = |address: &String| *address == self.config.self_addr || self.config.partner_addrs.contains(address);
        for (_, place) in membership.nodes().filter(|(_, place)| !known(&place.address)) {
            warnings.push(format!(
                "{} is a member of the store, but not in raft.partner_addrs of {}: add it there, or this node could not \
                 find the others after losing its disk",
                place.address, self.config.self_addr
            ));
        }
        warnings
    }
}

/// What an even number of voters means for whoever set it up.
pub(super) fn even_number(voters: usize) -> String {
    format!(
        "{voters} voters survive the loss of {}, as {} would: add one (for instance with `tamada voter`) or remove one",
        match (voters - 1) / 2 {
            0 => "none".to_owned(),
            lost => lost.to_string(),
        },
        voters - 1,
    )
}
