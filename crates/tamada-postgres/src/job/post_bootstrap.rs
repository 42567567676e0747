//! The users a new cluster needs, and the operator's own script (postgres.md 12.5, 12.6).
//!
//! Passwords must not reach the server's log, so everything that logs statements is off for the session, and one DO
//! block does all that mentions them.

use std::collections::BTreeMap;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use tamada_model::{Credentials, JobEnd, PostgresConfig, Role, State};
use tokio::process::Command;

use super::{JobHand, Outcome};
use crate::client::{Client, Host};
use crate::configure::files;
use crate::connect::Patience;
use crate::dsn::Dsn;
use crate::pgpass;
use crate::process::child;
use crate::words;
use crate::{PgError, Postgres};

impl Postgres {
    pub(super) async fn post_bootstrap(&self, hand: &JobHand) -> Outcome {
        self.set_role(Role::Primary);
        let done = self.make_usable(hand).await;
        if let Err(error) = &done
            && !matches!(error, PgError::Cancelled)
        {
            tracing::error!("post_bootstrap: {}", error.in_words());
        }
        done?;
        let mut memory = self.memory();
        memory.bootstrapping = false;
        memory.custom_bootstrap = None;
        Ok(JobEnd::Done)
    }

    async fn make_usable(&self, hand: &JobHand) -> Result<(), PgError> {
        let config = self.config();
        let mut client = self.connect_locally("heartbeat", Patience::Long).await?;
        hush(&mut client).await?;
        if let (Some(name), Some(_)) = (&config.superuser.username, &config.superuser.password) {
            client.ask(&user(name, &config.superuser, "SUPERUSER")).await?;
        }
        self.operators_script(&config, hand).await?;
        self.other_users(&config, &mut client).await?;
        if config.bootstrap.has_users {
            tracing::error!(
                "User creation is not be supported starting from v4.0.0. Please use \"bootstrap.post_bootstrap\" script \
                 to create users."
            );
        }
        drop(client);
        if self.memory().custom_bootstrap.is_some() { self.end_trust(hand).await } else { Ok(()) }
    }

    async fn other_users(&self, config: &PostgresConfig, client: &mut Client) -> Result<(), PgError> {
        if let Some(name) = &config.replication.username {
            client.ask(&user(name, &config.replication, "REPLICATION")).await?;
        }
        let own = config.rewind.as_ref().filter(|rewind| rewind.username != config.superuser.username);
        if let Some((rewind, name)) = own.and_then(|rewind| Some((rewind, rewind.username.as_ref()?))) {
            client.ask(&user(name, rewind, "")).await?;
            for function in REWIND_FUNCTIONS {
                client
                    .ask(&format!("GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO {}", escape_identifier(name)))
                    .await?;
            }
        }
        Ok(())
    }

    /// 12.5.2: told how to reach the server; its failure is the bootstrap's.
    async fn operators_script(&self, config: &PostgresConfig, hand: &JobHand) -> Result<(), PgError> {
        let Some(line) = &config.bootstrap.post_bootstrap else { return Ok(()) };
        let words = words::split(line).unwrap_or_default();
        let Some((program, words)) = words.split_first() else {
            return Err(PgError::Misconfigured(format!("post_init script {line} cannot be understood")));
        };
        let mut command = child::with(Command::new(program), words);
        command.arg(self.local_dsn(config)).env("PGOPTIONS", "-c synchronous_commit=local -c statement_timeout=0");
        let lines = pgpass::lines(&pgpass::Server { host: "localhost", port: config.port }, &config.superuser);
        if self.files(move |config| write_passwords(config, &lines)).await? {
            command.env("PGPASSFILE", &config.pgpass);
        }
        match child::run(command, &hand.cancel).await {
            Ok(0) => Ok(()),
            Ok(code) => Err(PgError::Misconfigured(format!("post_init script {line} returned non-zero code {code}"))),
            Err(PgError::Cancelled) => Err(PgError::Cancelled),
            Err(error) => {
                tracing::error!("post_init script {line} failed");
                Err(error)
            }
        }
    }

    /// Our own server as superuser, without password.
    fn local_dsn(&self, config: &PostgresConfig) -> String {
        let mut dsn = Dsn::default();
        dsn.set("dbname", &config.database);
        dsn.add_credentials(&config.superuser);
        let addresses = self.memory().addresses.clone();
        match &addresses.queries {
            Host::Tcp(host) => dsn.set("host", host),
            Host::Socket(directory) => dsn.set("host", directory.display().to_string()),
        }
        dsn.set("port", addresses.port.to_string());
        dsn.text(self.major())
    }

    /// After a custom bootstrap: the real access list and no recovery configuration (12.5.5).
    async fn end_trust(&self, hand: &JobHand) -> Result<(), PgError> {
        self.memory().custom_bootstrap = None;
        self.memory().recovery.clear();
        let config = self.config();
        let parameters = self.wanted_parameters(&config, Role::Primary).await;
        let own_hba = parameters.contains_key("hba_file");
        let written = parameters.clone();
        self.files(move |config| {
            files::restore_hba(config)?;
            files::remove_recovery(config)?;
            files::write_conf(config, &written, &Default::default())?;
            files::clean_auto_conf(config)?;
            files::write_access(config, &written, Role::Primary).map(drop)
        })
        .await?;
        if own_hba || !self.memory().pending_restart.is_empty() || self.needs_restart(&parameters).await {
            self.stop_and_start_quietly(hand).await
        } else {
            self.signal_reload().await?;
            self.close_connections();
            Ok(())
        }
    }

    async fn stop_and_start_quietly(&self, hand: &JobHand) -> Result<(), PgError> {
        let start = super::start::Start { role: Role::Primary, limit: None, callback: None, state: State::Starting };
        self.stop_and_start(start, hand).await.map(drop)
    }

    /// Whether what runs differs from what is wanted in something only a restart can change: `hot_standby` was off.
    async fn needs_restart(&self, parameters: &BTreeMap<String, String>) -> bool {
        let asked = async {
            let mut client = self.connect_locally("heartbeat", Patience::Short).await?;
            client.ask_row("SELECT current_setting('hot_standby')").await
        };
        let running = asked.await.ok().and_then(|row| row.get(0).map(str::to_owned));
        running.is_some_and(|running| parameters.get("hot_standby").is_some_and(|wanted| *wanted != running))
    }
}

/// What pg_rewind needs when its user is no superuser.
const REWIND_FUNCTIONS: [&str; 4] = [
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
];

/// For this session: no statement reaches a log, and no standby is waited for.
async fn hush(client: &mut Client) -> Result<(), PgError> {
    let settings = [
        "log_statement TO none",
        "log_min_duration_statement TO -1",
        "log_min_error_statement TO 'log'",
        "pg_stat_statements.track_utility TO off",
        "pgaudit.log TO none",
        "synchronous_commit TO local",
    ];
    for setting in settings {
        client.ask(&format!("SET {setting}")).await?;
    }
    Ok(())
}

/// Creates the role or changes the one that is there (12.6).
fn user(name: &str, credentials: &Credentials, attributes: &str) -> String {
    let mut options = format!("WITH {attributes} LOGIN");
    if let Some(password) = credentials.password.as_ref().filter(|password| !password.is_empty()) {
        options.push_str(&format!(" PASSWORD {}", escape_literal(password.expose())));
    }
    let (role, literal) = (escape_identifier(name), escape_literal(name));
    let body = format!(
        "BEGIN IF EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {literal}) \
         THEN ALTER ROLE {role} {options}; ELSE CREATE ROLE {role} {options}; END IF; END"
    );
    format!("DO {}", escape_literal(&body))
}

fn write_passwords(config: &PostgresConfig, lines: &[String]) -> Result<bool, PgError> {
    pgpass::write(&config.pgpass, lines).map_err(PgError::file("writing the password file", &config.pgpass))
}
