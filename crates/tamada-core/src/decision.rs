//! A decision is a value with its reason: it can be printed, compared, stored in a test and argued about. What is done
//! follows from it without further choices (`plan.rs`); what the operator reads follows from it too (`phrase.rs`).

use std::collections::BTreeSet;
use std::time::Duration;

use tamada_model::{
    Document, FailoverKind, HistoryEntry, Job, Lsn, MemberName, Role, Stamp, SyncNames, SyncState, SystemId, Timeline,
    Upstream, WalBytes,
};

use crate::HeldLease;
use crate::guard::Watcher;
use crate::memory::{Mark, StepDownMode};
use crate::slots::SlotPlan;
use crate::synchronous;
use crate::view::PeerQuestion;

/// What a look at the view yields: more questions, or a decision.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Gather these and decide again.
    Ask(BTreeSet<Fact>),
    Do(Decision),
}

impl Step {
    pub fn ask(fact: Fact) -> Self {
        Step::Ask(BTreeSet::from([fact]))
    }
}

/// A fact that is gathered only when a decision needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    Peers(BTreeSet<PeerQuestion>),
    /// How the running recovery configuration compares with following this upstream.
    RecoveryMatch(Upstream),
    /// Whether our data left this server's history.
    Divergence(Upstream),
    /// The local history file of this timeline.
    HistoryFile(Timeline),
    /// What a timeline that our data came through began with.
    Origin(Timeline),
}

impl Fact {
    fn rank(&self) -> u8 {
        match self {
            Fact::Peers(_) => 0,
            Fact::RecoveryMatch(_) => 1,
            Fact::Divergence(_) => 2,
            Fact::HistoryFile(_) => 3,
            Fact::Origin(_) => 4,
        }
    }
}

impl PartialOrd for Fact {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Fact {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct Decision {
    pub verdict: Verdict,
    pub because: Reason,
    pub chores: Vec<Chore>,
    pub marks: Vec<Mark>,
    /// What the log should say besides the sentence.
    pub notes: Vec<Note>,
}

impl Decision {
    pub fn new(verdict: Verdict, because: Reason) -> Self {
        Self { verdict, because, chores: Vec::new(), marks: Vec::new(), notes: Vec::new() }
    }

    pub fn stay(because: Reason) -> Self {
        Self::new(Verdict::Stay, because)
    }

    pub fn run(job: Job, because: Reason) -> Self {
        Self::new(Verdict::Run(job), because)
    }

    pub fn chore(mut self, chore: Chore) -> Self {
        self.chores.push(chore);
        self
    }

    pub fn chores(mut self, chores: impl IntoIterator<Item = Chore>) -> Self {
        self.chores.extend(chores);
        self
    }

    pub fn write_sync(self, write: synchronous::Write) -> Self {
        let asked = match &write {
            synchronous::Write::Parameter(names) => Some(Mark::SyncNamesAsked(names.clone())),
            synchronous::Write::Key { .. } | synchronous::Write::Forget(_) => None,
        };
        let decision = self.chore(write.into());
        asked.into_iter().fold(decision, Decision::mark)
    }

    pub fn mark(mut self, mark: Mark) -> Self {
        self.marks.push(mark);
        self
    }

    pub fn note(mut self, note: Note) -> Self {
        self.notes.push(note);
        self
    }

    pub fn notes(mut self, notes: impl IntoIterator<Item = Note>) -> Self {
        self.notes.extend(notes);
        self
    }
}

impl From<Decision> for Step {
    fn from(decision: Decision) -> Self {
        Step::Do(decision)
    }
}

/// What to do: at most one change that matters to leadership per pass.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    Stay,
    /// Renew our lock, then decide again with the outcome.
    Renew,
    /// Take the free lock, then look again.
    Acquire,
    /// There is no other way to say "promote" than with a lease in hand.
    Promote(HeldLease),
    /// Stop PostgreSQL and stop being leader, in this mode.
    StepDown(StepDownMode),
    /// Give the key back, with the last position if PostgreSQL stopped cleanly.
    Release(Option<Lsn>),
    /// Create `initialize`, then make the cluster.
    BeginBootstrap,
    /// Write the keys of the new cluster and take its lock.
    FinishBootstrap(SystemId),
    AbandonBootstrap,
    /// Take the empty `initialize` of a bootstrap away that nobody goes on with.
    ClearInitialize,
    /// Write our system identifier: the existing data becomes the cluster (6.5).
    ClaimInitialize {
        id: SystemId,
        over_existing: bool,
    },
    Run(Job),
    /// Cancel the running job, then step down.
    CancelAndStepDown(StepDownMode),
    /// Follow this upstream by reloading (11.9).
    Repoint {
        upstream: Upstream,
        role: Role,
    },
    Leave(Leave),
}

/// Why the process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leave {
    AsAsked,
    /// Exit status 1.
    Refusing,
}

/// Smaller things to do along with a verdict. None of them decides who leads.
#[derive(Clone, PartialEq, Debug)]
pub enum Chore {
    ClearFailover(Stamp),
    WriteHistory(Vec<HistoryEntry>),
    /// Write the system identifier over a missing or invalid one (5 step 5).
    RepairInitialize(SystemId),
    /// Write `/config` from what we know (5 step 6).
    RepairConfig(Document),
    SetRole(Role),
    FireRoleChange(Role),
    FireOnStart,
    CheckpointAfterPromote,
    ResumeReplay,
    SyncSlots(SlotPlan),
    SetSync {
        sync: SyncState,
        judged: Option<Stamp>,
    },
    DeleteSync(Stamp),
    SetSyncNames(SyncNames),
}

/// A line for the log beside the pass's sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    pub level: NoteLevel,
    pub text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoteLevel {
    Info,
    Warning,
    Error,
    Critical,
}

impl Note {
    pub fn info(text: impl Into<String>) -> Self {
        Self { level: NoteLevel::Info, text: text.into() }
    }

    pub fn warning(text: impl Into<String>) -> Self {
        Self { level: NoteLevel::Warning, text: text.into() }
    }

    pub fn error(text: impl Into<String>) -> Self {
        Self { level: NoteLevel::Error, text: text.into() }
    }

    pub fn critical(text: impl Into<String>) -> Self {
        Self { level: NoteLevel::Critical, text: text.into() }
    }
}

/// Why. One variant per thing an operator may have to understand; the numbers that were compared are inside.
#[derive(Clone, PartialEq, Debug)]
pub enum Reason {
    // leading
    LeaderWithLock,
    AcquiredAsPrimary,
    PromotingAfterRace,
    PromotingWithLock,
    LeaseDue,
    // Just promoted: others compare themselves with what was published by somebody else.
    PositionUnpublished,
    PromotionUnderWay,
    // Synchronous replication, before the promotion.
    PreparingForCommits,
    // A standby that is to be promoted does not answer.
    PostgresSilent { because: String },
    RenewalRefused { was_primary: bool, paused: bool },
    NotPrimaryWhilePaused,
    WaitingForOwnPromotion,
    PrePromoteRefused,
    // A guard, or a watchdog, is required.
    WaitingFor(Watcher),
    Unwatched { by: Watcher, because: String, was_primary: bool },
    LeaseTooShortToPromote { left: Duration },
    RequestedDemotion { kind: FailoverKind, to: Option<MemberName> },
    // following
    Following { leader: MemberName },
    // `unfit`: why we do not lead, where nobody does.
    PausedWithNobodyToFollow { unfit: Option<Unfit> },
    PausedPrimaryWithoutLock { unfit: Option<Unfit> },
    PrimaryWithoutLock { leader: MemberName },
    FollowingAfterLostRace { leader: MemberName, was_primary: bool },
    // First to nobody: what is compared with the leader has to stand still.
    LettingGo { leader: MemberName },
    Repointing { leader: MemberName, to: Upstream, restart: bool },
    Diverged { from: MemberName },
    DivergedBeyondRewind,
    DivergenceUnclear { leader: MemberName, because: String },
    // The same, and it is not pointed at the leader before that is known.
    NotYetFollowing { leader: MemberName, because: String },
    // Behind us and the leader are two timelines of this number, and what is here may not be replaced.
    NamesakeTimelines { leader: MemberName, timeline: Timeline },
    // A pg_rewind began here and never ended.
    RewindCutShort(GoesOn),
    WaitingForLeadersCheckpoint { leader: MemberName },
    // It runs as a standby all the same, and waits for WAL that it cannot use (23.8).
    RewindFailed { leader: MemberName },
    // leaderless
    LockIsFree,
    NotAllowedToPromote { was_primary: bool },
    NotHealthiest { was_primary: bool, because: Unfit },
    RaceBackoff { seconds: u64 },
    LockNotObtained,
    // store
    StoreDark { because: String },
    StoreDarkAndLeading { because: String, patience: Duration },
    StoreDarkForTooLong { because: String },
    StoreDarkRestartingReadOnly,
    // no data, identity
    InitializeWon,
    InitializeLost,
    CloneFrom { source: String, is_leader: bool },
    CloneWithoutLeader,
    WaitingForLeaderToBootstrap { standby_cluster: bool, missing: Missing },
    EmptyDataWhileLeader,
    UnreadableDataWhileLeader,
    DataUnreadable { because: String },
    EmptyDataWhilePaused,
    InvalidSystemId,
    ForeignSystemId { theirs: SystemId, ours: SystemId },
    ForeignSystemIdWhilePausedLeader,
    ReplicaInUninitializedCluster,
    ClaimingInitialize,
    // bootstrap
    RecoveryAfterBootstrap,
    RunningPostBootstrap,
    BootstrapDone,
    BootstrapFailed,
    BootstrapForsaken,
    // down
    FailingOverAfterCrash,
    StartingPrimaryAfterFailure,
    StartingAsSecondary,
    StartingBeforeRewind,
    StartingReadOnlyWithLock,
    CrashRecovery,
    StartFailed { had_lock: bool },
    NotRunningWhilePaused { had_lock: bool },
    // busy and starting
    ActionInProgress { action: String },
    LockRenewedDuring { action: String },
    LostLeaderBeforePromote,
    LostLockDuring { action: String },
    CrashRecoveryTooLong,
    StillStarting { seconds_left: u64 },
    StartTimedOutButAlone,
    StartTimedOut,
    LostLockWhileStarting,
    // stepping down
    Stopping { mode: StepDownMode },
    ReleasingKey,
    // The WAL has ended, the postmaster lives on (archiving), and nobody has all of it yet.
    ShutDownButKept { action: String, needed: Lsn },
    WaitingForSuccessor,
    WaitingForSuccessorsWal { needed: Lsn },
    // `None`: PostgreSQL did not stop cleanly.
    SwitchoverAbandoned { needed: Option<Lsn> },
    SteppedDown,
    Leaving,
    LeavingPaused,
    RestartInitiated,
}

/// When a rewind that was cut short goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GoesOn {
    OnceSomebodyLeads,
    /// It does not call itself primary yet, or has no address.
    OnceLeading {
        leader: MemberName,
    },
    /// It is not known where the leader is.
    OnceReadable {
        leader: MemberName,
        because: String,
    },
    /// It failed, or would find nothing to do.
    Never,
}

/// What an empty member waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Missing {
    Leader,
    /// The leader's address.
    Address,
    EndOfBootstrap,
    /// There is none yet, and we may not make one.
    Cluster,
    /// The store does not say which cluster this is, but there is one.
    Identity {
        known_to: MemberName,
    },
    /// The same; nobody is there who had its data, but its last leader's position is.
    IdentityOfPublished {
        position: Lsn,
    },
}

/// Why this member is not the one to lead (12.5 and following), with the numbers compared.
#[derive(Clone, PartialEq, Debug)]
pub enum Unfit {
    PromotionRefusedLately { seconds_left: u64 },
    Starting,
    ForeignSystemId,
    TimelineBehindCluster { mine: Option<Timeline>, cluster: Timeline },
    // Of the same number, and another.
    TimelineBesideCluster { mine: Timeline, began: Lsn, clusters: Lsn },
    // Begun at the same place, by another.
    TwinOfClustersTimeline { mine: Timeline },
    // Of a later one, which did not come from the cluster's.
    TimelinePastCluster { mine: Timeline, cluster: Timeline, left: Lsn },
    Paused,
    NoFailover,
    CandidateIsAnother { candidate: MemberName },
    NotInFailsafe,
    // `None`: it is just starting.
    Unwatched { by: Watcher, because: Option<String> },
    LagsBehindLeader { mine: Lsn, leader: Lsn, allowed: WalBytes },
    PositionUnknown,
    TimelineUnknown,
    PrimaryAlive { who: MemberName },
    OthersMayBeBack { seconds_left: u64 },
    // Found to be on another timeline of the leader's number; leads only if an operator names it.
    NeedsCopy,
    OutrankedByTimeline { who: MemberName, theirs: Timeline, mine: Timeline },
    OutrankedByPosition { who: MemberName, theirs: Lsn, mine: Lsn },
    OutrankedByPriority { who: MemberName, theirs: i64, mine: i64 },
    // Commits did not wait for it.
    NotSynchronous { standbys: Vec<MemberName> },
    // So many members of the quorum are not ahead of it, itself aside; so many more may be.
    QuorumNotReached { votes: usize, needed: usize },
    OldLeaderOfSwitchover { successors: usize },
    BehindPublishedPosition { mine: Lsn, published: Lsn },
}
