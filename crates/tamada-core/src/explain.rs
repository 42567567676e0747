//! What a person asking "why?" should read: what was compared, and what comes next. It stands in the report beside the
//! sentence, whose words are the original's.

use tamada_model::{FailoverKind, MemberName};

use crate::decision::{GoesOn, Missing, Reason, Unfit};

/// The reason in words for whoever has the database down.
pub fn explanation(reason: &Reason) -> String {
    // tidy: a table, one row per variant
    match reason {
        Reason::LeaderWithLock => "we hold the lock, and PostgreSQL is primary".into(),
        Reason::AcquiredAsPrimary => "the lock was free, and PostgreSQL here is the primary that held it".into(),
        Reason::PromotingAfterRace => "nobody who was asked is better placed, and the lock is ours now".into(),
        Reason::PromotingWithLock => "we hold the lock, and PostgreSQL is a standby".into(),
        Reason::LeaseDue => "a third of the ttl has passed since the lock was last renewed".into(),
        Reason::PreparingForCommits => {
            "whom commits are to wait for is settled before this member is promoted, or they would wait for nobody"
                .into()
        }
        Reason::PositionUnpublished => "PostgreSQL is a new primary: where it is, is published at once".into(),
        Reason::PromotionUnderWay => "promotion was begun; PostgreSQL is not writable yet".into(),
        Reason::PostgresSilent { because } => format!("PostgreSQL does not answer ({because}); promoted once it does"),
        Reason::RenewalRefused { was_primary, paused } => refused(*was_primary, *paused).into(),
        Reason::NotPrimaryWhilePaused => "in pause nobody is promoted unless named: a standby needs no lock".into(),
        Reason::WaitingForOwnPromotion => "we were named as candidate; PostgreSQL is not primary yet".into(),
        Reason::PrePromoteRefused => {
            "pre_promote failed: the lock goes back, and we stay out of the race for ttl".into()
        }
        Reason::WaitingFor(watcher) => format!("a {watcher} is required, and ours is just starting"),
        Reason::Unwatched { by, because, .. } => {
            format!("a {by} is required, and there is none ({because}): another member must lead")
        }
        Reason::LeaseTooShortToPromote { left } => format!("only {left:.1?} of the lease are left: renewing first"),
        Reason::RequestedDemotion { kind, to } => demotion(*kind, to.as_ref()),
        Reason::Following { leader } => format!("{leader} holds the lock; our recovery configuration points to it"),
        Reason::PausedWithNobodyToFollow { unfit: None } => "paused, and there is nobody we should follow".into(),
        Reason::PausedPrimaryWithoutLock { unfit: None } => {
            "another holds the lock; in pause what runs is left running, and the end of the pause will stop it".into()
        }
        Reason::PausedWithNobodyToFollow { unfit: Some(because) }
        | Reason::PausedPrimaryWithoutLock { unfit: Some(because) } => {
            format!("paused, and nobody leads. We do not: {}", unfit(because))
        }
        Reason::PrimaryWithoutLock { leader } => format!("{leader} holds the lock: our writes would be lost"),
        Reason::FollowingAfterLostRace { leader, .. } => format!("{leader} was faster to take the lock"),
        Reason::LettingGo { leader } => {
            format!("{leader} leads: away from whom we followed before, so that what is here stands still for a look")
        }
        Reason::Repointing { leader, restart: false, .. } => format!("{leader} leads: pointing to it by a reload"),
        Reason::Repointing { leader, restart: true, .. } => format!("{leader} leads: pointing to it needs a restart"),
        Reason::Diverged { from } => format!("our WAL went on after {from} left our timeline; rewinding to the fork"),
        Reason::DivergedBeyondRewind => "our WAL left the leader's history and cannot be rewound: copying anew".into(),
        Reason::DivergenceUnclear { because, .. } => {
            format!("cannot tell whether our data left the leader's history ({because}); looking again")
        }
        Reason::NotYetFollowing { leader, because } => format!(
            "cannot tell whether our data left the history of {leader} ({because}): not pointed at it yet; looking again"
        ),
        Reason::NamesakeTimelines { leader, timeline } => format!(
            "our timeline {timeline} is not that of {leader}, though the number is the same: PostgreSQL would mix them, \
             and what is here cannot be rewound; it follows nobody until you reinitialize this member"
        ),
        Reason::RewindCutShort(until) => cut_short(until),
        Reason::WaitingForLeadersCheckpoint { leader } => {
            format!("a rewind is needed; it begins once {leader} has finished its checkpoint after promotion")
        }
        Reason::RewindFailed { leader } => {
            format!("our WAL left the history of {leader}, and pg_rewind failed: reinitialize this member")
        }
        Reason::LockIsFree => "nobody holds the lock, and nobody who was asked is better placed".into(),
        Reason::NotAllowedToPromote { .. } => unfit(&Unfit::NoFailover),
        Reason::NotHealthiest { because, .. } => unfit(because),
        Reason::RaceBackoff { seconds } => {
            format!("primary_race_backoff: the old primary may only have lost the store; racing in {seconds} s")
        }
        Reason::LockNotObtained => {
            "the store refused us the free lock: whoever gets it may write, so we must not".into()
        }
        Reason::StoreDark { because } => {
            format!("the store does not answer ({because}); nothing changes until it does")
        }
        Reason::StoreDarkAndLeading { because, patience } => format!(
            "the store does not answer ({because}); our lease still runs: giving up in {patience:.1?} unless it answers"
        ),
        Reason::StoreDarkForTooLong { because } => format!(
            "the store has not answered ({because}) and the lease is about to end; stopping before anybody else may lead"
        ),
        Reason::StoreDarkRestartingReadOnly => {
            "the store does not answer, and we led: readers get their data back".into()
        }
        Reason::InitializeWon => "there is no cluster yet, and this member makes it".into(),
        Reason::InitializeLost => "another member makes the cluster; we clone from it when it leads".into(),
        Reason::CloneFrom { source, .. } => format!("the data directory is empty: copying {source}"),
        Reason::CloneWithoutLeader => {
            "the data directory is empty, and a replica method needs no running member".into()
        }
        Reason::WaitingForLeaderToBootstrap { missing, .. } => self::missing(missing),
        Reason::EmptyDataWhileLeader => "without data we cannot lead; another member must".into(),
        Reason::UnreadableDataWhileLeader => "a leader must reach its data; another member must lead".into(),
        Reason::DataUnreadable { because } => format!("{because}; nothing is started or deleted until it can be read"),
        Reason::EmptyDataWhilePaused => "paused: the data directory is filled when the pause ends".into(),
        Reason::InvalidSystemId => "pg_control could not be read; reinitialize this member to get a new copy".into(),
        Reason::ForeignSystemId { theirs, ours } => format!(
            "the cluster's system identifier is {theirs}, this data directory's is {ours}: it belongs to another \
             cluster. Move it away, or correct scope"
        ),
        Reason::ForeignSystemIdWhilePausedLeader => "the data here belongs to another cluster: it must not lead".into(),
        Reason::ReplicaInUninitializedCluster => "nobody knows which cluster this standby is a copy of".into(),
        Reason::ClaimingInitialize => "the cluster has no identity yet: the data here gives it one".into(),
        Reason::RecoveryAfterBootstrap => "the new cluster's data is still being recovered".into(),
        Reason::RunningPostBootstrap => {
            "the new cluster is writable; users and the post_bootstrap script follow".into()
        }
        Reason::BootstrapDone => "everything is prepared: the cluster's keys are written, and we lead".into(),
        Reason::BootstrapForsaken => {
            "the cluster was said to be in the making, but for a whole ttl no living member has \
                                      been at it: its empty `initialize` goes, and the race begins anew"
                .into()
        }
        Reason::BootstrapFailed => "the new cluster could not be made; its data was moved aside to *.failed".into(),
        Reason::FailingOverAfterCrash => "primary_start_timeout is 0, PostgreSQL is down, and another can lead".into(),
        Reason::StartingPrimaryAfterFailure => "the lock is ours and PostgreSQL is down: starting it as it was".into(),
        Reason::StartingBeforeRewind => {
            "it crashed as a standby: started without an upstream, so that a rewind finds it cleanly stopped".into()
        }
        Reason::StartingAsSecondary => "PostgreSQL is down and the lock is not ours: starting it as a standby".into(),
        Reason::StartingReadOnlyWithLock => "the lock is ours: starting in recovery, then promoting".into(),
        Reason::CrashRecovery => "it was not shut down cleanly, which a rewind, or nobody leading, requires".into(),
        Reason::StartFailed { had_lock: true } => "PostgreSQL does not start here: another member must lead".into(),
        Reason::StartFailed { had_lock: false } => {
            "PostgreSQL does not start here; its log says why. Trying again".into()
        }
        Reason::NotRunningWhilePaused { had_lock: true } => "paused, and PostgreSQL is down: another may lead".into(),
        Reason::NotRunningWhilePaused { had_lock: false } => "paused: what was stopped is not started".into(),
        Reason::ActionInProgress { action } => format!("waiting for the end of: {action}"),
        Reason::LockRenewedDuring { action } => format!("keeping the lock until the end of: {action}"),
        Reason::LostLeaderBeforePromote => "the lock was lost before we were primary: giving up the promotion".into(),
        Reason::LostLockDuring { action } => format!("the lock was lost during: {action}. It must not end as primary"),
        Reason::CrashRecoveryTooLong => "primary_start_timeout is over, and another member can lead".into(),
        Reason::StillStarting { seconds_left } => {
            format!("PostgreSQL recovers; in {seconds_left} s another member takes over if one can")
        }
        Reason::StartTimedOutButAlone => "primary_start_timeout is over, but no other member could take over".into(),
        Reason::StartTimedOut => "primary_start_timeout is over, and another member can lead".into(),
        Reason::LostLockWhileStarting => "the lock is not ours: what is starting here must not become writable".into(),
        Reason::Stopping { .. } => "PostgreSQL must not run here: stopping it before anything else".into(),
        Reason::ReleasingKey => "PostgreSQL has stopped: the lock is for whoever takes over".into(),
        Reason::ShutDownButKept { needed, .. } => format!(
            "PostgreSQL is shut down except for archiving; the lock is given away as soon as a standby has WAL up to \
             {needed}, or the postmaster is gone"
        ),
        Reason::WaitingForSuccessor => "the lock was given away; leaving the others a moment to take it".into(),
        Reason::WaitingForSuccessorsWal { needed } => format!(
            "PostgreSQL has stopped; the lock is given away as soon as a standby proves to have WAL up to {needed}"
        ),
        Reason::SwitchoverAbandoned { needed: None } => {
            "PostgreSQL did not stop cleanly, so nobody can prove to have all of its WAL: this member leads on".into()
        }
        Reason::SwitchoverAbandoned { needed: Some(needed) } => format!(
            "no standby has our WAL up to {needed}: giving the lock away would lose commits, so this member leads on"
        ),
        Reason::SteppedDown => "stepping down is over; what comes next is decided anew".into(),
        Reason::Leaving => "the agent was told to end: PostgreSQL stops first".into(),
        Reason::LeavingPaused => "the agent ends; paused, so PostgreSQL and the lock stay as they are".into(),
        Reason::RestartInitiated => "the planned restart is due, and its conditions hold".into(),
    }
}

fn refused(was_primary: bool, paused: bool) -> &'static str {
    match (was_primary, paused) {
        (true, true) => "the store says that the lock is not ours any more; in pause PostgreSQL is left running",
        (true, false) => {
            "the store says that the lock is not ours any more; whoever takes it may write, so we must not"
        }
        (false, _) => "the store says that the lock is not ours any more; following whoever takes it",
    }
}

fn demotion(kind: FailoverKind, to: Option<&MemberName>) -> String {
    let what = match kind {
        FailoverKind::Switchover => "a switchover",
        FailoverKind::ManualFailover => "a manual failover",
    };
    match to {
        Some(to) => format!("{what} to {to} was asked for: stopping cleanly, then giving it the lock"),
        None => format!("{what} was asked for: stopping cleanly, then leaving the lock to the others"),
    }
}

fn cut_short(until: &GoesOn) -> String {
    match until {
        GoesOn::Never => {
            "a pg_rewind ended half way, and another would not help; the files may be a mixture: reinitialize this member"
                .into()
        }
        GoesOn::OnceLeading { leader } => {
            format!("a pg_rewind was cut short; rewinding again as soon as {leader} can be rewound from")
        }
        GoesOn::OnceReadable { leader, because } => {
            format!("a pg_rewind was cut short; rewinding again as soon as {leader} can be rewound from ({because})")
        }
        GoesOn::OnceSomebodyLeads => "a pg_rewind was cut short; rewinding again as soon as another member leads".into(),
    }
}

fn missing(what: &Missing) -> String {
    let text = match what {
        Missing::Identity { known_to } => {
            return format!(
                "the key `initialize` is missing, but {known_to} has data: no new cluster is made beside it. Whoever leads \
                 writes the key anew, and this member clones then"
            );
        }
        Missing::IdentityOfPublished { position } => {
            return format!(
                "the key `initialize` is missing, but the key `status` tells of WAL up to {position}: no new cluster is \
                 made beside it. Whoever has the data writes the key anew, and this member clones then. If all data is \
                 lost, remove `status`, too"
            );
        }
        Missing::EndOfBootstrap => {
            "another member is making the cluster (key `initialize` is empty); we clone from it when it leads. If no \
             member is doing so, remove the key"
        }
        Missing::Leader => {
            "the cluster exists but has no leader, and this member has no data: it clones as soon as a member leads"
        }
        Missing::Address => "the leader has not told its address yet; this member clones as soon as it has",
        Missing::Cluster => {
            "there is no cluster yet, and this member may not make one (nofailover, no bootstrap section, or without a guard or watchdog that it requires): it clones \
             as soon as another has"
        }
    };
    text.to_owned()
}

/// Why this member does not lead.
fn unfit(because: &Unfit) -> String {
    match because {
        Unfit::PromotionRefusedLately { seconds_left } => {
            format!("our pre_promote script refused lately; back in the race in {seconds_left} s")
        }
        Unfit::Starting => "PostgreSQL is still starting here".into(),
        Unfit::ForeignSystemId => "this data belongs to another cluster".into(),
        Unfit::TimelineBehindCluster { mine: Some(mine), cluster } => {
            format!(
                "our timeline {mine} is behind the cluster's {cluster}: leading would discard a promotion. A manual \
                 failover to this member would accept that"
            )
        }
        Unfit::TimelineBehindCluster { mine: None, cluster } => {
            format!("our timeline is unknown, the cluster's is {cluster}: leading might discard a promotion")
        }
        Unfit::Paused => "the cluster is paused: nobody is promoted unless named".into(),
        Unfit::NoFailover => {
            "tag nofailover (or failover_priority 0) forbids this member to lead: another must take the lock, or an \
             operator take the tag away"
                .into()
        }
        Unfit::CandidateIsAnother { candidate } => format!("{candidate} was named and is able to lead: waiting for it"),
        Unfit::Unwatched { by, because: None } => format!("a {by} is required, and ours is just starting"),
        Unfit::Unwatched { by, because: Some(because) } => {
            format!("a {by} is required, and there is none here ({because})")
        }
        Unfit::NotInFailsafe => "we are not in the failsafe topology".into(),
        Unfit::LagsBehindLeader { mine, leader, allowed } => format!(
            "we have WAL up to {mine}, the leader last told {leader}: more than maximum_lag_on_failover ({allowed} \
             bytes) would be lost. A manual failover to this member would accept that"
        ),
        Unfit::PositionUnknown => "our WAL position is unknown (PostgreSQL does not answer)".into(),
        Unfit::TimelineBesideCluster { mine, began, clusters } => format!(
            "our timeline {mine} began at {began}, the last leader's at {clusters}: it is another of the same number, and \
             leading would discard a promotion. A manual failover to this member would accept that"
        ),
        Unfit::TwinOfClustersTimeline { mine } => format!(
            "our timeline {mine} and the last leader's of that number began at one place, and with another record each: \
             leading would discard a promotion. A manual failover to this member would accept that"
        ),
        Unfit::TimelinePastCluster { mine, cluster, left } => format!(
            "our timeline {mine} does not come from the last leader's, {cluster}, which began at {left}: leading would \
             discard a promotion. A manual failover to this member would accept that"
        ),
        Unfit::TimelineUnknown => "our timeline is unknown and check_timeline is on".into(),
        Unfit::PrimaryAlive { who } => format!("{who} still runs as primary: it stops, or takes its lock again"),
        Unfit::OthersMayBeBack { seconds_left } => {
            format!("this agent has seen no leader yet, and others who had slots are not back: waiting for them, {seconds_left} s")
        }
        Unfit::NeedsCopy => {
            "our data was found not to be the last leader's, and cannot be rewound: reinitialize this member, or name it \
             in a manual failover if nobody else has any"
                .into()
        }
        Unfit::OutrankedByTimeline { who, theirs, mine } => {
            format!("{who} is on timeline {theirs}, we are on {mine}, which was left: waiting for it to lead")
        }
        Unfit::OutrankedByPosition { who, theirs, mine } => {
            format!("{who} has WAL up to {theirs}, we up to {mine}: waiting for it to lead")
        }
        Unfit::OutrankedByPriority { who, theirs, mine } => {
            format!("{who} has the same WAL and failover_priority {theirs}, ours is {mine}: waiting for it to lead")
        }
        Unfit::NotSynchronous { standbys } => {
            let listed: Vec<&str> = standbys.iter().map(MemberName::as_str).collect();
            format!(
                "commits did not wait for us but for [{}]: one of these, or who led them, goes first. A manual failover to \
                 this member would accept what that loses",
                listed.join(", ")
            )
        }
        Unfit::QuorumNotReached { votes, needed } => format!(
            "{votes} synchronous members are known to have no more than we, {needed} have to be: somebody who does not \
             answer may have commits that we lack. A manual failover to this member would accept that"
        ),
        Unfit::OldLeaderOfSwitchover { successors } => {
            format!("the switchover was away from us, and others could lead: {successors}")
        }
        Unfit::BehindPublishedPosition { mine, published } => {
            format!(
                "the former leader ended at {published}, we have WAL up to {mine}: the rest, or who has it, goes first"
            )
        }
    }
}
