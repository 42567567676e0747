//! `POST /switchover` and `POST /failover` (rest-api.md 8): is it meant, is it possible, and how did it end.
//!
//! The original looks at the store once per second for the outcome. We look at the reports as they come out, so the
//! operator hears of the new leader when this member does.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::Value;
use tamada_model::document::{scalar_text, truthy};
use tamada_model::{
    Cluster, Document, FailoverKind, FailoverRequest, MemberName, Mono, PeerAnswer, Report, Request, Wall,
};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use super::answer::Answer;
use super::{Desk, Server, orders};

/// For a member to say whether it could take over.
const PEER_WITHIN: Duration = Duration::from_secs(2);

/// A reading of the store may lag a little behind our own write. The key's absence means something only when it was
/// seen before, or in a reading that began this long after the write.
const READING_LAG: Duration = Duration::from_secs(1);

impl<D: Desk> Server<D> {
    pub(super) async fn hand_over(&self, asked: FailoverKind, wish: &Document) -> Result<Answer, Answer> {
        let wish = Wish::from_body(wish);
        wish.announce(asked);
        let report = self.desk.report();
        let (kind, request) = wish.check(asked, report.pause, self.desk.now().wall)?;
        let at_once = request.scheduled_at.is_none();
        let cluster = report.cluster.clone().filter(|_| report.is_fresh(self.desk.now().mono));
        // Without a view of the cluster nothing can be promised.
        let cluster = cluster.ok_or(Answer::Page(StatusCode::SERVICE_UNAVAILABLE))?;
        if at_once {
            self.check_feasible(kind, &request, &report, &cluster).await?;
        }
        let waiting = Waiting {
            kind,
            old_leader: cluster.leader_name().cloned(),
            candidate: request.candidate.clone(),
            limit: 2 * report.loop_wait.max(Duration::from_secs(10)),
        };
        let reports = self.desk.reports();
        self.write(request).await?;
        match at_once {
            false => Ok(Answer::text(StatusCode::ACCEPTED, format!("{} scheduled", title(kind)))),
            true => Ok(waiting.outcome(reports, self.desk.now().mono).await),
        }
    }

    async fn check_feasible(
        &self,
        kind: FailoverKind,
        request: &FailoverRequest,
        report: &Report,
        cluster: &Cluster,
    ) -> Result<(), Answer> {
        let impossible = |text| Answer::text(StatusCode::PRECONDITION_FAILED, text);
        let candidates = candidates(kind, request, report, cluster).map_err(impossible)?;
        let mut asked = self.desk.client().ask_peers(&candidates, PEER_WITHIN);
        while let Some((name, answer)) = asked.next().await {
            match limitation(&answer) {
                None => return Ok(()),
                Some(limitation) => info!("Member {name} is {limitation}"),
            }
        }
        Err(impossible(format!("{} is not possible: no good candidates have been found", kind.bare())))
    }

    async fn write(&self, request: FailoverRequest) -> Result<(), Answer> {
        let failed = || Answer::text(StatusCode::SERVICE_UNAVAILABLE, "failed to write failover key into DCS");
        match self.ask(Request::SetFailover(request)).await {
            Answer::Code(status) | Answer::Body { status, .. } if status.is_success() => Ok(()),
            Answer::Code(_) | Answer::Body { .. } | Answer::Challenge(_) | Answer::Page(_) => Err(failed()),
        }
    }
}

/// What the body says.
#[derive(Clone, PartialEq, Debug, Default)]
struct Wish {
    leader: Option<MemberName>,
    candidate: Option<MemberName>,
    scheduled_at: Option<Value>,
}

impl Wish {
    fn from_body(body: &Document) -> Self {
        let given = |key: &str| body.get(key).filter(|value| truthy(value));
        let name = |key: &str| given(key).map(|value| MemberName::new(scalar_text(value)));
        Self {
            leader: name("leader"),
            candidate: name("candidate").or_else(|| name("member")),
            scheduled_at: given("scheduled_at").cloned(),
        }
    }

    fn announce(&self, asked: FailoverKind) {
        let name = |name: &Option<MemberName>| name.as_ref().map_or("None".to_owned(), MemberName::to_string);
        let at = self.scheduled_at.as_ref().map_or("None".to_owned(), scalar_text);
        let (leader, candidate) = (name(&self.leader), name(&self.candidate));
        info!("received {} request with leader={leader} candidate={candidate} scheduled_at={at}", asked.bare());
    }

    /// What is wrong with the wish itself, in the original's order; else what it comes to.
    fn check(self, asked: FailoverKind, pause: bool, now: Wall) -> Result<(FailoverKind, FailoverRequest), Answer> {
        let bad = |text: &str| Err(Answer::text(StatusCode::BAD_REQUEST, text));
        match asked {
            FailoverKind::ManualFailover if self.candidate.is_none() => {
                return bad("Failover could be performed only to a specific candidate");
            }
            FailoverKind::ManualFailover if self.scheduled_at.is_some() => return bad("Failover can't be scheduled"),
            FailoverKind::Switchover if self.leader.is_none() => {
                return bad("Switchover could be performed only from a specific leader");
            }
            FailoverKind::Switchover if self.scheduled_at.is_some() && pause => {
                return bad("Can't schedule switchover in the paused state");
            }
            FailoverKind::ManualFailover | FailoverKind::Switchover => {}
        }
        let at = self.scheduled_at.map(|at| orders::schedule(&at, asked.bare(), now)).transpose()?;
        if pause && self.candidate.is_none() {
            return bad("Switchover is possible only to a specific candidate in a paused state");
        }
        let request = FailoverRequest { leader: self.leader, candidate: self.candidate, scheduled_at: at };
        if asked == FailoverKind::ManualFailover && request.kind() == FailoverKind::Switchover {
            warn!("received failover request with leader specified - performing switchover instead");
        }
        if request.leader == request.candidate {
            return bad("Switchover target and source are the same");
        }
        Ok((request.kind(), request))
    }
}

/// Who could take over, by what the cluster's keys say; else why nobody can (rest-api.md 8.1).
fn candidates(
    kind: FailoverKind,
    request: &FailoverRequest,
    report: &Report,
    cluster: &Cluster,
) -> Result<Vec<(MemberName, String)>, String> {
    let synchronous_only = report.is_synchronous_mode && !report.is_quorum_mode;
    let is_synchronous = |name: &MemberName| cluster.sync.as_ref().is_some_and(|sync| sync.value.lists(name));
    let not_possible = |why: &str| format!("{} is not possible: {why}", kind.bare());
    if request.leader.is_some() && request.leader.as_ref() != cluster.leader_name() {
        return Err("leader name does not match".into());
    }
    let names: Vec<&MemberName> = match &request.candidate {
        Some(candidate) => {
            if kind == FailoverKind::Switchover && synchronous_only && !is_synchronous(candidate) {
                return Err("candidate name does not match with sync_standby".into());
            }
            let name = cluster.members.get_key_value(candidate).map(|(name, _)| name);
            vec![name.ok_or("candidate does not exists")?]
        }
        None if synchronous_only => cluster.members.keys().filter(|name| is_synchronous(name)).collect(),
        None => cluster.members.keys().filter(|name| Some(*name) != cluster.leader_name()).collect(),
    };
    if names.is_empty() && synchronous_only {
        return Err(not_possible("can not find sync_standby"));
    }
    let url = |name: &MemberName| cluster.members.get(name).and_then(|member| member.api_url.clone());
    let with_url: Vec<_> = names.into_iter().filter_map(|name| Some((name.clone(), url(name)?))).collect();
    if with_url.is_empty() && request.candidate.is_none() && !synchronous_only {
        return Err(not_possible("cluster does not have members except leader"));
    }
    Ok(with_url)
}

/// Why a member can not take over, in the words that follow "Member x is"; `None` if it can (ha-loop.md 12.10).
fn limitation(answer: &PeerAnswer) -> Option<&'static str> {
    match answer {
        PeerAnswer::Silent { .. } => Some("not reachable"),
        PeerAnswer::Answered(peer) if peer.tags.nofailover() => Some("not allowed to promote"),
        PeerAnswer::Answered(peer) if peer.watchdog_failed => Some("not watchdog capable"),
        PeerAnswer::Answered(_) => None,
    }
}

/// A request that was written and whose end is awaited (rest-api.md 8.2).
struct Waiting {
    kind: FailoverKind,
    old_leader: Option<MemberName>,
    candidate: Option<MemberName>,
    limit: Duration,
}

/// What a report says about it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Outcome {
    Pending,
    To(MemberName),
    /// The request is gone and the leader is the same.
    Gone,
}

impl Waiting {
    async fn outcome(&self, mut reports: watch::Receiver<Arc<Report>>, written_at: Mono) -> Answer {
        let ended = timeout(self.limit, self.end(&mut reports, written_at)).await;
        let (status, text) = match ended {
            Ok(Some(Outcome::To(leader))) => (StatusCode::OK, self.success(&leader)),
            Ok(Some(Outcome::Gone)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{} failed", title(self.kind))),
            Ok(Some(Outcome::Pending) | None) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, self.unknown()),
        };
        Answer::text(status, text)
    }

    /// `None` if there will be no more reports.
    async fn end(&self, reports: &mut watch::Receiver<Arc<Report>>, written_at: Mono) -> Option<Outcome> {
        let mut was_seen = false;
        loop {
            let report = reports.borrow_and_update().clone();
            match self.judge(&report, written_at, &mut was_seen) {
                Outcome::Pending => reports.changed().await.ok()?,
                ended @ (Outcome::To(_) | Outcome::Gone) => return Some(ended),
            }
        }
    }

    fn judge(&self, report: &Report, written_at: Mono, was_seen: &mut bool) -> Outcome {
        let (Some(cluster), Some(read_at)) = (&report.cluster, report.cluster_seen_at) else { return Outcome::Pending };
        match cluster.leader_name() {
            Some(leader) if Some(leader) != self.old_leader.as_ref() => return Outcome::To(leader.clone()),
            Some(_) | None => {}
        }
        let is_there = cluster.failover.is_some();
        *was_seen |= is_there && read_at >= written_at;
        let absence_counts = *was_seen || read_at >= written_at + READING_LAG;
        if !is_there && read_at >= written_at && absence_counts { Outcome::Gone } else { Outcome::Pending }
    }

    fn success(&self, leader: &MemberName) -> String {
        let done = self.kind.bare().trim_end_matches("over");
        match &self.candidate {
            Some(candidate) if candidate != leader => {
                format!("{}ed over to \"{leader}\" instead of \"{candidate}\"", capitalized(done))
            }
            Some(_) | None => format!("Successfully {done}ed over to \"{leader}\""),
        }
    }

    fn unknown(&self) -> String {
        let (title, seconds) = (title(self.kind), self.limit.as_secs());
        format!("{title} status unknown after {seconds} seconds; operation may still be in progress")
    }
}

fn title(kind: FailoverKind) -> String {
    capitalized(kind.bare())
}

fn capitalized(word: &str) -> String {
    word.chars().enumerate().map(|(i, c)| if i == 0 { c.to_ascii_uppercase() } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tamada_model::{PeerStatus, Tags};
    use tamada_wire::scene;

    use super::*;

    const SWITCHOVER: FailoverKind = FailoverKind::Switchover;
    const FAILOVER: FailoverKind = FailoverKind::ManualFailover;

    fn now() -> Wall {
        tamada_wire::time::instant("2026-11-23T09:00:00+00:00").expect("a timestamp")
    }

    fn checked(asked: FailoverKind, pause: bool, body: Value) -> String {
        match Wish::from_body(&scene::object(body)).check(asked, pause, now()) {
            Ok((kind, request)) => {
                let name = |name: &Option<MemberName>| name.as_ref().map_or("anybody".into(), MemberName::to_string);
                let at = request.scheduled_at.map_or("now".into(), |at| at.text);
                format!("{} {} -> {} {at}", kind.bare(), name(&request.leader), name(&request.candidate))
            }
            Err(Answer::Body { status, body, .. }) => format!("{} {}", status.as_u16(), String::from_utf8_lossy(&body)),
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn a_wish_is_checked_in_order() {
        let no_candidate = "400 Failover could be performed only to a specific candidate";
        let no_leader = "400 Switchover could be performed only from a specific leader";
        let in_pause = "400 Can't schedule switchover in the paused state";
        let anonymous = "400 Switchover is possible only to a specific candidate in a paused state";
        let same = "400 Switchover target and source are the same";
        let later = "2026-11-23T10:00:00+01:00";
        let soon = "2026-11-23T10:00:00+00:00";
        for (asked, pause, body, expected) in [
            (FAILOVER, false, json!({"leader": "a", "scheduled_at": soon}), no_candidate),
            (FAILOVER, false, json!({"candidate": ""}), no_candidate),
            (SWITCHOVER, true, json!({"candidate": "b", "scheduled_at": soon}), no_leader),
            (FAILOVER, false, json!({"candidate": "b", "scheduled_at": soon}), "400 Failover can't be scheduled"),
            (SWITCHOVER, true, json!({"leader": "a", "scheduled_at": "nonsense"}), in_pause),
            (
                SWITCHOVER,
                false,
                json!({"leader": "a", "scheduled_at": "2026-11-23T10:00"}),
                "400 Timezone information is mandatory for the scheduled switchover",
            ),
            (
                SWITCHOVER,
                false,
                json!({"leader": "a", "scheduled_at": "2026-11-23T08:00:00+00:00"}),
                "422 Cannot schedule switchover in the past",
            ),
            (SWITCHOVER, true, json!({"leader": "a"}), anonymous),
            (SWITCHOVER, false, json!({"leader": "a", "candidate": "a"}), same),
            (FAILOVER, false, json!({"leader": "a", "candidate": "a"}), same),
            (FAILOVER, false, json!({"leader": "a", "member": "b"}), "switchover a -> b now"),
            (FAILOVER, true, json!({"candidate": "b"}), "failover anybody -> b now"),
            (SWITCHOVER, false, json!({"leader": "a"}), "switchover a -> anybody now"),
            (SWITCHOVER, false, json!({"leader": 1, "candidate": 2}), "switchover 1 -> 2 now"),
            (
                SWITCHOVER,
                false,
                json!({"leader": "a", "candidate": "b", "scheduled_at": later}),
                "switchover a -> b 2026-11-23T10:00:00+01:00",
            ),
        ] {
            assert_eq!(checked(asked, pause, body.clone()), expected, "{body}");
        }
    }

    fn feasible(kind: FailoverKind, leader: &str, candidate: &str, report: &Report, cluster: &Cluster) -> String {
        let name = |name: &str| (!name.is_empty()).then(|| MemberName::new(name));
        let request = FailoverRequest { leader: name(leader), candidate: name(candidate), scheduled_at: None };
        match candidates(kind, &request, report, cluster) {
            Ok(members) => members.iter().map(|(name, _)| format!("{name} ")).collect(),
            Err(text) => text,
        }
    }

    #[test]
    fn the_keys_tell_who_could_take_over() {
        let cluster = scene::three_members();
        let report = scene::leader();
        let synchronous = Report { is_synchronous_mode: true, ..scene::leader() };
        let quorum = Report { is_quorum_mode: true, ..synchronous.clone() };
        let not_listed = "candidate name does not match with sync_standby";
        for (kind, leader, candidate, report, expected) in [
            (SWITCHOVER, "b", "", &report, "leader name does not match"),
            (SWITCHOVER, "a", "x", &report, "candidate does not exists"),
            (FAILOVER, "", "x", &synchronous, "candidate does not exists"),
            (SWITCHOVER, "a", "x", &synchronous, not_listed),
            (SWITCHOVER, "a", "c", &synchronous, not_listed),
            (SWITCHOVER, "a", "c", &quorum, ""),
            (SWITCHOVER, "a", "b", &synchronous, "b "),
            (SWITCHOVER, "a", "", &synchronous, "b "),
            (SWITCHOVER, "a", "", &quorum, "b "),
            (SWITCHOVER, "a", "", &report, "b "),
            (FAILOVER, "", "c", &synchronous, ""),
        ] {
            assert_eq!(feasible(kind, leader, candidate, report, &cluster), expected, "{leader} -> {candidate}");
        }
    }

    #[test]
    fn nobody_is_left_to_take_over() {
        let mut cluster = scene::three_members();
        cluster.members.remove(&"b".into());
        let alone = "switchover is not possible: cluster does not have members except leader";
        assert_eq!(feasible(SWITCHOVER, "a", "", &scene::leader(), &cluster), alone);
        cluster.sync = None;
        let synchronous = Report { is_synchronous_mode: true, ..scene::leader() };
        let none = "switchover is not possible: can not find sync_standby";
        assert_eq!(feasible(SWITCHOVER, "a", "", &synchronous, &cluster), none);
    }

    #[test]
    fn a_peer_may_not_be_able_to() {
        let peer = |status| PeerAnswer::Answered(Box::new(status));
        let tags = Tags(scene::object(json!({"nofailover": true})));
        assert_eq!(limitation(&PeerAnswer::Silent { because: String::new() }), Some("not reachable"));
        assert_eq!(limitation(&peer(PeerStatus { tags, ..PeerStatus::default() })), Some("not allowed to promote"));
        let no_watchdog = PeerStatus { watchdog_failed: true, ..PeerStatus::default() };
        assert_eq!(limitation(&peer(no_watchdog)), Some("not watchdog capable"));
        assert_eq!(limitation(&peer(PeerStatus::default())), None);
    }

    fn waiting(kind: FailoverKind, candidate: Option<&str>) -> Waiting {
        let limit = Duration::from_secs(20);
        Waiting { kind, old_leader: Some("a".into()), candidate: candidate.map(MemberName::from), limit }
    }

    /// A reading of the store this long after the write.
    fn read(leader: Option<&str>, has_request: bool, after: Duration) -> Report {
        let mut cluster = scene::three_members();
        cluster.leader = cluster.leader.map(|known| tamada_model::Stamped {
            value: leader.map_or(known.value, MemberName::from),
            stamp: known.stamp,
        });
        cluster.leader = cluster.leader.filter(|_| leader.is_some());
        cluster.failover = cluster.failover.filter(|_| has_request);
        Report { cluster: Some(Arc::new(cluster)), cluster_seen_at: Some(scene::now() + after), ..scene::leader() }
    }

    fn judged(reports: &[Report]) -> Vec<Outcome> {
        let mut was_seen = false;
        let waiting = waiting(SWITCHOVER, None);
        reports.iter().map(|report| waiting.judge(report, scene::now(), &mut was_seen)).collect()
    }

    #[test]
    fn a_new_leader_ends_the_waiting_and_none_does_not() {
        let at = Duration::from_millis;
        let story = [read(Some("a"), true, at(0)), read(None, true, at(10)), read(Some("b"), true, at(20))];
        assert_eq!(judged(&story), [Outcome::Pending, Outcome::Pending, Outcome::To("b".into())]);
    }

    #[test]
    fn a_vanished_request_has_failed_but_not_one_that_is_not_read_yet() {
        let at = Duration::from_millis;
        let before = Report { cluster_seen_at: Some(scene::now() - at(1)), ..read(Some("a"), false, at(0)) };
        let story =
            [before, read(Some("a"), false, at(5)), read(Some("a"), true, at(10)), read(Some("a"), false, at(20))];
        assert_eq!(judged(&story), [Outcome::Pending, Outcome::Pending, Outcome::Pending, Outcome::Gone]);
        assert_eq!(judged(&[read(Some("a"), false, READING_LAG)]), [Outcome::Gone]);
    }

    #[test]
    fn an_older_request_is_not_ours() {
        let at = Duration::from_millis;
        let before = Report { cluster_seen_at: Some(scene::now() - at(1)), ..read(Some("a"), true, at(0)) };
        assert_eq!(judged(&[before, read(Some("a"), false, at(5))]), [Outcome::Pending, Outcome::Pending]);
    }

    #[test]
    fn the_words_at_the_end() {
        let b = MemberName::from("b");
        assert_eq!(waiting(SWITCHOVER, None).success(&b), "Successfully switched over to \"b\"");
        assert_eq!(waiting(FAILOVER, Some("b")).success(&b), "Successfully failed over to \"b\"");
        assert_eq!(waiting(SWITCHOVER, Some("c")).success(&b), "Switched over to \"b\" instead of \"c\"");
        assert_eq!(waiting(FAILOVER, Some("c")).success(&b), "Failed over to \"b\" instead of \"c\"");
        let unknown = "Failover status unknown after 20 seconds; operation may still be in progress";
        assert_eq!(waiting(FAILOVER, None).unknown(), unknown);
    }
}
