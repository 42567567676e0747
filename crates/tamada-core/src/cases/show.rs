//! Decisions and effects in words.

use tamada_model::{CheckpointFirst, CloneSource, Job, Member, Status, Stop, StopMode, Upstream};

use crate::decision::{Decision, Fact, Note, NoteLevel, Verdict};
use crate::explain::explanation;
use crate::plan::{Act, Command, DcsWrite, Plan, Then, WriteOutcome};
use crate::slots::SlotPlan;

pub fn decision(decision: &Decision, plan: &Plan) -> Vec<String> {
    let mut lines = vec![format!("{} because {:?}", verdict(&decision.verdict), decision.because)];
    if let Some(sentence) = &plan.sentence {
        lines.push(format!("says: {sentence}"));
    }
    lines.push(format!("why: {}", explanation(&decision.because)));
    lines.extend(plan.notes.iter().map(note));
    lines.extend(plan.acts.iter().map(|act| format!("does: {}", self::act(act))));
    lines.extend(plan.chores.iter().map(|act| format!("also: {}", self::act(act))));
    if plan.then == Then::LookAgain {
        lines.push("then: looks again".into());
    }
    if !plan.marks.is_empty() {
        let marks: Vec<String> = plan.marks.iter().map(|mark| format!("{mark:?}")).collect();
        lines.push(format!("remembers: {}", marks.join(", ")));
    }
    lines
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Promote(_) => "Promote".into(),
        Verdict::Run(_) => "Run".into(),
        Verdict::Repoint { .. } => "Repoint".into(),
        Verdict::Stay
        | Verdict::Renew
        | Verdict::Acquire
        | Verdict::StepDown(_)
        | Verdict::Release(_)
        | Verdict::BeginBootstrap
        | Verdict::FinishBootstrap(_)
        | Verdict::AbandonBootstrap
        | Verdict::ClearInitialize
        | Verdict::ClaimInitialize { .. }
        | Verdict::CancelAndStepDown(_)
        | Verdict::Leave(_) => format!("{verdict:?}"),
    }
}

pub fn note(note: &Note) -> String {
    let level = match note.level {
        NoteLevel::Info => "info",
        NoteLevel::Warning => "warning",
        NoteLevel::Error => "error",
        NoteLevel::Critical => "critical",
    };
    format!("{level}: {}", note.text.trim_end().replace('\n', "\\n"))
}

pub fn fact(fact: &Fact) -> String {
    match fact {
        Fact::Peers(questions) => {
            let each: Vec<String> =
                questions.iter().map(|question| format!("{} (for {:?})", question.name, question.patience)).collect();
            each.join(", ")
        }
        Fact::RecoveryMatch(to) => format!("whether the recovery configuration fits following {}", upstream(to)),
        Fact::Divergence(from) => format!("whether our data left the history of {}", upstream(from)),
        Fact::Origin(timeline) => format!("what timeline {timeline} of ours began with"),
        Fact::HistoryFile(timeline) => format!("for the local history file of timeline {timeline}"),
    }
}

pub fn upstream(upstream: &Upstream) -> String {
    match upstream {
        Upstream::Nobody => "nobody".into(),
        Upstream::Member(member) => format!("{} at {}:{}", member.name, member.host, member.port),
        Upstream::Remote(remote) => format!("the remote {:?}", remote.host),
    }
}

pub fn act(act: &Act) -> String {
    match act {
        Act::Dcs(write) => self::write(write),
        Act::Command(command) => self::command(command),
        Act::Start(job) => self::job(job),
        Act::Cancel => "cancel the running job".into(),
        Act::Fence => "kill PostgreSQL at once".into(),
        Act::Leave(how) => format!("leave {how:?}"),
    }
}

pub fn write(write: &DcsWrite) -> String {
    match write {
        DcsWrite::Acquire => "take the lock if it is free".into(),
        DcsWrite::Renew { status: None } => "renew the lock".into(),
        DcsWrite::Renew { status: Some(status) } => format!("renew the lock, {}", self::status(status)),
        DcsWrite::Take => "take the lock whoever holds it".into(),
        DcsWrite::Release { last: None } => "give the lock back".into(),
        DcsWrite::Release { last: Some(last) } => format!("give the lock back with last position {last}"),
        DcsWrite::BeginBootstrap => "create an empty initialize key".into(),
        DcsWrite::SetInitialize { id, over_existing: true } => format!("write {id} to the initialize key"),
        DcsWrite::SetInitialize { id, over_existing: false } => format!("create the initialize key with {id}"),
        DcsWrite::DeleteInitialize => "delete the initialize key".into(),
        DcsWrite::SetConfig(config) => format!("write the config key: {} settings", config.len()),
        DcsWrite::ClearFailover(stamp) => format!("clear the failover key read as {}", stamp.as_str()),
        DcsWrite::SetFailover { request, judged } => {
            format!("reduce the failover key read as {} to candidate {:?}", judged.as_str(), request.candidate)
        }
        DcsWrite::SetSync { sync, judged } => {
            let standbys: Vec<&str> = sync.standbys.iter().map(tamada_model::MemberName::as_str).collect();
            let leader = sync.leader.as_ref().map_or("nobody", |leader| leader.as_str());
            let quorum = if sync.quorum == 0 { String::new() } else { format!(", quorum {}", sync.quorum) };
            let read = judged.as_ref().map_or("absent".into(), |judged| format!("read as {}", judged.as_str()));
            format!("write the sync key {read}: {leader} with [{}]{quorum}", standbys.join(", "))
        }
        DcsWrite::DeleteSync(judged) => format!("delete the sync key read as {}", judged.as_str()),
        DcsWrite::SetHistory(entries) => {
            let each: Vec<String> = entries
                .iter()
                .map(|entry| {
                    let known = if entry.at.is_some() { "" } else { " incomplete" };
                    let leader = entry.new_leader.as_ref().map_or(String::new(), |name| format!(" then led by {name}"));
                    format!("{} at {}{leader}{known}", entry.timeline, entry.lsn)
                })
                .collect();
            format!("write the history key: [{}]", each.join(", "))
        }
    }
}

fn status(status: &Status) -> String {
    let slots: Vec<String> = status.slots.iter().map(|(name, lsn)| format!("{name} {lsn}")).collect();
    format!("at {}, slots [{}], kept [{}]", status.optime, slots.join(", "), status.retain_slots.join(", "))
}

pub fn command(command: &Command) -> String {
    match command {
        Command::Repoint { upstream, role } => {
            format!("point to {} by reload, as {}", self::upstream(upstream), role.text())
        }
        Command::SetRole(role) => format!("role is {} now", role.text()),
        Command::FireRoleChange(role) => format!("callback on_role_change {}", role.text()),
        Command::FireOnStart => "callback on_start".into(),
        Command::ResumeReplay => "resume WAL replay".into(),
        Command::SyncSlots(plan) => format!("slots: {}", slots(plan)),
        Command::SetSyncNames(names) if names.holds_commits() => format!("commits wait for {names}"),
        Command::SetSyncNames(_) => "commits wait for nobody".into(),
        Command::CheckpointAfterPromote => "begin a checkpoint".into(),
    }
}

fn slots(plan: &SlotPlan) -> String {
    let each: Vec<String> = plan
        .wanted
        .iter()
        .map(|slot| match (slot.active_here, slot.lsn) {
            (true, _) => slot.name.clone(),
            (false, Some(lsn)) => format!("{} kept at {lsn}", slot.name),
            (false, None) => format!("{} kept", slot.name),
        })
        .collect();
    let unknown = if plan.keep_unknown { ", unknown ones stay" } else { "" };
    format!("[{}]{unknown}", each.join(", "))
}

pub fn job(job: &Job) -> String {
    let limit = |timeout: &Option<std::time::Duration>| timeout.map_or(String::new(), |t| format!(" within {t:?}"));
    match job {
        Job::Bootstrap => "bootstrap".into(),
        Job::PostBootstrap => "post_bootstrap".into(),
        Job::Clone { source, then_follow } => format!("clone {}, then follow {}", from(source), upstream(then_follow)),
        Job::Reinitialize { source, then_follow, only_basebackup } => {
            let only = if *only_basebackup { " by basebackup only" } else { "" };
            format!("reinitialize {}{only}, then follow {}", from(source), upstream(then_follow))
        }
        Job::StartPrimary { timeout } => format!("start PostgreSQL as it is within {timeout:?}"),
        Job::StartStandby { upstream, role, timeout } => {
            format!("start as {} following {}{}", role.text(), self::upstream(upstream), limit(timeout))
        }
        Job::ChangeUpstream { upstream, role } => {
            format!("restart as {} following {}", role.text(), self::upstream(upstream))
        }
        Job::Restart { timeout } => format!("restart{}", limit(timeout)),
        Job::Promote { wait } => format!("promote, waiting {wait:?} for it to be writable"),
        Job::CrashRecovery => "crash recovery in single-user mode".into(),
        Job::Rewind { from, from_agent_can_be_trusted: true } => format!("pg_rewind from {}", upstream(from)),
        Job::Rewind { from, from_agent_can_be_trusted: false } => {
            format!("pg_rewind from {} after a checkpoint there", upstream(from))
        }
        Job::Stop(stop) => self::stop(stop),
        Job::AbandonBootstrap => "stop PostgreSQL and move its data aside".into(),
        Job::RemoveData => "remove the data directory".into(),
    }
}

fn stop(stop: &Stop) -> String {
    let mode = match stop.mode {
        StopMode::Fast => "fast",
        StopMode::Immediate => "immediately",
    };
    let checkpoint = match stop.checkpoint {
        CheckpointFirst::Yes => " after a checkpoint",
        CheckpointFirst::No => "",
    };
    let limit = stop.timeout.map_or(String::new(), |timeout| format!(", harder after {timeout:?}"));
    let report = if stop.report_shutdown { ", telling when its WAL has ended" } else { "" };
    format!("stop PostgreSQL {mode}{checkpoint}{limit}{report} ({})", stop.purpose)
}

fn from(source: &CloneSource) -> String {
    match source {
        CloneSource::Member { member, is_leader: true } => format!("from leader {}", member.name),
        CloneSource::Member { member, is_leader: false } => format!("from replica {}", member.name),
        CloneSource::Remote(remote) => format!("from the remote {:?}", remote.host),
        CloneSource::WithoutLeader => "without a leader".into(),
    }
}

pub fn outcome(outcome: &WriteOutcome) -> &'static str {
    match outcome {
        WriteOutcome::Done => "done",
        WriteOutcome::Beaten => "refused",
        WriteOutcome::Unclear(_) => "no clear answer",
        WriteOutcome::Failed(_) => "failed",
    }
}

pub fn member(record: &Member) -> String {
    let mut text = record.state.clone().unwrap_or_default();
    if let Some(role) = record.role {
        text += &format!(" {}", role.text());
    }
    if let Some(timeline) = record.timeline {
        text += &format!(" tl {timeline}");
    }
    if record.checkpoint_after_promote == Some(false) {
        text += ", checkpoint after promotion not done";
    }
    if record.scheduled_restart.is_some() {
        text += ", restart planned";
    }
    if record.pause {
        text += ", paused";
    }
    text
}
