//! How a line reads: plain by a pattern, or JSON.

use jiff::tz::TimeZone;
use tamada_model::{LogConfig, Wall};

use super::calendar::{Calendar, local_zone};
use super::json::Fields;
use super::pattern::{Pattern, PatternError};
use super::record::Record;
use crate::clock;

/// What stays the same for the life of the process.
#[derive(Clone)]
pub struct Home {
    zone: TimeZone,
    started: Wall,
}

impl Home {
    /// Reads the zone of the host from its files.
    pub fn find() -> Self {
        Self { zone: local_zone(), started: clock::now().wall }
    }
}

pub struct Layout {
    form: Form,
    calendar: Calendar,
    started: Wall,
}

enum Form {
    Plain(Pattern),
    Json(Fields),
}

impl Layout {
    pub fn new(config: &LogConfig, home: &Home) -> Result<Self, PatternError> {
        let form =
            if config.json { Form::Json(Fields::of(config)) } else { Form::Plain(Pattern::parse(&config.format)?) };
        let calendar = Calendar::new(home.zone.clone(), config.dateformat.as_deref());
        Ok(Self { form, calendar, started: home.started })
    }

    /// Appends the line, with its end.
    pub fn write(&self, record: &Record, line: &mut String) {
        match &self.form {
            Form::Plain(pattern) => pattern.fill(record, &self.calendar, self.started, line),
            Form::Json(fields) => fields.fill(record, &self.calendar, self.started, line),
        }
        line.push('\n');
    }
}
