//! The clerk: one thread that takes record after record, and alone knows how lines look and where they go.

use std::sync::Arc;

use tamada_model::{LogConfig, LogLevel};

use super::LogError;
use super::destination::{Destination, Target};
use super::heartbeats::{Heartbeats, Rule};
use super::layout::{Home, Layout};
use super::queue::{Queue, Work};
use super::record::Record;
use crate::clock;

/// Longer lines are rare; their room is given back.
const LINE_KEPT: usize = 4096;

/// The writer's part of the configuration, checked.
pub struct Setup {
    layout: Layout,
    rule: Rule,
    target: Target,
}

impl Setup {
    pub fn new(config: &LogConfig, home: &Home) -> Result<Self, LogError> {
        Ok(Self { layout: Layout::new(config, home)?, rule: Rule::of(config), target: Target::of(config) })
    }
}

pub struct Writer {
    layout: Layout,
    heartbeats: Heartbeats,
    destination: Destination,
    queue: Arc<Queue>,
    line: String,
}

impl Writer {
    pub fn open(setup: Setup, queue: Arc<Queue>) -> Result<Self, LogError> {
        let destination = Destination::open(setup.target)?;
        let heartbeats = Heartbeats::new(setup.rule);
        Ok(Self { layout: setup.layout, heartbeats, destination, queue, line: String::new() })
    }

    pub fn run(mut self) {
        loop {
            match self.queue.next() {
                Work::Write(record) => {
                    self.heartbeats.pass(record).into_iter().flatten().for_each(|record| self.write(&record));
                }
                Work::SetUp(setup) => self.set_up(setup),
                Work::LetGo => {
                    if let Some(held) = self.heartbeats.let_go() {
                        self.write(&held);
                    }
                }
            }
        }
    }

    /// The file is opened anew in any case: an operator may have moved it away.
    fn set_up(&mut self, setup: Setup) {
        self.layout = setup.layout;
        self.heartbeats.set_rule(setup.rule);
        match Destination::open(setup.target) {
            Ok(destination) => self.destination = destination,
            Err(error) => {
                let text = format!("{error}; the log stays where it is");
                self.write(&Record::own(LogLevel::Error, text, clock::now().wall));
            }
        }
    }

    fn write(&mut self, record: &Record) {
        self.line.clear();
        self.line.shrink_to(LINE_KEPT);
        self.layout.write(record, &mut self.line);
        self.destination.write(&self.line);
    }
}
