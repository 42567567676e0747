//! What libraries below have to say, on standard error: `2026-11-23 09:00:00,123 - DEBUG - message` (ctl.md 1).
//!
//! Their troubles reach the operator as this tool's own errors, so nothing is listened to unless one of the level
//! variables asks for it.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::clock;
use crate::surroundings::Surroundings;

/// The last one set wins.
const VARIABLES: [&str; 3] = ["LOGLEVEL", "PATRONI_LOGLEVEL", "PATRONI_LOG_LEVEL"];

/// Installs the log for this process, if a variable asks for one.
pub fn install(surroundings: &Surroundings) {
    let wanted = VARIABLES.iter().rev().find_map(|name| surroundings.get(name));
    if let Some(level) = wanted.and_then(level) {
        // Somebody who called us may have a log already; theirs stays.
        let _ = tracing::subscriber::set_global_default(Log { level });
    }
}

fn level(name: &str) -> Option<Level> {
    match name.to_uppercase().as_str() {
        "DEBUG" => Some(Level::DEBUG),
        "INFO" => Some(Level::INFO),
        "WARNING" | "WARN" => Some(Level::WARN),
        "ERROR" | "CRITICAL" | "FATAL" => Some(Level::ERROR),
        _ => None,
    }
}

struct Log {
    level: Level,
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let level = match *event.metadata().level() {
            Level::WARN => "WARNING",
            other => other.as_str(),
        };
        eprintln!("{} - {level} - {}", clock::log_stamp(), message.0);
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing into a String cannot fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}
