//! Members: what each one tells about itself in its key, its role, state and tags.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::document::{boolean, scalar_text, truthy};
use crate::{AgentVersion, Document, Lsn, MemberName, Timeline, Wall};

/// A `members/<name>` record as read. Fields that were absent or malformed are `None`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Member {
    pub conn_url: Option<String>,
    pub api_url: Option<String>,
    pub proxy_url: Option<String>,
    /// The text as published; peers may run other versions with states of their own.
    pub state: Option<String>,
    pub role: Option<Role>,
    pub version: Option<String>,
    pub tags: Tags,
    pub checkpoint_after_promote: Option<bool>,
    pub pending_restart: bool,
    pub pending_restart_reason: PendingRestart,
    pub xlog_location: Option<Lsn>,
    pub receive_lsn: Option<Lsn>,
    pub replay_lsn: Option<Lsn>,
    pub replication_state: Option<String>,
    pub timeline: Option<Timeline>,
    pub scheduled_restart: Option<ScheduledRestart>,
    pub pause: bool,
    /// The store's session or lease that keeps the key alive, where the store has one.
    pub session: Option<String>,
}

impl Member {
    pub fn agent_version(&self) -> Option<AgentVersion> {
        self.version.as_deref().and_then(AgentVersion::parse)
    }

    pub fn is_running(&self) -> bool {
        self.state.as_deref() == Some(State::Running.text())
    }

    /// Host and port of `conn_url`.
    pub fn address(&self) -> Option<(String, u16)> {
        self.conn_url.as_deref().and_then(host_and_port)
    }
}

/// `postgres://[user@]host:port[,…]/database` → the first host (brackets of IPv6 removed) and its port, 5432 if absent.
pub fn host_and_port(url: &str) -> Option<(String, u16)> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?']).next()?;
    let first = authority.rsplit('@').next()?.split(',').next()?;
    let (host, port) = match first.strip_prefix('[') {
        Some(v6) => {
            let (host, tail) = v6.split_once(']')?;
            (host, tail.strip_prefix(':'))
        }
        None => match first.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (first, None),
        },
    };
    if host.is_empty() {
        return None;
    }
    Some((host.to_owned(), port.map_or(Some(5432), |port| port.parse().ok())?))
}

/// What a member is to the cluster (ha-loop.md 4.5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    Primary,
    Replica,
    StandbyLeader,
    /// `pg_ctl promote` was issued; PostgreSQL is not writable yet.
    Promoted,
    /// Was leader; stopped or stopping.
    Demoted,
    /// No data.
    Uninitialized,
}

impl Role {
    pub fn text(self) -> &'static str {
        match self {
            Role::Primary => "primary",
            Role::Replica => "replica",
            Role::StandbyLeader => "standby_leader",
            Role::Promoted => "promoted",
            Role::Demoted => "demoted",
            Role::Uninitialized => "uninitialized",
        }
    }

    /// `master` is the old spelling of primary: accepted on reading, never written.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "primary" | "master" => Role::Primary,
            "replica" => Role::Replica,
            "standby_leader" => Role::StandbyLeader,
            "promoted" => Role::Promoted,
            "demoted" => Role::Demoted,
            "uninitialized" => Role::Uninitialized,
            _ => return None,
        })
    }

    /// Primary, or about to be one.
    pub fn is_primary(self) -> bool {
        match self {
            Role::Primary | Role::Promoted => true,
            Role::Replica | Role::StandbyLeader | Role::Demoted | Role::Uninitialized => false,
        }
    }
}

/// What PostgreSQL on a member is doing (rest-api.md 2.1). Texts and numbers are stable API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    InitDb,
    InitDbFailed,
    CustomBootstrap,
    CustomBootstrapFailed,
    CreatingReplica,
    Running,
    Starting,
    BootstrapStarting,
    StartFailed,
    Restarting,
    RestartFailed,
    Stopping,
    Stopped,
    StopFailed,
    Crashed,
}

impl State {
    pub const ALL: [State; 15] = [
        State::InitDb,
        State::InitDbFailed,
        State::CustomBootstrap,
        State::CustomBootstrapFailed,
        State::CreatingReplica,
        State::Running,
        State::Starting,
        State::BootstrapStarting,
        State::StartFailed,
        State::Restarting,
        State::RestartFailed,
        State::Stopping,
        State::Stopped,
        State::StopFailed,
        State::Crashed,
    ];

    pub fn text(self) -> &'static str {
        match self {
            State::InitDb => "initializing new cluster",
            State::InitDbFailed => "initdb failed",
            State::CustomBootstrap => "running custom bootstrap script",
            State::CustomBootstrapFailed => "custom bootstrap failed",
            State::CreatingReplica => "creating replica",
            State::Running => "running",
            State::Starting => "starting",
            State::BootstrapStarting => "starting after custom bootstrap",
            State::StartFailed => "start failed",
            State::Restarting => "restarting",
            State::RestartFailed => "restart failed",
            State::Stopping => "stopping",
            State::Stopped => "stopped",
            State::StopFailed => "stop failed",
            State::Crashed => "crashed",
        }
    }

    /// The label in the metrics' comment line.
    pub fn label(self) -> &'static str {
        match self {
            State::InitDb => "initdb",
            State::InitDbFailed => "initdb_failed",
            State::CustomBootstrap => "custom_bootstrap",
            State::CustomBootstrapFailed => "custom_bootstrap_failed",
            State::CreatingReplica => "creating_replica",
            State::Running => "running",
            State::Starting => "starting",
            State::BootstrapStarting => "bootstrap_starting",
            State::StartFailed => "start_failed",
            State::Restarting => "restarting",
            State::RestartFailed => "restart_failed",
            State::Stopping => "stopping",
            State::Stopped => "stopped",
            State::StopFailed => "stop_failed",
            State::Crashed => "crashed",
        }
    }

    /// The number in `patroni_postgres_state`.
    pub fn number(self) -> u8 {
        Self::ALL.iter().position(|state| *state == self).unwrap_or_default() as u8
    }

    /// It was started, and has not answered yet. One that is being restarted belongs to the job that does so.
    pub fn is_starting(self) -> bool {
        match self {
            State::Starting | State::BootstrapStarting => true,
            State::InitDb
            | State::InitDbFailed
            | State::CustomBootstrap
            | State::CustomBootstrapFailed
            | State::CreatingReplica
            | State::Running
            | State::StartFailed
            | State::Restarting
            | State::RestartFailed
            | State::Stopping
            | State::Stopped
            | State::StopFailed
            | State::Crashed => false,
        }
    }
}

/// A member's tags. Custom ones are opaque; the known ones are read through the methods (ha-loop.md 26).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tags(pub Document);

impl Tags {
    fn truthy(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(truthy)
    }

    fn integer(&self, key: &str) -> Option<i64> {
        self.0.get(key).map(|value| scalar_text(value).trim().parse::<i64>().unwrap_or(1))
    }

    /// The boolean of a pair like `nofailover`/`failover_priority`: an explicit boolean key wins over the priority.
    fn excluded(&self, boolean_key: &str, priority_key: &str) -> bool {
        match self.0.get(boolean_key) {
            Some(value) => truthy(value),
            None => self.integer(priority_key).is_some_and(|priority| priority <= 0),
        }
    }

    fn priority(&self, boolean_key: &str, priority_key: &str) -> i64 {
        if self.excluded(boolean_key, priority_key) { 0 } else { self.integer(priority_key).unwrap_or(1) }
    }

    pub fn nofailover(&self) -> bool {
        self.excluded("nofailover", "failover_priority")
    }

    /// 0 for `nofailover`; 1 unless configured.
    pub fn failover_priority(&self) -> i64 {
        self.priority("nofailover", "failover_priority")
    }

    pub fn nosync(&self) -> bool {
        self.excluded("nosync", "sync_priority")
    }

    pub fn sync_priority(&self) -> i64 {
        self.priority("nosync", "sync_priority")
    }

    pub fn noloadbalance(&self) -> bool {
        self.truthy("noloadbalance")
    }

    pub fn clonefrom(&self) -> bool {
        self.truthy("clonefrom")
    }

    pub fn nostream(&self) -> bool {
        self.0.get("nostream").and_then(boolean).unwrap_or(false)
    }

    pub fn replicatefrom(&self) -> Option<MemberName> {
        match self.0.get("replicatefrom") {
            Some(value) if truthy(value) => Some(MemberName::new(scalar_text(value))),
            Some(_) | None => None,
        }
    }

    /// What is published (26.2): custom tags as given, booleans only if truthy, except those whose priority twin is
    /// configured.
    pub fn published(&self) -> Document {
        let keep = |key: &str, value: &Value| match key {
            "nofailover" => truthy(value) || self.0.contains_key("failover_priority"),
            "nosync" => truthy(value) || self.0.contains_key("sync_priority"),
            "clonefrom" | "noloadbalance" | "nostream" => truthy(value),
            _ => true,
        };
        self.0.iter().filter(|(key, value)| keep(key, value)).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// Pairs that contradict each other (26.4): (boolean key, its value, priority key, its value).
    pub fn contradictions(&self) -> Vec<(&'static str, bool, &'static str, i64)> {
        [("nofailover", "failover_priority"), ("nosync", "sync_priority")]
            .into_iter()
            .filter_map(|(boolean_key, priority_key)| {
                let excluded = truthy(self.0.get(boolean_key)?);
                let priority = self.integer(priority_key)?;
                (excluded != (priority <= 0)).then_some((boolean_key, excluded, priority_key, priority))
            })
            .collect()
    }
}

/// Parameters that wait for a restart: name → (value in force, value wanted).
pub type PendingRestart = BTreeMap<String, ChangedValue>;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChangedValue {
    pub old: String,
    pub new: String,
}

/// A restart to be done later, with its conditions (ha-loop.md 19).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScheduledRestart {
    pub schedule: Schedule,
    pub conditions: RestartConditions,
    /// `YYYY-MM-DD HH:MM:SS.ffffff+00:00`; a restart in between cancels the plan.
    pub postmaster_start_time: Option<Wall>,
}

pub use crate::cluster::Schedule;

/// What must hold for a restart to be done (19.1).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RestartConditions {
    pub role: Option<Role>,
    /// Restart only if the running version is lower; text as given.
    pub postgres_version: Option<String>,
    /// Present, with any value: only if a restart is pending.
    pub restart_pending: Option<Value>,
    /// Seconds to wait for the start.
    pub timeout_seconds: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tags(value: Value) -> Tags {
        match value {
            Value::Object(map) => Tags(map),
            other => panic!("not an object: {other}"),
        }
    }

    #[test]
    fn an_explicit_nofailover_wins_over_the_priority() {
        assert!(tags(json!({"nofailover": true, "failover_priority": 5})).nofailover());
        assert!(!tags(json!({"nofailover": false, "failover_priority": 0})).nofailover());
        assert_eq!(tags(json!({"nofailover": false, "failover_priority": 0})).failover_priority(), 0);
        assert!(tags(json!({"failover_priority": "0"})).nofailover());
        assert_eq!(tags(json!({})).failover_priority(), 1);
    }

    #[test]
    fn false_booleans_are_published_only_beside_their_priority() {
        let published = tags(json!({"nofailover": false, "failover_priority": "1", "clonefrom": false, "dc": "x"}));
        assert_eq!(
            Value::Object(published.published()),
            json!({"nofailover": false, "failover_priority": "1", "dc": "x"})
        );
    }

    #[test]
    fn addresses_come_out_of_conn_urls() {
        assert_eq!(host_and_port("postgres://10.0.0.2:5433/postgres"), Some(("10.0.0.2".into(), 5433)));
        assert_eq!(host_and_port("postgres://[::1]:5432/postgres"), Some(("::1".into(), 5432)));
        assert_eq!(host_and_port("postgres://h/postgres"), Some(("h".into(), 5432)));
    }
}
