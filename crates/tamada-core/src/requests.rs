//! What operators ask of a member directly: restarts and reinitialization (ha-loop.md 19, 20). Requests that only change
//! the store (switchover, configuration) do not come through here; they are written and then seen like anybody else's.

use tamada_model::{
    CloneSource, Cluster, Job, JobEnd, Member, Reinitialize, Reply, Request, RestartConditions, ScheduledRestart,
};

use crate::restart::{conditions_hold, job};
use crate::view::View;
use crate::{Note, upstream};

#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    Reply(Reply),
    Note(Reply, Note),
    /// The scheduled restart is this from now on.
    Plan(Option<ScheduledRestart>),
    Restart(Job),
    Reinitialize(Job),
    /// Cancel what runs, then ask again.
    CancelFirst,
}

/// `busy`: the text of the running long action.
pub fn serve(view: &View<'_>, request: &Request, busy: Option<&str>) -> Answer {
    let busy = busy.or(half_done(view));
    match request {
        Request::Restart(conditions) => restart(view, conditions, busy),
        Request::ScheduleRestart(conditions, schedule) => {
            if view.settings.pause {
                return Answer::Reply(Reply::text(500, "Can't schedule restart in the paused state"));
            }
            if view.memory.scheduled_restart.is_some() {
                return Answer::Reply(Reply::text(409, "Another restart is already scheduled"));
            }
            Answer::Plan(Some(ScheduledRestart {
                schedule: schedule.clone(),
                conditions: conditions.clone(),
                postmaster_start_time: view.live().map(|live| live.postmaster_start_time),
            }))
        }
        Request::CancelScheduledRestart if view.memory.scheduled_restart.is_none() => {
            Answer::Reply(Reply::text(404, "no restarts are scheduled"))
        }
        Request::CancelScheduledRestart => Answer::Plan(None),
        Request::Reinitialize(wish) => reinitialize(view, *wish, busy),
        Request::SetFailover(_)
        | Request::ClearFailover
        | Request::PatchConfig(_)
        | Request::PutConfig(_)
        | Request::Reload => Answer::Reply(Reply::page(501)),
    }
}

/// What is under way although no job runs: PostgreSQL must not be started or replaced in its middle.
fn half_done(view: &View<'_>) -> Option<&'static str> {
    if view.memory.leaving {
        Some("shutdown")
    } else if view.memory.step_down.is_some() {
        Some("demotion")
    } else if view.memory.bootstrap.is_some() {
        Some("bootstrap")
    } else {
        None
    }
}

fn restart(view: &View<'_>, conditions: &RestartConditions, busy: Option<&str>) -> Answer {
    if let Err(note) = conditions_hold(view, conditions) {
        return Answer::Note(Reply::text(503, "restart conditions are not satisfied"), note);
    }
    if let Some(action) = busy {
        return Answer::Reply(in_progress(action));
    }
    if would_become_a_primary(view) {
        let note = Note::warning(
            "not proceeding with the restart: PostgreSQL does not run, and without the lock it must not start as primary",
        );
        return Answer::Note(Reply::text(503, "restart failed"), note);
    }
    Answer::Restart(job(view, conditions))
}

/// A restart starts PostgreSQL as it was configured last. Where it does not run, that may be as a primary whose lock is
/// long another's. In pause that is the operator's wish.
///
/// 1. Two restarts of the leader are asked for; it is back from the first and dies.
/// 2. It gives the lock back, and another member takes it.
/// 3. The second restart finds the lock in what was read before that, and makes a second primary.
///
/// Therefore the lease counts, too.
fn would_become_a_primary(view: &View<'_>) -> bool {
    let is_standby = view.present().is_some_and(|present| present.recovery_configured);
    let leads = view.has_lock() && view.memory.lease_runs(view.now.mono).is_some();
    !view.is_running() && !is_standby && !leads && !view.settings.pause
}

fn in_progress(action: &str) -> Reply {
    Reply::text(503, format!("{action} already in progress"))
}

fn reinitialize(view: &View<'_>, wish: Reinitialize, busy: Option<&str>) -> Answer {
    let Some(cluster) = view.cluster().filter(|cluster| !cluster.is_unlocked()) else {
        return Answer::Reply(Reply::text(503, "Cluster has no leader, can not reinitialize"));
    };
    if view.has_lock() || view.memory.lease.is_some() {
        return Answer::Reply(Reply::text(503, "I am the leader, can not reinitialize"));
    }
    let Some(source) = source(view, cluster, wish) else {
        return Answer::Reply(Reply::text(503, "Cluster has no leader, can not reinitialize"));
    };
    if !gives_copies(cluster, &source) {
        return Answer::Reply(Reply::text(503, "PostgreSQL of the leader does not run, can not reinitialize"));
    }
    match busy {
        Some(_) if wish.force => Answer::CancelFirst,
        Some(action) => Answer::Reply(in_progress(action)),
        None => Answer::Reinitialize(Job::Reinitialize {
            source,
            then_follow: upstream::wanted(view, cluster),
            only_basebackup: wish.from_leader,
        }),
    }
}

/// 1. a leads, and stops for a switchover. Its disk loses everything.
/// 2. An operator reinitializes b: the data is removed, and there is nothing to copy.
///
/// Therefore nothing is removed while the source does not run. (The original removes it.)
fn gives_copies(cluster: &Cluster, source: &CloneSource) -> bool {
    match source {
        CloneSource::Member { member, .. } => cluster.member(&member.name).is_some_and(Member::is_running),
        CloneSource::Remote(_) | CloneSource::WithoutLeader => true,
    }
}

fn source(view: &View<'_>, cluster: &Cluster, wish: Reinitialize) -> Option<CloneSource> {
    if wish.from_leader {
        return upstream::leader(view, cluster).map(|member| CloneSource::Member { member, is_leader: true });
    }
    upstream::clone_source(view, cluster)
}

/// What whoever asked for a restart hears when it has ended (19.3).
pub fn restart_reply(end: &JobEnd) -> Reply {
    match end {
        JobEnd::Done => Reply::text(200, "restarted successfully"),
        JobEnd::StillStarting => Reply::text(503, "postgres is still starting"),
        JobEnd::Stopped(_) | JobEnd::PrePromoteRefused | JobEnd::Cancelled | JobEnd::Failed(_) | JobEnd::NotNow(_) => {
            Reply::text(503, "restart failed")
        }
    }
}
