//! Who may say how much: the level of the log, and the levels of single parts of the program (`log.loggers`).
//!
//! Whether a place in the program is heard depends on the place alone. So it is asked once, remembered by `tracing`,
//! and asked again when the configuration changes; a silent `debug!` costs one load.
//!
//! Libraries are heard from WARNING on, whatever the level of the log, unless a logger is named for them: at DEBUG they
//! tell every frame that they send, and what was in it. The consensus library is heard only when it is named: to it every
//! peer that is silent for a moment is an error, several times a second; what an operator should know of that, our own
//! store tells.

use std::borrow::Cow;

use tamada_model::{LogConfig, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};

use super::names;

/// Heard only if a logger is named for it.
const CONSENSUS: &str = "openraft";

/// The field that makes an error critical.
pub const CRITICAL: &str = "critical";

pub struct Levels {
    root: LogLevel,
    rules: Vec<Rule>,
}

struct Rule {
    /// A logger's name as ours are called: `tamada_postgres.job`.
    part: String,
    level: LogLevel,
}

impl Levels {
    pub fn new(config: &LogConfig) -> Self {
        let mut rules = Vec::new();
        for (name, level) in &config.loggers {
            let parts = match names::ours(name) {
                Some(parts) => parts.iter().map(|part| (*part).to_owned()).collect(),
                None => vec![name.clone()],
            };
            rules.extend(parts.into_iter().map(|part| Rule { part, level: *level }));
        }
        // The nearest name decides.
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.part.len()));
        Self { root: config.level, rules }
    }

    pub fn hears(&self, metadata: &Metadata<'_>) -> bool {
        severity(metadata).is_some_and(|level| level >= self.least_of(metadata.target()))
    }

    /// What nobody is heard beyond.
    pub fn most_verbose(&self) -> LevelFilter {
        let least = self.rules.iter().map(|rule| rule.level).chain([self.root]).min().unwrap_or(self.root);
        match least {
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Warning => LevelFilter::WARN,
            LogLevel::Error | LogLevel::Critical => LevelFilter::ERROR,
        }
    }

    fn least_of(&self, target: &str) -> LogLevel {
        let name = logger_name(target);
        let name = names::ours(&name).and_then(|parts| parts.first().copied()).unwrap_or(&name);
        let rule = self.rules.iter().find(|rule| covers(&rule.part, name));
        match rule {
            Some(rule) => rule.level,
            None if is_ours(name) => self.root,
            None if covers(CONSENSUS, name) => LogLevel::Critical,
            None => self.root.max(LogLevel::Warning),
        }
    }
}

/// A target as loggers are named: `tamada_postgres::job` is `tamada_postgres.job`.
pub fn logger_name(target: &str) -> Cow<'_, str> {
    if target.contains("::") { target.replace("::", ".").into() } else { target.into() }
}

/// The level of an event; spans and traces have none.
pub fn severity(metadata: &Metadata<'_>) -> Option<LogLevel> {
    if !metadata.is_event() {
        return None;
    }
    match *metadata.level() {
        Level::ERROR if metadata.fields().field(CRITICAL).is_some() => Some(LogLevel::Critical),
        Level::ERROR => Some(LogLevel::Error),
        Level::WARN => Some(LogLevel::Warning),
        Level::INFO => Some(LogLevel::Info),
        Level::DEBUG => Some(LogLevel::Debug),
        Level::TRACE => None,
    }
}

/// The part itself and what is inside it; `tamada` is the whole program, `tamada_postgres` included.
fn covers(part: &str, name: &str) -> bool {
    match name.strip_prefix(part) {
        Some(rest) => rest.is_empty() || rest.starts_with('.') || (part == names::PROGRAM && rest.starts_with('_')),
        None => false,
    }
}

fn is_ours(name: &str) -> bool {
    covers(names::PROGRAM, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(level: LogLevel, loggers: &[(&str, LogLevel)]) -> Levels {
        let loggers = loggers.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect();
        Levels::new(&LogConfig { level, loggers, ..LogConfig::default() })
    }

    #[test]
    fn the_nearest_name_decides() {
        use LogLevel::{Critical, Debug, Error, Info, Warning};
        let levels = levels(
            Info,
            &[
                ("patroni", Warning),
                ("tamada_postgres.job", Error),
                ("patroni.postgresql", Debug),
                ("patroni.dcs.etcd3", Critical),
                ("h2", Info),
            ],
        );
        for (target, expected) in [
            ("tamada::drive", Warning),
            ("tamada_core::agent", Warning),
            ("tamada_postgres::look", Debug),
            ("tamada_postgres::job", Error),
            ("tamada_postgres::job::rewind", Error),
            ("tamada_postgres::jobless", Debug),
            ("patroni.postgresql.callback_executor", Debug),
            ("tamada_dcs::etcd::store", Critical),
            ("tamada_dcs::dns", Warning),
            ("h2::codec", Info),
            ("hyper::proto", Warning),
        ] {
            assert_eq!(levels.least_of(target), expected, "{target}");
        }
        assert_eq!(levels.most_verbose(), LevelFilter::DEBUG);
    }

    #[test]
    fn libraries_are_quieter_than_we_are() {
        let chatty = levels(LogLevel::Debug, &[]);
        assert_eq!(chatty.least_of("tamada_core"), LogLevel::Debug);
        assert_eq!(chatty.least_of("h2::proto"), LogLevel::Warning);
        let terse = levels(LogLevel::Error, &[]);
        assert_eq!(terse.least_of("h2::proto"), LogLevel::Error);
        assert_eq!(chatty.least_of("openraft::core"), LogLevel::Critical);
        assert_eq!(levels(LogLevel::Info, &[("openraft", LogLevel::Info)]).least_of("openraft::core"), LogLevel::Info);
    }

    #[test]
    fn a_logger_of_the_original_hears_what_goes_by_its_name() {
        let levels = levels(LogLevel::Info, &[("patroni.postgresql.callback_executor", LogLevel::Debug)]);
        assert_eq!(levels.least_of("patroni.postgresql.callback_executor"), LogLevel::Debug);
        assert_eq!(levels.least_of("tamada_postgres::callbacks"), LogLevel::Debug);
        assert_eq!(levels.least_of("tamada_postgres::slots"), LogLevel::Info);
    }
}
