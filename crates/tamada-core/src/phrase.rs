//! One pass, one sentence: the original's words, which operators and its acceptance suite know by heart (log-lines.md
//! 2–6). Our own words beside it, with the numbers compared and the next step, are in `explain.rs`.

use crate::decision::Reason;
use crate::guard::Watcher;

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
        Reason::LeaseDue
        | Reason::PositionUnpublished
        | Reason::PreparingForCommits
        | Reason::LettingGo { .. }
        | Reason::LockIsFree
        | Reason::SteppedDown
        | Reason::ReleasingKey => return None,
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
        Reason::WaitingFor(watcher) => format!("waiting for the {watcher} before promoting"),
        Reason::Unwatched { by: Watcher::Watchdog, was_primary: true, .. } => {
            "Demoting self because watchdog could not be activated".into()
        }
        Reason::Unwatched { by: Watcher::Watchdog, was_primary: false, .. } => {
            "Not promoting self because watchdog could not be activated".into()
        }
        Reason::Unwatched { by: Watcher::Guard, was_primary: true, .. } => {
            "demoting self because there is no guard".into()
        }
        Reason::Unwatched { by: Watcher::Guard, was_primary: false, .. } => {
            "released leader lock because there is no guard".into()
        }
        Reason::LeaseTooShortToPromote { .. } => "not promoting because failed to update leader lock in DCS".into(),
        Reason::RequestedDemotion { kind, .. } => format!("{}: demoting myself", kind.act()),
        Reason::Following { leader } => {
            format!("no action. I am ({me}), a secondary, and following a leader ({leader})")
        }
        Reason::PausedWithNobodyToFollow { .. } => format!("no action. I am ({me})"),
        Reason::PausedPrimaryWithoutLock { .. } => "continue to run as primary without lock".into(),
        Reason::PrimaryWithoutLock { .. } => "demoting self because I do not have the lock and I was a leader".into(),
        Reason::FollowingAfterLostRace { was_primary: false, .. } => {
            "following new leader after trying and failing to obtain lock".into()
        }
        Reason::FollowingAfterLostRace { was_primary: true, .. } | Reason::LockNotObtained => {
            "demoted self after trying and failing to obtain lock".into()
        }
        Reason::Repointing { leader, .. }
        | Reason::DivergenceUnclear { leader, .. }
        | Reason::RewindFailed { leader } => {
            format!("no action. I am ({me}), a secondary, and following a leader ({leader})")
        }
        Reason::NotYetFollowing { leader, because } => {
            format!("waiting to follow {leader}: it is not known whether our data fits ({because})")
        }
        Reason::NamesakeTimelines { leader, timeline } => {
            format!("waiting for a new copy: timeline {timeline} of {leader} is not ours")
        }
        Reason::RewindCutShort(_) => "waiting for a rewind or a new copy".into(),
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
        Reason::BootstrapFailed | Reason::BootstrapForsaken => {
            "removing initialize key after failed attempt to bootstrap the cluster".into()
        }
        Reason::FailingOverAfterCrash => "stopped PostgreSQL to fail over after a crash".into(),
        Reason::StartingPrimaryAfterFailure => "starting primary after failure".into(),
        Reason::StartingAsSecondary | Reason::StartingBeforeRewind => "starting as a secondary".into(),
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
