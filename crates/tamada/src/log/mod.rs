//! The log: lines as operators of the original know them, to standard error or to a file that rotates
//! (configuration.md 2.2, log-lines.md 1).
//!
//! Think of a letter box and a clerk. Whoever logs drops a slip with what was said, when and where, and goes on at
//! once; one thread takes slip after slip, puts it into the configured words and writes it. A full disk or a reader that
//! has stopped reading thus holds up the clerk and nobody else. The box holds so many slips and no more; what does not
//! fit is counted, and the count is written as soon as the clerk moves again.
//!
//! ```text
//! info!(…) ── Collector ──► Queue ──► Writer: Heartbeats ──► Layout ──► Destination
//!             who may say    bounded          what need not    how it       where it
//!             how much                        be said          reads        goes
//! ```
//!
//! The level CRITICAL, which `tracing` does not have, is an error with a field of that name:
//! `tracing::error!(critical = true, "…")`.

mod calendar;
mod collector;
mod destination;
mod heartbeats;
mod json;
mod layout;
mod levels;
mod names;
mod pattern;
mod queue;
mod record;
#[cfg(test)]
mod testing;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tamada_model::LogConfig;

use collector::Collector;
use layout::Home;
use pattern::PatternError;
use queue::{Backlog, Queue};
use writer::{Setup, Writer};

/// How long the end of the process waits for the last lines. They are few; a writer that takes longer is stuck.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);
/// Formatting is shallow; and a stack costs only what is touched of it.
const WRITER_STACK: usize = 128 * 1024;

/// Why the log can not be as configured.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("log.format: {0}")]
    Format(#[from] PatternError),
    #[error("log.dir: cannot write to {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(std::io::Error),
    #[error("there is a log already")]
    Installed,
}

/// How [`Handle::drain`] ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drained {
    Completely,
    /// Whatever takes the lines does not take them. The original then exits with 5.
    Stuck(Backlog),
}

/// The log of this process, to be changed and to be closed.
#[derive(Clone)]
pub struct Handle {
    collector: Collector,
    queue: Arc<Queue>,
    home: Home,
}

/// Makes this the log of the process. Once; later changes go through the [`Handle`].
pub fn install(config: &LogConfig) -> Result<Handle, LogError> {
    let (collector, handle) = begin(config)?;
    tracing::subscriber::set_global_default(collector).map_err(|_| LogError::Installed)?;
    names::say_unknown(config);
    Ok(handle)
}

fn begin(config: &LogConfig) -> Result<(Collector, Handle), LogError> {
    let home = Home::find();
    let queue = Arc::new(Queue::new(config.max_queue_size));
    let writer = Writer::open(Setup::new(config, &home)?, queue.clone())?;
    let thread = std::thread::Builder::new().name("log".into()).stack_size(WRITER_STACK);
    thread.spawn(move || writer.run()).map_err(LogError::Thread)?;
    let collector = Collector::new(config, queue.clone());
    Ok((collector.clone(), Handle { collector, queue, home }))
}

impl Handle {
    /// Takes over a changed configuration. Never waits: the file is opened by the writer, and if that fails, the log
    /// stays where it is and says so.
    pub fn apply(&self, config: &LogConfig) -> Result<(), LogError> {
        self.queue.set_up(Setup::new(config, &self.home)?, config.max_queue_size);
        self.collector.set_levels(config);
        names::say_unknown(config);
        Ok(())
    }

    /// Waits until everything said so far is written, but not for long.
    pub fn drain(&self) -> Drained {
        if self.queue.drain(DRAIN_WITHIN) { Drained::Completely } else { Drained::Stuck(self.backlog()) }
    }

    /// How many lines wait, and how many did not fit (rest-api.md: `logger_queue_size`, `logger_records_lost`).
    pub fn backlog(&self) -> Backlog {
        self.queue.backlog()
    }
}

#[cfg(test)]
mod tests;
