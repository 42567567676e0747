//! A small client of PostgreSQL's wire protocol: connect, ask, read text rows.
//!
//! We ask PostgreSQL few and fixed questions, some of them in replication mode, which the usual driver does not speak.
//! The simple query protocol answers both kinds in one round trip, without type lookups and without a task in the
//! background, so one client serves everything. A client whose call failed for time,
//! or was dropped half way, is out of step and must be dropped too.

mod rows;
mod startup;
mod stream;
mod tls;

use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;
use tamada_model::{PgVersion, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) use rows::{Row, Rows};
pub(crate) use stream::Host;
pub(crate) use tls::SslOptions;

use crate::PgError;
use fallible_iterator::FallibleIterator as _;
use stream::{Stream, Wrap};
use tls::Encryption;

/// Where and as whom to connect.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub host: Host,
    pub port: u16,
    pub user: String,
    pub password: Option<Secret>,
    pub database: String,
    pub application_name: String,
    /// Command-line options of the session: `-c statement_timeout=2000 …`.
    pub options: String,
    /// Replication mode: IDENTIFY_SYSTEM and TIMELINE_HISTORY instead of SQL.
    pub replication: bool,
    /// How long an answer may take; `None` where the caller has a limit of its own.
    pub limit: Option<Duration>,
    /// The TLS keys of the user's section.
    pub ssl: SslOptions,
    /// A server on this machine.
    pub local: bool,
}

impl Target {
    fn at(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn encryption(&self) -> Encryption {
        match self.host {
            Host::Socket(_) => Encryption::Never,
            Host::Tcp(_) => tls::encryption(&self.ssl, self.local),
        }
    }
}

/// One open connection.
pub(crate) struct Client {
    stream: Stream,
    buffer: BytesMut,
    at: String,
    pub limit: Option<Duration>,
    pub version: PgVersion,
}

impl Client {
    pub async fn connect(target: &Target) -> Result<Self, PgError> {
        match target.encryption() {
            Encryption::Never => Self::open(target, Wrap::Plain).await,
            Encryption::Always => Self::open(target, Wrap::Tls).await,
            Encryption::IfRefused => match Self::open(target, Wrap::Plain).await {
                Err(PgError::Refused { sqlstate, message }) if sqlstate == INVALID_AUTHORIZATION => {
                    let refused = PgError::Refused { sqlstate, message };
                    Self::open(target, Wrap::Tls).await.map_err(|_| refused)
                }
                other => other,
            },
            Encryption::IfOffered => match Self::open(target, Wrap::TlsIfOffered).await {
                // A handshake that fails, or an access list that wants no encryption.
                Err(PgError::Unreachable { .. }) => Self::open(target, Wrap::Plain).await,
                Err(PgError::Refused { sqlstate, .. }) if sqlstate == INVALID_AUTHORIZATION => {
                    Self::open(target, Wrap::Plain).await
                }
                other => other,
            },
        }
    }

    async fn open(target: &Target, wrap: Wrap) -> Result<Self, PgError> {
        let stream = Stream::open(target, wrap).await.map_err(|error| unreachable(&target.at(), error))?;
        let mut client = Self {
            stream,
            buffer: BytesMut::new(),
            at: target.at(),
            limit: target.limit,
            version: PgVersion::from_number(0),
        };
        startup::start(&mut client, target).await?;
        Ok(client)
    }

    /// Runs one or several statements; one set of rows for each that returns any.
    pub async fn ask(&mut self, sql: &str) -> Result<Vec<Rows>, PgError> {
        let limit = self.limit;
        let mut request = BytesMut::new();
        frontend::query(sql, &mut request).map_err(|error| unreachable(&self.at, error))?;
        let asked = async {
            self.send(&request).await?;
            self.answer().await
        };
        match limit {
            Some(limit) => tokio::time::timeout(limit, asked).await.unwrap_or(Err(PgError::TimedOut(limit))),
            None => asked.await,
        }
    }

    /// The first row of the first set; an empty row when there is none.
    pub async fn ask_row(&mut self, sql: &str) -> Result<Row, PgError> {
        let sets = self.ask(sql).await?;
        Ok(sets.into_iter().next().and_then(|rows| rows.into_iter().next()).unwrap_or_default())
    }

    async fn answer(&mut self) -> Result<Vec<Rows>, PgError> {
        let mut sets: Vec<Rows> = Vec::new();
        let mut refused = None;
        loop {
            match self.receive().await? {
                Message::RowDescription(_) => sets.push(Rows::new()),
                Message::DataRow(body) => {
                    let row = Row::read(&body).map_err(|error| unreachable(&self.at, error))?;
                    if let Some(rows) = sets.last_mut() {
                        rows.push(row);
                    }
                }
                Message::ErrorResponse(body) => refused = Some(refusal(&self.at, body.fields())),
                Message::ReadyForQuery(_) => return refused.map_or(Ok(sets), Err),
                // Notices, parameter changes, command tags: nothing we need.
                _ => {}
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), PgError> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|error| unreachable(&self.at, error))
    }

    async fn receive(&mut self) -> Result<Message, PgError> {
        loop {
            if let Some(message) = Message::parse(&mut self.buffer).map_err(|error| unreachable(&self.at, error))? {
                return Ok(message);
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Err(unreachable(&self.at, "the connection was closed")),
                Ok(_) => {}
                Err(error) => return Err(unreachable(&self.at, error)),
            }
        }
    }
}

fn unreachable(at: &str, why: impl ToString) -> PgError {
    PgError::Unreachable { at: at.to_owned(), why: why.to_string() }
}

/// "invalid_authorization_specification": no entry of the access list fits a connection like this.
const INVALID_AUTHORIZATION: &str = "28000";
/// "cannot_connect_now": starting up, shutting down, in recovery without hot standby.
const CANNOT_CONNECT_NOW: &str = "57P03";
/// The server ends our session: administrator's wish, crash of another backend.
const SESSION_ENDED: [&str; 2] = ["57P01", "57P02"];

fn refusal(at: &str, fields: ErrorFields<'_>) -> PgError {
    let (mut sqlstate, mut message) = (String::new(), String::new());
    let mut fields = fields;
    while let Ok(Some(field)) = fields.next() {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => sqlstate = value,
            b'M' => message = value,
            _ => {}
        }
    }
    match sqlstate.as_str() {
        CANNOT_CONNECT_NOW => PgError::Rejecting { at: at.to_owned(), why: message },
        state if SESSION_ENDED.contains(&state) => PgError::Unreachable { at: at.to_owned(), why: message },
        _ => PgError::Refused { sqlstate, message },
    }
}
