//! Health checks: which code a path asks for, and whether it is 200 now (rest-api.md 3.1, 3.2).
//!
//! Load balancers decide by these codes who gets writes, so everything here is judged at the moment of the answer:
//! `/primary` is 200 only while our own lease runs, whatever the last pass thought.

use tamada_model::document::scalar_text;
use tamada_model::{Role, Tags};
use tamada_wire::rest::Shown;

use super::query::Query;

/// 200 or 503 for the path of a GET, HEAD or OPTIONS request.
pub(super) fn is_healthy(path: &str, query: &Query, shown: &Shown) -> bool {
    let check = Check { query, shown };
    match Selected::by(path) {
        Selected::StandbyLeader => check.standby_leader(),
        Selected::Leader => check.leader(),
        Selected::Primary => check.primary(),
        Selected::Replica => check.replica() && check.tags_match(),
        Selected::ReadOnly => (check.writable() || check.replica()) && check.tags_match(),
        Selected::Health => shown.is_running() && check.tags_match(),
        Selected::Known(_) if !shown.is_fresh() => false,
        Selected::Known(kind) => check.kind(kind) && check.tags_match(),
        Selected::Nothing => false,
    }
}

/// What a path asks for. The first test that fits wins, most of them by what the path contains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Selected {
    StandbyLeader,
    Leader,
    Primary,
    Replica,
    ReadOnly,
    Health,
    /// Needs a fresh view of the cluster.
    Known(Kind),
    Nothing,
}

/// The checks that ask about synchronous replication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Sync,
    Quorum,
    Async,
    ReadOnlyQuorum,
    ReadOnlySync,
}

impl Selected {
    fn by(path: &str) -> Self {
        let has = |part: &str| path.contains(part);
        match path {
            "/" => Selected::Primary,
            _ if has("standby_leader") || has("standby-leader") => Selected::StandbyLeader,
            _ if has("leader") => Selected::Leader,
            _ if has("master") || has("primary") || has("read-write") => Selected::Primary,
            _ if has("replica") => Selected::Replica,
            _ if has("read-only") && !has("sync") && !has("quorum") => Selected::ReadOnly,
            _ if has("health") => Selected::Health,
            "/sync" | "/synchronous" => Selected::Known(Kind::Sync),
            "/quorum" => Selected::Known(Kind::Quorum),
            "/async" | "/asynchronous" => Selected::Known(Kind::Async),
            "/read-only-quorum" => Selected::Known(Kind::ReadOnlyQuorum),
            "/read-only-sync" | "/read-only-synchronous" => Selected::Known(Kind::ReadOnlySync),
            _ => Selected::Nothing,
        }
    }
}

/// Who may call itself leader, and by which right.
enum Standing {
    /// Paused and without a fresh view: PostgreSQL runs as it is, so its role counts.
    ByRole(Role),
    /// Our lease runs.
    Locked {
        standby_cluster: bool,
    },
    Unlocked,
}

struct Check<'a> {
    query: &'a Query,
    shown: &'a Shown<'a>,
}

impl Check<'_> {
    fn standing(&self) -> Standing {
        let report = self.shown.report();
        if !self.shown.is_fresh() && report.pause {
            Standing::ByRole(self.shown.role())
        } else if self.shown.is_locked() {
            Standing::Locked { standby_cluster: report.is_standby_cluster }
        } else {
            Standing::Unlocked
        }
    }

    fn leader(&self) -> bool {
        match self.standing() {
            Standing::ByRole(role) => role == Role::Primary || role == Role::StandbyLeader,
            Standing::Locked { .. } => true,
            Standing::Unlocked => false,
        }
    }

    fn primary(&self) -> bool {
        match self.standing() {
            Standing::ByRole(role) => role == Role::Primary,
            Standing::Locked { standby_cluster } => !standby_cluster,
            Standing::Unlocked => false,
        }
    }

    fn standby_leader(&self) -> bool {
        let role = self.shown.role();
        match self.standing() {
            Standing::ByRole(role) => role == Role::StandbyLeader,
            Standing::Locked { standby_cluster } => {
                standby_cluster && (role == Role::Replica || role == Role::StandbyLeader)
            }
            Standing::Unlocked => false,
        }
    }

    fn writable(&self) -> bool {
        self.primary() || self.standby_leader()
    }

    fn replica(&self) -> bool {
        match self.standing() {
            Standing::Locked { standby_cluster: true } => false,
            Standing::Locked { standby_cluster: false } | Standing::ByRole(_) | Standing::Unlocked => self.replica_ok(),
        }
    }

    fn replica_ok(&self) -> bool {
        let shown = self.shown;
        let wanted_state = self.query.get("replication_state");
        !shown.report().tags.noloadbalance()
            && shown.role() == Role::Replica
            && shown.is_running()
            && !self.is_lagging()
            && wanted_state.is_none_or(|state| shown.replication_state() == Some(state))
    }

    fn is_lagging(&self) -> bool {
        let Some(lag) = self.query.bytes("lag") else { return false };
        let replayed = self.shown.replayed_location().unwrap_or_default().bytes();
        i128::from(leader_position(self.shown)) > i128::from(replayed) + i128::from(lag)
    }

    fn kind(&self, kind: Kind) -> bool {
        let (sync, quorum) = (self.shown.is_sync_standby(), self.shown.is_quorum_standby());
        match kind {
            Kind::Sync => self.replica() && sync,
            Kind::Quorum => self.replica() && quorum,
            Kind::Async => self.replica() && !sync && !quorum,
            Kind::ReadOnlyQuorum => self.writable() || self.replica() && quorum,
            Kind::ReadOnlySync => self.writable() || self.replica() && sync,
        }
    }

    fn tags_match(&self) -> bool {
        let tags = &self.shown.report().tags;
        self.query.tags().all(|(key, wanted)| tag_text(tags, key).as_deref() == Some(wanted))
    }
}

/// Text as it is; `true`, `1`, `1.4` in lower case.
fn tag_text(tags: &Tags, key: &str) -> Option<String> {
    match tags.0.get(key)? {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(scalar_text(other).to_lowercase()),
    }
}

/// The newest position of the leader that we know of: what it published, or what our receiver was told.
pub(super) fn leader_position(shown: &Shown) -> u64 {
    let cluster = shown.report().cluster.as_ref().filter(|_| shown.is_fresh());
    let published = cluster.map(|cluster| cluster.status.optime).unwrap_or_default();
    published.max(receiver_position(shown).unwrap_or_default()).bytes()
}

pub(super) fn receiver_position(shown: &Shown) -> Option<tamada_model::Lsn> {
    shown.standby()?.receiver.as_ref()?.latest_end
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::{Value, json};
    use tamada_model::{Answers, Lsn, Mono, PostgresFacts, Report, Standing, State, Tags};
    use tamada_wire::scene;

    use super::*;

    fn codes(path: &str, reports: &[Report], at: Mono) -> String {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let healthy = |report: &Report| is_healthy(path, &Query::parse(query), &Shown::new(report, at));
        reports.iter().map(|report| if healthy(report) { '+' } else { '-' }).collect()
    }

    fn change_facts(report: &mut Report, change: impl FnOnce(&mut PostgresFacts)) {
        let mut facts = report.postgres.as_deref().cloned().expect("scenes have facts");
        change(&mut facts);
        report.postgres = Some(Arc::new(facts));
    }

    fn change_standby(report: &mut Report, change: impl FnOnce(&mut tamada_model::Standby)) {
        change_facts(report, |facts| match &mut facts.answers {
            Answers::Live(live) => match &mut live.standing {
                Standing::Standby(standby) => change(standby),
                Standing::Primary { .. } => panic!("a primary"),
            },
            Answers::Unasked | Answers::Rejecting | Answers::Silent { .. } => panic!("not live"),
        });
    }

    fn tagged(mut report: Report, tags: Value) -> Report {
        report.tags = Tags(scene::object(tags));
        report
    }

    fn synchronous(quorum: bool) -> Report {
        Report { is_synchronous_mode: true, is_quorum_mode: quorum, ..scene::standby() }
    }

    fn standby_leader() -> Report {
        let lease_until = Some(scene::now() + Duration::from_secs(20));
        Report { is_standby_cluster: true, role: Role::StandbyLeader, lease_until, ..scene::standby() }
    }

    /// Leads; streams; leads a standby cluster; streams as synchronous standby; streams as voter of a quorum.
    fn five() -> [Report; 5] {
        [scene::leader(), scene::standby(), standby_leader(), synchronous(false), synchronous(true)]
    }

    #[test]
    fn a_path_selects_a_check() {
        for (path, expected) in [
            ("/", "+----"),
            ("/primary", "+----"),
            ("/master", "+----"),
            ("/read-write", "+----"),
            ("/any/primary/thing", "+----"),
            ("/leader", "+-+--"),
            ("/standby-leader", "--+--"),
            ("/standby_leader", "--+--"),
            ("/replica", "-+-++"),
            ("/read-only", "+++++"),
            ("/health", "+++++"),
            ("/my-health-check", "+++++"),
            ("/sync", "---+-"),
            ("/synchronous", "---+-"),
            ("/quorum", "----+"),
            ("/async", "-+---"),
            ("/asynchronous", "-+---"),
            ("/read-only-quorum", "+-+-+"),
            ("/read-only-sync", "+-++-"),
            ("/read-only-synchronous", "+-++-"),
            ("/sync/", "-----"),
            ("/liveness", "-----"),
            ("/patroni", "-----"),
            ("/nonsense", "-----"),
            // The first test that fits wins.
            ("/replica-of-the-leader", "+-+--"),
            ("/replica-or-primary", "+----"),
        ] {
            assert_eq!(codes(path, &five(), scene::now()), expected, "{path}");
        }
    }

    #[test]
    fn without_a_fresh_view_the_lease_still_counts_but_synchronous_checks_do_not() {
        let mut reports = five();
        reports.iter_mut().for_each(|report| report.cluster_seen_at = None);
        for (path, expected) in [
            ("/primary", "+----"),
            ("/leader", "+-+--"),
            ("/replica", "-+-++"),
            ("/health", "+++++"),
            ("/read-only", "+++++"),
            ("/sync", "-----"),
            ("/quorum", "-----"),
            ("/async", "-----"),
            ("/read-only-sync", "-----"),
            ("/read-only-quorum", "-----"),
        ] {
            assert_eq!(codes(path, &reports, scene::now()), expected, "{path}");
        }
    }

    #[test]
    fn without_a_fresh_view_in_pause_the_role_counts_instead_of_the_lease() {
        let mut reports = five();
        for report in &mut reports {
            report.cluster_seen_at = None;
            report.pause = true;
            report.lease_until = None;
        }
        for (path, expected) in [
            ("/primary", "+----"),
            ("/leader", "+-+--"),
            ("/standby-leader", "--+--"),
            ("/replica", "-+-++"),
            ("/read-only", "+++++"),
        ] {
            assert_eq!(codes(path, &reports, scene::now()), expected, "{path}");
        }
    }

    #[test]
    fn the_lease_is_judged_at_the_moment_of_the_answer() {
        let leader = [scene::leader()];
        let last = scene::now() + Duration::from_millis(19_999);
        assert_eq!(codes("/primary", &leader, last), "+");
        assert_eq!(codes("/primary", &leader, last + Duration::from_millis(1)), "-");
        assert_eq!(codes("/health", &leader, last + Duration::from_millis(1)), "+");
    }

    #[test]
    fn the_lock_counts_before_the_promotion_is_over() {
        let lease_until = Some(scene::now() + Duration::from_secs(20));
        let promoting = Report { lease_until, ..scene::standby() };
        assert_eq!(codes("/primary", std::slice::from_ref(&promoting), scene::now()), "+");
        assert_eq!(codes("/replica", &[promoting], scene::now()), "+");
    }

    #[test]
    fn a_replica_must_run_answer_and_be_offered() {
        let silent = {
            let mut report = scene::standby();
            change_facts(&mut report, |facts| facts.answers = Answers::Silent { because: "timeout".into() });
            report
        };
        let starting = Report { state: State::Starting, ..scene::standby() };
        let kept_out = tagged(scene::standby(), json!({"noloadbalance": true}));
        let reports = [scene::standby(), silent, starting, kept_out];
        assert_eq!(codes("/replica", &reports, scene::now()), "+---");
        assert_eq!(codes("/health", &reports, scene::now()), "+--+");
        assert_eq!(codes("/read-only", &reports, scene::now()), "+---");
    }

    #[test]
    fn lag_is_counted_from_the_newest_position_of_the_leader() {
        // The standby of the scene has replayed 310880 bytes less than the leader has published.
        let mut told_more = scene::standby();
        change_standby(&mut told_more, |standby| {
            standby.receiver.as_mut().expect("it streams").latest_end = Some(Lsn::new(67419744 + 100));
        });
        let mut stale = scene::standby();
        stale.cluster_seen_at = None;
        let reports = [scene::standby(), told_more, stale];
        for (path, expected) in [
            ("/replica", "+++"),
            ("/replica?lag=310880", "+-+"),
            ("/replica?lag=310879", "--+"),
            ("/replica?lag=310980", "+++"),
            ("/replica?lag=1MB", "+++"),
            ("/replica?lag=1kB", "--+"),
            ("/replica?lag=plenty", "+++"),
            ("/replica?lag=-1", "--+"),
            ("/read-only?lag=1kB", "--+"),
            ("/async?lag=1kB", "---"),
            ("/health?lag=1kB", "+++"),
        ] {
            assert_eq!(codes(path, &reports, scene::now()), expected, "{path}");
        }
    }

    #[test]
    fn replication_state_filters_replicas() {
        let mut silent_receiver = scene::standby();
        change_standby(&mut silent_receiver, |standby| standby.receiver = None);
        let mut archive = silent_receiver.clone();
        change_facts(&mut archive, |facts| match &mut facts.answers {
            Answers::Live(live) => live.restore_command = "cp".into(),
            Answers::Unasked | Answers::Rejecting | Answers::Silent { .. } => panic!("not live"),
        });
        let reports = [scene::standby(), archive, silent_receiver];
        assert_eq!(codes("/replica?replication_state=streaming", &reports, scene::now()), "+--");
        assert_eq!(codes("/replica?replication_state=in%20archive%20recovery", &reports, scene::now()), "-+-");
        assert_eq!(codes("/replica?replication_state=in+archive+recovery", &reports, scene::now()), "-+-");
        assert_eq!(codes("/replica?replication_state=", &reports, scene::now()), "+++");
    }

    #[test]
    fn tags_filter_all_but_the_checks_for_leaders() {
        let tags = json!({"dc": "A", "clonefrom": true, "weight": 1, "share": 1.4, "none": null});
        let reports = [tagged(scene::leader(), tags.clone()), tagged(scene::standby(), tags)];
        for (path, expected) in [
            ("/replica?tag_dc=A", "-+"),
            ("/replica?tag_dc=a", "--"),
            ("/replica?tag_clonefrom=true", "-+"),
            ("/replica?tag_clonefrom=True", "--"),
            ("/replica?tag_weight=1&tag_share=1.4", "-+"),
            ("/replica?tag_weight=1&tag_share=1.5", "--"),
            ("/replica?tag_unknown=x", "--"),
            ("/replica?tag_none=None", "--"),
            ("/replica?other=x", "-+"),
            ("/health?tag_dc=B", "--"),
            ("/read-only?tag_dc=A", "++"),
            ("/read-only?tag_dc=B", "--"),
            ("/async?tag_dc=B", "--"),
            ("/primary?tag_dc=B", "+-"),
            ("/leader?tag_dc=B", "+-"),
        ] {
            assert_eq!(codes(path, &reports, scene::now()), expected, "{path}");
        }
    }
}
