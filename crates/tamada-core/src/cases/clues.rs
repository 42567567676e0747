//! The lines of a scene that are neither store nor PostgreSQL: settings, what we remember, the running job, the answers
//! to rarer questions.

use std::time::Duration;

use tamada_model::{
    Answers, Asks, CheckpointFirst, CloneSource, Comparison, Divergence, GuardMode, HistoryFile, Job, LastWal, Live,
    Lsn, Me, MemberName, Now, Origin, PostgresFacts, RecoveryMatch, RestartConditions, Role, Schedule,
    ScheduledRestart, Settings, ShutdownPosition, Stamp, Stamped, Stop, StopMode, SyncNames, SyncState,
    SynchronousMode, Timeline, Unread, Upstream, UpstreamMember, WalBytes, WalSender,
};

use super::describe::started;
use super::scene::schedule_at;
use super::words::Words;
use crate::guard::{GuardState, WatchdogState};
use crate::memory::{Bootstrap, CheckpointAfterPromote, ComesBack, Rewind, StepDownMode};
use crate::plan::WriteOutcome;
use crate::view::JobView;
use crate::{Mark, Memory};

pub fn settings(words: &mut Words<'_>, settings: &mut Settings) {
    while !words.is_empty() {
        if !(durations(words, settings) || switches(words, settings)) {
            words.lost();
        }
    }
}

fn durations(words: &mut Words<'_>, settings: &mut Settings) -> bool {
    let target = if words.eat("ttl") {
        &mut settings.ttl
    } else if words.eat("loop_wait") {
        &mut settings.loop_wait
    } else if words.eat("retry_timeout") {
        &mut settings.retry_timeout
    } else if words.eat("primary_start_timeout") {
        &mut settings.primary_start_timeout
    } else if words.eat("primary_stop_timeout") {
        &mut settings.primary_stop_timeout
    } else if words.eat("primary_race_backoff") {
        &mut settings.primary_race_backoff
    } else if words.eat("member_slots_ttl") {
        &mut settings.member_slots_ttl
    } else {
        return false;
    };
    *target = words.seconds();
    true
}

fn switches(words: &mut Words<'_>, settings: &mut Settings) -> bool {
    if words.eat("not paused") {
        settings.pause = false;
    } else if words.eat("paused") {
        settings.pause = true;
    } else if words.eat("check_timeline") {
        settings.check_timeline = true;
    } else if words.eat("failsafe_mode") {
        settings.failsafe_mode = true;
    } else if words.eat("guard required") {
        settings.guard = GuardMode::Required;
    } else if words.eat("synchronous_mode on") {
        settings.synchronous_mode = SynchronousMode::On;
    } else if words.eat("synchronous_mode quorum") {
        settings.synchronous_mode = SynchronousMode::Quorum;
    } else if words.eat("synchronous_mode_strict") {
        settings.synchronous_mode_strict = true;
    } else if words.eat("synchronous_node_count") {
        settings.synchronous_node_count = words.number() as u32;
    } else if words.eat("maximum_lag_on_syncnode") {
        settings.maximum_lag_on_syncnode = words.number() as i64;
    } else if words.eat("no slots") {
        settings.use_slots = false;
    } else if words.eat("remove_data_directory_on_rewind_failure") {
        settings.remove_data_directory_on_rewind_failure = true;
    } else if words.eat("remove_data_directory_on_diverged_timelines") {
        settings.remove_data_directory_on_diverged_timelines = true;
    } else if words.eat("maximum_lag_on_failover") {
        settings.maximum_lag_on_failover = WalBytes::new(words.number());
    } else if words.eat("max_timelines_history") {
        settings.max_timelines_history = words.number() as usize;
    } else {
        return false;
    }
    true
}

pub fn configured(words: &mut Words<'_>, me: &mut Me) {
    while !words.is_empty() {
        if words.eat("without bootstrap section") {
            me.may_bootstrap = false;
        } else if words.eat("a method without leader") {
            me.has_leaderless_method = true;
        } else {
            words.lost();
        }
    }
}

/// `none`, or `a with b, c, quorum 1`.
pub fn sync(words: &mut Words<'_>) -> Option<Stamped<SyncState>> {
    if words.eat("none") {
        return None;
    }
    let mut sync = SyncState { leader: Some(words.member()), ..SyncState::default() };
    words.eat("with");
    while !words.is_empty() {
        if words.eat("quorum") {
            sync.quorum = words.number() as u32;
        } else if !words.eat("nobody") {
            sync.standbys.push(words.member());
        }
    }
    Some(Stamped { stamp: Stamp::new("5"), value: sync })
}

/// What our PostgreSQL says.
pub fn live(facts: &mut PostgresFacts) -> &mut Live {
    match &mut facts.answers {
        Answers::Live(live) => live,
        other => panic!("our PostgreSQL has to be described before, and to answer: {other:?}"),
    }
}

/// `wait for ANY 1 (b,c)`, the parameter of our PostgreSQL; `checkpointer busy`.
pub fn commits(words: &mut Words<'_>, facts: &mut PostgresFacts) {
    let synchronous = &mut live(facts).synchronous;
    synchronous.checkpointer_heard = !words.eat("checkpointer busy");
    if words.eat("wait for") {
        synchronous.names = SyncNames::parse(words.rest());
    }
}

/// `quorum at 0/5000`: somebody streams from us, and is synchronous in this way or not.
pub fn sender(name: &str, words: &mut Words<'_>, facts: &mut PostgresFacts) {
    let sync_state = words.word().to_owned();
    let state = if words.eat("catches up") { "catchup" } else { "streaming" };
    words.eat("at");
    let at = Some(words.lsn());
    let sender = WalSender {
        application_name: name.into(),
        state: state.into(),
        sync_state,
        written: at,
        flushed: at,
        replayed: at,
        ..WalSender::default()
    };
    live(facts).replication.push(sender);
}

/// `ready`, or why there is none.
pub fn guard(words: &mut Words<'_>) -> GuardState {
    match words.rest() {
        "ready" => GuardState::Ready,
        "starting" => GuardState::Starting,
        why => GuardState::Failed(why.to_owned()),
    }
}

/// `resting`, `running`, or why it cannot be used.
pub fn watchdog(words: &mut Words<'_>) -> WatchdogState {
    match words.rest() {
        "resting" => WatchdogState::Resting,
        "running" => WatchdogState::Running,
        why => WatchdogState::Failed(why.to_owned()),
    }
}

pub fn outcome(words: &mut Words<'_>) -> WriteOutcome {
    match words.rest() {
        "done" => WriteOutcome::Done,
        "refused" => WriteOutcome::Beaten,
        "unclear" => WriteOutcome::Unclear("no answer in time".into()),
        "failed" => WriteOutcome::Failed("connection refused".into()),
        other => panic!("a write ends done, refused, unclear or failed, not {other}"),
    }
}

/// `tl 3 a1`
pub fn origin(words: &mut Words<'_>) -> Origin {
    words.eat("tl");
    let timeline = words.timeline();
    let checksum = u32::from_str_radix(words.word(), 16).expect("a checksum is hexadecimal");
    Origin { timeline, checksum }
}

/// `tl 3 a1` or `not here`
pub fn origin_or_none(words: &mut Words<'_>) -> Option<Origin> {
    (!words.eat("not here")).then(|| origin(words))
}

pub fn recovery(words: &mut Words<'_>) -> RecoveryMatch {
    match words.rest() {
        "fits" => RecoveryMatch::Same,
        "needs reload" => RecoveryMatch::Reload(Asks::Nobody),
        "needs reload, asks another" => RecoveryMatch::Reload(Asks::Another),
        "needs reload, asks it" => RecoveryMatch::Reload(Asks::Wanted),
        "needs restart" => RecoveryMatch::Restart,
        other => panic!("the upstream fits, needs reload or needs restart, not {other}"),
    }
}

/// `in 30 s`, `20 s ago`, `at nonsense`
pub fn schedule(words: &mut Words<'_>, now: Now) -> Schedule {
    if words.eat("at") {
        return Schedule { text: words.word().to_owned(), at: None };
    }
    let ahead = words.eat("in");
    let seconds = words.seconds().as_secs() as i64;
    if !ahead {
        assert!(words.eat("ago"), "a schedule is `in 30 s`, `20 s ago` or `at nonsense`");
    }
    schedule_at(now, if ahead { seconds } else { -seconds })
}

/// `standby tl 4 at 0/5000, leader tl 5, history 4 at 0/4000`; `primary … checkpoint ends 0/5060`; with our own history
/// `… at 0/5000, our history 3 at 0/3000, leader …`, and with WAL of timeline 5 that was received and not replayed
/// `… at 0/5000, received tl 5, …`; `… leader in recovery tl 4 …`; or `leader cannot be asked: no answer`, and of our own
/// side `ours cannot be read: no such file`
pub fn divergence(words: &mut Words<'_>) -> Divergence {
    if words.eat("leader cannot be asked:") {
        return Divergence::Unread(Unread::Leaders(words.rest().to_owned()));
    }
    if words.eat("ours cannot be read:") {
        return Divergence::Unread(Unread::Ours(words.rest().to_owned()));
    }
    let in_recovery = words.eat("standby");
    assert!(in_recovery || words.eat("primary"), "are we a standby or a former primary?");
    assert!(words.eat("tl"), "on which timeline?");
    let local_timeline = words.timeline();
    assert!(words.eat("at"), "at which position?");
    let local_lsn = words.lsn();
    let shutdown_checkpoint_end = words.eat("checkpoint ends").then(|| words.lsn());
    let newest_timeline = if words.eat("received tl") { words.timeline() } else { local_timeline };
    let local_history = forks(words, "our history");
    assert!(words.eat("leader"), "and the leader?");
    let leader_unready = words.eat("in recovery").then(|| "the leader is still in recovery".to_owned());
    assert!(words.eat("tl"), "on which timeline is the leader?");
    Divergence::Compared(Box::new(Comparison {
        local_timeline,
        local_lsn,
        in_recovery,
        newest_timeline,
        local_history,
        leader_timeline: words.timeline(),
        leader_history: forks(words, "history"),
        leader_unready,
        last_wal: last_wal(words),
        shutdown_checkpoint_end,
    }))
}

/// `same last WAL`, `other WAL on tl 2`
fn last_wal(words: &mut Words<'_>) -> LastWal {
    if words.eat("other WAL on tl") {
        return LastWal::Other(words.timeline());
    }
    if words.eat("same last WAL") { LastWal::Same } else { LastWal::Unknown }
}

/// `history 3 at 0/3000 history 4 at 0/4000`
fn forks(words: &mut Words<'_>, named: &str) -> Option<Vec<(Timeline, Lsn)>> {
    let mut forks = Vec::new();
    while words.eat(named) {
        let parent = words.timeline();
        assert!(words.eat("at"), "a fork is `4 at 0/4000`");
        forks.push((parent, words.lsn()));
    }
    Some(forks).filter(|forks| !forks.is_empty())
}

/// `tl 3, 1 at 0/3000, 2 at 0/4000`
pub fn history_file(words: &mut Words<'_>) -> Option<HistoryFile> {
    if words.eat("missing") {
        return None;
    }
    assert!(words.eat("tl"), "a history file is `tl 3, 1 at 0/3000, …`");
    let timeline = words.timeline();
    let mut lines = Vec::new();
    while !words.is_empty() {
        let parent = words.number() as u32;
        assert!(words.eat("at"), "a history line is `1 at 0/3000`");
        lines.push((parent, words.lsn(), "no recovery target specified".to_owned()));
    }
    Some(HistoryFile { timeline, lines, modified: "2026-07-23T12:00:00+00:00".into() })
}

pub fn memory(words: &mut Words<'_>, memory: &mut Memory, now: Now) {
    while !words.is_empty() {
        if !(flags(words, memory) || instants(words, memory, now) || states(words, memory, now)) {
            words.lost();
        }
    }
}

fn flags(words: &mut Words<'_>, memory: &mut Memory) -> bool {
    let flag = if words.eat("crashed") {
        &mut memory.crashed
    } else if words.eat("recovering") {
        &mut memory.recovering
    } else if words.eat("crash recovery tried") {
        &mut memory.crash_recovery_tried
    } else if words.eat("pre_promote refused") {
        &mut memory.pre_promote_refused
    } else if words.eat("won the race") {
        &mut memory.won_race
    } else if words.eat("lost the race") {
        &mut memory.lost_race
    } else if words.eat("leaving") {
        &mut memory.leaving
    } else if words.eat("join aborted") {
        &mut memory.join_aborted
    } else {
        return false;
    };
    *flag = true;
    true
}

fn instants(words: &mut Words<'_>, memory: &mut Memory, now: Now) -> bool {
    let ago = |words: &mut Words<'_>| {
        let since = now.mono - words.seconds();
        words.eat("ago");
        Some(since)
    };
    if words.eat("gave the key back after pre_promote") {
        memory.promotion_refused = ago(words);
    } else if words.eat("race open since") {
        memory.race_opened = ago(words);
    } else if words.eat("starting since") {
        memory.starting_since = ago(words);
    } else if words.eat("start timeout") {
        memory.start_timeout = Some(words.seconds());
    } else if words.eat("was at") {
        memory.previous_wal = Some(words.lsn());
    } else {
        return false;
    }
    true
}

fn states(words: &mut Words<'_>, memory: &mut Memory, now: Now) -> bool {
    if words.eat("rewind") {
        memory.rewind = match words.word() {
            "suspected" => Rewind::Suspected,
            "needed" => Rewind::Needed,
            "unneeded" => Rewind::NotNeeded,
            "done" => Rewind::Done,
            "failed" => Rewind::Failed,
            "useless" => Rewind::Useless,
            other => panic!("a rewind cannot be {other}"),
        };
    } else if words.eat("bootstrap") {
        memory.bootstrap = Some(match words.word() {
            "begun" => Bootstrap::Creating,
            "failed" => Bootstrap::Failed,
            "prepared" => Bootstrap::Prepared,
            other => panic!("a bootstrap cannot be {other}"),
        });
    } else if words.eat("comes back") {
        memory.comes_back = match words.word() {
            "standby" => ComesBack::AsStandby,
            "leader" => ComesBack::AsLeader,
            other => panic!("PostgreSQL does not come back as {other}"),
        };
    } else if words.eat("checkpoint") {
        memory.checkpoint = match words.word() {
            "asked" => CheckpointAfterPromote::Asked,
            "done" => CheckpointAfterPromote::Done,
            other => panic!("a checkpoint cannot be {other}"),
        };
    } else if words.eat("step-down") {
        step_down(words, memory, now);
    } else if words.eat("restart planned") {
        memory.scheduled_restart = Some(ScheduledRestart {
            schedule: schedule(words, now),
            conditions: conditions(words),
            postmaster_start_time: Some(started()),
        });
    } else {
        return false;
    }
    true
}

/// `if role primary`, `if pending`, `if older than 16.0`, `timeout 5 s`
pub fn conditions(words: &mut Words<'_>) -> RestartConditions {
    let mut conditions = RestartConditions::default();
    loop {
        if words.eat("if role") {
            conditions.role = Some(words.role());
        } else if words.eat("if pending") {
            conditions.restart_pending = Some(true.into());
        } else if words.eat("if older than") {
            conditions.postgres_version = Some(words.word().to_owned());
        } else if words.eat("timeout") {
            conditions.timeout_seconds = Some(words.seconds().as_secs());
        } else {
            return conditions;
        }
    }
}

/// `graceful, stopped at 0/5060, released 1 s ago`
fn step_down(words: &mut Words<'_>, memory: &mut Memory, now: Now) {
    let mode = match words.word() {
        "offline" => StepDownMode::Offline,
        "graceful" => StepDownMode::Graceful,
        "immediate" => StepDownMode::Immediate,
        "immediate-nolock" => StepDownMode::ImmediateNoLock,
        "shutdown" => StepDownMode::Shutdown,
        other => panic!("no way to step down: {other}"),
    };
    memory.apply(&Mark::SteppingDown(mode), now);
    let step_down = memory.step_down.as_mut().expect("we have just begun to step down");
    loop {
        if words.eat("stopped at") {
            step_down.stopped = Some(Some(shutdown_position(words)));
        } else if words.eat("stopped") {
            step_down.stopped = Some(None);
        } else if words.eat("released") {
            step_down.released_at = Some(now.mono - words.seconds());
            words.eat("ago");
        } else if words.eat("waiting for a successor until") {
            step_down.successor_until = Some(now.mono + words.seconds());
        } else {
            return;
        }
    }
}

/// `0/5060`, or `0/5060 publish 0/5028`
pub fn shutdown_position(words: &mut Words<'_>) -> ShutdownPosition {
    let checkpoint = words.lsn();
    let publish = if words.eat("publish") { words.lsn() } else { checkpoint };
    ShutdownPosition { checkpoint, publish }
}

/// `promote since 3 s`
pub fn job(words: &mut Words<'_>, now: Now) -> JobView {
    let job = named_job(words);
    let (mut since, mut shut_down) = (now.mono, None);
    while !words.is_empty() {
        if words.eat("since") {
            since = now.mono - words.seconds();
        } else if words.eat("shut down at") {
            shut_down = Some(shutdown_position(words));
        } else {
            words.lost();
        }
    }
    JobView::Running { job, since, state: None, shut_down }
}

fn named_job(words: &mut Words<'_>) -> Job {
    let upstream = UpstreamMember { name: MemberName::new("a"), host: "a".into(), port: 5432 };
    let source = CloneSource::Member { member: upstream.clone(), is_leader: true };
    let then_follow = Upstream::Member(upstream);
    let stop = |mode, report_shutdown| {
        let checkpoint = CheckpointFirst::No;
        Job::Stop(Stop { mode, checkpoint, timeout: None, report_shutdown, purpose: "switchover: demote".into() })
    };
    let jobs = [
        ("promote", Job::Promote { wait: Duration::from_secs(10) }),
        ("restart", Job::Restart { timeout: None }),
        ("start primary", Job::StartPrimary { timeout: Duration::from_secs(300) }),
        ("start standby", Job::StartStandby { upstream: then_follow.clone(), role: Role::Replica, timeout: None }),
        ("clone", Job::Clone { source: source.clone(), then_follow: then_follow.clone() }),
        ("reinitialize", Job::Reinitialize { source, then_follow: then_follow.clone(), only_basebackup: false }),
        ("rewind", Job::Rewind { from: then_follow, from_agent_can_be_trusted: true }),
        ("crash recovery", Job::CrashRecovery),
        ("bootstrap", Job::Bootstrap),
        ("post_bootstrap", Job::PostBootstrap),
        ("stop fast", stop(StopMode::Fast, true)),
        ("stop immediate", stop(StopMode::Immediate, false)),
    ];
    let found = jobs.into_iter().find(|(name, _)| words.eat(name));
    found.map_or_else(|| words.lost(), |(_, job)| job)
}
