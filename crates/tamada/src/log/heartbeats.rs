//! A healthy member writes one line per cycle (log-lines.md 1.3 to 1.5).
//!
//! Each cycle says who holds the lock and then what came of it. As long as nothing came of it, the first adds nothing to
//! the second. So it is held back until the same thread says its next line: if that is a heartbeat, it is dropped,
//! otherwise it is written in front of it. At level DEBUG, and any but INFO, everything is written.

use tamada_model::{LogConfig, LogLevel};

use super::record::Record;

pub struct Heartbeats {
    rule: Rule,
    /// `Lock owner: …`, waiting for what comes next.
    held: Option<Record>,
    /// The last heartbeat and who said it; forgotten as soon as that thread says anything else.
    last: Option<(i32, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    WriteAll,
    HoldLockOwner,
    /// And write a heartbeat only if it differs from the line before it.
    HoldUnchanged,
}

impl Rule {
    pub fn of(config: &LogConfig) -> Self {
        match (config.level, config.deduplicate_heartbeat_logs) {
            (LogLevel::Info, true) => Self::HoldUnchanged,
            (LogLevel::Info, false) => Self::HoldLockOwner,
            (LogLevel::Debug | LogLevel::Warning | LogLevel::Error | LogLevel::Critical, _) => Self::WriteAll,
        }
    }
}

impl Heartbeats {
    pub fn new(rule: Rule) -> Self {
        Self { rule, held: None, last: None }
    }

    pub fn set_rule(&mut self, rule: Rule) {
        self.rule = rule;
    }

    /// What is to be written now, in this order.
    pub fn pass(&mut self, record: Record) -> [Option<Record>; 2] {
        if self.rule == Rule::WriteAll {
            return [self.let_go(), Some(record)];
        }
        if record.message.starts_with("Lock owner: ") {
            return [self.held.replace(record), None];
        }
        let held = self.held.take_if(|held| held.thread.number == record.thread.number);
        if is_heartbeat(&record) {
            return [None, self.unless_unchanged(record)];
        }
        self.last.take_if(|(thread, _)| *thread == record.thread.number);
        [held, Some(record)]
    }

    /// What is held back, because nothing will follow it.
    pub fn let_go(&mut self) -> Option<Record> {
        self.held.take()
    }

    fn unless_unchanged(&mut self, record: Record) -> Option<Record> {
        let this = (record.thread.number, record.message.clone());
        let unchanged = self.last.as_ref() == Some(&this);
        self.last = Some(this);
        (!unchanged || self.rule != Rule::HoldUnchanged).then_some(record)
    }
}

fn is_heartbeat(record: &Record) -> bool {
    ["no action. ", "PAUSE: no action"].iter().any(|begin| record.message.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::{said, said_on};

    const OWNER: &str = "Lock owner: a; I am a";
    const CALM: &str = "no action. I am (a), the leader with the lock";
    const PAUSED: &str = "PAUSE: no action. I am (a), the leader with the lock";

    /// What remains of lines said on one thread; a leading `@` marks those of another.
    fn written(rule: Rule, lines: &[&str]) -> Vec<String> {
        let mut heartbeats = Heartbeats::new(rule);
        let mut written = Vec::new();
        for line in lines {
            let record = line.strip_prefix('@').map_or_else(|| said(line), |line| said_on(2, line));
            written.extend(heartbeats.pass(record).into_iter().flatten());
        }
        written.extend(heartbeats.let_go());
        written.into_iter().map(|record| record.message).collect()
    }

    #[test]
    fn the_lock_owner_is_not_worth_a_line_before_a_heartbeat() {
        let lines = [OWNER, CALM, OWNER, PAUSED, OWNER, CALM];
        assert_eq!(written(Rule::HoldLockOwner, &lines), [CALM, PAUSED, CALM]);
        assert_eq!(written(Rule::WriteAll, &lines), lines);
    }

    #[test]
    fn before_anything_else_it_is() {
        let lines = [OWNER, "promoted self to leader by acquiring session lock"];
        assert_eq!(written(Rule::HoldLockOwner, &lines), lines);
        assert_eq!(written(Rule::HoldLockOwner, &[OWNER, OWNER, "demoted self"]), [OWNER, OWNER, "demoted self"]);
        assert_eq!(written(Rule::HoldLockOwner, &[OWNER]), [OWNER]);
    }

    #[test]
    fn only_the_same_thread_decides() {
        assert_eq!(written(Rule::HoldLockOwner, &[OWNER, "@reload", CALM]), ["reload", CALM]);
        assert_eq!(written(Rule::HoldLockOwner, &[OWNER, "@reload", "demoted"]), ["reload", OWNER, "demoted"]);
    }

    #[test]
    fn an_unchanged_heartbeat_is_written_once_on_request() {
        let lines = [OWNER, CALM, OWNER, CALM, OWNER, PAUSED, OWNER, PAUSED, OWNER, CALM];
        assert_eq!(written(Rule::HoldUnchanged, &lines), [CALM, PAUSED, CALM]);
        let with_trouble = [CALM, CALM, "Loop time exceeded", CALM, "@reload", CALM];
        assert_eq!(written(Rule::HoldUnchanged, &with_trouble), [CALM, "Loop time exceeded", CALM, "reload"]);
    }

    #[test]
    fn the_rule_holds_at_level_info() {
        for (level, deduplicate, rule) in [
            (LogLevel::Debug, true, Rule::WriteAll),
            (LogLevel::Info, false, Rule::HoldLockOwner),
            (LogLevel::Info, true, Rule::HoldUnchanged),
            (LogLevel::Error, false, Rule::WriteAll),
        ] {
            let config = LogConfig { level, deduplicate_heartbeat_logs: deduplicate, ..LogConfig::default() };
            assert!(Rule::of(&config) == rule, "{level:?} {deduplicate}");
        }
    }
}
