//! The data directory is empty or cannot be read (ha-loop.md 6.1, 7). An empty one is filled: by making the cluster if
//! there is none, else by cloning. An unreadable one is left alone.

use std::sync::Arc;

use tamada_model::{CloneSource, Cluster, Initialize, Job, Member, MemberName, Role, Upstream};

use crate::decision::{Chore, Decision, Missing, Reason, Step, Verdict};
use crate::guard::{Guarding, guarding};
use crate::memory::{Mark, StepDownMode};
use crate::view::View;
use crate::{bootstrap, upstream};

pub fn decide(view: &View<'_>, cluster: &Arc<Cluster>, unreadable: Option<&str>) -> Step {
    if must_stop(view, unreadable) {
        let mode = StepDownMode::ImmediateNoLock;
        return Decision::new(Verdict::StepDown(mode), Reason::Stopping { mode }).into();
    }
    if view.has_lock() {
        let because = match unreadable {
            Some(_) => Reason::UnreadableDataWhileLeader,
            None => Reason::EmptyDataWhileLeader,
        };
        return Decision::new(Verdict::Release(None), because).into();
    }
    if let Some(because) = unreadable {
        return Decision::stay(Reason::DataUnreadable { because: because.to_owned() }).into();
    }
    if view.settings.pause {
        return Decision::stay(Reason::EmptyDataWhilePaused).chores(uninitialized(view)).into();
    }
    fill(view, cluster)
}

/// PostgreSQL without its data cannot be trusted with anything. A directory that cannot be read may come back, and a
/// standby on it harms nobody meanwhile; but a primary is never left to itself, with a lock that we are about to give
/// away or do not have. In pause what runs is left alone.
fn must_stop(view: &View<'_>, unreadable: Option<&str>) -> bool {
    let harmless = unreadable.is_some() && (view.settings.pause || !view.is_primary());
    view.is_running() && !harmless
}

/// 1. `initialize` is deleted, by an operator or with the store; b and c hold the cluster's data, and nobody leads yet.
/// 2. a has no data. It makes a new cluster.
/// 3. b is promoted. Clients write here and there, to two databases under one name.
///
/// Therefore nobody begins where another member shows that it has data. (The original does.)
///
/// While the store was away all member keys ran out; so whoever was there before counts as well.
fn has_data<'a>(view: &View<'a>, cluster: &'a Cluster) -> Option<&'a MemberName> {
    let unlocked = cluster.is_unlocked();
    let has = |member: &Member| member.role.is_some_and(|role| role != Role::Uninitialized);
    let before = view.memory.cluster_with_leader.iter().flat_map(|before| &before.members);
    let gone = before.filter(|(name, _)| !cluster.members.contains_key(*name));
    let mut others = cluster.members.iter().chain(gone).filter(|(name, _)| **name != view.me.name);
    others.find(|(_, member)| unlocked && has(member)).map(|(name, _)| name)
}

/// 1. The hosts of a and b lose their power; a had not yet copied anything. `initialize` is deleted.
/// 2. a is back before b, whose member key has run out. It has seen no cluster, and makes a new one beside b's.
///
/// Therefore what a leader published counts, too.
fn nameless(view: &View<'_>, cluster: &Cluster) -> Option<Missing> {
    if cluster.initialize != Initialize::Absent {
        return None;
    }
    let known = has_data(view, cluster).map(|who| Missing::Identity { known_to: who.clone() });
    let published = cluster.status.optime;
    let told = cluster.is_unlocked() && !published.is_zero();
    known.or_else(|| told.then_some(Missing::IdentityOfPublished { position: published }))
}

/// 7.1, row by row.
fn fill(view: &View<'_>, cluster: &Cluster) -> Step {
    let may_create = view.me.may_bootstrap && !view.me.tags.nofailover() && view.settings.standby_cluster.is_none();
    if let Some(missing) = nameless(view, cluster) {
        return Decision::stay(Reason::WaitingForLeaderToBootstrap { standby_cluster: false, missing })
            .chores(uninitialized(view))
            .into();
    }
    if cluster.is_unlocked() && cluster.initialize == Initialize::Absent && may_create && may_lead(view) {
        return Decision::new(Verdict::BeginBootstrap, Reason::InitializeWon).into();
    }
    if may_create && bootstrap::is_ours_to_clear(view, cluster) {
        return Decision::new(Verdict::ClearInitialize, Reason::BootstrapForsaken).into();
    }
    if let Some(source) = upstream::clone_source(view, cluster) {
        return clone_from(view, cluster, source);
    }
    if view.me.has_leaderless_method && cluster.initialize != Initialize::Underway {
        let job = Job::Clone { source: CloneSource::WithoutLeader, then_follow: Upstream::Nobody };
        return Decision::run(job, Reason::CloneWithoutLeader).mark(Mark::Rewind(Default::default())).into();
    }
    let standby_cluster = view.settings.standby_cluster.is_some();
    Decision::stay(Reason::WaitingForLeaderToBootstrap { standby_cluster, missing: missing(cluster) })
        .chores(uninitialized(view))
        .into()
}

/// 7 d, asked before anything is made: a cluster whose maker may not lead would have nobody who can.
fn may_lead(view: &View<'_>) -> bool {
    match guarding(view) {
        Guarding::Enough => true,
        Guarding::Awaited | Guarding::Missing(..) => false,
    }
}

fn uninitialized(view: &View<'_>) -> Option<Chore> {
    (view.role() != Role::Uninitialized).then_some(Chore::SetRole(Role::Uninitialized))
}

fn missing(cluster: &Cluster) -> Missing {
    match &cluster.initialize {
        _ if !cluster.is_unlocked() => Missing::Address,
        Initialize::Absent => Missing::Cluster,
        Initialize::Underway => Missing::EndOfBootstrap,
        Initialize::Done(_) | Initialize::Invalid(_) => Missing::Leader,
    }
}

fn clone_from(view: &View<'_>, cluster: &Cluster, source: CloneSource) -> Step {
    let because = match &source {
        CloneSource::Member { member, is_leader } => {
            Reason::CloneFrom { source: member.name.to_string(), is_leader: *is_leader }
        }
        CloneSource::Remote(_) | CloneSource::WithoutLeader => Reason::CloneWithoutLeader,
    };
    let job = Job::Clone { source, then_follow: upstream::wanted(view, cluster) };
    Decision::run(job, because).mark(Mark::Rewind(Default::default())).into()
}
