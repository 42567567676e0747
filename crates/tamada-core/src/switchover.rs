//! Requests to move the leader: what the leader makes of them, what the others do once the lock is free, and whether
//! anybody could take over at all (ha-loop.md 14).

use std::sync::Arc;
use std::time::Duration;

use tamada_model::{
    Cluster, FailoverKind, FailoverRequest, Live, Lsn, Member, MemberName, Members, PeerAnswer, PeerStatus, Stamped,
    Timeline, WalBytes,
};

use crate::View;
use crate::decision::{Chore, Fact, Note, Unfit};
use crate::race::{self, Candidacy};
use crate::schedule::{Due, due};
use crate::synchronous::election::electorate;

/// What the leader does about the request in this pass (14.5).
#[derive(Clone, PartialEq, Debug)]
pub enum Handling {
    /// No request, or not ours to act on.
    Nothing,
    /// Not yet due.
    Wait(Note),
    Ask(Fact),
    /// It cannot or need not be done: delete it.
    Drop(Chore, Vec<Note>),
    Demote {
        kind: FailoverKind,
        to: Option<MemberName>,
        notes: Vec<Note>,
    },
}

pub fn on_leader(view: &View<'_>, cluster: &Cluster) -> Handling {
    let Some(request) = &cluster.failover else {
        return Handling::Nothing;
    };
    if view.settings.pause && (!view.is_primary() || request.value.scheduled_at.is_some()) {
        return Handling::Nothing;
    }
    let kind = request.value.kind();
    let mut notes = Vec::new();
    match due(request.value.scheduled_at.as_ref(), kind.bare(), view.now.wall, view.settings.loop_wait) {
        Due::Unscheduled => {}
        Due::Now(note) => notes.push(note),
        Due::Later(note) => return Handling::Wait(note),
        Due::Stale(note) => return drop_request(request, vec![note]),
    }
    if let Some(note) = objection(view, &request.value) {
        notes.push(note);
        return drop_request(request, notes);
    }
    match possible(view, cluster, Wanted { candidate: request.value.candidate.as_ref(), must_have: None, kind }) {
        Possible::Ask(fact) => Handling::Ask(fact),
        Possible::Yes(found) => {
            notes.extend(found.notes);
            Handling::Demote { kind, to: request.value.candidate.clone(), notes }
        }
        Possible::No(why) => {
            notes.extend(why);
            notes.push(Note::warning(format!(
                "{}: no healthy members found, {} is not possible",
                kind.act(),
                kind.bare()
            )));
            drop_request(request, notes)
        }
    }
}

/// The request that a step-down under way serves.
///
/// 1. A switchover to b is scheduled for tonight. a, which requires a guard, loses its own, and steps down now.
/// 2. It has a guard again before b has all its WAL, and gives up what looks like a switchover to b.
/// 3. The request is cleared, and tonight nothing happens.
///
/// Therefore a request for later has no say in what happens now. One whose time has passed meanwhile has: stopping takes
/// time.
pub fn request_for_now<'c>(view: &View<'_>, cluster: &'c Cluster) -> Option<&'c Stamped<FailoverRequest>> {
    cluster.failover.as_ref().filter(|request| {
        let kind = request.value.kind();
        match due(request.value.scheduled_at.as_ref(), kind.bare(), view.now.wall, view.settings.loop_wait) {
            Due::Later(_) => false,
            Due::Unscheduled | Due::Now(_) | Due::Stale(_) => true,
        }
    })
}

fn drop_request(request: &Stamped<FailoverRequest>, mut notes: Vec<Note>) -> Handling {
    notes.push(Note::info("Cleaning up failover key"));
    Handling::Drop(Chore::ClearFailover(request.stamp.clone()), notes)
}

/// Why the request makes no sense for us, as a log line.
fn objection(view: &View<'_>, request: &FailoverRequest) -> Option<Note> {
    let (act, bare) = (request.kind().act(), request.kind().bare());
    let me = &view.me.name;
    if let Some(leader) = request.leader.as_ref().filter(|leader| *leader != me) {
        return Some(Note::warning(format!("{act}: leader name does not match: {leader} != {me}")));
    }
    if request.candidate.as_ref() == Some(me) {
        return Some(Note::warning(format!("{act}: I am already the leader, no need to {bare}")));
    }
    if request.candidate.is_none() && view.settings.pause {
        let title = title_case(act);
        return Some(Note::warning(format!("{title} is possible only to a specific candidate in a paused state")));
    }
    None
}

fn title_case(act: &str) -> String {
    act.split(' ')
        .map(|word| {
            word.chars().next().map_or(String::new(), |c| c.to_uppercase().chain(word.chars().skip(1)).collect())
        })
        .collect::<Vec<String>>()
        .join(" ")
}

/// What a request says about our candidacy when nobody leads (14.8).
#[derive(Clone, PartialEq, Debug)]
pub enum Claim {
    /// As if there were no request.
    RequestIsVoid,
    Candidacy(Candidacy),
}

pub fn without_leader(view: &View<'_>, cluster: &Cluster, request: &FailoverRequest) -> Claim {
    let me = &view.me.name;
    match &request.candidate {
        Some(candidate) if candidate == me => Claim::Candidacy(named_candidate(view, cluster, request)),
        Some(candidate) => another_candidate(view, cluster, request, candidate),
        None if view.settings.pause => Claim::Candidacy(Candidacy::unfit(Unfit::Paused)),
        None => Claim::Candidacy(without_candidate(view, cluster, request)),
    }
}

/// How long the last WAL may be on its way: a receiver that waits for a host that died would wait for a minute.
const LAST_WAL_PATIENCE: Duration = Duration::from_secs(2);

/// The operator named us: no comparison with others (14.8 a).
///
/// 1. A switchover from a to b is asked for. b has everything, and a lets the lock go; or a is lost before.
/// 2. At that moment the operator makes it a switchover to c, which lacks a little.
/// 3. c finds itself named, compares itself with nobody, and leads: a planned change has lost what b has.
///
/// Therefore who lacks in a switchover what the old leader published last is a candidate like any other, and bound by
/// `maximum_lag_on_failover`. So is a voter where commits wait for a quorum: what was published says nothing about the
/// commits since. (Not so in the original.) A manual failover is not: who asks for that knows why.
fn named_candidate(view: &View<'_>, cluster: &Cluster, request: &FailoverRequest) -> Candidacy {
    let mine = view.live().map(Live::wal_position).unwrap_or_default();
    let by_quorum = electorate(view, cluster).is_some_and(|voters| voters.votes());
    if by_quorum && request.leader.as_ref() == Some(&view.me.name) {
        return race::health_check(view, cluster, None);
    }
    match request.leader.is_some() && (by_quorum || mine < cluster.status.optime) {
        true => without_candidate(view, cluster, request),
        false => Candidacy::Fit(Vec::new()),
    }
}

/// We lack what the leader published last, and it is not long ago that the lock became free.
fn behind_published(view: &View<'_>, cluster: &Cluster) -> Option<Unfit> {
    let published = cluster.status.optime;
    let mine = view.live().map(Live::wal_position).unwrap_or_default();
    (mine < published && may_yet_arrive(view)).then_some(Unfit::BehindPublishedPosition { mine, published })
}

fn may_yet_arrive(view: &View<'_>) -> bool {
    let waited = view.memory.race_opened.map_or(Duration::ZERO, |opened| view.now.mono.since(opened));
    waited < LAST_WAL_PATIENCE
}

fn another_candidate(view: &View<'_>, cluster: &Cluster, request: &FailoverRequest, candidate: &MemberName) -> Claim {
    let act = request.kind().act();
    let member = cluster.members.get(candidate);
    if view.settings.pause {
        return match member {
            None if view.is_primary() => Claim::RequestIsVoid,
            None | Some(_) => {
                Claim::Candidacy(Candidacy::unfit(Unfit::CandidateIsAnother { candidate: candidate.clone() }))
            }
        };
    }
    // 14.8 c: also where whoever was named cannot lead.
    let excluded = electorate(view, cluster).and_then(|voters| voters.excludes(&view.me.name, false));
    if let Some(unfit) = excluded {
        return Claim::Candidacy(Candidacy::unfit(unfit));
    }
    let healthy = member.map(|member| ask_one(view, cluster, candidate, member));
    match healthy {
        Some(Health::Ask(fact)) => Claim::Candidacy(Candidacy::Ask(fact)),
        Some(Health::Good) => Claim::Candidacy(Candidacy::Unfit(
            Unfit::CandidateIsAnother { candidate: candidate.clone() },
            vec![Note::info(format!("{act}: to {candidate}, i am {}", view.me.name))],
        )),
        Some(Health::Bad(note)) => Claim::Candidacy(with_notes(vec![note], without_candidate(view, cluster, request))),
        None => Claim::Candidacy(without_candidate(view, cluster, request)),
    }
}

fn with_notes(mut first: Vec<Note>, candidacy: Candidacy) -> Candidacy {
    match candidacy {
        Candidacy::Ask(fact) => Candidacy::Ask(fact),
        Candidacy::Fit(notes) => {
            first.extend(notes);
            Candidacy::Fit(first)
        }
        Candidacy::Unfit(because, notes) => {
            first.extend(notes);
            Candidacy::Unfit(because, first)
        }
    }
}

/// 1. A manual failover to b is asked for. b is lost before it hears of it; everybody else is far behind.
/// 2. a takes b's request for leave to lead, however much that loses.
///
/// Therefore who was not named is bound by `maximum_lag_on_failover`, too. (Not so in the original.)
///
/// 14.8 f, g: the old leader lets the others go first; they compare without it. If none of them could, it is a candidate
/// like any other, for it may never have led:
///
/// 1. A manual failover to c is asked for. c, which has little, takes the lock, and is cut off before it is promoted.
/// 2. A switchover from c is asked for: c has the lock. It runs out, and nobody can read the store for a while.
/// 3. c is back first, the old leader of a switchover without a successor. It leads, without what was published. (So in
///    the original.)
fn without_candidate(view: &View<'_>, cluster: &Cluster, request: &FailoverRequest) -> Candidacy {
    if request.leader.as_ref() == Some(&view.me.name) {
        let wanted = Wanted { candidate: None, must_have: None, kind: request.kind() };
        return match possible(view, cluster, wanted) {
            Possible::Ask(fact) => Candidacy::Ask(fact),
            Possible::Yes(found) => {
                Candidacy::Unfit(Unfit::OldLeaderOfSwitchover { successors: found.successors }, found.notes)
            }
            Possible::No(notes) => with_notes(notes, as_after_a_failure(view, cluster, None)),
        };
    }
    // The old leader gave the lock away because somebody has all its WAL. If that one is slow to answer us, it is slow to
    // veto, too: who has less lets it go first.
    match behind_published(view, cluster) {
        Some(behind) if request.leader.is_some() => Candidacy::unfit(behind),
        Some(_) | None => as_after_a_failure(view, cluster, request.leader.as_ref()),
    }
}

fn as_after_a_failure(view: &View<'_>, cluster: &Cluster, besides: Option<&MemberName>) -> Candidacy {
    race::lag_behind_leader(view, cluster).unwrap_or_else(|| race::health_check(view, cluster, besides))
}

enum Health {
    Ask(Fact),
    Good,
    Bad(Note),
}

fn ask_one(view: &View<'_>, cluster: &Cluster, name: &MemberName, member: &Arc<Member>) -> Health {
    let act = cluster.failover.as_ref().map_or("failover", |request| request.value.kind().act());
    let Some(answers) = &view.seen.asked.peers else {
        // Everybody is asked at once, so that a second round is not needed if this one turns out to be unfit.
        let mut members = race::members_to_ask(view, cluster, None);
        members.extend(Some((name.clone(), member.clone())).filter(|(_, member)| member.api_url.is_some()));
        return match race::questions(view, cluster, &members) {
            questions if questions.is_empty() => Health::Bad(unfit_note(act, name, "not reachable")),
            questions => Health::Ask(Fact::Peers(questions)),
        };
    };
    match answers.get(name) {
        Some(PeerAnswer::Answered(status)) => match limitation(status) {
            None if lags(view, cluster, status) => Health::Bad(unfit_note(act, name, "too far behind")),
            None if lacks_our_commits(view, cluster, status) => Health::Bad(unfit_note(act, name, "too far behind")),
            None if is_excluded(view, cluster, name) => Health::Bad(unfit_note(act, name, "not synchronous")),
            None => Health::Good,
            Some(why) => Health::Bad(unfit_note(act, name, why)),
        },
        Some(PeerAnswer::Silent { .. }) | None => Health::Bad(unfit_note(act, name, "not reachable")),
    }
}

/// By a switchover it leads like any other only (see [`named_candidate`]); nobody waits for it then.
fn lags(view: &View<'_>, cluster: &Cluster, status: &PeerStatus) -> bool {
    let switchover = cluster.failover.as_ref().is_some_and(|request| request.value.leader.is_some());
    let lacks = status.position < cluster.status.optime && !may_yet_arrive(view);
    switchover && (lacks || cluster.status.optime - status.position > view.settings.maximum_lag_on_failover)
}

/// 1. A switchover from a to b is asked for; b is synchronous. a stops; b is no more when it hears of that.
/// 2. b may not lead. a lets it go first, for it is named and well.
/// 3. Nobody leads.
///
/// Therefore nobody waits for a candidate for whom commits do not wait. (The original does.)
fn is_excluded(view: &View<'_>, cluster: &Cluster, name: &MemberName) -> bool {
    let switchover = cluster.failover.as_ref().is_some_and(|request| request.value.leader.is_some());
    switchover && electorate(view, cluster).is_some_and(|voters| voters.excludes(name, true).is_some())
}

/// 1. A switchover from us is asked for, where a quorum decides; we stop, and are given what the candidate does not get
///    any more.
/// 2. It finds us ahead, and nobody else is a voter: it is not elected. We let it go first.
/// 3. Nobody leads, although we have everything.
///
/// Therefore who led waits no longer for a candidate that lacks something than that may take to arrive.
fn lacks_our_commits(view: &View<'_>, cluster: &Cluster, status: &PeerStatus) -> bool {
    let mine = view.live().map(Live::wal_position).unwrap_or_default();
    let voters = electorate(view, cluster).filter(|voters| voters.votes() && voters.led(&view.me.name));
    voters.is_some() && status.position < mine && !may_yet_arrive(view)
}

fn unfit_note(act: &str, name: &MemberName, why: &str) -> Note {
    Note::warning(format!("{act}: member {name} is {why}"))
}

fn limitation(status: &PeerStatus) -> Option<&'static str> {
    if status.tags.nofailover() {
        Some("not allowed to promote")
    } else if status.watchdog_failed {
        Some("not watchdog capable")
    } else {
        None
    }
}

/// Could anybody take over (14.12)?
#[derive(Clone, PartialEq, Debug)]
pub enum Possible {
    Ask(Fact),
    Yes(Found),
    No(Vec<Note>),
}

/// How many could, and what kept the others from it.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    pub successors: usize,
    pub notes: Vec<Note>,
}

#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub candidate: Option<&'a MemberName>,
    /// A position the successor must have; `None`: the usual lag limit applies.
    pub must_have: Option<Lsn>,
    pub kind: FailoverKind,
}

pub fn possible(view: &View<'_>, cluster: &Cluster, wanted: Wanted<'_>) -> Possible {
    let candidates = candidates(view, cluster, wanted.candidate);
    if candidates.is_empty() {
        let note = Note::warning(format!("{}: candidates list is empty", wanted.kind.act()));
        return Possible::No(vec![note]);
    }
    let Some(answers) = &view.seen.asked.peers else {
        return Possible::Ask(Fact::Peers(race::questions(view, cluster, &candidates)));
    };
    let mut notes = Vec::new();
    let mut successors = 0;
    for name in candidates.keys() {
        match fitness(view, cluster, answers.get(name), wanted.must_have) {
            None => successors += 1,
            Some(why) => notes.push(Note::info(why.replace("<x>", name.as_str()))),
        }
    }
    if let Some(note) = quorum_missed(view, cluster, wanted, successors) {
        notes.push(note);
        return Possible::No(notes);
    }
    if successors > 0 { Possible::Yes(Found { successors, notes }) } else { Possible::No(notes) }
}

/// Too few are left for one of them to be elected (14.12).
fn quorum_missed(view: &View<'_>, cluster: &Cluster, wanted: Wanted<'_>, successors: usize) -> Option<Note> {
    let voters = electorate(view, cluster).filter(|voters| voters.votes() && wanted.candidate.is_none())?;
    (successors <= voters.quorum())
        .then(|| Note::info(format!("Quorum requirement {} can not be reached", voters.quorum())))
}

/// Everybody who might, or the one that was named (14.4). Where commits wait for standbys, a switchover goes to one of
/// these; a manual failover to whomever.
fn candidates(view: &View<'_>, cluster: &Cluster, named: Option<&MemberName>) -> Members {
    let mut members = cluster.members.clone();
    let failover =
        cluster.failover.as_ref().is_some_and(|request| request.value.kind() == FailoverKind::ManualFailover);
    let electorate = electorate(view, cluster).filter(|_| !failover);
    members.retain(|name, member| {
        *name != view.me.name
            && electorate.is_none_or(|voters| voters.lists(name))
            && !member.tags.nofailover()
            && member.api_url.is_some()
            && named.is_none_or(|named| named == name)
    });
    members
}

/// What a successor is measured against. A primary knows its own position; the published one may be a third of the ttl
/// old, and a candidate that stopped receiving since then would look fit.
fn leaders_position(view: &View<'_>, cluster: &Cluster) -> Lsn {
    let own = view.live().filter(|live| live.is_primary()).map(Live::wal_position);
    cluster.status.optime.max(own.unwrap_or_default())
}

/// From the beginning of the shutdown checkpoint, WAL does not go on for longer than this: it is one record of some 120
/// bytes, and a page may begin in it. Who has more has it from another timeline.
const ENDING: u64 = 512;

/// 1. Somebody promotes a by hand; its agent stops it, and starts it again as a standby, on timeline 2. It has not found
///    out yet that it cannot follow.
/// 2. c, on timeline 1, stops for a switchover. a has a little more than c by number, and nothing of what c wrote last.
/// 3. c takes a for a successor that has everything, and gives it the lock.
///
/// Therefore nobody succeeds a leader that has stopped with more WAL than it has, or from another timeline, be it one of
/// the same number; from an earlier one neither: it may have got far on that by itself. A standby looks at its own anew
/// when it hears of the leader's; until then, a switchover right after a promotion is given up rather than handed over to
/// it.
fn has_other_wal(view: &View<'_>, cluster: &Cluster, status: &PeerStatus, must_have: Option<Lsn>) -> bool {
    let elsewhere = stopped_on(view, cluster).is_some_and(|ours| status.timeline.is_some_and(|theirs| theirs != ours));
    let has_more = |end| status.position > end + WalBytes::new(ENDING);
    race::is_twin(cluster, status) || must_have.is_some_and(|end| elsewhere || has_more(end))
}

/// Our timeline when we stopped. pg_control may have been looked at before the checkpoint that ends a promotion.
fn stopped_on(view: &View<'_>, cluster: &Cluster) -> Option<Timeline> {
    let checkpointed = view.present().and_then(|present| present.control.as_ref()?.checkpoint_timeline);
    let told = cluster.members.get(&view.me.name).and_then(|member| member.timeline);
    [checkpointed, told, cluster.timeline()].into_iter().flatten().max()
}

/// `None`: it can lead. Else the log line, with `<x>` for its name.
fn fitness(view: &View<'_>, cluster: &Cluster, answer: Option<&PeerAnswer>, must_have: Option<Lsn>) -> Option<String> {
    let status = match answer {
        Some(PeerAnswer::Answered(status)) => status,
        Some(PeerAnswer::Silent { .. }) | None => return Some("Member <x> is not reachable".into()),
    };
    if let Some(why) = limitation(status) {
        return Some(format!("Member <x> is {why}"));
    }
    if has_other_wal(view, cluster, status, must_have) {
        return Some("Member <x> has WAL that is not ours".into());
    }
    let lags = match must_have {
        Some(needed) => status.position < needed,
        None => leaders_position(view, cluster) - status.position > view.settings.maximum_lag_on_failover,
    };
    if lags {
        return Some("Member <x> exceeds maximum replication lag".into());
    }
    if !race::timeline_fits(view, cluster, status.timeline) {
        let theirs = status.timeline.map_or(0, |timeline| timeline.number());
        let last = cluster.timeline().map_or(0, |timeline| timeline.number());
        return Some(format!("Timeline {theirs} of member <x> is behind the cluster timeline {last}"));
    }
    None
}
