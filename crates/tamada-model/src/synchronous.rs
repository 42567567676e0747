//! `synchronous_standby_names`: whom a commit waits for (PostgreSQL manual, 20.6.2; postgres.md 16.2, 16.10).

use std::collections::BTreeSet;
use std::fmt;

use crate::{Lsn, MemberName, PgMajor, WalSender};

/// The parameter as it is read and written. Without names but with a count, commits wait for somebody who does not exist
/// yet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SyncNames {
    pub way: SyncWay,
    pub count: u32,
    pub names: BTreeSet<MemberName>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SyncWay {
    /// Commits wait for nobody.
    #[default]
    Off,
    /// For the first so many of the list that are connected.
    Priority,
    /// For so many of the list, whoever they are.
    Quorum,
}

/// Stands in the list where commits shall wait and nobody is there to be waited for. The original's word: it reads ours.
const NOBODY_YET: &str = "__patroni_strict_sync_replica_placeholder__";

impl SyncNames {
    pub fn off() -> Self {
        Self::default()
    }

    /// With a count and no names, all commits wait. Without a count, none.
    pub fn new(way: SyncWay, count: usize, names: BTreeSet<MemberName>) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        match count {
            0 => Self::off(),
            count => Self { way, count, names },
        }
    }

    /// What cannot be read waits for nobody, as far as we can tell.
    pub fn parse(text: &str) -> Self {
        parse(text).unwrap_or_default()
    }

    /// As the parameter's value. Before 9.6 a list has one synchronous standby, before 10 no quorum.
    pub fn text(&self, major: PgMajor) -> String {
        let nobody = BTreeSet::from([MemberName::new(NOBODY_YET)]);
        let names = if self.names.is_empty() { &nobody } else { &self.names };
        let list = names.iter().map(|name| quoted(name.as_str())).collect::<Vec<String>>().join(",");
        let counts = major >= PgMajor::of_old(9, 6);
        match self.way {
            SyncWay::Off => String::new(),
            SyncWay::Quorum if major >= PgMajor::of(10) => format!("ANY {} ({list})", self.count),
            SyncWay::Quorum | SyncWay::Priority if counts && names.len() > 1 => format!("{} ({list})", self.count),
            SyncWay::Quorum | SyncWay::Priority => list,
        }
    }

    /// Whether commits wait for anybody at all.
    pub fn holds_commits(&self) -> bool {
        self.way != SyncWay::Off
    }
}

impl fmt::Display for SyncNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(PgMajor::of(10)))
    }
}

fn quoted(name: &str) -> String {
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let plain = begins && letters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
    let word = ["first", "any"].iter().any(|word| name.eq_ignore_ascii_case(word));
    if plain && !word { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// How commits wait, as a running primary says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Synchronous {
    pub names: SyncNames,
    pub commits: SyncCommits,
    /// The checkpointer, which tells all sessions whether there is anybody to wait for, was not busy with anything else
    /// (`SyncRepUpdateSyncStandbysDefined`).
    pub checkpointer_heard: bool,
}

/// What a commit waits for at each standby: `synchronous_commit` (PostgreSQL manual, 20.5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SyncCommits {
    Written,
    /// Also where sessions are not to wait by default: those that do wait for this.
    #[default]
    Flushed,
    Replayed,
}

impl SyncCommits {
    pub fn parse(synchronous_commit: &str) -> Self {
        match synchronous_commit {
            "remote_apply" => SyncCommits::Replayed,
            "remote_write" => SyncCommits::Written,
            _ => SyncCommits::Flushed,
        }
    }
}

impl Synchronous {
    /// How far commits may be acknowledged on this standby's word.
    pub fn confirmed_by(&self, sender: &WalSender) -> Option<Lsn> {
        match self.commits {
            SyncCommits::Written => sender.written,
            SyncCommits::Flushed => sender.flushed,
            SyncCommits::Replayed => sender.replayed,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Word(String),
    Quoted(String),
    Number(u32),
    Sign(char),
}

/// PostgreSQL's own grammar (`syncrep_gram.y`): a plain list, `n (list)`, `FIRST n (list)`, `ANY n (list)`.
fn parse(text: &str) -> Option<SyncNames> {
    let tokens = tokens(text)?;
    let is = |token: &Token, word: &str| matches!(token, Token::Word(said) if said.eq_ignore_ascii_case(word));
    let (way, count, list) = match tokens.as_slice() {
        [] => return Some(SyncNames::off()),
        [any, Token::Number(count), Token::Sign('('), list @ .., Token::Sign(')')] if is(any, "any") => {
            (SyncWay::Quorum, *count, list)
        }
        [first, Token::Number(count), Token::Sign('('), list @ .., Token::Sign(')')] if is(first, "first") => {
            (SyncWay::Priority, *count, list)
        }
        [Token::Number(count), Token::Sign('('), list @ .., Token::Sign(')')] => (SyncWay::Priority, *count, list),
        list => (SyncWay::Priority, 1, list),
    };
    let mut names = BTreeSet::new();
    for item in list.split(|token| *token == Token::Sign(',')) {
        let name = match item {
            [Token::Word(name) | Token::Quoted(name)] => name.clone(),
            [Token::Number(number)] => number.to_string(),
            [Token::Sign('*')] => "*".to_owned(),
            _ => return None,
        };
        names.insert(MemberName::new(name));
    }
    names.remove(&MemberName::new(NOBODY_YET));
    Some(SyncNames { way, count, names })
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        let more = |letters: &mut std::iter::Peekable<std::str::Chars<'_>>, fits: &dyn Fn(char) -> bool| {
            let mut said = String::from(c);
            while let Some(next) = letters.next_if(|next| fits(*next)) {
                said.push(next);
            }
            said
        };
        match c {
            c if c.is_ascii_whitespace() => {}
            '(' | ')' | ',' | '*' => tokens.push(Token::Sign(c)),
            '"' => tokens.push(Token::Quoted(quotation(&mut letters)?)),
            '0'..='9' => tokens.push(Token::Number(more(&mut letters, &|c| c.is_ascii_digit()).parse().ok()?)),
            c if c.is_ascii_alphabetic() || c == '_' || !c.is_ascii() => {
                let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
                tokens.push(Token::Word(more(&mut letters, &fits)));
            }
            _ => return None,
        }
    }
    Some(tokens)
}

/// What follows an opening quote, up to the closing one; two of them are one.
fn quotation(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut said = String::new();
    loop {
        match letters.next()? {
            '"' if letters.next_if_eq(&'"').is_some() => said.push('"'),
            '"' => return Some(said),
            c => said.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(way: SyncWay, count: usize, names: &[&str]) -> SyncNames {
        SyncNames { way, count: count as u32, names: names.iter().map(MemberName::new).collect() }
    }

    #[test]
    fn what_postgresql_accepts_is_read() {
        use SyncWay::{Priority, Quorum};
        assert_eq!(SyncNames::parse(""), SyncNames::off());
        assert_eq!(SyncNames::parse("b"), names(Priority, 1, &["b"]));
        assert_eq!(SyncNames::parse(" c , \"b-1\""), names(Priority, 1, &["b-1", "c"]));
        assert_eq!(SyncNames::parse("2 (b, c)"), names(Priority, 2, &["b", "c"]));
        assert_eq!(SyncNames::parse("first 2(b,c)"), names(Priority, 2, &["b", "c"]));
        assert_eq!(SyncNames::parse("ANY 1 (b,\"Any\",*)"), names(Quorum, 1, &["*", "Any", "b"]));
        assert_eq!(SyncNames::parse("\"say \"\"b\"\"\""), names(Priority, 1, &["say \"b\""]));
        assert_eq!(SyncNames::parse("any"), names(Priority, 1, &["any"]));
    }

    #[test]
    fn what_it_refuses_waits_for_nobody() {
        for text in ["b,", "ANY (b)", "ANY 1 (b", "2 (b c)", "\"b", "b;c", "()"] {
            assert_eq!(SyncNames::parse(text), SyncNames::off(), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_alike() {
        let cases = [
            (SyncNames::off(), ""),
            (names(SyncWay::Priority, 1, &["b"]), "b"),
            (names(SyncWay::Priority, 1, &["c", "b"]), "1 (b,c)"),
            (names(SyncWay::Quorum, 1, &["b"]), "ANY 1 (b)"),
            (names(SyncWay::Quorum, 2, &["first", "b-1", "c"]), "ANY 2 (\"b-1\",c,\"first\")"),
            (names(SyncWay::Priority, 1, &[]), NOBODY_YET),
            (names(SyncWay::Quorum, 1, &[]), "ANY 1 (__patroni_strict_sync_replica_placeholder__)"),
        ];
        for (names, text) in cases {
            assert_eq!(names.text(PgMajor::of(15)), text);
            assert_eq!(SyncNames::parse(text), names);
        }
    }

    #[test]
    fn old_servers_get_what_they_understand() {
        let two = names(SyncWay::Quorum, 1, &["b", "c"]);
        assert_eq!(two.text(PgMajor::of_old(9, 6)), "1 (b,c)");
        assert_eq!(two.text(PgMajor::of_old(9, 5)), "b,c");
    }
}
