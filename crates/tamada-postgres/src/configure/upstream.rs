//! Does the running standby follow whom it should, and can a reload put it right (postgres.md 11.7–11.9)?
//!
//! This is asked in every pass, so the server is asked only when a file it was configured from, or the server itself,
//! has changed since. Whom the WAL receiver really talks to, and through which slot, comes with every look and counts
//! more than what is configured.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use tamada_model::{Asks, PgMajor, RecoveryMatch, Role, Upstream, WalReceiver};

use super::{files, recovery, units};
use crate::callbacks::Callback;
use crate::connect::Patience;
use crate::dsn::{DEFAULTS, Dsn};
use crate::supervisor::conf_path;
use crate::{PgError, Postgres};

/// A recovery parameter in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct InForce {
    pub value: String,
    pub needs_restart: bool,
    /// Set in a file that is neither postgresql.conf nor postgresql.auto.conf.
    pub elsewhere: bool,
}

pub(crate) type AllInForce = BTreeMap<String, InForce>;

/// What the parameters in force depend on.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Depends {
    files: Vec<Option<SystemTime>>,
    postmaster: i32,
}

#[derive(Default)]
pub(crate) struct RecoveryCache {
    read_at: Option<Depends>,
    in_force: AllInForce,
}

/// What may differ without our doing, if it was set in another file.
const OTHERS: [&str; 5] = [
    "archive_cleanup_command",
    "promote_trigger_file",
    "recovery_end_command",
    "recovery_min_apply_delay",
    "restore_command",
];

/// Never compared (11.7.4).
const IGNORED: [&str; 2] = ["recovery_target_inclusive", "recovery_target_action"];

impl Postgres {
    pub async fn recovery_match(&self, upstream: &Upstream) -> RecoveryMatch {
        let wanted = recovery::following(&self.config(), upstream, self.major());
        let passwords = wanted.passwords.clone();
        let seen = self.files_soon(move |config| {
            let passwords_fit = passwords.is_empty() || password_lines(&config.pgpass) == passwords;
            let files = [conf_path(config), config.data_dir.join("postgresql.auto.conf"), config.pgpass.clone()];
            let times = files.iter().map(|path| fs::metadata(path).and_then(|about| about.modified()).ok()).collect();
            Ok((config.data_dir.join("standby.signal").exists(), times, passwords_fit))
        });
        let Ok((signal, times, passwords_fit)) = seen.await else { return RecoveryMatch::Same };
        if !signal {
            return RecoveryMatch::Restart;
        }
        if self.state().is_starting() {
            // One that was started without an upstream may wait for ever for WAL that it needs to be in one piece.
            let alone = self.files_soon(|config| Ok(names_nobody(&conf_path(config)))).await.unwrap_or(false);
            let needs_it = alone && wanted.parameters.contains_key("primary_conninfo");
            return if needs_it { RecoveryMatch::Restart } else { RecoveryMatch::Same };
        }
        let Some(in_force) = self.in_force(times).await else { return RecoveryMatch::Same };
        let receiver = self.memory().receiver.clone();
        let mut verdict = compare(&wanted.parameters, &in_force, receiver.as_ref(), self.major());
        if verdict == RecoveryMatch::Same && !(passwords_fit && self.memory().callback_called) {
            // 11.7.7: the first time after adoption, one reload puts our files in place.
            verdict = RecoveryMatch::Reload(asks(&wanted.parameters, &in_force, receiver.as_ref(), self.major()));
        }
        verdict
    }

    /// From the cache, or anew if anything changed. `None` when the server cannot be asked now; then nothing is known
    /// to be wrong, and a server that does not answer is not improved by a restart that we guess at.
    async fn in_force(&self, times: Vec<Option<SystemTime>>) -> Option<AllInForce> {
        let depends = Depends { files: times, postmaster: self.postmaster()?.pid };
        {
            let memory = self.memory();
            if memory.recovery_cache.read_at.as_ref() == Some(&depends) {
                return Some(memory.recovery_cache.in_force.clone());
            }
        }
        let in_force = match self.ask_in_force().await {
            Ok(in_force) => in_force,
            Err(error) => {
                tracing::debug!("The recovery parameters in force could not be read: {}", error.in_words());
                return None;
            }
        };
        self.memory().recovery_cache = RecoveryCache { read_at: Some(depends), in_force: in_force.clone() };
        Some(in_force)
    }

    pub(crate) async fn ask_in_force(&self) -> Result<AllInForce, PgError> {
        let mut client = self.connect_locally("heartbeat", Patience::Short).await?;
        let sql = "SELECT name, setting, context, sourcefile FROM pg_settings \
                   WHERE name LIKE 'recovery\\_target%' OR name IN ('archive_cleanup_command', 'primary_conninfo', \
                   'primary_slot_name', 'promote_trigger_file', 'recovery_end_command', 'recovery_min_apply_delay', \
                   'restore_command')";
        let rows = client.ask(sql).await?.into_iter().next().unwrap_or_default();
        let in_force = |row: &crate::client::Row| {
            let elsewhere = row.get(3).is_some_and(|file| {
                let name = Path::new(file).file_name().unwrap_or_default();
                let conf = conf_path(&self.config());
                name != "postgresql.auto.conf" && Some(name) != conf.file_name()
            });
            let needs_restart = row.get(2) == Some("postmaster");
            (row.text(0), InForce { value: row.text(1), needs_restart, elsewhere })
        };
        Ok(rows.iter().map(in_force).collect())
    }

    /// Rewrites the recovery configuration and reloads (11.9).
    pub async fn change_upstream_by_reload(&self, upstream: &Upstream, role: Role) -> Result<(), PgError> {
        let changes = self.changes_role(role);
        self.write_recovery(upstream).await?;
        let config = self.config();
        let parameters = self.wanted_parameters(&config, role).await;
        let (written, recovery) = (parameters.clone(), self.memory().recovery.clone());
        self.files_soon(move |config| {
            files::write_conf(config, &written, &recovery)?;
            files::clean_auto_conf(config)?;
            files::write_access(config, &written, role).map(drop)
        })
        .await?;
        self.signal_reload().await?;
        let mut memory = self.memory();
        memory.role = role;
        memory.parameters = parameters;
        // The one it is leaving now; the next look shows the new one.
        memory.receiver = None;
        // From now on our files are in place, whether or not there is anybody to tell.
        memory.callback_called = true;
        drop(memory);
        self.fire(if changes { Callback::OnRoleChange } else { Callback::OnReload }, role);
        Ok(())
    }
}

fn names_nobody(conf: &Path) -> bool {
    let written = fs::read_to_string(conf).unwrap_or_default();
    !written.lines().any(|line| line.trim_start().starts_with("primary_conninfo"))
}

fn password_lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn compare(
    wanted: &BTreeMap<String, String>,
    in_force: &AllInForce,
    receiver: Option<&WalReceiver>,
    major: PgMajor,
) -> RecoveryMatch {
    let mut differs = false;
    for (name, current) in in_force.iter().filter(|(name, _)| !IGNORED.contains(&name.as_str())) {
        let wanted_value = wanted.get(name).map_or("", String::as_str);
        if current.elsewhere && !wanted.contains_key(name) && OTHERS.contains(&name.as_str()) {
            continue;
        }
        let same = match name.as_str() {
            "primary_conninfo" => same_upstream(wanted_value, &current.value, receiver, major),
            "primary_slot_name" => {
                let slot =
                    receiver.filter(|receiver| !receiver.conninfo.is_empty()).map(|receiver| &receiver.slot_name);
                !wanted.contains_key("primary_conninfo") || slot.unwrap_or(&current.value) == wanted_value
            }
            "recovery_min_apply_delay" => same_delay(wanted_value, &current.value),
            _ => wanted_value == current.value,
        };
        if !same && current.needs_restart {
            return RecoveryMatch::Restart;
        }
        differs |= !same;
    }
    match differs {
        true => RecoveryMatch::Reload(asks(wanted, in_force, receiver, major)),
        false => RecoveryMatch::Same,
    }
}

fn asks(
    wanted: &BTreeMap<String, String>,
    in_force: &AllInForce,
    receiver: Option<&WalReceiver>,
    major: PgMajor,
) -> Asks {
    let wanted = wanted.get("primary_conninfo").map_or("", String::as_str);
    match in_force.get("primary_conninfo").map_or("", |current| current.value.as_str()) {
        "" => Asks::Nobody,
        current if same_upstream(wanted, current, receiver, major) => Asks::Wanted,
        _ => Asks::Another,
    }
}

fn same_delay(wanted: &str, current: &str) -> bool {
    let ms = units::unit("ms");
    let wanted = if wanted.is_empty() { "0" } else { wanted };
    units::integer(wanted, ms) == units::integer(current, ms)
}

/// Every key we want must have the value we want; what else is there does not matter (11.7.6).
fn same_upstream(wanted: &str, configured: &str, receiver: Option<&WalReceiver>, major: PgMajor) -> bool {
    if wanted.is_empty() || configured.is_empty() {
        return wanted.is_empty() == configured.is_empty();
    }
    let (Some(wanted), Some(configured)) = (Dsn::parse(wanted), Dsn::parse(configured)) else { return false };
    let mut current = receiver
        .filter(|receiver| !receiver.conninfo.is_empty())
        .and_then(|receiver| Dsn::parse(&receiver.conninfo))
        .unwrap_or_else(|| configured.clone());
    // The receiver hides the one and replaces the other.
    for key in ["password", "dbname"] {
        current.remove(key);
        if let Some(value) = configured.get(key) {
            current.set(key, value);
        }
    }
    wanted.iter().filter(|(key, _)| *key != "dbname" || major >= PgMajor::of(17)).all(|(key, value)| {
        let assumed = || DEFAULTS.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        current.get(key).or_else(assumed) == Some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: &str = "dbname=postgres user=repl passfile=/p host=10.0.0.2 port=5432 sslmode=prefer application_name=a \
                          gssencmode=prefer channel_binding=prefer";

    fn in_force(pairs: &[(&str, &str, bool)]) -> AllInForce {
        pairs
            .iter()
            .map(|(name, value, needs_restart)| {
                let current = InForce { value: (*value).into(), needs_restart: *needs_restart, elsewhere: false };
                ((*name).to_owned(), current)
            })
            .collect()
    }

    fn wanted(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_receivers_own_account_counts() {
        let receiver = |conninfo: &str, slot: &str| WalReceiver {
            conninfo: conninfo.into(),
            slot_name: slot.into(),
            ..WalReceiver::default()
        };
        let ours = receiver(
            "user=repl passfile=/p channel_binding=prefer dbname=replication host=10.0.0.2 port=5432 application_name=a \
             fallback_application_name=walreceiver sslmode=prefer sslcompression=0 gssencmode=prefer",
            "a",
        );
        let wanted = wanted(&[("primary_conninfo", WANTED), ("primary_slot_name", "a")]);
        let now = in_force(&[("primary_conninfo", WANTED, false), ("primary_slot_name", "a", false)]);
        let major = PgMajor::of(15);
        assert_eq!(compare(&wanted, &now, Some(&ours), major), RecoveryMatch::Same);
        assert_eq!(compare(&wanted, &now, None, major), RecoveryMatch::Same);
        let other = receiver(&ours.conninfo.replace("10.0.0.2", "10.0.0.3"), "a");
        assert_eq!(compare(&wanted, &now, Some(&other), major), RecoveryMatch::Reload(Asks::Another));
        assert_eq!(
            compare(&wanted, &now, Some(&receiver(&ours.conninfo, "")), major),
            RecoveryMatch::Reload(Asks::Wanted)
        );
    }

    #[test]
    fn whom_it_asks_until_the_reload_is_told_apart() {
        let to = |conninfo: &str| in_force(&[("primary_conninfo", conninfo, false)]);
        let found =
            |wants: &str, has: &str| compare(&wanted(&[("primary_conninfo", wants)]), &to(has), None, PgMajor::of(15));
        assert_eq!(found(WANTED, ""), RecoveryMatch::Reload(Asks::Nobody));
        assert_eq!(found(WANTED, "host=10.0.0.3"), RecoveryMatch::Reload(Asks::Another));
        assert_eq!(found("", WANTED), RecoveryMatch::Reload(Asks::Another));
    }

    #[test]
    fn what_only_a_restart_can_change_asks_for_one() {
        let now = in_force(&[("primary_conninfo", "host=x", true)]);
        assert_eq!(
            compare(&wanted(&[("primary_conninfo", WANTED)]), &now, None, PgMajor::of(12)),
            RecoveryMatch::Restart
        );
        assert_eq!(compare(&wanted(&[]), &now, None, PgMajor::of(12)), RecoveryMatch::Restart);
    }

    #[test]
    fn delays_compare_as_milliseconds() {
        let now = in_force(&[("recovery_min_apply_delay", "300000", false), ("recovery_target_xid", "", true)]);
        let wanted = wanted(&[("recovery_min_apply_delay", "5min"), ("recovery_target_xid", "")]);
        assert_eq!(compare(&wanted, &now, None, PgMajor::of(15)), RecoveryMatch::Same);
    }

    #[test]
    fn other_peoples_files_are_left_alone() {
        let mut now = in_force(&[("restore_command", "cp", false)]);
        assert_eq!(compare(&wanted(&[]), &now, None, PgMajor::of(15)), RecoveryMatch::Reload(Asks::Nobody));
        now.get_mut("restore_command").unwrap().elsewhere = true;
        assert_eq!(compare(&wanted(&[]), &now, None, PgMajor::of(15)), RecoveryMatch::Same);
    }

    #[test]
    fn the_database_counts_from_17_on() {
        let other = WANTED.replace("dbname=postgres", "dbname=other");
        let now = in_force(&[("primary_conninfo", &other, false)]);
        let wanted = wanted(&[("primary_conninfo", WANTED)]);
        assert_eq!(compare(&wanted, &now, None, PgMajor::of(16)), RecoveryMatch::Same);
        let wanted = self::wanted(&[("primary_conninfo", &format!("{WANTED} sslnegotiation=postgres"))]);
        assert_eq!(compare(&wanted, &now, None, PgMajor::of(17)), RecoveryMatch::Reload(Asks::Another));
    }
}
