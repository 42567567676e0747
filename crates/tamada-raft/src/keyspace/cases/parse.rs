//! From words to commands.
//!
//! ```text
//! keys     a   a..c   a..   a*
//! put a 1 [under 7]         `keep` for a value or a lease: as it is; `''`: empty
//! get a [at 3] [limit 2] [names | count]
//! delete a*
//! grant 7 10s   renew 7   revoke 7
//! put … tell, delete … tell           what was there before
//! if version(a) = 0, value(b) > x then put a 1; get b else get a
//! [ if … then … else … ]              a transaction in a transaction
//! expire 7 renewed 3, 8 renewed 4     compact 5     found 99     invite x:1     disinvite x:1
//! read get a     watch a from 3     leases     store
//! ```

use std::iter::Peekable;
use std::time::Duration;
use std::vec;

use bytes::Bytes;

use crate::txn::{
    Command, Compare, Delete, Expiry, Is, Keys, LeaseId, Op, Operand, Part, Previous, Put, Range, Revision, Txn, What,
};

pub enum Line {
    Entry(Command),
    Read(Range),
    Watch(Keys, Revision),
    Leases,
    Store,
}

pub fn line(text: &str) -> Line {
    let spaced =
        [";", ",", "[", "]"].iter().fold(text.to_owned(), |text, mark| text.replace(mark, &format!(" {mark} ")));
    let words: Vec<String> = spaced.split_whitespace().map(str::to_owned).collect();
    let mut words = Words { words: words.into_iter().peekable(), text };
    let line = words.line();
    assert_eq!(words.words.next(), None, "too much: {text}");
    line
}

struct Words<'a> {
    words: Peekable<vec::IntoIter<String>>,
    text: &'a str,
}

impl Words<'_> {
    fn line(&mut self) -> Line {
        let command = match self.words.peek().map(String::as_str) {
            Some("read") => {
                self.expect("read");
                self.expect("get");
                return Line::Read(self.range());
            }
            Some("watch") => {
                self.expect("watch");
                return Line::Watch(self.keys(), self.number_after("from"));
            }
            Some("leases") => {
                self.expect("leases");
                return Line::Leases;
            }
            Some("store") => {
                self.expect("store");
                return Line::Store;
            }
            Some("expire") => Command::Expire(self.expiries()),
            Some("compact") => Command::Compact(self.number_after("compact")),
            Some("found") => Command::Found { cluster: self.number_after("found") },
            Some("invite") => Command::Invite { address: self.word_after("invite") },
            Some("disinvite") => Command::Disinvite { address: self.word_after("disinvite") },
            Some(_) | None => Command::Txn(self.txn()),
        };
        Line::Entry(command)
    }

    fn txn(&mut self) -> Txn {
        if !self.takes("if") {
            return Txn { then: self.ops(), ..Txn::default() };
        }
        let mut when = vec![self.compare()];
        while self.takes(",") {
            when.push(self.compare());
        }
        let then = if self.takes("then") { self.ops() } else { Vec::new() };
        let otherwise = if self.takes("else") { self.ops() } else { Vec::new() };
        Txn { when, then, otherwise }
    }

    fn ops(&mut self) -> Vec<Op> {
        let mut ops = vec![self.op()];
        while self.takes(";") {
            ops.push(self.op());
        }
        ops
    }

    fn op(&mut self) -> Op {
        match self.word().as_str() {
            "get" => Op::Range(self.range()),
            "put" => Op::Put(self.put()),
            "delete" => Op::Delete(Delete { keys: self.keys(), previous: self.previous() }),
            "grant" => Op::Grant { id: self.id(), ttl: duration(&self.word()) },
            "renew" => Op::KeepAlive(self.id()),
            "revoke" => Op::Revoke(self.id()),
            "[" => {
                let txn = self.txn();
                self.expect("]");
                Op::Txn(txn)
            }
            other => panic!("no operation is called {other}: {}", self.text),
        }
    }

    fn range(&mut self) -> Range {
        let keys = self.keys();
        let at = self.takes("at").then(|| self.number());
        let limit = if self.takes("limit") { self.number() } else { 0 };
        let part = match (self.takes("names"), self.takes("count")) {
            (true, _) => Part::KeysOnly,
            (false, true) => Part::CountOnly,
            (false, false) => Part::Whole,
        };
        Range { keys, at, limit, part }
    }

    fn put(&mut self) -> Put {
        let key = bytes(&self.word());
        let value = kept_or(self.word(), |value| bytes(&value));
        let lease = match self.takes("under") {
            true => kept_or(self.word(), |id| self.parsed(&id)),
            false => What::Set(0),
        };
        Put { key, value, lease, previous: self.previous() }
    }

    fn previous(&mut self) -> Previous {
        if self.takes("tell") { Previous::Asked } else { Previous::Unasked }
    }

    fn compare(&mut self) -> Compare {
        let word = self.word();
        let (target, keys) = word.trim_end_matches(')').split_once('(').expect("target(keys)");
        let is = match self.word().as_str() {
            "=" => Is::Equal,
            "!=" => Is::NotEqual,
            ">" => Is::Greater,
            "<" => Is::Less,
            other => panic!("no comparison is called {other}: {}", self.text),
        };
        let to = match target {
            "version" => Operand::Version(self.number()),
            "created" => Operand::Created(self.number()),
            "modified" => Operand::Modified(self.number()),
            "value" => Operand::Value(bytes(&self.word())),
            "lease" => Operand::Lease(self.id()),
            other => panic!("keys have no {other}: {}", self.text),
        };
        Compare { keys: keys_of(keys), is, to }
    }

    fn expiries(&mut self) -> Vec<Expiry> {
        self.expect("expire");
        let mut judged = Vec::new();
        loop {
            judged.push(Expiry { lease: self.id(), renewed: self.number_after("renewed") });
            if !self.takes(",") {
                return judged;
            }
        }
    }

    fn keys(&mut self) -> Keys {
        keys_of(&self.word())
    }

    fn id(&mut self) -> LeaseId {
        let word = self.word();
        self.parsed(&word)
    }

    fn number(&mut self) -> u64 {
        let word = self.word();
        self.parsed(&word)
    }

    fn number_after(&mut self, word: &str) -> u64 {
        self.expect(word);
        self.number()
    }

    fn word_after(&mut self, word: &str) -> String {
        self.expect(word);
        self.word()
    }

    fn parsed<T: std::str::FromStr>(&self, word: &str) -> T {
        word.parse().unwrap_or_else(|_| panic!("{word} is no number: {}", self.text))
    }

    fn word(&mut self) -> String {
        self.words.next().unwrap_or_else(|| panic!("there is more to say: {}", self.text))
    }

    fn takes(&mut self, word: &str) -> bool {
        self.words.next_if(|next| next == word).is_some()
    }

    fn expect(&mut self, word: &str) {
        assert!(self.takes(word), "{word} was expected: {}", self.text);
    }
}

fn kept_or<T>(word: String, set: impl FnOnce(String) -> T) -> What<T> {
    if word == "keep" { What::Keep } else { What::Set(set(word)) }
}

fn keys_of(word: &str) -> Keys {
    match (word.strip_suffix('*'), word.split_once("..")) {
        (Some(prefix), _) => Keys::prefix(prefix.as_bytes()),
        (None, Some((from, ""))) => Keys::From(bytes(from)),
        (None, Some((from, to))) => Keys::Between(bytes(from), bytes(to)),
        (None, None) => Keys::One(bytes(word)),
    }
}

fn bytes(word: &str) -> Bytes {
    if word == "''" { Bytes::new() } else { Bytes::copy_from_slice(word.as_bytes()) }
}

/// `10s` or `500ms`.
fn duration(word: &str) -> Duration {
    let number = |digits: &str| digits.parse().expect("a number of seconds or milliseconds");
    match (word.strip_suffix("ms"), word.strip_suffix('s')) {
        (Some(milliseconds), _) => Duration::from_millis(number(milliseconds)),
        (None, Some(seconds)) => Duration::from_secs(number(seconds)),
        (None, None) => panic!("{word} has no unit"),
    }
}
