//! Whether two spellings of a parameter's value mean the same (postgres.md 5.8.1).

use super::units::{self, Unit};

/// One row of `pg_settings`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting {
    pub value: String,
    pub unit: Option<Unit>,
    pub kind: String,
    pub context: String,
}

impl Setting {
    pub fn same(&self, other: &str) -> bool {
        match self.kind.as_str() {
            "bool" => truth(&self.value).is_some_and(|value| Some(value) == truth(other)),
            "integer" => both(units::integer(&self.value, self.unit), units::integer(other, self.unit)),
            "real" => both(units::number(&self.value, self.unit), units::number(other, self.unit)),
            "enum" => match (truth(&self.value), truth(other)) {
                (Some(a), Some(b)) => a == b,
                (_, _) => self.value.eq_ignore_ascii_case(other),
            },
            _ => self.value == other,
        }
    }

    /// For people: in the largest unit that loses nothing.
    pub fn pretty(&self, value: &str) -> String {
        units::pretty(value, self.unit)
    }

    pub fn needs_restart(&self) -> bool {
        self.context == "postmaster"
    }
}

fn both<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    a.is_some() && a == b
}

fn truth(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Some(true),
        "off" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// `wal_buffers = -1` means a 32nd of shared_buffers, at least 8 blocks and at most one segment (5.8.3). In blocks.
pub(crate) fn automatic_wal_buffers(shared_buffers: i64, segment_blocks: i64) -> i64 {
    (shared_buffers / 32).max(8).min(segment_blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(kind: &str, value: &str, unit: Option<&str>) -> Setting {
        Setting {
            value: value.into(),
            unit: unit.and_then(units::unit),
            kind: kind.into(),
            context: "postmaster".into(),
        }
    }

    #[test]
    fn spellings_of_one_value_are_the_same() {
        assert!(setting("integer", "16384", Some("8kB")).same("128MB"));
        assert!(setting("bool", "on", None).same("True"));
        assert!(setting("enum", "on", None).same("true"));
        assert!(setting("enum", "replica", None).same("REPLICA"));
        assert!(setting("real", "0.5", None).same("0.50"));
        assert!(!setting("integer", "100", None).same("many"));
        assert!(!setting("string", "a", None).same("A"));
        assert_eq!(setting("integer", "16384", Some("8kB")).pretty("16384"), "128MB");
    }

    #[test]
    fn automatic_wal_buffers_have_bounds() {
        assert_eq!(automatic_wal_buffers(16384, 2048), 512);
        assert_eq!(automatic_wal_buffers(64, 2048), 8);
        assert_eq!(automatic_wal_buffers(1 << 20, 2048), 2048);
    }
}
