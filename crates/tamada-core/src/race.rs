//! Who may run for leader (ha-loop.md 12.5–12.13).
//!
//! Think of runners who can see each other's bibs but not the clock: each decides alone whether to start, and two may
//! start at once. That is fine, because the key can be taken only once. We only have to make sure that nobody starts who
//! would lose commits.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tamada_model::{
    Answers, Cluster, Initialize, Live, Lsn, MemberName, Members, PeerAnswer, PeerStatus, SynchronousMode, Timeline,
};

use crate::decision::{Fact, Note, Unfit};
use crate::guard::{Guarding, Watcher, guarding};
use crate::plant::{Plant, is_planted};
use crate::synchronous::election::electorate;
use crate::view::PeerQuestion;
use crate::{View, switchover};

/// May this member take the free lock?
#[derive(Clone, PartialEq, Debug)]
pub enum Candidacy {
    Ask(Fact),
    Fit(Vec<Note>),
    Unfit(Unfit, Vec<Note>),
}

impl Candidacy {
    pub fn unfit(because: Unfit) -> Self {
        Candidacy::Unfit(because, Vec::new())
    }
}

/// The rows of 12.5, in order.
pub fn candidacy(view: &View<'_>, cluster: &Cluster) -> Candidacy {
    if let Some(seconds_left) = refused_lately(view) {
        return Candidacy::Unfit(
            Unfit::PromotionRefusedLately { seconds_left },
            vec![Note::info(
                "backoff: skip leader race after pre_promote script failure and releasing the lock voluntarily",
            )],
        );
    }
    if view.settings.pause
        && !view.me.tags.nofailover()
        && let Some(request) = cluster.failover.as_ref().filter(|request| request.value.scheduled_at.is_none())
    {
        match switchover::without_leader(view, cluster, &request.value) {
            switchover::Claim::RequestIsVoid => {}
            switchover::Claim::Candidacy(candidacy) => return candidacy,
        }
    }
    match &view.postgres().answers {
        Answers::Rejecting => return Candidacy::unfit(Unfit::Starting),
        Answers::Unasked | Answers::Silent { .. } | Answers::Live(_) => {}
    }
    if let Some(unfit) = unwatched(view) {
        return unfit;
    }
    if view.is_primary() {
        return running_primary(view, cluster);
    }
    standby(view, cluster)
}

/// The row of the watchdog, which is required or not; a primary does not take its lock again without it either.
fn unwatched(view: &View<'_>) -> Option<Candidacy> {
    let (by, because) = match guarding(view) {
        _ if view.settings.pause => return None,
        Guarding::Enough => return None,
        Guarding::Awaited if view.is_primary() => return None,
        Guarding::Awaited => (Watcher::Guard, None),
        Guarding::Missing(by, because) => (by, Some(because.to_owned())),
    };
    let warning = match by {
        Watcher::Guard => "Guard is required and there is none",
        Watcher::Watchdog => "Watchdog device is not usable",
    };
    Some(Candidacy::Unfit(Unfit::Unwatched { by, because }, vec![Note::warning(warning)]))
}

/// Seconds until we may lead again after pre_promote refused (13.2).
pub fn refused_lately(view: &View<'_>) -> Option<u64> {
    let until = view.memory.promotion_refused? + view.settings.ttl;
    let left = view.now.mono.until(until);
    (!left.is_zero()).then_some(left.as_secs())
}

/// A running primary whose lock is free takes it back on the evidence of its timeline alone, without asking anybody
/// (12.6): the history key keeps an old primary, frozen while another was promoted, from discarding that promotion.
fn running_primary(view: &View<'_>, cluster: &Cluster) -> Candidacy {
    if view.settings.pause {
        return match &cluster.initialize {
            Initialize::Absent => Candidacy::Fit(Vec::new()),
            Initialize::Done(id) if Some(*id) == view.system_id() => Candidacy::Fit(Vec::new()),
            Initialize::Done(_) | Initialize::Underway | Initialize::Invalid(_) => {
                Candidacy::unfit(Unfit::ForeignSystemId)
            }
        };
    }
    // A primary that does not answer now was on this timeline at least; timelines only grow.
    let checkpointed = view.present().and_then(|present| present.control.as_ref()?.checkpoint_timeline);
    match (view.timeline().or(checkpointed), cluster.timeline()) {
        (Some(mine), Some(last)) if mine < last && !is_planted(Plant::RaceIgnoresTimeline) => Candidacy::Unfit(
            Unfit::TimelineBehindCluster { mine: Some(mine), cluster: last },
            vec![Note::warning(format!("My timeline {mine} is behind last known cluster timeline {last}"))],
        ),
        (Some(_), _) | (None, None) => Candidacy::Fit(Vec::new()),
        (None, Some(last)) => Candidacy::unfit(Unfit::TimelineBehindCluster { mine: None, cluster: last }),
    }
}

fn standby(view: &View<'_>, cluster: &Cluster) -> Candidacy {
    if view.settings.pause && !is_planted(Plant::PauseIgnoredByRace) {
        return Candidacy::unfit(Unfit::Paused);
    }
    if view.me.tags.nofailover() && !is_planted(Plant::NofailoverIgnored) {
        return Candidacy::unfit(Unfit::NoFailover);
    }
    let named = cluster.failover.as_ref().and_then(|request| request.value.candidate.as_ref());
    if view.memory.rewind.is_beyond_help() && named != Some(&view.me.name) {
        return Candidacy::unfit(Unfit::NeedsCopy);
    }
    let electorate = electorate(view, cluster);
    if let Some(request) = &cluster.failover {
        let switchover = request.value.leader.is_some();
        if let Some(unfit) = electorate.filter(|_| switchover).and_then(|voters| voters.excludes(&view.me.name, true)) {
            return Candidacy::unfit(unfit);
        }
        match switchover::without_leader(view, cluster, &request.value) {
            switchover::Claim::RequestIsVoid => {}
            switchover::Claim::Candidacy(candidacy) => return candidacy,
        }
    }
    if view.settings.failsafe_mode
        && cluster.failsafe.as_ref().is_some_and(|known| !known.is_empty() && !known.contains_key(&view.me.name))
    {
        return Candidacy::unfit(Unfit::NotInFailsafe);
    }
    if let Some(unfit) = electorate.and_then(|voters| voters.excludes(&view.me.name, false)) {
        return Candidacy::unfit(unfit);
    }
    if let Some(unfit) = lag_behind_leader(view, cluster) {
        return unfit;
    }
    if let Some(seconds_left) = waits_for_others(view, cluster) {
        return Candidacy::unfit(Unfit::OthersMayBeBack { seconds_left });
    }
    health_check(view, cluster, None)
}

/// 1. The store is away, longer than a lease; all member keys run out. b's host is lost, and is back before the store.
/// 2. The store is back. a and c, who have everything, have not noticed yet; b reads first. It has never seen a leader,
///    finds nobody to ask, and takes the lock.
/// 3. What b lacks is gone, although two living members had it.
///
/// Therefore a new agent that knows of others only by their slots gives them a moment to show themselves. One that has
/// seen a leader knows whom to ask.
fn waits_for_others(view: &View<'_>, cluster: &Cluster) -> Option<u64> {
    let knows_them = view.memory.cluster_with_leader.as_ref().is_some_and(|before| before.leader_name().is_some());
    let is_there = |slot: &String| cluster.members.keys().any(|name| name.slot_name() == *slot);
    let is_members =
        |slot: &String| *slot != view.me.name.slot_name() && !view.settings.permanent_slots.contains_key(slot);
    let missing = cluster.status.slots.keys().any(|slot| is_members(slot) && !is_there(slot));
    let opened = view.memory.race_opened.unwrap_or(view.now.mono);
    let left = view.now.mono.until(opened + view.settings.loop_wait.min(OTHERS_PATIENCE));
    (missing && !knows_them && !left.is_zero()).then(|| left.as_secs_f64().ceil() as u64)
}

/// Connections to a store that was away are tried again within that time, or within a loop if that is less.
const OTHERS_PATIENCE: Duration = Duration::from_secs(5);

/// 12.8: not too far behind what the leader last told.
pub fn lag_behind_leader(view: &View<'_>, cluster: &Cluster) -> Option<Candidacy> {
    let Some(mine) = view.live().map(Live::wal_position) else {
        return Some(Candidacy::unfit(Unfit::PositionUnknown));
    };
    let allowed = view.settings.maximum_lag_on_failover;
    let leader = cluster.status.optime;
    if leader - mine > allowed && !is_planted(Plant::RaceIgnoresLag) {
        let note = Note::info("My wal position exceeds maximum replication lag");
        return Some(Candidacy::Unfit(Unfit::LagsBehindLeader { mine, leader, allowed }, vec![note]));
    }
    None
}

/// 12.8: on the cluster's timeline, if that is to be checked.
fn behind_cluster(view: &View<'_>, cluster: &Cluster) -> Option<Candidacy> {
    if !view.settings.check_timeline || is_planted(Plant::RaceIgnoresTimeline) {
        return None;
    }
    match (view.timeline(), cluster.timeline()) {
        (_, None) => None,
        (None, Some(_)) => {
            Some(Candidacy::Unfit(Unfit::TimelineUnknown, vec![Note::info("Can not figure out my timeline")]))
        }
        (Some(mine), Some(last)) if mine < last => Some(Candidacy::Unfit(
            Unfit::TimelineBehindCluster { mine: Some(mine), cluster: last },
            vec![Note::info(format!("My timeline {mine} is behind last known cluster timeline {last}"))],
        )),
        (Some(_), Some(_)) => None,
    }
}

/// 1. b is promoted to timeline 3 and dies; a has followed it. c has not heard of that, is promoted, and takes the same
///    number; `history` tells of c's.
/// 2. c is lost before a was compared with it. a is on timeline 3, and its number says that it has everything.
///
/// Therefore the number alone does not do: our own history file must tell the same beginning as the `history` key, and
/// the timeline's first record be the one that was published.
fn beside_cluster(view: &View<'_>, cluster: &Cluster) -> Option<Candidacy> {
    if !view.settings.check_timeline || is_planted(Plant::RaceIgnoresTimeline) {
        return None;
    }
    began_elsewhere(view, cluster).or_else(|| began_otherwise(view, cluster))
}

/// Who led last may not have come to write the key.
fn began_elsewhere(view: &View<'_>, cluster: &Cluster) -> Option<Candidacy> {
    let led = view.memory.cluster_with_leader.as_ref().and_then(|before| before.leader_name()) == Some(&view.me.name);
    if led {
        return None;
    }
    let last = cluster.history.as_ref()?.value.last()?;
    let clusters = cluster.timeline()?;
    let mine = view.timeline().filter(|mine| *mine >= clusters)?;
    let Some(file) = &view.seen.asked.history_file else {
        return Some(Candidacy::Ask(Fact::HistoryFile(mine)));
    };
    let lines = &file.as_ref()?.lines;
    if lines.iter().any(|(parent, left, _)| (*parent, *left) == (last.timeline, last.lsn)) {
        return None;
    }
    if mine > clusters {
        let note = Note::info(format!("My timeline {mine} does not come from the cluster's timeline {clusters}"));
        let unfit = Unfit::TimelinePastCluster { mine, cluster: clusters, left: last.lsn };
        return Some(Candidacy::Unfit(unfit, vec![note]));
    }
    let (_, began, _) = lines.last()?;
    let note = Note::info(format!("My timeline {mine} began at {began}, the cluster's at {}", last.lsn));
    let unfit = Unfit::TimelineBesideCluster { mine, began: *began, clusters: last.lsn };
    Some(Candidacy::Unfit(unfit, vec![note]))
}

fn began_otherwise(view: &View<'_>, cluster: &Cluster) -> Option<Candidacy> {
    let published = cluster.status.origin?;
    let mine = match view.timeline()?.cmp(&published.timeline) {
        Ordering::Less => return None,
        Ordering::Equal => view.present()?.origin,
        Ordering::Greater => match view.seen.asked.origin {
            None => return Some(Candidacy::Ask(Fact::Origin(published.timeline))),
            Some(found) => found,
        },
    };
    if mine? == published {
        return None;
    }
    let mine = published.timeline;
    let note = Note::info(format!("My timeline {mine} began at the same place as the cluster's, with another record"));
    Some(Candidacy::Unfit(Unfit::TwinOfClustersTimeline { mine }, vec![note]))
}

/// Asks everybody else (12.7–12.10). `besides`: somebody not to be asked (the old leader of a switchover).
pub fn health_check(view: &View<'_>, cluster: &Cluster, besides: Option<&MemberName>) -> Candidacy {
    let Some(mine) = view.live().map(Live::wal_position) else {
        return Candidacy::unfit(Unfit::PositionUnknown);
    };
    if let Some(candidacy) = behind_cluster(view, cluster).or_else(|| beside_cluster(view, cluster)) {
        return candidacy;
    }
    if is_planted(Plant::RaceAsksNobody) {
        return Candidacy::Fit(Vec::new());
    }
    let members = members_to_ask(view, cluster, besides);
    let nobody = BTreeMap::new();
    let answers = match (&view.seen.asked.peers, questions(view, cluster, &members)) {
        (Some(answers), _) => answers,
        (None, questions) if questions.is_empty() => &nobody,
        (None, questions) => return Candidacy::Ask(Fact::Peers(questions)),
    };
    let electorate = electorate(view, cluster);
    let mut notes = Vec::new();
    let (mut votes, mut somebody_ahead) = (0, false);
    for name in members.keys() {
        match answers.get(name) {
            Some(PeerAnswer::Answered(status)) => match word(view, cluster, name, status, mine, &mut notes) {
                Word::Veto(unfit) => return Candidacy::Unfit(unfit, notes),
                Word::Ahead => somebody_ahead = true,
                Word::NotAhead if electorate.is_some_and(|voters| voters.votes() && voters.includes(name)) => {
                    notes.push(Note::info(format!("Got quorum vote from {name}")));
                    votes += 1;
                }
                Word::NotAhead | Word::None => {}
            },
            // Unreachable members never block (12.12); nor does one we could not ask. They do not vote either.
            Some(PeerAnswer::Silent { .. }) | None => {}
        }
    }
    match electorate.and_then(|voters| voters.refuses(&view.me.name, votes, somebody_ahead)) {
        Some(unfit) => Candidacy::Unfit(unfit, notes),
        None => Candidacy::Fit(notes),
    }
}

/// Everybody who may have a say: members of the last cluster with a leader, overlaid by who was seen since, and by the
/// present ones; not ourselves, not `nofailover` ones (12.7).
///
/// 1. a's key has run out; it can read the store again, and writes the key anew. b stands still, and has missed that.
/// 2. The leader is lost. b finds a's key, asks a, and lets it go first: it has more.
/// 3. a has lost the store again, its key runs out, and b forgets what a said: it takes the lock.
///
/// Therefore whoever was seen since the leader was lost is asked as long as nobody leads. (The original forgets it.)
pub fn members_to_ask(view: &View<'_>, cluster: &Cluster, besides: Option<&MemberName>) -> Members {
    let mut members = view.memory.cluster_with_leader.as_ref().map(|old| old.members.clone()).unwrap_or_default();
    members.extend(view.memory.seen_leaderless.clone());
    members.extend(cluster.members.clone());
    // Where commits wait for standbys, only these and who led them may have what nobody else has.
    let electorate = electorate(view, cluster);
    let votes = electorate.is_some_and(|voters| voters.votes());
    members.retain(|name, member| {
        let has_say = electorate.is_none_or(|voters| voters.includes(name));
        let may_lead = !member.tags.nofailover() || votes;
        *name != view.me.name && Some(name) != besides && member.api_url.is_some() && has_say && may_lead
    });
    members
}

/// How long to wait for each: everybody in the store deserves the full time, for its answer may be a veto that saves
/// commits. A member whose key has run out is dead to the store as well; waiting long for it would only prolong the
/// outage, and it is asked only in case it still runs as primary.
pub fn questions(view: &View<'_>, cluster: &Cluster, members: &Members) -> BTreeSet<PeerQuestion> {
    let full = (view.settings.ttl / 10).clamp(Duration::from_millis(300), Duration::from_secs(2));
    let brief = Duration::from_millis(100);
    members
        .iter()
        .filter_map(|(name, member)| {
            let patience = if cluster.members.contains_key(name) { full } else { brief };
            Some(PeerQuestion { name: name.clone(), api_url: member.api_url.clone()?, patience })
        })
        .collect()
}

/// Answers that do not count (12.10): not allowed to lead by its own word, or without a usable watchdog.
pub fn is_limited(status: &PeerStatus) -> bool {
    status.tags.nofailover() || status.watchdog_failed
}

/// Who has been in the cluster's present longer.
enum ByTimeline {
    Theirs {
        theirs: Timeline,
        mine: Timeline,
    },
    /// What it has more than we was left behind by a promotion that we have seen.
    Mine,
    Neither,
}

/// 1. a leads on timeline 2 and is lost; b is promoted to 3, a little behind. a comes back as a standby.
/// 2. b is lost, too, and comes back. Nobody leads.
/// 3. a has more WAL, on a timeline that was left: b lets it go first, and a may not lead, or leads without what b wrote.
///
/// Therefore positions are compared on one timeline only (the original compares numbers). A timeline that the `history`
/// key does not know is nobody's advantage: somebody promoted by hand, or led too shortly to write it. But what went on
/// where the key tells of a promotion is left behind, whatever came after that.
fn by_timeline(view: &View<'_>, cluster: &Cluster, status: &PeerStatus, own: Lsn) -> ByTimeline {
    if is_planted(Plant::RaceIgnoresTimeline) {
        return ByTimeline::Neither;
    }
    let (Some(theirs), Some(mine)) = (status.timeline, view.timeline()) else {
        return ByTimeline::Neither;
    };
    let known = cluster.history.as_ref().map(|history| history.value.as_slice()).unwrap_or_default();
    let went_on = |timeline: Timeline, position: Lsn| {
        known.iter().find(|entry| entry.timeline == timeline.number()).is_some_and(|entry| position > entry.lsn)
    };
    // Both sides must judge alike, or each lets the other go first, for ever.
    match theirs.cmp(&mine) {
        Ordering::Greater if cluster.timeline() >= Some(theirs) => ByTimeline::Theirs { theirs, mine },
        Ordering::Greater if went_on(mine, own) => ByTimeline::Theirs { theirs, mine },
        Ordering::Less if cluster.timeline() >= Some(mine) => ByTimeline::Mine,
        Ordering::Less if went_on(theirs, status.position) => ByTimeline::Mine,
        Ordering::Greater | Ordering::Less | Ordering::Equal => ByTimeline::Neither,
    }
}

/// 1. `check_timeline` is on; the cluster came to timeline 4. Nobody leads.
/// 2. a, on timeline 2, has more WAL than c, on 4. It may not lead, and c lets it go first.
/// 3. Nobody leads for ever.
///
/// Therefore whoever is kept from leading by its timeline has no say. (It has in the original.) Nor has a twin.
fn may_not_lead_itself(view: &View<'_>, cluster: &Cluster, who: &MemberName, status: &PeerStatus) -> Option<Note> {
    if view.settings.check_timeline && is_twin(cluster, status) {
        return Some(Note::info(format!("{who} is on another timeline of the number of the cluster's")));
    }
    let theirs = status.timeline.filter(|theirs| !timeline_fits(view, cluster, Some(*theirs)))?;
    let last = cluster.timeline()?;
    Some(Note::info(format!("Timeline {theirs} of {who} is behind last known cluster timeline {last}")))
}

/// What a peer's answer means for us (12.10).
enum Word {
    Veto(Unfit),
    /// It has more, which stops nobody: it led, or has no other say than its vote.
    Ahead,
    NotAhead,
    None,
}

fn word(
    view: &View<'_>,
    cluster: &Cluster,
    who: &MemberName,
    status: &PeerStatus,
    mine: Lsn,
    notes: &mut Vec<Note>,
) -> Word {
    if is_planted(Plant::RaceIgnoresAnswers) {
        return Word::None;
    }
    if is_limited(status) {
        return word_of_limited(view, cluster, who, status, mine);
    }
    if !status.in_recovery {
        notes.push(Note::warning(format!("Primary ({who}) is still alive")));
        return Word::Veto(Unfit::PrimaryAlive { who: who.clone() });
    }
    if let Some(note) = may_not_lead_itself(view, cluster, who, status) {
        notes.push(note);
        return word_of_limited(view, cluster, who, status, mine);
    }
    match by_timeline(view, cluster, status, mine) {
        ByTimeline::Theirs { theirs, mine } => {
            notes.push(Note::info(format!("Timeline {theirs} of {who} is newer than my timeline {mine}")));
            return Word::Veto(Unfit::OutrankedByTimeline { who: who.clone(), theirs, mine });
        }
        ByTimeline::Mine => return Word::NotAhead,
        ByTimeline::Neither => {}
    }
    let electorate = electorate(view, cluster);
    if status.position > mine && electorate.is_some_and(|voters| voters.led(who)) {
        notes.push(Note::info("Ignoring the former leader being ahead of us"));
        return Word::Ahead;
    }
    // Whoever has the votes lacks nothing; what goes on on a timeline that was left is no reason to wait for ever.
    if status.position > mine && status.timeline < view.timeline() && electorate.is_some_and(|voters| voters.votes()) {
        return Word::Ahead;
    }
    if status.position > mine {
        notes.push(Note::info(format!("Wal position of {who} is ahead of my wal position")));
        return Word::Veto(Unfit::OutrankedByPosition { who: who.clone(), theirs: status.position, mine });
    }
    if status.position.is_zero() {
        return Word::None;
    }
    let may_outrank = electorate.is_none_or(|voters| !voters.votes() || voters.includes(who));
    match outranked_by_priority(view, cluster, who, status, mine, notes).filter(|_| may_outrank) {
        Some(unfit) => Word::Veto(unfit),
        // Where it has less by number, on a timeline that we have not seen, it may have what we lack.
        None if status.timeline > view.timeline() => Word::Ahead,
        None => Word::NotAhead,
    }
}

/// 1. Commits wait for c, which has the tag `nofailover`: there is nobody else. By quorum its vote is needed.
/// 2. The leader is lost. c has no say in who leads, and nobody is elected.
///
/// Therefore who may not lead votes all the same where members elect by number. It stops nobody: whoever is elected
/// without it lacks nothing. (In the original it is asked, and its answer ignored.)
fn word_of_limited(view: &View<'_>, cluster: &Cluster, who: &MemberName, status: &PeerStatus, mine: Lsn) -> Word {
    let votes = electorate(view, cluster).is_some_and(|voters| voters.votes() && voters.includes(who));
    if !votes || !status.in_recovery || status.position.is_zero() || is_twin(cluster, status) {
        return Word::None;
    }
    match by_timeline(view, cluster, status, mine) {
        ByTimeline::Mine => Word::NotAhead,
        ByTimeline::Neither if status.position <= mine && status.timeline <= view.timeline() => Word::NotAhead,
        ByTimeline::Neither | ByTimeline::Theirs { .. } => Word::Ahead,
    }
}

fn outranked_by_priority(
    view: &View<'_>,
    cluster: &Cluster,
    who: &MemberName,
    status: &PeerStatus,
    mine: Lsn,
    notes: &mut Vec<Note>,
) -> Option<Unfit> {
    let theirs = status.tags.failover_priority();
    let own = view.me.tags.failover_priority();
    if status.position != mine || own >= theirs {
        return None;
    }
    if former_leader(view, cluster) == Some(who) {
        notes.push(Note::info(format!(
            "Ignoring former leader {who} having priority {theirs} higher than this nodes {own} priority"
        )));
        return None;
    }
    notes.push(Note::info(format!(
        "{who} has equally tolerable WAL position and priority {theirs}, while this node has priority {own}"
    )));
    Some(Unfit::OutrankedByPriority { who: who.clone(), theirs, mine: own })
}

fn former_leader<'a>(view: &'a View<'_>, cluster: &'a Cluster) -> Option<&'a MemberName> {
    if view.settings.synchronous_mode != SynchronousMode::Off
        && let Some(leader) = cluster.sync.as_ref().and_then(|sync| sync.value.leader.as_ref())
    {
        return Some(leader);
    }
    view.memory.cluster_with_leader.as_ref().and_then(|old| old.leader_name())
}

/// Seconds until we may race, while WAL still arrives or the lock was lost only just now (12.1).
///
/// It is the others who hold back, in favour of a primary that still writes. That primary itself takes its lock again
/// at once: every moment without it is one in which it must not be writable.
pub fn backoff(view: &View<'_>, cluster: &Cluster) -> Option<u64> {
    let backoff = view.settings.primary_race_backoff;
    let named = cluster.failover.as_ref().is_some_and(|request| request.value.candidate.is_some());
    let previous = view.memory.previous_wal?;
    if view.settings.pause || named || backoff.is_zero() || view.is_primary() {
        return None;
    }
    let opened = view.memory.race_opened.unwrap_or(view.now.mono);
    let left = view.now.mono.until(opened + backoff);
    // A loop is waited out whatever the WAL does, also where that is longer than the backoff itself.
    let settling = view.now.mono.until(opened + view.settings.loop_wait);
    let moved = view.live().is_some_and(|live| live.is_streaming() && live.wal_position() > previous);
    let wait = if moved { left.max(settling) } else { settling };
    (!wait.is_zero()).then(|| left.max(wait).as_secs_f64().ceil() as u64)
}

/// Its timeline has the number of the one that was published, and began with another record.
pub fn is_twin(cluster: &Cluster, status: &PeerStatus) -> bool {
    let origins = cluster.status.origin.zip(status.origin);
    origins.is_some_and(|(published, theirs)| published.timeline == theirs.timeline && published != theirs)
}

/// A peer's timeline fits (14.12).
pub fn timeline_fits(view: &View<'_>, cluster: &Cluster, theirs: Option<Timeline>) -> bool {
    !view.settings.check_timeline || cluster.timeline().is_none_or(|last| theirs.is_some_and(|theirs| theirs >= last))
}
