//! The parameters this node's server shall run with, from the configuration, the role and the version (postgres.md 5.1–
//! 5.6).

use std::collections::BTreeMap;

use tamada_model::document::scalar_text;
use tamada_model::{ChangedValue, Control, Document, PendingRestart, PgMajor, PostgresConfig, Role, SynchronousMode};

use super::{controlled, recovery, units};
use crate::Postgres;
use crate::inspect::control;

pub(crate) type Parameters = BTreeMap<String, String>;

/// The names of the role's overlay sections (5.1).
pub(crate) fn role_class(role: Role) -> &'static str {
    match role {
        Role::Primary | Role::Promoted => "primary",
        Role::StandbyLeader => "standby_leader",
        Role::Replica | Role::Demoted | Role::Uninitialized => "replica",
    }
}

impl Postgres {
    /// What postgresql.conf should say for `role`; anything PostgreSQL would refuse is left out with a warning.
    pub(crate) async fn wanted_parameters(&self, config: &PostgresConfig, role: Role) -> Parameters {
        let major = self.major();
        let (mut parameters, mut warnings) = controlled::values(config, major);
        for (name, value) in configured(config, role, &mut warnings) {
            parameters.entry(name).or_insert(value);
        }
        if manages_sync_names(config) {
            parameters.insert(SYNC_NAMES.to_owned(), self.sync_names().await);
        }
        make_absolute(config, &mut parameters);
        self.0.knowledge.warn(warnings);
        self.0.knowledge.sift(self.tools(), &mut parameters).await;
        parameters
    }
}

pub(crate) const SYNC_NAMES: &str = "synchronous_standby_names";

/// Whom commits wait for is then the core's to say (16.1).
pub(crate) fn manages_sync_names(config: &PostgresConfig) -> bool {
    config.synchronous_mode != SynchronousMode::Off
}

/// The operator's parameters, without those that are not the operator's to set.
fn configured(config: &PostgresConfig, role: Role, warnings: &mut Vec<String>) -> Vec<(String, String)> {
    let mut merged: Document = config.parameters.clone();
    for (name, value) in config.role_parameters.get(role_class(role)).into_iter().flatten() {
        if controlled::is_controlled(name) {
            warnings.push(format!("Role-based config attempted to override protected parameter '{name}', ignoring"));
        } else {
            merged.insert(name.clone(), value.clone());
        }
    }
    let managed_sync_names = manages_sync_names(config);
    merged
        .into_iter()
        .filter(|(name, value)| {
            !(value.is_null()
                || controlled::is_controlled(name)
                || recovery::is_recovery_parameter(name)
                || (managed_sync_names && name == SYNC_NAMES))
        })
        .map(|(name, value)| (name, scalar_text(&value)))
        .collect()
}

fn make_absolute(config: &PostgresConfig, parameters: &mut Parameters) {
    for name in ["hba_file", "ident_file"] {
        if let Some(path) = parameters.get_mut(name) {
            *path = config.config_dir.join(&*path).display().to_string();
        }
    }
}

/// Parameter, its line in pg_controldata.
const MINIMUMS: [(&str, &str); 5] = [
    ("max_connections", "max_connections setting"),
    ("max_prepared_transactions", "max_prepared_xacts setting"),
    ("max_locks_per_transaction", "max_locks_per_xact setting"),
    ("max_worker_processes", "max_worker_processes setting"),
    ("max_wal_senders", "max_wal_senders setting"),
];

/// A standby must not run with less than its primary had when it wrote the WAL (5.6). Raises what is too low and says
/// what therefore waits for a restart.
pub(crate) fn raise_to_minimums(parameters: &mut Parameters, account: &Control, major: PgMajor) -> PendingRestart {
    let mut pending = PendingRestart::new();
    for (name, key) in MINIMUMS {
        if name == "max_wal_senders" && major < PgMajor::of(12) {
            continue;
        }
        let Some(control) = control::value(account, key).and_then(|value| value.parse::<i64>().ok()) else {
            tracing::warn!("{key} is missing from pg_controldata output");
            continue;
        };
        let wanted = parameters.get(name).and_then(|value| units::integer(value, None)).unwrap_or_default();
        if control > wanted {
            tracing::info!(
                "{name} value in pg_controldata: {control}, in the global configuration: {wanted}. pg_controldata value \
                 will be used. Setting 'Pending restart' flag"
            );
            parameters.insert(name.to_owned(), control.to_string());
            pending.insert(name.to_owned(), ChangedValue { old: control.to_string(), new: wanted.to_string() });
        }
    }
    pending
}

#[cfg(test)]
mod tests {
    use super::*;
    use tamada_model::{ControlState, Lsn};

    fn account(lines: &[(&str, &str)]) -> Control {
        Control {
            state: ControlState::ShutDownInRecovery,
            checkpoint: Lsn::ZERO,
            checkpoint_timeline: None,
            min_recovery_end: Lsn::ZERO,
            min_recovery_end_timeline: None,
            wal_log_hints: true,
            checksums: false,
            lines: lines.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn a_standby_keeps_what_its_primary_had() {
        let mut parameters: Parameters = [("max_connections", "100"), ("max_wal_senders", "10")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let account = account(&[
            ("max_connections setting", "200"),
            ("max_wal_senders setting", "5"),
            ("max_worker_processes setting", "8"),
            ("max_prepared_xacts setting", "0"),
            ("max_locks_per_xact setting", "64"),
        ]);
        parameters
            .extend([("max_worker_processes".into(), "8".into()), ("max_locks_per_transaction".into(), "64".into())]);
        let pending = raise_to_minimums(&mut parameters, &account, PgMajor::of(15));
        assert_eq!(parameters["max_connections"], "200");
        assert_eq!(parameters["max_wal_senders"], "10");
        assert_eq!(pending.len(), 1);
        assert_eq!(pending["max_connections"], ChangedValue { old: "200".into(), new: "100".into() });
    }
}
