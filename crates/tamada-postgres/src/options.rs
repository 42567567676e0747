//! Options that operators add to initdb, pg_basebackup and pg_rewind (postgres.md 18.1, 18.2).
//!
//! They come as a map or as a list, and some would break what we rely on. What to do with a wrong one is the caller's
//! choice: initdb refuses to begin, the others go on without it.

use serde_json::Value;
use tamada_model::PgMajor;
use tamada_model::document::{scalar_text, truthy};

use crate::words::unquote;

/// The options as command-line words, and a complaint for each that was left out.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options {
    pub words: Vec<String>,
    pub complaints: Vec<String>,
}

/// Which options a program must not be given.
#[derive(Clone, Copy)]
pub(crate) enum For {
    InitDb,
    BaseBackup(PgMajor),
    Rewind,
}

impl For {
    fn tool(self) -> &'static str {
        match self {
            For::InitDb => "initdb",
            For::BaseBackup(_) => "basebackup",
            For::Rewind => "pg_rewind",
        }
    }

    fn forbidden(self) -> &'static [&'static str] {
        match self {
            For::InitDb => &["pgdata", "nosync", "pwfile", "sync-only", "version"],
            For::BaseBackup(_) => &[
                "pgdata",
                "format",
                "wal-method",
                "xlog-method",
                "gzip",
                "version",
                "dbname",
                "host",
                "port",
                "username",
                "password",
            ],
            For::Rewind => &[
                "target-pgdata",
                "source-pgdata",
                "source-server",
                "write-recovery-conf",
                "dry-run",
                "restore-target-wal",
                "config-file",
                "no-ensure-shutdown",
                "version",
                "help",
            ],
        }
    }

    fn allows(self, name: &str, value: Option<&str>) -> bool {
        match self {
            For::BaseBackup(major) if name == "compress" => {
                major >= PgMajor::of(15) && value.is_some_and(|value| value.starts_with("server"))
            }
            For::InitDb | For::BaseBackup(_) | For::Rewind => !self.forbidden().contains(&name),
        }
    }
}

pub(crate) fn options(configured: &Value, program: For) -> Options {
    let mut out = Options::default();
    match configured {
        Value::Null => {}
        Value::Object(map) => {
            for (name, value) in map.iter().filter(|(name, value)| !name.is_empty() && truthy(value)) {
                out.add(program, name, Some(&scalar_text(value)));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| out.add_item(program, item)),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.complaints.push(format!("{} options must be list or dict", program.tool()));
        }
    }
    out
}

impl Options {
    fn add_item(&mut self, program: For, item: &Value) {
        match item {
            Value::String(name) => self.add(program, name, None),
            Value::Object(map) if map.len() == 1 => match map.iter().next() {
                Some((name, Value::String(value))) => self.add(program, name, Some(value)),
                Some((name, _)) => self.complain(program, name),
                None => {}
            },
            other => self.complain(program, &other.to_string()),
        }
    }

    fn add(&mut self, program: For, name: &str, value: Option<&str>) {
        // A list entry may carry its value itself: `waldir=/x`.
        let (bare, inline) = name.split_once('=').map_or((name, value), |(bare, inline)| (bare, Some(inline)));
        if !program.allows(bare.trim_start_matches('-'), inline) {
            return self.complain(program, bare);
        }
        self.words.push(match value {
            Some(value) => format!("--{name}={}", unquote(value)),
            None => format!("--{name}"),
        });
    }

    fn complain(&mut self, program: For, what: &str) {
        self.complaints.push(format!("{} option for {} is not allowed", what, program.tool()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn maps_and_lists_become_the_same_words() {
        let list = options(&json!([{"encoding": "UTF8"}, "data-checksums"]), For::InitDb);
        assert_eq!(list.words, ["--encoding=UTF8", "--data-checksums"]);
        let map = options(&json!({"encoding": "UTF8", "waldir": "'/a b'", "no": false}), For::InitDb);
        assert_eq!(map.words, ["--encoding=UTF8", "--waldir=/a b"]);
    }

    #[test]
    fn forbidden_ones_are_left_out_and_named() {
        let out =
            options(&json!([{"pgdata": "/x"}, "verbose", {"a": "1", "b": "2"}]), For::BaseBackup(PgMajor::of(15)));
        assert_eq!(out.words, ["--verbose"]);
        assert_eq!(out.complaints.len(), 2);
        assert_eq!(options(&json!("text"), For::Rewind).complaints.len(), 1);
        assert_eq!(options(&json!(["pwfile=/x"]), For::InitDb).words.len(), 0);
    }

    #[test]
    fn compression_must_happen_on_the_server() {
        let wanted = json!([{"compress": "server-gzip"}]);
        assert_eq!(options(&wanted, For::BaseBackup(PgMajor::of(15))).words, ["--compress=server-gzip"]);
        assert!(options(&wanted, For::BaseBackup(PgMajor::of(14))).words.is_empty());
        assert!(options(&json!([{"compress": "client-gzip"}]), For::BaseBackup(PgMajor::of(16))).words.is_empty());
    }
}
