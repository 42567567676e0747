//! From whom a standby receives WAL, and in which parameters that is written (postgres.md 11.1–11.6).

use std::collections::BTreeMap;

use serde_json::Value;
use tamada_model::document::{boolean, scalar_text, truthy};
use tamada_model::{Document, PgMajor, PostgresConfig, RemoteMember, Upstream};

use crate::dsn::{self, Dsn};
use crate::pgpass;

/// A recovery parameter and the versions that know it; `till` is the first that does not.
struct Known {
    name: &'static str,
    from: PgMajor,
    till: Option<PgMajor>,
}

const fn known(name: &'static str, from: u32) -> Known {
    Known { name, from: PgMajor::of(from), till: None }
}

const KNOWN: [Known; 15] = [
    known("archive_cleanup_command", 9),
    known("primary_conninfo", 9),
    known("primary_slot_name", 9),
    Known { name: "promote_trigger_file", from: PgMajor::of(12), till: Some(PgMajor::of(16)) },
    known("recovery_end_command", 9),
    known("recovery_min_apply_delay", 9),
    known("recovery_target", 9),
    known("recovery_target_action", 9),
    known("recovery_target_inclusive", 9),
    known("recovery_target_lsn", 10),
    known("recovery_target_name", 9),
    known("recovery_target_time", 9),
    known("recovery_target_timeline", 9),
    known("recovery_target_xid", 9),
    known("restore_command", 9),
];

/// Written by operators of old versions; translated or meant for us.
const OLD: [&str; 3] = ["trigger_file", "pause_at_recovery_target", "standby_mode"];

/// Names that never stand among the ordinary parameters (postgres.md 5.10).
pub(crate) fn is_recovery_parameter(name: &str) -> bool {
    OLD.contains(&name) || KNOWN.iter().any(|known| known.name == name)
}

fn is_known(name: &str, major: PgMajor) -> bool {
    KNOWN.iter().any(|row| row.name == name && row.from <= major && row.till.is_none_or(|till| major < till))
}

/// What must not stop or promote a standby, whatever an included file says.
const NO_TARGET: [&str; 5] =
    ["recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_xid"];

/// Which signal file goes with the parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signal {
    Standby,
    /// Recovery to a target, then promotion.
    Recovery,
}

/// Recovery parameters and their signal file.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Recovery {
    pub parameters: BTreeMap<String, String>,
    pub signal: Signal,
    /// Lines the password file must have for the upstream.
    pub passwords: Vec<String>,
}

/// How `upstream` is followed.
pub(crate) fn following(config: &PostgresConfig, upstream: &Upstream, major: PgMajor) -> Recovery {
    let mut parameters = operators(config, major);
    parameters.retain(|name, _| {
        !name.starts_with("recovery_target") && name != "primary_conninfo" && name != "primary_slot_name"
    });
    parameters.insert("recovery_target_timeline".into(), "latest".into());
    parameters.extend(NO_TARGET.map(|name| (name.to_owned(), String::new())));
    let mut passwords = Vec::new();
    match upstream {
        Upstream::Nobody => {}
        Upstream::Member(member) => {
            passwords = stream_from(config, &member.host, member.port, major, &mut parameters);
            if config.use_slots {
                parameters.insert("primary_slot_name".into(), config.name.slot_name());
            }
        }
        Upstream::Remote(remote) => passwords = follow_remote(config, remote, major, &mut parameters),
    }
    Recovery { parameters, signal: Signal::Standby, passwords }
}

/// The operator's own recovery configuration of a custom bootstrap (12.3).
pub(crate) fn to_target(config: &PostgresConfig, recovery_conf: &Document, major: PgMajor) -> Recovery {
    let standby = recovery_conf.get("standby_mode").and_then(boolean).unwrap_or(false);
    Recovery {
        parameters: translated(recovery_conf, major),
        signal: if standby { Signal::Standby } else { Signal::Recovery },
        passwords: pgpass::lines(&pgpass::Server { host: "*", port: config.port }, &config.replication),
    }
}

fn stream_from(
    config: &PostgresConfig,
    host: &str,
    port: u16,
    major: PgMajor,
    parameters: &mut BTreeMap<String, String>,
) -> Vec<String> {
    let mut conninfo = dsn::to_server(host, port, &config.replication);
    conninfo.set("dbname", &config.database);
    conninfo.set("application_name", config.name.as_str());
    if let Some(service) = &config.krbsrvname {
        conninfo.set("krbsrvname", service);
    }
    conninfo.add_defaults(major);
    finish(config, conninfo, &pgpass::Server { host, port }, major, parameters)
}

fn follow_remote(
    config: &PostgresConfig,
    remote: &RemoteMember,
    major: PgMajor,
    parameters: &mut BTreeMap<String, String>,
) -> Vec<String> {
    let settings = [
        ("restore_command", &remote.restore_command),
        ("archive_cleanup_command", &remote.archive_cleanup_command),
        ("recovery_min_apply_delay", &remote.recovery_min_apply_delay),
    ];
    for (name, value) in settings {
        parameters.extend(value.iter().map(|value| (name.to_owned(), value.clone())));
    }
    let Some(host) = &remote.host else { return Vec::new() };
    let mut conninfo = dsn::to_server(host, remote.port.unwrap_or(5432), &config.replication);
    conninfo.set("dbname", &config.database);
    conninfo.set("application_name", config.name.as_str());
    conninfo.add_defaults(major);
    if let Some(slot) = remote.primary_slot_name.as_ref().filter(|_| config.use_slots) {
        parameters.insert("primary_slot_name".into(), tamada_model::MemberName::new(slot).slot_name());
        if host.contains(',') {
            conninfo.set("target_session_attrs", "read-write");
        }
    }
    let server = pgpass::Server { host, port: remote.port.unwrap_or(5432) };
    finish(config, conninfo, &server, major, parameters)
}

fn finish(
    config: &PostgresConfig,
    mut conninfo: Dsn,
    server: &pgpass::Server<'_>,
    major: PgMajor,
    parameters: &mut BTreeMap<String, String>,
) -> Vec<String> {
    let passwords = pgpass::lines(server, &config.replication);
    if !passwords.is_empty() {
        conninfo.set("passfile", config.pgpass.display().to_string());
    }
    parameters.insert("primary_conninfo".into(), conninfo.text(major));
    passwords
}

/// `recovery_conf`, and recovery parameters that stand among the ordinary ones (19.6).
fn operators(config: &PostgresConfig, major: PgMajor) -> BTreeMap<String, String> {
    let among_parameters = config.parameters.iter().filter(|(name, _)| is_recovery_parameter(name));
    let merged: Document =
        among_parameters.chain(&config.recovery_conf).map(|(name, value)| (name.clone(), value.clone())).collect();
    translated(&merged, major)
}

/// Old names become new ones (11.5, 11.6); what the version does not know is left out.
fn translated(conf: &Document, major: PgMajor) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for (name, value) in conf.iter().filter(|(_, value)| !value.is_null()) {
        let (name, value) = match name.as_str() {
            "trigger_file" => ("promote_trigger_file", scalar_text(value)),
            "pause_at_recovery_target" => ("recovery_target_action", pause_action(value)),
            other => (other, scalar_text(value)),
        };
        let given = conf.contains_key(name);
        if is_known(name, major) && (given || !parameters.contains_key(name)) {
            parameters.insert(name.to_owned(), value);
        }
    }
    if let Some(action) = conf.get("recovery_target_action").filter(|value| truthy(value)) {
        parameters.insert("recovery_target_action".into(), scalar_text(action));
    }
    parameters
}

fn pause_action(value: &Value) -> String {
    if boolean(value).unwrap_or(true) { "pause".into() } else { "promote".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;
    use serde_json::json;
    use tamada_model::{Secret, UpstreamMember};

    fn object(value: Value) -> Document {
        match value {
            Value::Object(map) => map,
            other => panic!("not an object: {other}"),
        }
    }

    fn leader() -> Upstream {
        Upstream::Member(UpstreamMember { name: "b".into(), host: "10.0.0.2".into(), port: 5433 })
    }

    #[test]
    fn a_standby_streams_with_slot_and_application_name() {
        let mut config = config();
        config.name = "a-1".into();
        config.replication.username = Some("repl".into());
        let recovery = following(&config, &leader(), PgMajor::of(15));
        assert_eq!(
            recovery.parameters["primary_conninfo"],
            "dbname=postgres user=repl host=10.0.0.2 port=5433 sslmode=prefer application_name=a-1 gssencmode=prefer \
             channel_binding=prefer"
        );
        assert_eq!(recovery.parameters["primary_slot_name"], "a_1");
        assert_eq!(recovery.parameters["recovery_target_timeline"], "latest");
        assert_eq!(recovery.parameters["recovery_target_xid"], "");
        assert_eq!(recovery.signal, Signal::Standby);
        assert!(recovery.passwords.is_empty());
    }

    #[test]
    fn a_password_goes_to_the_file() {
        let mut config = config();
        config.replication.username = Some("repl".into());
        config.replication.password = Some(Secret::new("geheim"));
        config.pgpass = "/run/pgpass".into();
        let recovery = following(&config, &leader(), PgMajor::of(17));
        let conninfo = &recovery.parameters["primary_conninfo"];
        assert!(conninfo.contains("passfile=/run/pgpass") && !conninfo.contains("geheim"), "{conninfo}");
        assert!(conninfo.ends_with("sslnegotiation=postgres"), "{conninfo}");
        assert_eq!(recovery.passwords, ["10.0.0.2:5433:*:repl:geheim"]);
    }

    #[test]
    fn without_upstream_only_the_archive_remains() {
        let mut config = config();
        config.recovery_conf = object(json!({
            "restore_command": "cp %f %p", "recovery_target_time": "2026", "primary_conninfo": "host=x",
            "promote_trigger_file": "/t", "nonsense": 1
        }));
        let parameters = following(&config, &Upstream::Nobody, PgMajor::of(16)).parameters;
        assert_eq!(parameters["restore_command"], "cp %f %p");
        assert_eq!(parameters["recovery_target_time"], "");
        for absent in ["primary_conninfo", "primary_slot_name", "promote_trigger_file", "nonsense"] {
            assert!(!parameters.contains_key(absent), "{absent}");
        }
    }

    #[test]
    fn a_target_is_reached_as_the_operator_says() {
        let conf = object(json!({"recovery_target_time": "2026-11-23", "pause_at_recovery_target": false,
            "restore_command": "cp"}));
        let recovery = to_target(&config(), &conf, PgMajor::of(15));
        assert_eq!(recovery.signal, Signal::Recovery);
        assert_eq!(recovery.parameters["recovery_target_action"], "promote");
    }
}
