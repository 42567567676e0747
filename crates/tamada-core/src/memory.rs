//! What survives a pass. Each field says who sets it, who clears it, and what breaks if it is stale. Changes come as
//! [`Mark`]s inside a decision, so that a decision can be printed and tested with everything it does.

use std::sync::Arc;
use std::time::Duration;

use tamada_model::{
    Cluster, Lsn, MemberName, Members, Mono, Now, ScheduledRestart, ShutdownPosition, SyncNames, Timeline,
};

use crate::HeldLease;
use crate::guard::{GuardState, WatchdogState};
use crate::synchronous::Proof;

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Memory {
    /// Our right to lead. Set by a successful acquire, renewal or take; cleared by release, by losing, and whenever a
    /// freshly read cluster does not name us. Stale: a second primary.
    pub lease: Option<HeldLease>,
    /// Since when the cluster is said to be in the making and nobody alive makes it. Cleared as soon as that is not so.
    /// Stale: a bootstrap that goes on is taken for forsaken.
    pub forsaken_since: Option<Mono>,
    /// The last cluster that had a leader, or the very first one read: source of the member list in the race (ha-loop.md
    /// 9.2). Stale: a dead member is asked once more.
    pub cluster_with_leader: Option<Arc<Cluster>>,
    /// Whose keys were seen since then; cleared as soon as anyone leads. Stale: a dead member is asked once more.
    pub seen_leaderless: Members,
    /// We won the initialize race and have not finished. Stale: callbacks stay silent, loss of lock is ignored.
    pub bootstrap: Option<Bootstrap>,
    /// A step-down or shutdown in progress. Cleared when PostgreSQL is down and the key is dealt with.
    pub step_down: Option<StepDown>,
    /// A start or restart was begun; the next idle pass judges its outcome (8.12). Cleared by that judgement, by giving
    /// the key back, and when PostgreSQL answers. Stale: the key is given up for an unrelated stop.
    pub recovering: bool,
    /// The single-user run was tried in this episode (8.6). Cleared when PostgreSQL answers. Stale: a dirty primary is
    /// started as it is, and perhaps cannot be rewound.
    pub crash_recovery_tried: bool,
    /// When the present start, or that run, began; for the start timeout. Cleared when PostgreSQL answers. Stale: the
    /// next slow start is given up early.
    pub starting_since: Option<Mono>,
    /// The timeout of the present start, if a request gave one. Set and cleared with the above.
    pub start_timeout: Option<Duration>,
    /// Set by whatever may have taken us off the leader's history, and by what was found out; cleared by promotion, a
    /// new copy, and leaving pause. Stale: a needless look, or (forgotten too early) replication that cannot go on.
    pub rewind: Rewind,
    /// From whom the last rewind was, while `rewind` is `Done`. Stale: a rewind that helps is taken for one in vain, or
    /// the other way round.
    pub rewound_from: Option<MemberName>,
    /// The checkpoint after our promotion (23.11). Reset by promotion. Stale: peers rewind from us too early, and then
    /// find a timeline that they have left.
    pub checkpoint: CheckpointAfterPromote,
    /// WAL position as last looked at, and the one before (12.1).
    pub wal: Option<Lsn>,
    pub previous_wal: Option<Lsn>,
    /// When we first saw no leader; cleared as soon as anyone leads. Stale: we would race too early after the next loss.
    pub race_opened: Option<Mono>,
    /// When we gave the key back because pre_promote refused (13.2): we stay out of the race for `ttl`.
    pub promotion_refused: Option<Mono>,
    /// pre_promote said no; the key is still ours. Cleared when it is given back, and by the next promotion.
    pub pre_promote_refused: bool,
    /// Told by the program around us. Stale: a member that requires a guard leads without one, or gives up for nothing.
    pub guard: GuardState,
    /// The same, of a watchdog.
    pub watchdog: WatchdogState,
    /// Set by winning the race, cleared by promotion: only chooses the sentence.
    pub won_race: bool,
    /// Set by losing the race, cleared by the next decision: only chooses the sentence.
    pub lost_race: bool,
    /// The store did not take, or did not clearly take, our attempt at the free lock. Set by that, cleared as soon as
    /// anyone leads. Stale: a primary whose lock vanished stops although it might take it again.
    pub acquire_failed: Option<String>,
    /// The pause was on when the cluster was last read; its end resets `rewind` (5 step 3).
    pub was_paused: bool,
    /// PostgreSQL ran in the pass before: its absence now is a crash, not a stop (4.7).
    pub was_running: bool,
    /// The crash was seen; cleared when PostgreSQL runs, or is stopped by us.
    pub crashed: bool,
    /// What the leader's record says; a standby's own timeline is asked anew when it differs (4.1).
    pub leader_timeline: Option<Timeline>,
    /// Set and cleared by operators; cleared when done, stale, or overtaken by another restart.
    pub scheduled_restart: Option<ScheduledRestart>,
    /// The operating system asked us to go (21), or we refuse to stay.
    pub leaving: bool,
    /// We go because we refuse to stay: exit status 1.
    pub refusing: bool,
    /// Start-up was refused because PostgreSQL runs as a replica in an uninitialized cluster: leave it alone (6.5).
    pub join_aborted: bool,
    /// We stopped PostgreSQL: how it is to come back, also while the store is dark or the cluster paused (15.8). Set by
    /// the stop's end, by fencing, and by giving up a switchover; cleared when PostgreSQL answers. Stale: a PostgreSQL
    /// that the operator stopped in pause is started.
    pub comes_back: ComesBack,
    /// Which synchronous standbys have everything that was acknowledged without them. Stale: one that lacks something
    /// may lead.
    pub sync_proof: Proof,
    /// What `synchronous_standby_names` was last set to, and when; cleared when the server says so, too, when it is
    /// down, and when a job has ended. Stale: what a restart has undone is not set again before a loop has passed.
    pub sync_names_asked: Option<(SyncNames, Mono)>,
    /// Slots of members that were seen streaming, and when last (postgres.md 15.4).
    pub retained_slots: std::collections::BTreeMap<String, Mono>,
}

/// Where our bootstrap stands (7.9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bootstrap {
    /// initdb or the custom method, then the first start.
    Creating,
    /// The data could not be made, or PostgreSQL would not start.
    Failed,
    /// post_bootstrap is done; keys are to be written.
    Prepared,
}

/// A way out of leadership (15.1), or out of the process (21).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepDown {
    pub mode: StepDownMode,
    /// The key was given up, when.
    pub released_at: Option<Mono>,
    /// Until when a successor that has all our WAL is waited for before the key goes back to work here.
    pub successor_until: Option<Mono>,
    /// PostgreSQL has stopped; where its WAL ends if that is known.
    pub stopped: Option<Option<ShutdownPosition>>,
    /// The stop ended without PostgreSQL being gone.
    pub failed: bool,
}

impl StepDown {
    fn begun(mode: StepDownMode) -> Self {
        Self { mode, released_at: None, successor_until: None, stopped: None, failed: false }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepDownMode {
    /// The store is unreachable.
    Offline,
    /// A switchover or manual failover.
    Graceful,
    /// Start or crash recovery takes too long; the key is given to somebody else.
    Immediate,
    /// The lock is lost already.
    ImmediateNoLock,
    /// The agent ends.
    Shutdown,
}

impl StepDownMode {
    /// As the log line `Demoting self (<mode>)` spells it.
    pub fn text(self) -> &'static str {
        match self {
            StepDownMode::Offline => "offline",
            StepDownMode::Graceful => "graceful",
            StepDownMode::Immediate => "immediate",
            StepDownMode::ImmediateNoLock => "immediate-nolock",
            StepDownMode::Shutdown => "shutdown",
        }
    }

    pub fn releases_key(self) -> bool {
        match self {
            StepDownMode::Graceful | StepDownMode::Immediate | StepDownMode::Shutdown => true,
            StepDownMode::Offline | StepDownMode::ImmediateNoLock => false,
        }
    }
}

/// What becomes of a PostgreSQL that we stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ComesBack {
    /// It was not us who stopped it, or it is back.
    #[default]
    Unasked,
    AsStandby,
    /// Nobody could take over, and the lock never left us: as the primary it was.
    AsLeader,
}

/// What is known about our data having left the leader's history (23).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Rewind {
    #[default]
    Unsuspected,
    /// To be found out.
    Suspected,
    Needed,
    NotNeeded,
    Done,
    Failed,
    /// Of no use: a leader, or the cluster's history, has another timeline of a number of ours. Only a new copy helps, or a
    /// leader whom the data fits.
    Useless,
}

impl Rewind {
    pub fn is_open(self) -> bool {
        match self {
            Rewind::Suspected | Rewind::Needed => true,
            Rewind::Unsuspected | Rewind::NotNeeded | Rewind::Done | Rewind::Failed | Rewind::Useless => false,
        }
    }

    /// Found not to be the last leader's, and beyond rewinding: where its WAL ends says nothing.
    pub fn is_beyond_help(self) -> bool {
        match self {
            Rewind::Useless | Rewind::Failed => true,
            Rewind::Unsuspected | Rewind::Suspected | Rewind::Needed | Rewind::NotNeeded | Rewind::Done => false,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CheckpointAfterPromote {
    /// Not known to have happened since this instance became primary.
    #[default]
    Missing,
    /// Asked for; the answer is awaited.
    Asked,
    Done,
}

/// One change of memory that a decision makes.
#[derive(Clone, PartialEq, Debug)]
pub enum Mark {
    /// Something happened that may have taken us off the leader's history (23.2).
    SuspectDivergence,
    Rewind(Rewind),
    SteppingDown(StepDownMode),
    AwaitSuccessor(Duration),
    SteppedDown,
    /// The step-down is given up.
    LeadOn,
    Recovering,
    OutcomeJudged,
    CrashRecoveryTried,
    StartTimeout(Option<Duration>),
    /// What belongs to the time as a standby is forgotten, and peers have a checkpoint to wait for.
    Promoting,
    CheckpointAsked,
    CheckpointDone,
    RaceOpened,
    PromotionRefused,
    RaceSettled,
    JoinAborted,
    /// We go with exit status 1, and PostgreSQL goes with us.
    Refusing,
    DropScheduledRestart,
    SyncNamesAsked(SyncNames),
}

impl Memory {
    /// The key was given away on our way out: nothing more will be written, whatever PostgreSQL is still busy with.
    pub fn has_released(&self) -> bool {
        self.step_down.as_ref().is_some_and(|step_down| step_down.released_at.is_some())
    }

    pub fn apply(&mut self, mark: &Mark, now: Now) {
        match mark {
            Mark::SuspectDivergence => {
                // What is known is not forgotten for a suspicion.
                if !matches!(self.rewind, Rewind::Needed | Rewind::Useless) {
                    self.rewind = Rewind::Suspected;
                }
            }
            Mark::Rewind(rewind) => self.rewind = *rewind,
            Mark::SteppingDown(mode) => {
                self.step_down = Some(StepDown::begun(*mode));
                self.crashed = false;
                self.won_race = false;
            }
            Mark::AwaitSuccessor(patience) => {
                if let Some(step_down) = &mut self.step_down {
                    step_down.successor_until.get_or_insert(now.mono + *patience);
                }
            }
            Mark::SteppedDown => self.step_down = None,
            Mark::LeadOn => {
                self.step_down = None;
                self.comes_back = ComesBack::AsLeader;
            }
            Mark::Recovering => {
                self.recovering = true;
                self.starting_since = Some(now.mono);
            }
            Mark::OutcomeJudged => self.recovering = false,
            Mark::CrashRecoveryTried => {
                self.crash_recovery_tried = true;
                self.starting_since = Some(now.mono);
            }
            Mark::StartTimeout(timeout) => self.start_timeout = *timeout,
            Mark::Promoting => {
                self.rewind = Rewind::Unsuspected;
                self.checkpoint = CheckpointAfterPromote::Missing;
                self.pre_promote_refused = false;
            }
            Mark::CheckpointAsked => self.checkpoint = CheckpointAfterPromote::Asked,
            Mark::CheckpointDone => self.checkpoint = CheckpointAfterPromote::Done,
            Mark::RaceOpened => self.race_opened = self.race_opened.or(Some(now.mono)),
            Mark::PromotionRefused => {
                self.promotion_refused = Some(now.mono);
                self.pre_promote_refused = false;
            }
            Mark::RaceSettled => {
                self.won_race = false;
                self.lost_race = false;
            }
            Mark::JoinAborted => self.join_aborted = true,
            Mark::Refusing => {
                self.leaving = true;
                self.refusing = true;
            }
            Mark::SyncNamesAsked(names) => self.sync_names_asked = Some((names.clone(), now.mono)),
            Mark::DropScheduledRestart => self.scheduled_restart = None,
        }
    }

    pub fn lease_runs(&self, now: Mono) -> Option<HeldLease> {
        self.lease.filter(|lease| now < lease.ends_at())
    }
}
