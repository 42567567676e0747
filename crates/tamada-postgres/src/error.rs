//! What can go wrong with PostgreSQL, sorted by what the caller does about it: look again later, tell the operator,
//! or stop because somebody wished so.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tamada_model::PgMajor;

/// Something asked of PostgreSQL, its programs or its files did not work.
#[derive(Debug, thiserror::Error)]
pub enum PgError {
    /// No connection, or it broke. Look again later.
    #[error("PostgreSQL at {at} cannot be reached: {why}")]
    Unreachable { at: String, why: String },
    /// It is there and rejects connections for now: starting up or shutting down.
    #[error("PostgreSQL at {at} accepts no connections: {why}")]
    Rejecting { at: String, why: String },
    #[error("no answer within {:.1} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// PostgreSQL understood and said no.
    #[error("{message} (SQLSTATE {sqlstate})")]
    Refused { sqlstate: String, message: String },
    #[error("{what} {path:?}")]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{tool} could not be run")]
    NotRun {
        tool: String,
        #[source]
        source: io::Error,
    },
    #[error("{tool} exited with code={code}: {complaint}")]
    Exited { tool: String, code: String, complaint: String },
    /// The configuration asks for something impossible; the sentence says what.
    #[error("{0}")]
    Misconfigured(String),
    #[error("cancelled")]
    Cancelled,
}

impl PgError {
    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PgError {
        let path = path.to_owned();
        move |source| PgError::File { what, path, source }
    }

    /// The error and its causes in one line, for sentences shown to people.
    pub fn in_words(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// Why this member's PostgreSQL cannot be supervised at all. Each is one sentence that says what to do; nothing was
/// changed (issue 2, section 7).
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(
        "PostgreSQL refuses to run as root: start the agent as the user that owns the data directory, usually `postgres`."
    )]
    RunsAsRoot,
    #[error(
        "{missing} not found in {place}: install the PostgreSQL server package or set postgresql.bin_dir to the \
         directory that holds its programs."
    )]
    ProgramsMissing { missing: String, place: String },
    #[error("{program} does not tell its version ({answer}): check postgresql.bin_dir and postgresql.bin_name.")]
    ProgramBroken { program: String, answer: String },
    #[error(
        "{data_dir:?} was created by PostgreSQL {data}, but the programs in {place} are version {programs}: set \
         postgresql.bin_dir to version {data}'s programs, or upgrade the data directory with pg_upgrade."
    )]
    WrongVersion { data_dir: PathBuf, data: PgMajor, place: String, programs: PgMajor },
    #[error("PostgreSQL {programs} is too old: version 13 or newer is needed; set postgresql.bin_dir accordingly.")]
    TooOld { programs: PgMajor },
    #[error("postgresql.data_dir {0:?} is not a directory: remove what is there or choose another path.")]
    NotADirectory(PathBuf),
    #[error(
        "{data_dir:?} belongs to uid {owner}, but the agent runs as uid {we}: start the agent as that user or run \
         `chown -R {we} {}`.", data_dir.display()
    )]
    WrongOwner { data_dir: PathBuf, owner: u32, we: u32 },
    #[error(
        "{data_dir:?} has mode {mode:04o}, and PostgreSQL starts only with 0700 or 0750: run `chmod 0700 {}`.",
        data_dir.display()
    )]
    WrongMode { data_dir: PathBuf, mode: u32 },
    #[error(
        "{data_dir:?} does not exist and cannot be created in {parent:?} ({why}): create it, owned by the agent's user, \
         or choose another postgresql.data_dir."
    )]
    CannotCreate { data_dir: PathBuf, parent: PathBuf, why: String },
    #[error("{path:?} cannot be looked at ({why}): check the permissions of the directories above it.")]
    CannotLook { path: PathBuf, why: String },
}
