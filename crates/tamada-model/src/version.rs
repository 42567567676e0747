//! Versions of PostgreSQL, of its data directories, and of agents.

use std::fmt;

/// A PostgreSQL release as the server counts it: 15.18 is 150018, 9.6.24 is 90624.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PgVersion(u32);

impl PgVersion {
    pub fn from_number(server_version_num: u32) -> Self {
        Self(server_version_num)
    }

    /// Parses `15.18`, `9.6.24`, `17beta1`, `18devel` and `postgres --version` style tails.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut parts = text[..end].split('.').filter(|part| !part.is_empty()).map(str::parse::<u32>);
        let first = parts.next()?.ok()?;
        let second = parts.next().transpose().ok()?.unwrap_or(0);
        let third = parts.next().transpose().ok()?.unwrap_or(0);
        Some(if first >= 10 { Self(first * 10_000 + second) } else { Self(first * 10_000 + second * 100 + third) })
    }

    pub fn number(self) -> u32 {
        self.0
    }

    pub fn major(self) -> PgMajor {
        if self.0 >= 100_000 { PgMajor(self.0 / 10_000 * 10_000) } else { PgMajor(self.0 / 100 * 100) }
    }
}

impl fmt::Display for PgVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 100_000 => write!(f, "{}.{}", n / 10_000, n % 10_000),
            n => write!(f, "{}.{}.{}", n / 10_000, n / 100 % 100, n % 100),
        }
    }
}

/// The major version of a data directory: 15 is 150000, 9.6 is 90600 (postgres.md, "major").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PgMajor(u32);

impl PgMajor {
    /// `PgMajor::of(15)`
    pub const fn of(major: u32) -> Self {
        Self(major * 10_000)
    }

    /// Before 10 two numbers made a major version: `PgMajor::of_old(9, 6)`.
    pub const fn of_old(first: u32, second: u32) -> Self {
        Self(first * 10_000 + second * 100)
    }

    /// Parses the content of `PG_VERSION`.
    pub fn parse(text: &str) -> Option<Self> {
        PgVersion::parse(text).map(PgVersion::major)
    }

    pub fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for PgMajor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 100_000 => write!(f, "{}", n / 10_000),
            n => write!(f, "{}.{}", n / 10_000, n / 100 % 100),
        }
    }
}

/// The version of an agent as its member key tells it; compared part by part.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AgentVersion(Vec<u32>);

impl AgentVersion {
    /// What we publish. Peers derive features from it, so it names the version of Patroni whose behaviour we keep
    /// (dcs-layout.md 12: at least 4.1.4), not our own release.
    pub const SPOKEN: &'static str = "4.1.4";

    pub fn parse(text: &str) -> Option<Self> {
        text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<_>>>().filter(|v| !v.is_empty()).map(Self)
    }

    pub fn at_least(&self, parts: &[u32]) -> bool {
        self.0.as_slice() >= parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_and_print() {
        assert_eq!(PgVersion::parse("15.18 (Debian 15.18-0+deb12u1)").unwrap().number(), 150018);
        assert_eq!(PgVersion::parse("9.6.24").unwrap().number(), 90624);
        assert_eq!(PgVersion::from_number(90624).to_string(), "9.6.24");
        assert_eq!(PgVersion::from_number(160004).to_string(), "16.4");
        assert_eq!(PgMajor::parse("15\n"), Some(PgMajor::of(15)));
        assert!(AgentVersion::parse("4.1.4").unwrap().at_least(&[2, 1, 0]));
        assert!(AgentVersion::parse("4.x").is_none());
    }
}
