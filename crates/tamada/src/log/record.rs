//! One slip of paper: what was said, when, by whom, and the attributes by which a format may ask for it.
//!
//! Attributes have the names of the original's log records, because formats in existing configurations use them.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::thread::Thread;

use serde_json::Value;
use tamada_model::{LogLevel, Wall};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};

use super::levels;

pub struct Record {
    pub at: Wall,
    pub level: LogLevel,
    pub place: Place,
    pub thread: OnThread,
    pub message: String,
    /// What was given beside the message.
    pub fields: Vec<(&'static str, Value)>,
}

/// Where in the program it was said.
#[derive(Clone, Copy)]
pub struct Place {
    pub target: &'static str,
    pub module: Option<&'static str>,
    pub file: Option<&'static str>,
    pub line: Option<u32>,
}

impl Place {
    fn of(metadata: &'static Metadata<'static>) -> Self {
        let (target, module) = (metadata.target(), metadata.module_path());
        Self { target, module, file: metadata.file(), line: metadata.line() }
    }
}

#[derive(Clone)]
pub struct OnThread {
    pub number: i32,
    pub handle: Thread,
}

impl OnThread {
    fn this() -> Self {
        // SAFETY: takes nothing and cannot fail.
        Self { number: unsafe { libc::gettid() }, handle: std::thread::current() }
    }
}

impl Record {
    /// `None` for what has no level in the original: traces.
    pub fn of(event: &Event<'_>, at: Wall) -> Option<Self> {
        let level = levels::severity(event.metadata())?;
        let mut said = Said::default();
        event.record(&mut said);
        let place = Place::of(event.metadata());
        Some(Self { at, level, place, thread: OnThread::this(), message: said.message, fields: said.fields })
    }

    /// Said by the log itself.
    pub fn own(level: LogLevel, message: String, at: Wall) -> Self {
        let place = Place { target: module_path!(), module: Some(module_path!()), file: None, line: None };
        Self { at, level, place, thread: OnThread::this(), message, fields: Vec::new() }
    }

    /// The message with the fields behind it, ` name=value` each.
    pub fn text(&self) -> Cow<'_, str> {
        let mut text = Cow::Borrowed(self.message.as_str());
        for (name, value) in &self.fields {
            let text = text.to_mut();
            text.push(' ');
            text.push_str(name);
            text.push('=');
            match value {
                Value::String(value) => text.push_str(value),
                value => text.push_str(&value.to_string()),
            }
        }
        text
    }
}

/// Collects what an event carries.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Said {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            // Says the level, which is known from the event's place already.
            (levels::CRITICAL, _) => {}
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Fails only if the value's own formatting does; what it wrote until then is better than nothing.
        let _ = write!(text, "{value:?}");
        self.put(field, Value::String(text));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    /// The whole chain: nobody after us can walk it.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        self.put(field, text.into());
    }
}

/// What a format may ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attribute {
    Name,
    LevelNumber,
    LevelName,
    PathName,
    FileName,
    Module,
    Line,
    Function,
    Created,
    AscTime,
    Milliseconds,
    SinceStart,
    Thread,
    ThreadName,
    Task,
    Process,
    ProcessName,
    Message,
}

const ATTRIBUTES: [(&str, Attribute); 18] = [
    ("name", Attribute::Name),
    ("levelno", Attribute::LevelNumber),
    ("levelname", Attribute::LevelName),
    ("pathname", Attribute::PathName),
    ("filename", Attribute::FileName),
    ("module", Attribute::Module),
    ("lineno", Attribute::Line),
    ("funcName", Attribute::Function),
    ("created", Attribute::Created),
    ("asctime", Attribute::AscTime),
    ("msecs", Attribute::Milliseconds),
    ("relativeCreated", Attribute::SinceStart),
    ("thread", Attribute::Thread),
    ("threadName", Attribute::ThreadName),
    ("taskName", Attribute::Task),
    ("process", Attribute::Process),
    ("processName", Attribute::ProcessName),
    ("message", Attribute::Message),
];

impl Attribute {
    pub fn named(name: &str) -> Option<Self> {
        ATTRIBUTES.iter().find(|(known, _)| *known == name).map(|(_, attribute)| *attribute)
    }

    pub fn names() -> impl Iterator<Item = &'static str> {
        ATTRIBUTES.iter().map(|(name, _)| *name)
    }

    pub fn is_number(self) -> bool {
        match self {
            Self::LevelNumber
            | Self::Line
            | Self::Created
            | Self::Milliseconds
            | Self::SinceStart
            | Self::Thread
            | Self::Process => true,
            Self::Name
            | Self::LevelName
            | Self::PathName
            | Self::FileName
            | Self::Module
            | Self::Function
            | Self::AscTime
            | Self::ThreadName
            | Self::Task
            | Self::ProcessName
            | Self::Message => false,
        }
    }
}

/// What an attribute of a record is.
#[derive(PartialEq, Debug)]
pub enum Shown<'r> {
    Text(Cow<'r, str>),
    Whole(i64),
    Real(f64),
    Nothing,
}

impl Record {
    /// All but the formatted time, which is not the record's to know; `started` is when logging began.
    pub fn show(&self, attribute: Attribute, asctime: impl FnOnce() -> String, started: Wall) -> Shown<'_> {
        let file = self.place.file.unwrap_or_default();
        match attribute {
            Attribute::Name => Shown::Text(levels::logger_name(self.place.target)),
            Attribute::LevelNumber => Shown::Whole(level_number(self.level)),
            Attribute::LevelName => Shown::Text(level_name(self.level).into()),
            Attribute::PathName => Shown::Text(file.into()),
            Attribute::FileName => Shown::Text(last_part(file, "/").into()),
            Attribute::Module => Shown::Text(last_part(self.place.module.unwrap_or_default(), "::").into()),
            Attribute::Line => Shown::Whole(self.place.line.unwrap_or(0).into()),
            // Not known: an event tells its module and line, but not its function.
            Attribute::Function => Shown::Text("".into()),
            Attribute::Created => Shown::Real(self.at.micros() as f64 / 1e6),
            Attribute::AscTime => Shown::Text(asctime().into()),
            Attribute::Milliseconds => Shown::Real((self.at.micros().rem_euclid(1_000_000) / 1000) as f64),
            Attribute::SinceStart => Shown::Real(self.at.seconds_from(started) * 1000.0),
            Attribute::Thread => Shown::Whole(self.thread.number.into()),
            Attribute::ThreadName => Shown::Text(self.thread_name()),
            Attribute::Task => Shown::Nothing,
            Attribute::Process => Shown::Whole(std::process::id().into()),
            Attribute::ProcessName => Shown::Text("MainProcess".into()),
            Attribute::Message => Shown::Text(self.text()),
        }
    }

    fn thread_name(&self) -> Cow<'_, str> {
        match self.thread.handle.name() {
            Some("main") => "MainThread".into(),
            Some(name) => name.into(),
            None => format!("Thread-{}", self.thread.number).into(),
        }
    }
}

fn last_part<'t>(path: &'t str, separator: &str) -> &'t str {
    path.rsplit(separator).next().unwrap_or(path)
}

fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "DEBUG",
        LogLevel::Info => "INFO",
        LogLevel::Warning => "WARNING",
        LogLevel::Error => "ERROR",
        LogLevel::Critical => "CRITICAL",
    }
}

fn level_number(level: LogLevel) -> i64 {
    match level {
        LogLevel::Debug => 10,
        LogLevel::Info => 20,
        LogLevel::Warning => 30,
        LogLevel::Error => 40,
        LogLevel::Critical => 50,
    }
}
