//! `GET /metrics`: the report as Prometheus text (rest-api.md 5). Names, order and values are a contract with
//! people's dashboards; the help texts are ours.

use std::fmt::{Display, Write};

use serde_json::Number;
use tamada_model::document::number_text;
use tamada_model::{AgentVersion, Lsn, Mono, Report, Role, Standby, State, Timeline, Wall};

use super::Shown;

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

/// Versions from here on tell whether they stream.
const HAS_REPLICATION_STATE: u32 = 90_600;

pub fn metrics_text(report: &Report, now: Mono) -> String {
    let shown = Shown::new(report, now);
    let mut page = Page::new(report);
    page.gauge("patroni_version", "Version without dots, two digits each part.", version_digits());
    page.gauge("patroni_postgres_running", "Whether PostgreSQL runs.", flag(shown.is_running()));
    put_postgres(&shown, &mut page);
    put_cluster(&shown, &mut page);
    put_member(&shown, &mut page);
    page.text
}

fn put_postgres(shown: &Shown, page: &mut Page) {
    let role = shown.role();
    let started = shown.live().map_or("0".into(), |live| epoch(live.postmaster_start_time));
    page.gauge("patroni_postmaster_start_time", "When PostgreSQL was started, epoch seconds.", started);
    page.gauge("patroni_primary", "Whether this node is a primary.", flag(role == Role::Primary));
    page.counter("patroni_xlog_location", "WAL position of the primary, 0 on a replica.", bytes(shown.location()));
    page.gauge(
        "patroni_standby_leader",
        "Whether this node leads a standby cluster.",
        flag(role == Role::StandbyLeader),
    );
    page.gauge("patroni_replica", "Whether this node is a replica.", flag(role == Role::Replica));
    page.gauge("patroni_sync_standby", "Whether it is a synchronous standby.", flag(shown.is_sync_standby()));
    page.gauge("patroni_quorum_standby", "Whether it votes in a quorum.", flag(shown.is_quorum_standby()));
    put_standby(shown, page);
    put_streaming(shown, page);
    let version = shown.live().map_or(0, |live| live.server_version.number());
    page.gauge("patroni_postgres_server_version", "Version of PostgreSQL, 0 if it cannot be asked.", version);
}

fn put_standby(shown: &Shown, page: &mut Page) {
    let standby = shown.standby();
    let replayed_at = standby.and_then(|standby: &Standby| standby.replayed_at);
    let paused = standby.is_some_and(|standby| standby.replay_paused);
    page.counter("patroni_xlog_received_location", "WAL received by a replica.", bytes(shown.received_location()));
    page.counter("patroni_xlog_replayed_location", "WAL replayed by a replica.", bytes(shown.replayed_location()));
    let replayed_at = replayed_at.map_or("0".into(), epoch);
    page.gauge("patroni_xlog_replayed_timestamp", "Commit time of the last replayed transaction.", replayed_at);
    page.gauge("patroni_xlog_paused", "Whether replay is paused.", flag(paused));
}

fn put_streaming(shown: &Shown, page: &mut Page) {
    if shown.live().is_none_or(|live| live.server_version.number() < HAS_REPLICATION_STATE) {
        return;
    }
    let is = |state: &str| flag(shown.replication_state() == Some(state));
    page.gauge("patroni_postgres_streaming", "Whether a replica streams.", is("streaming"));
    let archive = is("in archive recovery");
    page.gauge("patroni_postgres_in_archive_recovery", "Whether a replica reads the archive.", archive);
}

fn put_cluster(shown: &Shown, page: &mut Page) {
    let report = shown.report();
    let failsafe = report.cluster.as_ref().and_then(|cluster| cluster.failsafe.as_ref());
    let is_failsafe_member = failsafe.is_some_and(|members| members.contains_key(&report.name));
    let unlocked = flag(shown.is_cluster_unlocked());
    page.gauge("patroni_cluster_unlocked", "Whether no leader is known.", unlocked);
    let active = flag(shown.is_failsafe_active());
    page.gauge("patroni_failsafe_mode_is_active", "Whether the failsafe mode keeps the leader.", active);
    page.gauge("patroni_failsafe_mode_enabled", "Whether it is configured.", flag(report.failsafe_mode));
    page.gauge("patroni_failsafe_member", "Whether this node counts in it.", flag(is_failsafe_member));
    let timeline = shown.timeline().map_or(0, Timeline::number);
    page.gauge("patroni_postgres_timeline", "Timeline of PostgreSQL, 0 if unknown.", timeline);
    page.gauge("patroni_dcs_last_seen", "When the store was last read, epoch seconds.", report.dcs_last_seen.seconds());
}

fn put_member(shown: &Shown, page: &mut Page) {
    let report = shown.report();
    let pending = report.postgres.as_ref().is_some_and(|facts| !facts.pending_restart.is_empty());
    page.gauge("patroni_pending_restart", "Whether a parameter waits for a restart.", flag(pending));
    page.gauge("patroni_is_paused", "Whether the cluster is in maintenance mode.", flag(report.pause));
    page.describe("patroni_postgres_state", "State of PostgreSQL.", GAUGE, &state_numbers());
    page.sample("patroni_postgres_state", shown.state().number());
    let priority = report.tags.failover_priority();
    page.gauge("patroni_failover_priority", "Priority in the leader race, 0 for never.", priority);
}

/// `# Values: 0=initdb, 1=initdb_failed, …` between help and type.
fn state_numbers() -> String {
    let values: Vec<String> = State::ALL.iter().map(|state| format!("{}={}", state.number(), state.label())).collect();
    format!("# Values: {}\n", values.join(", "))
}

/// `4.1.4` → `040104`
fn version_digits() -> String {
    AgentVersion::SPOKEN.split('.').map(|part| format!("{part:0>2}")).collect()
}

fn flag(flag: bool) -> u8 {
    u8::from(flag)
}

fn bytes(lsn: Option<Lsn>) -> u64 {
    lsn.unwrap_or_default().bytes()
}

/// Epoch seconds with their fraction; an instant is always a finite number.
fn epoch(at: Wall) -> String {
    Number::from_f64(at.micros() as f64 / 1e6).map_or("0".into(), |seconds| number_text(&seconds))
}

/// The text so far, and the labels of every sample.
struct Page {
    text: String,
    labels: String,
}

impl Page {
    fn new(report: &Report) -> Self {
        let labels = format!("{{scope=\"{}\",name=\"{}\"}}", escaped(&report.scope), escaped(report.name.as_str()));
        Self { text: String::with_capacity(6 * 1024), labels }
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.describe(name, help, GAUGE, "");
        self.sample(name, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.describe(name, help, COUNTER, "");
        self.sample(name, value);
    }

    // Writing into a String cannot fail.
    fn describe(&mut self, name: &str, help: &str, kind: &str, between: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n{between}# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.text, "{name}{} {value}", self.labels);
    }
}

/// As the exposition format wants label values.
fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
