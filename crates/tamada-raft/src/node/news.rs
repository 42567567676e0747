//! What the operator reads in the log: who leads the store, whom the leader does not hear, and whether this node hears a
//! majority. Each is told when it is new, and silence only when it lasts: an election is no news of that kind.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Node;
use super::standing::Lead;
use crate::clock;

const LOOK: Duration = Duration::from_secs(1);
/// Silence that lasts: longer than elections, and than a busy machine usually keeps anybody waiting.
const LASTING: Duration = Duration::from_secs(3);

/// What was told last.
struct Told {
    lead: Lead,
    /// Since when this one has led. Stale: others would be called silent whom a new leader has not asked yet.
    lead_since: Duration,
    /// When a majority was heard last. Set with each look.
    majority_at: Duration,
    without_majority: bool,
    /// Addresses that this node, as leader, does not hear.
    silent: BTreeSet<String>,
}

pub(super) async fn tell(node: Arc<Node>) {
    let now = clock::now();
    let mut told = Told {
        lead: Lead::Nobody,
        lead_since: now,
        majority_at: now,
        without_majority: false,
        silent: BTreeSet::new(),
    };
    let mut metrics = node.raft.server_metrics();
    loop {
        if node.machine.cluster().is_some() {
            node.tell_lead(&mut told);
            node.tell_majority(&mut told);
            node.tell_silent(&mut told);
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            // An error says that the consensus has stopped; then there is no more news.
            changed = metrics.changed() => if changed.is_err() { return },
        }
    }
}

impl Node {
    fn tell_lead(&self, told: &mut Told) {
        let lead = self.lead();
        if lead == told.lead {
            return;
        }
        let term = self.raft.metrics().borrow().current_term;
        match &lead {
            Lead::Me => tracing::info!("this node leads the store in term {term}"),
            Lead::Other { address, .. } => tracing::info!("{address} leads the store in term {term}"),
            // Either somebody is elected soon, or a majority is missing, which is told by itself.
            Lead::Nobody => return,
        }
        (told.lead, told.lead_since) = (lead, clock::now());
    }

    fn tell_majority(&self, told: &mut Told) {
        let now = clock::now();
        if self.hears_majority() {
            told.majority_at = now;
            if told.without_majority {
                tracing::info!("a majority of the store's voters is heard again");
            }
            told.without_majority = false;
        } else if !told.without_majority && now.saturating_sub(told.majority_at) >= LASTING {
            tracing::warn!("{}", self.why_nobody_answers());
            told.without_majority = true;
        }
    }

    fn tell_silent(&self, told: &mut Told) {
        if self.lead() != Lead::Me {
            return told.silent.clear();
        }
        let leads_for = clock::now().saturating_sub(told.lead_since);
        for (node, place) in self.membership().nodes().filter(|(node, _)| **node != self.me) {
            let silent_for = self.heard.ago(*node).unwrap_or(leads_for).min(leads_for);
            if silent_for < LASTING {
                if told.silent.remove(&place.address) {
                    tracing::info!("{} is heard again", place.address);
                }
            } else if told.silent.insert(place.address.clone()) {
                tracing::warn!("{} has not been heard for {} s", place.address, silent_for.as_secs());
            }
        }
    }
}
