//! Connection strings as libpq reads them (postgres.md 14.3).
//!
//! We write them for `primary_conninfo` and for PostgreSQL's programs, always in one order, so that two strings can be
//! compared by eye; and we read them back to see whether a standby follows whom it should.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tamada_model::{Credentials, PgMajor, PostgresConfig, UpstreamMember};

/// Every key we ever write, in the order of writing, with the first version that knows it.
const KEYS: [(&str, PgMajor); 20] = [
    ("dbname", PgMajor::of(9)),
    ("user", PgMajor::of(9)),
    ("passfile", PgMajor::of(10)),
    ("password", PgMajor::of(9)),
    ("host", PgMajor::of(9)),
    ("port", PgMajor::of(9)),
    ("sslmode", PgMajor::of(9)),
    ("sslcompression", PgMajor::of(9)),
    ("sslcert", PgMajor::of(9)),
    ("sslkey", PgMajor::of(9)),
    ("sslpassword", PgMajor::of(13)),
    ("sslrootcert", PgMajor::of(9)),
    ("sslcrl", PgMajor::of(9)),
    ("sslcrldir", PgMajor::of(14)),
    ("application_name", PgMajor::of(9)),
    ("krbsrvname", PgMajor::of(9)),
    ("gssencmode", PgMajor::of(12)),
    ("channel_binding", PgMajor::of(13)),
    ("target_session_attrs", PgMajor::of(10)),
    ("sslnegotiation", PgMajor::of(17)),
];

/// What libpq assumes for keys that a string leaves out (postgres.md 11.7, 14.4).
pub(crate) const DEFAULTS: [(&str, &str); 4] =
    [("sslmode", "prefer"), ("gssencmode", "prefer"), ("channel_binding", "prefer"), ("sslnegotiation", "postgres")];

/// The pairs of a connection string.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Dsn(BTreeMap<String, String>);

impl Dsn {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.0.insert(key.to_owned(), value.into());
    }

    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// User name and the TLS keys of a section of `authentication`; never the password.
    pub fn add_credentials(&mut self, credentials: &Credentials) {
        if let Some(user) = &credentials.username {
            self.set("user", user);
        }
        for (key, value) in &credentials.options {
            self.set(key, value);
        }
    }

    /// Fills in what libpq would assume, as far as `major` knows the key.
    pub fn add_defaults(&mut self, major: PgMajor) {
        for (key, value) in DEFAULTS {
            if known(key, major) && self.get(key).is_none() {
                self.set(key, value);
            }
        }
    }

    /// The string for programs and servers of `major`; keys it does not know are left out.
    pub fn text(&self, major: PgMajor) -> String {
        let mut text = String::new();
        for (key, since) in KEYS {
            if let Some(value) = self.get(key).filter(|_| since <= major) {
                let space = if text.is_empty() { "" } else { " " };
                // Writing into a String cannot fail.
                let _ = write!(text, "{space}{key}={}", escape(value));
            }
        }
        text
    }

    /// Reads a connection string; `None` if libpq would refuse it. Keys we do not know are kept too.
    pub fn parse(text: &str) -> Option<Self> {
        let mut pairs = BTreeMap::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (key, tail) = rest.split_once('=')?;
            let (value, tail) = value(tail.trim_start())?;
            pairs.insert(key.trim().to_owned(), value);
            rest = tail.trim_start();
        }
        Some(Self(pairs))
    }
}

fn known(key: &str, major: PgMajor) -> bool {
    KEYS.iter().any(|(name, since)| *name == key && *since <= major)
}

fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if c == '\'' || c == '\\' || c == ' ' {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// The value at the beginning of `text`, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let (quoted, body) = text.strip_prefix('\'').map_or((false, text), |body| (true, body));
    let mut value = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            '\'' if quoted => return Some((value, &body[at + 1..])),
            c if !quoted && c.is_whitespace() => return Some((value, &body[at..])),
            other => value.push(other),
        }
    }
    (!quoted).then_some((value, ""))
}

/// The string by which our standby, or a base backup, reaches `member` with the replication user. Only a standby adds
/// its `application_name`: a backup under the member's name would be taken for the member streaming, and in a
/// synchronous mode for one that confirms commits.
pub(crate) fn replication(config: &PostgresConfig, member: &UpstreamMember) -> Dsn {
    let mut dsn = to_server(&member.host, member.port, &config.replication);
    if let Some(service) = &config.krbsrvname {
        dsn.set("krbsrvname", service);
    }
    dsn
}

/// Host, port and user; the database is the caller's to choose.
pub(crate) fn to_server(host: &str, port: u16, credentials: &Credentials) -> Dsn {
    let mut dsn = Dsn::default();
    dsn.set("host", host);
    dsn.set("port", port.to_string());
    dsn.add_credentials(credentials);
    dsn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_in_one_order_with_backslashes() {
        let mut dsn = Dsn::default();
        dsn.set("port", "5432");
        dsn.set("host", "10.0.0.1");
        dsn.set("user", "re pl'x\\");
        dsn.set("application_name", "a");
        dsn.set("sslnegotiation", "direct");
        assert_eq!(dsn.text(PgMajor::of(15)), r"user=re\ pl\'x\\ host=10.0.0.1 port=5432 application_name=a");
        assert!(dsn.text(PgMajor::of(17)).ends_with("sslnegotiation=direct"));
    }

    #[test]
    fn what_was_written_reads_back() {
        let mut dsn = Dsn::default();
        dsn.set("user", "re pl'x\\");
        dsn.set("host", "h");
        assert_eq!(Dsn::parse(&dsn.text(PgMajor::of(15))), Some(dsn));
    }

    #[test]
    fn libpqs_own_spelling_is_read() {
        let dsn = Dsn::parse("user = 'a b' host=x  port= 1 options='-c \\'x\\''").unwrap();
        assert_eq!(dsn.get("user"), Some("a b"));
        assert_eq!(dsn.get("port"), Some("1"));
        assert_eq!(dsn.get("options"), Some("-c 'x'"));
        assert!(Dsn::parse("user='open").is_none());
        assert!(Dsn::parse("nonsense").is_none());
    }

    #[test]
    fn defaults_follow_the_version() {
        let mut old = Dsn::default();
        old.add_defaults(PgMajor::of(12));
        assert_eq!(old.text(PgMajor::of(12)), "sslmode=prefer gssencmode=prefer");
        let mut new = Dsn::default();
        new.set("sslmode", "require");
        new.add_defaults(PgMajor::of(17));
        assert_eq!(
            new.text(PgMajor::of(17)),
            "sslmode=require gssencmode=prefer channel_binding=prefer sslnegotiation=postgres"
        );
    }
}
