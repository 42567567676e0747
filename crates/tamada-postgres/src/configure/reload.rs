//! A changed configuration on a running server: what changed, what a reload brings into force, and what waits for a
//! restart (postgres.md 5.8).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use postgres_protocol::escape::escape_literal;
use rustix::process::Signal;
use tamada_model::{ChangedValue, PendingRestart, PostgresConfig};

use super::compare::{Setting, automatic_wal_buffers};
use super::parameters::Parameters;
use super::{controlled, files, recovery, units, validate};
use crate::callbacks::Callback;
use crate::client::Client;
use crate::connect::Patience;
use crate::supervisor::conf_path;
use crate::{PgError, Postgres};

/// PostgreSQL needs a moment to notice a reload and to mark what waits for a restart.
const NOTICE: Duration = Duration::from_secs(1);
/// A machine that is too busy to answer is asked again; one that is so for half a minute has other worries.
const ATTEMPTS: u8 = 10;

/// Whether the operator's program hears of the reload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hear {
    Yes,
    No,
}

type Settings = BTreeMap<String, Setting>;

/// What comparing the new parameters with the running server showed.
#[derive(Default)]
struct Changes {
    changed: bool,
    pending: PendingRestart,
}

impl Postgres {
    /// Takes a new configuration; a running server is told if anything changed, or if `force` (SIGHUP) says so.
    pub async fn reconfigure(&self, config: PostgresConfig, force: bool) {
        self.replace_config(config);
        if self.memory().custom_bootstrap.is_some() {
            return tracing::info!("Skipping PostgreSQL configuration update while in custom bootstrap.");
        }
        if self.postmaster().is_none() {
            return;
        }
        self.put_into_force(force, Hear::Yes).await;
    }

    /// As [`Postgres::reconfigure`], for a server that was just adopted: nobody is told of a reload.
    pub(crate) async fn put_into_force(&self, force: bool, hear: Hear) {
        if let Err(error) = self.apply(force, hear).await {
            tracing::warn!("The new configuration could not be compared or written: {}", error.in_words());
        }
    }

    pub(crate) async fn apply(&self, force: bool, hear: Hear) -> Result<(), PgError> {
        let _alone = self.0.configuring.lock().await;
        let (config, role) = (self.config(), self.role());
        let mut wanted = self.wanted_parameters(&config, role).await;
        let previous = self.memory().parameters.clone();
        let names: BTreeSet<&str> = wanted.keys().chain(previous.keys()).map(String::as_str).collect();
        let settings = settings(&mut self.connect_locally("heartbeat", Patience::Short).await?, &names).await?;
        let changes = compare(&mut wanted, &previous, &settings);
        let (access, recovery) = (wanted.clone(), self.memory().recovery.clone());
        let access_changed = self.files_soon(move |config| files::write_access(config, &access, role)).await?;
        self.memory().parameters = wanted.clone();
        if !(changes.changed || access_changed || force) {
            tracing::info!("No PostgreSQL configuration items changed, nothing to reload.");
            self.memory().pending_restart = changes.pending;
            return Ok(());
        }
        self.files_soon(move |config| {
            files::write_conf(config, &wanted, &recovery)?;
            files::clean_auto_conf(config)
        })
        .await?;
        tracing::info!("Reloading PostgreSQL configuration.");
        self.signal_reload().await?;
        if hear == Hear::Yes {
            self.fire(Callback::OnReload, role);
        }
        self.memory().pending_restart = changes.pending.clone();
        let postgres = self.clone();
        // Nobody waits for this second.
        tokio::spawn(async move {
            tokio::time::sleep(NOTICE).await;
            postgres.ask_pending(changes.pending).await;
        });
        Ok(())
    }

    /// As `pg_ctl reload`.
    pub(crate) async fn signal_reload(&self) -> Result<(), PgError> {
        let Some(postmaster) = self.discover().await? else {
            return Err(PgError::Misconfigured("PostgreSQL does not run and cannot be reloaded".to_owned()));
        };
        let path = self.data_dir();
        postmaster.signal(Signal::HUP).map_err(PgError::file("reloading the server in", &path))
    }

    /// The server's own word replaces what we thought (5.8.6), unless it was restarted while it spoke: what waited then
    /// has come into force.
    async fn ask_pending(&self, ours: PendingRestart) {
        let Some(asked) = self.postmaster() else { return };
        let still_runs = || self.postmaster().is_some_and(|postmaster| postmaster.pid == asked.pid);
        for attempt in 1..=ATTEMPTS {
            match self.pending(&ours).await {
                Ok(pending) => {
                    if still_runs() {
                        self.memory().pending_restart = pending;
                    }
                    return;
                }
                Err(error) if attempt < ATTEMPTS && still_runs() => {
                    tracing::debug!("asking again what waits for a restart: {}", error.in_words());
                    tokio::time::sleep(NOTICE).await;
                }
                Err(error) => {
                    return tracing::warn!("Could not ask what waits for a restart: {}", error.in_words());
                }
            }
        }
    }

    async fn pending(&self, ours: &PendingRestart) -> Result<PendingRestart, PgError> {
        let mut client = self.connect_locally("heartbeat", Patience::Short).await?;
        let sql = "SELECT name, setting, unit, vartype, context FROM pg_settings WHERE pending_restart";
        let marked = read(&client.ask(sql).await?);
        let mut pending = PendingRestart::new();
        let mut strangers = Vec::new();
        for (name, setting) in marked {
            if recovery::is_recovery_parameter(&name) || name == "hot_standby" {
                continue;
            }
            if !ours.contains_key(&name) {
                strangers.push(name.clone());
            }
            let new = self.value_after_restart(&name).await;
            let new = new.map_or_else(|| "?".to_owned(), |value| setting.pretty(&value));
            pending.insert(name, ChangedValue { old: setting.pretty(&setting.value), new });
        }
        if !strangers.is_empty() {
            let names = strangers.join(", ");
            tracing::info!(
                "PostgreSQL configuration parameters requiring restart ({names}) seem to be changed bypassing Patroni \
                 config. Setting 'Pending restart' flag"
            );
        }
        Ok(pending)
    }

    async fn value_after_restart(&self, name: &str) -> Option<String> {
        let config = self.config();
        let mut words = vec![format!("--config-file={}", conf_path(&config).display())];
        words.extend(controlled::command_line(&self.memory().parameters));
        validate::value_after_restart(self.tools(), &config.data_dir, &words, name).await
    }
}

/// Rows of `pg_settings` for these names.
pub(crate) async fn settings(client: &mut Client, names: &BTreeSet<&str>) -> Result<Settings, PgError> {
    let mut names: Vec<String> = names.iter().map(|name| escape_literal(name)).collect();
    names.extend(["'shared_buffers'".to_owned(), "'wal_segment_size'".to_owned()]);
    let list = names.join(", ");
    let sql = format!("SELECT name, setting, unit, vartype, context FROM pg_settings WHERE name IN ({list})");
    Ok(read(&client.ask(&sql).await?))
}

fn read(sets: &[crate::client::Rows]) -> Settings {
    let row = |row: &crate::client::Row| {
        let setting = Setting {
            value: row.text(1),
            unit: row.get(2).and_then(units::unit),
            kind: row.text(3),
            context: row.text(4),
        };
        (row.text(0), setting)
    };
    sets.iter().flatten().map(row).collect()
}

/// Compares what is wanted with what runs. Names nobody knows are taken out of `wanted`.
fn compare(wanted: &mut Parameters, previous: &Parameters, running: &Settings) -> Changes {
    let mut changes = Changes::default();
    let names: BTreeSet<String> = wanted.keys().chain(previous.keys()).cloned().collect();
    for name in names {
        if recovery::is_recovery_parameter(&name) || name == "hot_standby" {
            continue;
        }
        let new = wanted.get(&name).map(String::as_str);
        match running.get(&name) {
            Some(setting) => known(&mut changes, &name, new, previous.get(&name).map(String::as_str), setting, running),
            None if name.contains('.') => changes.changed |= new != previous.get(&name).map(String::as_str),
            None => {
                if wanted.remove(&name).is_some() {
                    tracing::warn!("Removing invalid parameter `{name}` from postgresql.parameters");
                }
            }
        }
    }
    changes
}

fn known(
    changes: &mut Changes,
    name: &str,
    new: Option<&str>,
    previous: Option<&str>,
    setting: &Setting,
    running: &Settings,
) {
    if setting.context == "internal" {
        return;
    }
    let same = new.is_some_and(|new| setting.same(new) || (name == "wal_buffers" && same_wal_buffers(new, running)));
    if same {
        // Set back before it came into force: the files still say otherwise.
        changes.changed |= previous.is_some() && previous != new;
        return;
    }
    if new.is_none() && previous.is_none() {
        return;
    }
    changes.changed = true;
    let (old, shown) = (setting.pretty(&setting.value), new.map_or("None".to_owned(), |new| setting.pretty(new)));
    if setting.needs_restart() {
        tracing::info!("Changed {name} from '{old}' to '{shown}' (restart might be required)");
        changes.pending.insert(name.to_owned(), ChangedValue { old, new: shown });
    } else {
        tracing::info!("Changed {name} from '{old}' to '{shown}'");
    }
}

fn same_wal_buffers(new: &str, running: &Settings) -> bool {
    let blocks = |name: &str| {
        let setting = running.get(name)?;
        units::integer(&setting.value, setting.unit)
    };
    let (Some(current), Some(shared)) = (blocks("wal_buffers"), blocks("shared_buffers")) else { return false };
    let segment = blocks("wal_segment_size").unwrap_or(16 << 20) / 8192;
    let resolve = |value: i64| if value == -1 { automatic_wal_buffers(shared, segment) } else { value };
    units::integer(new, units::unit("8kB")).is_some_and(|new| resolve(new) == resolve(current))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn running(rows: &[(&str, &str, &str, &str)]) -> Settings {
        let setting = |row: &(&str, &str, &str, &str)| Setting {
            value: row.1.to_owned(),
            unit: units::unit(row.2),
            kind: if row.2.is_empty() { "string".into() } else { "integer".into() },
            context: row.3.to_owned(),
        };
        rows.iter().map(|row| (row.0.to_owned(), setting(row))).collect()
    }

    #[test]
    fn what_only_a_restart_can_change_is_pending() {
        let running = running(&[
            ("shared_buffers", "16384", "8kB", "postmaster"),
            ("work_mem", "4096", "kB", "user"),
            ("wal_buffers", "512", "8kB", "postmaster"),
        ]);
        let previous = parameters(&[("shared_buffers", "128MB"), ("work_mem", "4MB")]);
        let mut wanted =
            parameters(&[("shared_buffers", "256MB"), ("work_mem", "4MB"), ("wal_buffers", "-1"), ("nonsense", "1")]);
        let changes = compare(&mut wanted, &previous, &running);
        assert!(changes.changed);
        assert_eq!(changes.pending.len(), 1, "{:?}", changes.pending);
        assert_eq!(changes.pending["shared_buffers"], ChangedValue { old: "128MB".into(), new: "256MB".into() });
        assert!(!wanted.contains_key("nonsense"));
    }

    #[test]
    fn setting_back_is_a_change_too() {
        let running = running(&[("work_mem", "4096", "kB", "user")]);
        let mut wanted = parameters(&[("work_mem", "4MB")]);
        assert!(!compare(&mut wanted, &parameters(&[("work_mem", "4MB")]), &running).changed);
        assert!(compare(&mut wanted, &parameters(&[("work_mem", "8MB")]), &running).changed);
        assert!(compare(&mut Parameters::new(), &parameters(&[("work_mem", "8MB")]), &running).changed);
    }
}
