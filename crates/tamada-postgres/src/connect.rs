//! The connections we open: to our own server and to others (postgres.md 2).

use std::time::Duration;

use tamada_model::{Credentials, PostgresConfig};

use crate::client::{Client, Host, Target};
use crate::{PgError, Postgres};

/// A server on this host that does not take us within this time hangs (postgres.md 2.3).
pub(crate) const CONNECT: Duration = Duration::from_secs(3);

/// Statements have two seconds by the server's clock; a server that hangs does not look at it.
const ANSWER: Duration = Duration::from_secs(4);

const QUIET: &str = "-c statement_timeout=2000 -c pg_stat_statements.track=none -c search_path=pg_catalog";
/// For work that takes as long as it takes: CHECKPOINT, users, slots.
const PATIENT: &str = "-c statement_timeout=0 -c pg_stat_statements.track=none -c search_path=pg_catalog";

/// How long a session's statements may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Two seconds a statement.
    Short,
    /// No limit by the server; the caller has one.
    Long,
}

impl Postgres {
    /// A session with our own server as superuser.
    pub(crate) async fn connect_locally(&self, name: &str, patience: Patience) -> Result<Client, PgError> {
        self.connect_to_database(name, patience, None).await
    }

    /// The same in another database than the configured one.
    pub(crate) async fn connect_to_database(
        &self,
        name: &str,
        patience: Patience,
        database: Option<&str>,
    ) -> Result<Client, PgError> {
        let config = self.config();
        let (host, port) = {
            let memory = self.memory();
            (memory.addresses.queries.clone(), memory.addresses.port)
        };
        let target = Target {
            host,
            port: self.running_port().unwrap_or(port),
            application_name: format!("Patroni {name}"),
            options: match patience {
                Patience::Short => QUIET.to_owned(),
                Patience::Long => PATIENT.to_owned(),
            },
            replication: false,
            limit: match patience {
                Patience::Short => Some(ANSWER),
                Patience::Long => None,
            },
            local: true,
            database: database.unwrap_or(&config.database).to_owned(),
            ..as_user(&config.superuser)
        };
        connect(&target).await
    }

    /// A replication session with our own server.
    pub(crate) async fn replicate_locally(&self) -> Result<Client, PgError> {
        let config = self.config();
        let (host, port) = {
            let memory = self.memory();
            (memory.addresses.replication.clone(), memory.addresses.port)
        };
        let port = self.running_port().unwrap_or(port);
        connect(&Target { host, port, local: true, ..replicating(&config) }).await
    }

    fn running_port(&self) -> Option<u16> {
        self.postmaster().and_then(|postmaster| postmaster.port)
    }

    /// A session on another server with the credentials for rewinding (postgres.md 14.2).
    pub(crate) async fn connect_to(&self, host: &str, port: u16) -> Result<Client, PgError> {
        let config = self.config();
        let target = Target {
            host: Host::new(host),
            port,
            application_name: "Patroni".to_owned(),
            options: QUIET.to_owned(),
            database: config.database.clone(),
            ..as_user(rewind_credentials(&config))
        };
        connect(&target).await
    }

    /// A replication session on another server.
    pub(crate) async fn replicate_from(&self, host: &str, port: u16) -> Result<Client, PgError> {
        let config = self.config();
        connect(&Target { host: Host::new(host), port, ..replicating(&config) }).await
    }
}

/// Who runs pg_rewind and looks at the leader: its own section, else the superuser.
pub(crate) fn rewind_credentials(config: &PostgresConfig) -> &Credentials {
    config.rewind.as_ref().unwrap_or(&config.superuser)
}

fn as_user(credentials: &Credentials) -> Target {
    Target {
        host: Host::Tcp(String::new()),
        port: 0,
        user: credentials.username.clone().unwrap_or_else(our_user_name),
        password: credentials.password.clone(),
        database: String::new(),
        application_name: "Patroni".to_owned(),
        options: String::new(),
        replication: false,
        limit: Some(ANSWER),
        ssl: credentials.options.clone(),
        local: false,
    }
}

fn replicating(config: &PostgresConfig) -> Target {
    Target {
        replication: true,
        options: "-c statement_timeout=2000".to_owned(),
        database: config.database.clone(),
        ..as_user(&config.replication)
    }
}

async fn connect(target: &Target) -> Result<Client, PgError> {
    match tokio::time::timeout(CONNECT, Client::connect(target)).await {
        Ok(connected) => connected,
        Err(_) => Err(PgError::TimedOut(CONNECT)),
    }
}

/// libpq's default: the operating system's name of the user we run as.
pub(crate) fn our_user_name() -> String {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    name.or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "postgres".to_owned())
}
