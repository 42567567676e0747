//! One pass, one sentence: the original's words, which operators and its acceptance suite know by heart (log-lines.md
//! 2–6), and beside it our own explanation with the numbers compared and the next step.

use tamada_model::FailoverKind;

use crate::decision::{Missing, Reason, Unfit};

/// The pass's sentence; `None` for steps within a pass that the original does not speak of.
pub fn sentence(reason: &Reason, me: &str) -> Option<String> {
    // tidy: a table, one row per variant
    let text = match reason {
        Reason::LeaderWithLock | Reason::PromotionUnderWay => {
            format!("no action. I am ({me}), the leader with the lock")
        }
        Reason::AcquiredAsPrimary => "acquired session lock as a leader".into(),
        Reason::PromotingAfterRace => "promoted self to leader by acquiring session lock".into(),
        Reason::PromotingWithLock => "promoted self to leader because I had the session lock".into(),
        Reason::LeaseDue | Reason::LockIsFree | Reason::SteppedDown | Reason::ReleasingKey => return None,
        Reason::PostgresSilent { .. } => "Error communicating with PostgreSQL. Will try again later".into(),
        Reason::RenewalRefused { paused: true, was_primary: true } => {
            "continue to run as primary after failing to update leader lock in DCS".into()
        }
        Reason::RenewalRefused { was_primary: true, .. } => {
            "demoted self because failed to update leader lock in DCS".into()
        }
        Reason::RenewalRefused { .. } => "not promoting because failed to update leader lock in DCS".into(),
        Reason::NotPrimaryWhilePaused => "removed leader lock because postgres is not running as primary".into(),
        Reason::WaitingForOwnPromotion => "waiting to become primary after promote...".into(),
        Reason::PrePromoteRefused => "Promotion cancelled because the pre-promote script failed".into(),
        Reason::LeaseTooShortToPromote { .. } => "not promoting because failed to update leader lock in DCS".into(),
        Reason::RequestedDemotion { kind, .. } => format!("{}: demoting myself", kind.act()),
        Reason::Following { leader } => {
            format!("no action. I am ({me}), a secondary, and following a leader ({leader})")
        }
        Reason::PausedWithNobodyToFollow => format!("no action. I am ({me})"),
        Reason::PausedPrimaryWithoutLock => "continue to run as primary without lock".into(),
        Reason::PrimaryWithoutLock { .. } => "demoting self because I do not have the lock and I was a leader".into(),
        Reason::FollowingAfterLostRace { was_primary: false, .. } => {
            "following new leader after trying and failing to obtain lock".into()
        }
        Reason::FollowingAfterLostRace { was_primary: true, .. } => {
            "demoted self after trying and failing to obtain lock".into()
        }
        Reason::Repointing { leader, .. } | Reason::DivergenceUnclear { leader, .. } => {
            format!("no action. I am ({me}), a secondary, and following a leader ({leader})")
        }
        Reason::RewindCutShort { .. } => "waiting for a rewind or a new copy".into(),
        Reason::Diverged { from } | Reason::WaitingForLeadersCheckpoint { leader: from } => {
            format!("running pg_rewind from {from}")
        }
        Reason::DivergedBeyondRewind => "reinitializing due to diverged timelines".into(),
        Reason::NotAllowedToPromote { was_primary: false } => {
            "following a different leader because I am not allowed to promote".into()
        }
        Reason::NotAllowedToPromote { was_primary: true } => {
            "demoting self because I am not allowed to become primary".into()
        }
        Reason::NotHealthiest { was_primary: false, .. } => {
            "following a different leader because i am not the healthiest node".into()
        }
        Reason::NotHealthiest { was_primary: true, .. } => "demoting self because i am not the healthiest node".into(),
        Reason::RaceBackoff { seconds } => {
            format!("My ({me}) wal position moved since last heart beat loop, {seconds} seconds until leader race")
        }
        Reason::StoreDark { .. } | Reason::StoreDarkAndLeading { .. } | Reason::StoreDarkRestartingReadOnly => {
            "DCS is not accessible".into()
        }
        Reason::StoreDarkForTooLong { .. } => "demoted self because DCS is not accessible and I was a leader".into(),
        Reason::InitializeWon => "trying to bootstrap a new cluster".into(),
        Reason::InitializeLost => "failed to acquire initialize lock".into(),
        Reason::CloneFrom { source, is_leader } => {
            format!("trying to bootstrap from {} '{source}'", if *is_leader { "leader" } else { "replica" })
        }
        Reason::CloneWithoutLeader => "trying to bootstrap (without leader)".into(),
        Reason::WaitingForLeaderToBootstrap { standby_cluster: false, .. } => "waiting for leader to bootstrap".into(),
        Reason::WaitingForLeaderToBootstrap { standby_cluster: true, .. } => {
            "waiting for standby_leader to bootstrap".into()
        }
        Reason::EmptyDataWhileLeader => "released leader key voluntarily as data dir empty and currently leader".into(),
        Reason::UnreadableDataWhileLeader => {
            "released leader key voluntarily as data dir not accessible and currently leader".into()
        }
        Reason::DataUnreadable { because } => format!("data directory is not accessible: {because}"),
        Reason::EmptyDataWhilePaused => "running with empty data directory".into(),
        Reason::InvalidSystemId => {
            "data dir for the cluster is not empty, but system ID is invalid; consider doing reinitialize".into()
        }
        Reason::ForeignSystemId { theirs, ours } => {
            format!("system ID mismatch, node {me} belongs to a different cluster: {theirs} != {ours}")
        }
        Reason::ForeignSystemIdWhilePausedLeader => {
            "released leader key voluntarily due to the system ID mismatch".into()
        }
        Reason::ReplicaInUninitializedCluster => {
            "No initialize key in DCS and PostgreSQL is running as replica, aborting start".into()
        }
        Reason::ClaimingInitialize => return None,
        Reason::RecoveryAfterBootstrap => "waiting for end of recovery after bootstrap".into(),
        Reason::RunningPostBootstrap => "running post_bootstrap".into(),
        Reason::BootstrapDone => "initialized a new cluster".into(),
        Reason::BootstrapFailed => "removing initialize key after failed attempt to bootstrap the cluster".into(),
        Reason::FailingOverAfterCrash => "stopped PostgreSQL to fail over after a crash".into(),
        Reason::StartingPrimaryAfterFailure => "starting primary after failure".into(),
        Reason::StartingAsSecondary => "starting as a secondary".into(),
        Reason::StartingReadOnlyWithLock => "starting as readonly because i had the session lock".into(),
        Reason::CrashRecovery => "doing crash recovery in a single user mode".into(),
        Reason::StartFailed { had_lock: true } => {
            "removed leader key after trying and failing to start postgres".into()
        }
        Reason::StartFailed { had_lock: false } => "failed to start postgres".into(),
        Reason::NotRunningWhilePaused { had_lock: true } => {
            "removed leader lock because postgres is not running".into()
        }
        Reason::NotRunningWhilePaused { had_lock: false } => "postgres is not running".into(),
        Reason::ActionInProgress { action } => format!("{action} in progress"),
        Reason::LockRenewedDuring { action } | Reason::ShutDownButKept { action, .. } => {
            format!("updated leader lock during {action}")
        }
        Reason::LostLeaderBeforePromote => "lost leader before promote".into(),
        Reason::LostLockDuring { action } => format!("lost leader lock during {action}"),
        Reason::CrashRecoveryTooLong => "terminated crash recovery because of startup timeout".into(),
        Reason::StillStarting { seconds_left } => {
            format!("PostgreSQL is still starting up, {seconds_left} seconds until timeout")
        }
        Reason::StartTimedOutButAlone => {
            "primary start has timed out, but continuing to wait because failover is not possible".into()
        }
        Reason::StartTimedOut => "stopped PostgreSQL because of startup timeout".into(),
        Reason::LostLockWhileStarting => "stopped PostgreSQL while starting up because leader key was lost".into(),
        Reason::Stopping { mode } => format!("{} demotion in progress", mode.text()),
        Reason::WaitingForSuccessor => "waiting for a successor to take the leader lock".into(),
        Reason::WaitingForSuccessorsWal { .. } => "waiting for a successor to receive the last WAL".into(),
        Reason::SwitchoverAbandoned { .. } => "no healthy members found, leading on".into(),
        Reason::Leaving => "shutting down".into(),
        Reason::LeavingPaused => "Leader key is not deleted and Postgresql is not stopped due paused state".into(),
        Reason::RestartInitiated => "restart initiated".into(),
    };
    Some(text)
}

/// What a person asking "why?" should read: what was compared, and what comes next.
pub fn explanation(reason: &Reason) -> String {
    match reason {
        Reason::NotHealthiest { because, .. } => unfit(because),
        Reason::NotAllowedToPromote { .. } => {
            "tag nofailover (or failover_priority 0) forbids this member to lead; another member must take the lock"
                .into()
        }
        Reason::Following { leader } => format!("{leader} holds the lock; our recovery configuration points to it"),
        Reason::StoreDarkAndLeading { because, patience } => format!(
            "the store does not answer ({because}); our lease still runs: giving up in {:.1} s unless it answers",
            patience.as_secs_f64()
        ),
        Reason::StoreDark { because } => {
            format!("the store does not answer ({because}); PostgreSQL is left as it is until it does")
        }
        Reason::StoreDarkForTooLong { because } => format!(
            "the store has not answered ({because}) and the lease is about to end; stopping before anybody else may lead"
        ),
        Reason::WaitingForLeaderToBootstrap { missing, .. } => self::missing(*missing).into(),
        Reason::InvalidSystemId => "pg_control could not be read; reinitialize this member to get a new copy".into(),
        Reason::ForeignSystemId { theirs, ours } => format!(
            "the cluster's system identifier is {theirs}, this data directory's is {ours}: it belongs to another \
             cluster. Move it away, or correct scope"
        ),
        Reason::StartTimedOutButAlone => "primary_start_timeout is over, but no other member could take over".into(),
        Reason::RaceBackoff { seconds } => {
            format!("primary_race_backoff: WAL still arrives from the old primary; racing in {seconds} s")
        }
        Reason::DivergenceUnclear { because, .. } => {
            format!("cannot tell whether our data left the leader's history ({because}); looking again")
        }
        Reason::PostgresSilent { because } => {
            format!("PostgreSQL does not answer ({because}); it is promoted as soon as it does")
        }
        Reason::RewindCutShort { failed: true, .. } => {
            "a pg_rewind failed half way, the files may be a mixture: reinitialize this member".into()
        }
        Reason::RewindCutShort { leader: Some(leader), .. } => {
            format!("a pg_rewind was cut short; rewinding again as soon as {leader} can be rewound from")
        }
        Reason::RewindCutShort { leader: None, .. } => {
            "a pg_rewind was cut short; rewinding again as soon as another member leads".into()
        }
        Reason::WaitingForLeadersCheckpoint { leader } => {
            format!(
                "a rewind is needed, but {leader} has not finished its checkpoint after promotion; trying again then"
            )
        }
        Reason::LeaseTooShortToPromote { left } => {
            format!("only {:.1} s of the lease are left: renewing before promoting", left.as_secs_f64())
        }
        Reason::RequestedDemotion { kind, to } => {
            let what = match kind {
                FailoverKind::Switchover => "a switchover",
                FailoverKind::ManualFailover => "a manual failover",
            };
            match to {
                Some(to) => format!("{what} to {to} was asked for: stopping cleanly, then giving it the lock"),
                None => format!("{what} was asked for: stopping cleanly, then leaving the lock to the others"),
            }
        }
        Reason::ShutDownButKept { needed, .. } => format!(
            "PostgreSQL is shut down except for archiving; the lock is given away as soon as a standby has WAL up to \
             {needed}, or the postmaster is gone"
        ),
        Reason::WaitingForSuccessorsWal { needed } => {
            format!(
                "PostgreSQL has stopped; the lock is given away as soon as a standby proves to have WAL up to {needed}"
            )
        }
        Reason::SwitchoverAbandoned { needed } => format!(
            "no standby has our WAL up to {needed}: giving the lock away would lose commits, so this member leads on"
        ),
        Reason::DataUnreadable { because } => {
            format!("{because}; nothing is started or deleted until the directory can be read")
        }
        Reason::Diverged { from } => format!("our WAL went on after {from} left our timeline; rewinding to the fork"),
        Reason::BootstrapFailed => "the new cluster could not be made; its data was moved aside to *.failed".into(),
        other => sentence(other, "this member").unwrap_or_else(|| format!("{other:?}")),
    }
}

fn missing(what: Missing) -> &'static str {
    match what {
        Missing::EndOfBootstrap => {
            "another member is making the cluster (key `initialize` is empty); we clone from it when it leads. If no \
             member is doing so, remove the key"
        }
        Missing::Leader => {
            "the cluster exists but has no leader, and this member has no data: it clones as soon as a member leads"
        }
        Missing::Address => "the leader has not told its address yet; this member clones as soon as it has",
        Missing::Cluster => {
            "there is no cluster yet, and this member may not make one (nofailover, or no bootstrap section): it clones \
             as soon as another has"
        }
    }
}

fn unfit(because: &Unfit) -> String {
    match because {
        Unfit::PromotionRefusedLately { seconds_left } => {
            format!("our pre_promote script refused lately; back in the race in {seconds_left} s")
        }
        Unfit::Starting => "PostgreSQL is still starting here".into(),
        Unfit::ForeignSystemId => "this data belongs to another cluster".into(),
        Unfit::TimelineBehindCluster { mine: Some(mine), cluster } => {
            format!("our timeline {mine} is behind the cluster's {cluster}: leading would discard a promotion")
        }
        Unfit::TimelineBehindCluster { mine: None, cluster } => {
            format!("our timeline is unknown, the cluster's is {cluster}")
        }
        Unfit::Paused => "the cluster is paused: nobody is promoted unless named".into(),
        Unfit::NoFailover => "tag nofailover forbids it".into(),
        Unfit::CandidateIsAnother { candidate } => format!("{candidate} was named and is able to lead: waiting for it"),
        Unfit::NotInFailsafe => "we are not in the failsafe topology".into(),
        Unfit::WatchdogUnusable => "watchdog mode is required, and the device is not usable".into(),
        Unfit::LagsBehindLeader { mine, leader, allowed } => format!(
            "we have WAL up to {mine}, the leader last told {leader}: more than maximum_lag_on_failover ({allowed} \
             bytes) would be lost"
        ),
        Unfit::PositionUnknown => "our WAL position is unknown (PostgreSQL does not answer)".into(),
        Unfit::TimelineUnknown => "our timeline is unknown and check_timeline is on".into(),
        Unfit::PrimaryAlive { who } => format!("{who} still runs as primary"),
        Unfit::OutrankedByPosition { who, theirs, mine } => {
            format!("{who} has WAL up to {theirs}, we up to {mine}: waiting for it to lead")
        }
        Unfit::OutrankedByPriority { who, theirs, mine } => {
            format!("{who} has the same WAL and failover_priority {theirs}, ours is {mine}: waiting for it to lead")
        }
        Unfit::OldLeaderOfSwitchover { successors } => {
            format!("the switchover was away from us, and {successors} others could lead")
        }
        Unfit::BehindPublishedPosition { mine, published } => {
            format!("the former leader ended at {published}, we have WAL up to {mine}: receiving the rest first")
        }
    }
}
