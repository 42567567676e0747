//! One client of the cluster: it writes row after row, and takes down what it was told of each.
//!
//! Some know one member only, so that a member which should not write any more is asked to all along. Others know all,
//! and want whoever is writable, as an application does.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::Severity;
use tokio_postgres::{Config, Error, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::record::{By, Record};

/// For one address.
const CONNECT: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(3);
/// Between two rows; after a refusal; after a failure.
const PAUSES: [Duration; 3] = [Duration::from_millis(5), Duration::from_millis(50), Duration::from_millis(100)];
/// Rows of one client are below those of the next.
const ROWS_EACH: u64 = 1_000_000;

pub struct Client {
    record: Arc<Record>,
    /// Where each member's PostgreSQL listens.
    members: Vec<(String, u16)>,
    wants: Wants,
    next_row: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    Member(usize),
    WhoeverIsWritable,
}

/// A connection, and the task that serves it.
struct Session {
    client: tokio_postgres::Client,
    task: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

enum Told {
    Acknowledged,
    Refused,
    Nothing,
}

impl Client {
    pub fn new(number: usize, record: Arc<Record>, members: Vec<(String, u16)>, wants: Wants) -> Self {
        Self { record, members, wants, next_row: number as u64 * ROWS_EACH }
    }

    pub async fn work(mut self) {
        let [row, refusal, failure] = PAUSES;
        while !self.record.is_over() {
            let Some(session) = self.connect().await else {
                sleep(failure).await;
                continue;
            };
            while !self.record.is_over() {
                match (self.write(&session).await, self.wants) {
                    (Told::Acknowledged, _) => sleep(row).await,
                    (Told::Refused, Wants::Member(_)) => sleep(refusal).await,
                    (Told::Refused, Wants::WhoeverIsWritable) | (Told::Nothing, _) => break,
                }
            }
            // Not at once: a server that refuses everything would be kept busy with nothing else.
            sleep(refusal).await;
        }
    }

    async fn connect(&self) -> Option<Session> {
        let mut config = Config::new();
        config.user("postgres").dbname("postgres").connect_timeout(CONNECT);
        let wanted = match self.wants {
            Wants::Member(at) => &self.members[at..=at],
            Wants::WhoeverIsWritable => {
                config.target_session_attrs(TargetSessionAttrs::ReadWrite);
                &self.members[..]
            }
        };
        for (host, port) in wanted {
            config.host(host).port(*port);
        }
        // The timeout above is for the connection alone: whoever is frozen takes it, and says nothing.
        let (client, connection) = timeout(CONNECT * 4, config.connect(NoTls)).await.ok()?.ok()?;
        let task = tokio::spawn(async move {
            let _ = connection.await;
        });
        Some(Session { client, task })
    }

    async fn write(&mut self, session: &Session) -> Told {
        self.next_row += 1;
        let row = self.next_row;
        let asked = self.record.ask(row);
        // One message there, and the answer only after the commit.
        let insert = format!(
            "insert into chaos (row) values ({row}) returning host(inet_server_addr()), inet_server_port(), \
             pg_walfile_name(pg_current_wal_insert_lsn()), pg_current_wal_insert_lsn() - '0/0'"
        );
        match timeout(ANSWER, session.client.simple_query(&insert)).await {
            Ok(Ok(answer)) => {
                self.record.acknowledge(&asked, self.read(&answer));
                Told::Acknowledged
            }
            Ok(Err(error)) if is_refusal(&error) => {
                self.record.refuse(&asked);
                Told::Refused
            }
            Ok(Err(_)) | Err(_) => Told::Nothing,
        }
    }

    fn read(&self, answer: &[SimpleQueryMessage]) -> By {
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        self.by(row.expect("an insert that returns one row")).expect("as the insert asked for it")
    }

    fn by(&self, row: &SimpleQueryRow) -> Option<By> {
        let (host, port): (_, u16) = (row.get(0)?, row.get(1)?.parse().ok()?);
        let member = self.members.iter().position(|(its_host, its_port)| its_host == host && *its_port == port)?;
        let timeline = u32::from_str_radix(row.get(2)?.get(..8)?, 16).ok()?;
        Some(By { member, timeline, lsn: row.get(3)?.parse().ok()? })
    }
}

/// An error of the statement: it is undone. What ends the session (FATAL) may have been said after the commit.
fn is_refusal(error: &Error) -> bool {
    error.as_db_error().and_then(|error| error.parsed_severity()) == Some(Severity::Error)
}
