//! Names that must not be mistaken for one another.

use std::fmt;
use std::sync::Arc;

/// A member's name: unique in its cluster, also the `application_name` of its replication connections.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberName(Arc<str>);

impl MemberName {
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(Arc::from(name.as_ref()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a connection that calls itself `application_name` is this member's. PostgreSQL does not mind case there.
    pub fn is_application(&self, application_name: &str) -> bool {
        self.0.eq_ignore_ascii_case(application_name)
    }

    /// The replication slot that this member uses on its upstream (postgres.md 15.1): lower case, `-` and `.` become
    /// `_`, anything else outside `[a-z0-9_]` becomes `u` and its code point, cut to 63 characters.
    pub fn slot_name(&self) -> String {
        let mut slot = String::with_capacity(self.0.len());
        for c in self.0.chars().flat_map(char::to_lowercase) {
            match c {
                'a'..='z' | '0'..='9' | '_' => slot.push(c),
                '-' | '.' => slot.push('_'),
                other => slot.push_str(&format!("u{:04}", other as u32)),
            }
        }
        slot.truncate(63);
        slot
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl From<&str> for MemberName {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// PostgreSQL's database system identifier: what makes two data directories copies of one another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SystemId(u64);

impl SystemId {
    /// `None` unless the text has at least ten characters, all digits (ha-loop.md 5.2).
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() < 10 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        text.parse().ok().map(Self)
    }
}

impl fmt::Display for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Text that must not reach a log, an error or a debug print.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_names_follow_the_members_name() {
        assert_eq!(MemberName::new("Node-1.a").slot_name(), "node_1_a");
        assert_eq!(MemberName::new("a b").slot_name(), "au0032b");
        assert_eq!(MemberName::new("x".repeat(70)).slot_name().len(), 63);
    }

    #[test]
    fn a_system_id_has_ten_digits_at_least() {
        assert!(SystemId::parse("7277694203142172922").is_some());
        assert!(SystemId::parse("123456789").is_none());
        assert!(SystemId::parse("12345678x0").is_none());
    }
}
