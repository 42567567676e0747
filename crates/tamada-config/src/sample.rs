//! `--generate-sample-config`: a file to begin with (configuration.md 8.1).

use std::io;
use std::path::Path;

use serde_json::{Value, json};
use tamada_model::document::{boolean, patch};
use tamada_model::{Document, PgMajor, PgVersion};

use crate::controlled;
use crate::environment::Environment;
use crate::path::{at, section_mut, text};
use crate::probe::{self, Programs};
use crate::rows::STORES;
use crate::yaml::{Dump, dump_with};

/// What only a person can fill in.
const FILL_IN: &str = "#FIXME";

/// The sample as text: this host's name and address, the installed PostgreSQL's habits, variables over all.
pub fn sample(environment: &Environment) -> String {
    let (host, address) = probe::host().unwrap_or_else(|| (FILL_IN.to_owned(), FILL_IN.to_owned()));
    let mut document = template(&host, &address);
    patch(&mut document, &environment.settings().document);
    let major = installed_major(&document, environment);
    fit_to_version(&mut document, major);
    written(&document)
}

/// Writes the text to the file, making its directory if need be.
pub fn write_sample(text: &str, file: &Path) -> io::Result<()> {
    if let Some(directory) = file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::write(file, text)
}

fn template(host: &str, address: &str) -> Document {
    let at = |port: u16| format!("{address}:{port}");
    let Value::Object(document) = json!({
        "scope": FILL_IN,
        "name": host,
        "restapi": {"connect_address": at(8008), "listen": at(8008)},
        "log": {
            "type": "plain",
            "level": "INFO",
            "traceback_level": "ERROR",
            "format": "%(asctime)s %(levelname)s: %(message)s",
            "max_queue_size": 1000,
        },
        "postgresql": {
            "data_dir": FILL_IN,
            "connect_address": at(5432),
            "listen": at(5432),
            "bin_dir": "",
            "authentication": {
                "superuser": {"username": "postgres", "password": FILL_IN},
                "replication": {"username": "replicator", "password": FILL_IN},
            },
        },
        "tags": {
            "failover_priority": 1,
            "sync_priority": 1,
            "noloadbalance": false,
            "clonefrom": true,
            "nosync": false,
            "nostream": false,
        },
        "bootstrap": {"dcs": {
            "ttl": 30,
            "loop_wait": 10,
            "retry_timeout": 10,
            "postgresql": {"use_slots": true, "parameters": controlled::defaults()},
        }},
    }) else {
        unreachable!("the literal above is an object")
    };
    document
}

fn installed_major(document: &Document, environment: &Environment) -> Option<PgMajor> {
    let bin_dir = text(document, "postgresql.bin_dir");
    let programs = Programs::new(bin_dir.as_deref(), environment.get("PATH"));
    let postgres = text(document, "postgresql.bin_name.postgres").unwrap_or_else(|| "postgres".to_owned());
    probe::postgres_version(&programs.find(&postgres)?).map(PgVersion::major)
}

/// Without an installed PostgreSQL the sample is for a recent one.
fn fit_to_version(document: &mut Document, major: Option<PgMajor>) {
    let from = |first: PgMajor| major.is_none_or(|major| major >= first);
    let (authentication, wal_keep, wal_level) = (
        if from(PgMajor::of(10)) { "scram-sha-256" } else { "md5" },
        if from(PgMajor::of(13)) { "wal_keep_size" } else { "wal_keep_segments" },
        if major.is_none_or(|major| major.number() >= 90_600) { "replica" } else { "hot_standby" },
    );
    let replication = text(document, "postgresql.authentication.replication.username").unwrap_or_default();
    let postgresql = section_mut(document, "postgresql");
    postgresql.insert("parameters".to_owned(), json!({"password_encryption": authentication}));
    let lines =
        [format!("host all all all {authentication}"), format!("host replication {replication} all {authentication}")];
    postgresql.insert("pg_hba".to_owned(), json!(lines));
    if from(PgMajor::of(11)) {
        let rewind = section_mut(postgresql, "authentication.rewind");
        rewind.entry("username").or_insert_with(|| Value::from("rewind_user"));
        rewind.entry("password").or_insert_with(|| Value::from(FILL_IN));
    }
    let hints = at(document, "bootstrap.dcs.postgresql.parameters.wal_log_hints").and_then(boolean) == Some(true);
    let shared = section_mut(document, "bootstrap.dcs.postgresql");
    shared.insert("use_pg_rewind".to_owned(), Value::from(hints));
    let parameters = section_mut(shared, "parameters");
    parameters
        .insert(wal_keep.to_owned(), controlled::find(wal_keep).and_then(controlled::Controlled::default_value).into());
    parameters.insert("wal_level".to_owned(), Value::from(wal_level));
}

/// In the order of importance, with comments about `bootstrap`.
fn written(document: &Document) -> String {
    let mut lines = Vec::new();
    let before = ["scope", "namespace", "name", "log", "restapi", "ctl", "citus"].into_iter().chain(STORES);
    before.for_each(|name| lines.extend(block_of(document, name)));
    lines.extend(bootstrap(document));
    ["postgresql", "guard", "watchdog", "tags"].into_iter().for_each(|name| lines.extend(block_of(document, name)));
    lines.join("\n") + "\n"
}

fn block_of(document: &Document, name: &str) -> Vec<String> {
    let Some(value) = document.get(name) else { return Vec::new() };
    let gap = value.is_object().then(String::new);
    gap.into_iter().chain([block(name, value, "")]).collect()
}

fn block(name: &str, value: &Value, indent: &str) -> String {
    let one = Value::Object(Document::from_iter([(name.to_owned(), value.clone())]));
    let text = dump_with(&one, Dump { width: 80, ..Dump::default() });
    format!("{indent}{}", text.trim().replace('\n', &format!("\n{indent}")))
}

fn bootstrap(document: &Document) -> Vec<String> {
    let Some(Value::Object(dcs)) = at(document, "bootstrap.dcs") else { return Vec::new() };
    let mut lines: Vec<String> = [
        "",
        "# How a new cluster begins. Once the cluster exists, nothing in this section has any effect.",
        "bootstrap:",
        "  # Becomes the dynamic configuration, /<namespace>/<scope>/config in the store, which all members share.",
        "  # To change it later use `edit-config`; a change here would go unnoticed.",
        "  dcs:",
    ]
    .map(str::to_owned)
    .into();
    let first = ["loop_wait", "retry_timeout", "ttl"];
    lines.extend(first.iter().filter_map(|name| Some(block(name, dcs.get(*name)?, "    "))));
    let rest = dcs.iter().filter(|(name, _)| !first.contains(&name.as_str()));
    lines.extend(rest.map(|(name, value)| block(name, value, "    ")));
    lines
}
