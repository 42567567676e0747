//! Taking charge of what is there when the agent begins: a running server, a stopped one, or nothing (postgres.md 4.8,
//! ha-loop.md 4.6).

use std::time::Duration;

use tamada_model::{ControlState, Live, Role, State};

use crate::address::Addresses;
use crate::clock::Deadline;
use crate::configure::reload::Hear;
use crate::configure::{controlled, files};
use crate::connect::Patience;
use crate::inspect::data_dir::{self, Files};
use crate::markers::Underway;
use crate::{PgError, Postgres};

/// A server that does not answer within this time is adopted as it is, and looked at again and again.
const LIMIT: Duration = Duration::from_secs(5);

impl Postgres {
    pub async fn adopt(&self) {
        let (config, notes) = (self.config(), self.0.notes.clone());
        let look = move || {
            // pg_basebackup's second process, for one, goes on streaming when the first is killed with its agent.
            notes.end_leftover_work(Underway::Copy);
            notes.end_leftover_work(Underway::Rewind);
            data_dir::look(&config.data_dir, &notes)
        };
        match self.0.disk.look(LIMIT, look).await {
            Ok(Files::Present(seen)) => {
                self.memory().major = seen.major;
                match self.recognise(seen.pid_file.as_ref()) {
                    Some(_) => self.adopt_running(seen.recovery_configured).await,
                    None => self.adopt_stopped(seen.recovery_configured).await,
                }
            }
            Ok(Files::Empty | Files::Unreadable(_)) | Err(_) => self.set_role(Role::Uninitialized),
        }
    }

    /// A stopped former primary is `demoted`: whatever it was before, it must not come back as one by itself.
    async fn adopt_stopped(&self, recovery_configured: bool) {
        self.refresh_control(Deadline::after(LIMIT)).await;
        let readable = self.memory().control.as_ref().is_some_and(|control| control.state != ControlState::Unknown);
        self.set_state(State::Stopped);
        self.set_role(match (readable, recovery_configured) {
            (false, _) => Role::Uninitialized,
            (true, true) => Role::Replica,
            (true, false) => Role::Demoted,
        });
    }

    async fn adopt_running(&self, recovery_configured: bool) {
        self.refresh_control(Deadline::after(LIMIT)).await;
        self.adopt_addresses().await;
        let Some(postmaster) = self.postmaster() else { return };
        let asked = tokio::time::timeout(LIMIT, self.ask_once(&postmaster)).await;
        match asked.unwrap_or(Err(PgError::TimedOut(LIMIT))) {
            Ok(live) => self.take_charge(&live).await,
            Err(error) => {
                tracing::warn!("The running PostgreSQL does not answer yet: {}", error.in_words());
                let starting = matches!(error, PgError::Rejecting { .. });
                self.set_state(if starting { State::Starting } else { State::Running });
                self.set_role(if recovery_configured { Role::Replica } else { Role::Primary });
            }
        }
    }

    /// Where it listens: the port from its pid file, the sockets as configured.
    async fn adopt_addresses(&self) {
        let config = self.config();
        let addresses = Addresses::new(&config, crate::supervisor::sockets(&config));
        self.memory().addresses = addresses;
    }

    async fn take_charge(&self, live: &Live) {
        let role = if live.is_primary() { Role::Primary } else { Role::Replica };
        self.set_state(State::Running);
        self.set_role(role);
        if let Err(error) = self.adopt_configuration(live, role).await {
            tracing::warn!("The running PostgreSQL's configuration could not be taken over: {}", error.in_words());
        }
    }

    async fn adopt_configuration(&self, live: &Live, role: Role) -> Result<(), PgError> {
        self.read_parameters().await?;
        if live.standby().is_some() {
            let in_force = self.ask_in_force().await?;
            let set = in_force.into_iter().filter(|(_, current)| !current.value.is_empty());
            self.memory().recovery = set.map(|(name, current)| (name, current.value)).collect();
        }
        let config = self.config();
        self.files_soon(files_directories).await?;
        if live.is_primary() {
            // Everything as wanted; what needs a restart is told as pending.
            self.put_into_force(true, Hear::No).await;
            return Ok(());
        }
        // A standby keeps its files until it is known whom it shall follow: the first comparison sees to that.
        let wanted = self.wanted_parameters(&config, role).await;
        if self.files_soon(move |config| files::write_access(config, &wanted, role)).await? {
            self.signal_reload().await?;
        }
        Ok(())
    }

    /// What the server was given: the configuration we compare the next one with.
    async fn read_parameters(&self) -> Result<(), PgError> {
        let names: Vec<String> = controlled::adopted_names().map(|name| format!("'{name}'")).collect();
        let sql = format!(
            "SELECT name, current_setting(name) FROM pg_settings \
             WHERE (source IN ('command line', 'environment variable') OR sourcefile = {} OR name IN ({})) \
             AND name NOT IN ('listen_addresses', 'port', 'cluster_name', 'config_file', 'data_directory', 'hba_file', \
             'ident_file', 'server_version')",
            postgres_protocol::escape::escape_literal(&self.conf_path().display().to_string()),
            names.join(", ")
        );
        let mut client = self.connect_locally("heartbeat", Patience::Short).await?;
        let rows = client.ask(&sql).await?.into_iter().next().unwrap_or_default();
        let given = rows.iter().map(|row| (row.text(0), row.text(1)));
        let given = given.filter(|(name, _)| !crate::configure::recovery::is_recovery_parameter(name)).collect();
        self.memory().parameters = given;
        Ok(())
    }
}

fn files_directories(config: &tamada_model::PostgresConfig) -> Result<(), PgError> {
    let sockets =
        crate::supervisor::sockets(config).map(|list| ("unix_socket_directories".to_owned(), list.to_owned()));
    files::check_directories(config, &sockets.into_iter().collect())
}
