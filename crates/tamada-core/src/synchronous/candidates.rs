//! Who could be synchronous (postgres.md 16.5): members that stream from us.

use tamada_model::{Cluster, Live, Lsn, Member, MemberName, WalSender};

use crate::View;

#[derive(Clone, PartialEq, Debug)]
pub struct Candidate<'a> {
    pub name: &'a MemberName,
    pub nofailover: bool,
    /// Commits wait for it in its turn, and it has everything from before they did.
    pub ready: bool,
    /// PostgreSQL counts it as synchronous by priority.
    pub is_sync: bool,
    lsn: Lsn,
}

/// The best first: those that are synchronous stay so, as long as none has a higher priority.
pub fn of<'a>(view: &View<'a>, cluster: &'a Cluster) -> Vec<Candidate<'a>> {
    let Some(live) = view.live() else { return Vec::new() };
    let mut found: Vec<(i64, &str, Candidate<'a>)> = live
        .replication
        .iter()
        .filter(|sender| sender.state == "streaming")
        .filter_map(|sender| candidate(view, cluster, live, sender))
        .collect();
    found.sort_by(|(priority_a, state_a, a), (priority_b, state_b, b)| {
        let (a, b) = ((priority_a, state_a, a.lsn), (priority_b, state_b, b.lsn));
        b.cmp(&a)
    });
    let newest = found.iter().map(|(_, _, candidate)| candidate.lsn).max().filter(|_| found.len() > 1);
    let reference = newest.unwrap_or_else(|| live.wal_position());
    let mut candidates: Vec<Candidate<'a>> = found.into_iter().map(|(_, _, candidate)| candidate).collect();
    if let Some(most) = u64::try_from(view.settings.maximum_lag_on_syncnode).ok().filter(|most| *most > 0) {
        candidates.retain(|candidate| reference - candidate.lsn <= tamada_model::WalBytes::new(most));
    }
    candidates.sort_by_key(|candidate| candidate.nofailover);
    candidates
}

fn candidate<'a>(
    view: &View<'a>,
    cluster: &'a Cluster,
    live: &'a Live,
    sender: &'a WalSender,
) -> Option<(i64, &'a str, Candidate<'a>)> {
    let (name, member) = cluster.members.iter().find(|(name, _)| name.is_application(&sender.application_name))?;
    let lsn = live.synchronous.confirmed_by(sender)?;
    if *name == view.me.name || !member.is_running() || member.tags.nosync() || cascades(view, cluster, live, member) {
        return None;
    }
    let candidate = Candidate {
        name,
        nofailover: member.tags.nofailover(),
        ready: view.memory.sync_proof.is_ready(name),
        is_sync: sender.sync_state == "sync",
        lsn,
    };
    Some((member.tags.sync_priority(), sender.sync_state.as_str(), candidate))
}

/// It streams from us only until its own upstream is back.
fn cascades(view: &View<'_>, cluster: &Cluster, live: &Live, member: &Member) -> bool {
    let mut upstream = member.tags.replicatefrom();
    // A chain is no longer than the cluster, unless it is a circle.
    for _ in 0..cluster.members.len() {
        let Some(name) = upstream.filter(|name| *name != view.me.name) else { return false };
        let Some(next) = cluster.member(&name) else { return false };
        if live.replication.iter().any(|sender| name.is_application(&sender.application_name)) {
            return true;
        }
        upstream = next.tags.replicatefrom();
    }
    false
}
