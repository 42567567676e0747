//! A line of words, eaten from the left: `standby tl 4 at 0/5000 priority 1`.

use std::time::Duration;

use tamada_model::{Lsn, MemberName, Role, Timeline};

pub struct Words<'t> {
    whole: &'t str,
    rest: &'t str,
}

impl<'t> Words<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { whole: text, rest: text.trim() }
    }

    /// Whether the next words are these; they are then eaten. Commas between words are for the reader.
    pub fn eat(&mut self, phrase: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(phrase) else {
            return false;
        };
        if !rest.is_empty() && !rest.starts_with([' ', ',']) {
            return false;
        }
        self.rest = rest.trim_start_matches([' ', ',']);
        true
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn word(&mut self) -> &'t str {
        let end = self.rest.find([' ', ',']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        assert!(!word.is_empty(), "another word is missing at the end of: {}", self.whole);
        self.rest = rest.trim_start_matches([' ', ',']);
        word
    }

    pub fn rest(&mut self) -> &'t str {
        std::mem::take(&mut self.rest)
    }

    pub fn number(&mut self) -> u64 {
        let word = self.word();
        word.parse().unwrap_or_else(|_| panic!("{word} is not a number in: {}", self.whole))
    }

    /// `1.5 s`
    pub fn seconds(&mut self) -> Duration {
        let word = self.word();
        let seconds: f64 = word.parse().unwrap_or_else(|_| panic!("{word} is not a number in: {}", self.whole));
        self.eat("s");
        Duration::from_secs_f64(seconds)
    }

    pub fn lsn(&mut self) -> Lsn {
        let word = self.word();
        Lsn::parse(word).unwrap_or_else(|| panic!("{word} is not an LSN in: {}", self.whole))
    }

    pub fn timeline(&mut self) -> Timeline {
        Timeline::new(self.number() as u32).unwrap_or_else(|| panic!("there is no timeline 0: {}", self.whole))
    }

    pub fn member(&mut self) -> MemberName {
        MemberName::new(self.word())
    }

    pub fn role(&mut self) -> Role {
        let word = self.word();
        Role::parse(word).unwrap_or_else(|| panic!("{word} is not a role in: {}", self.whole))
    }

    pub fn lost(&self) -> ! {
        panic!("do not understand `{}` in: {}", self.rest, self.whole)
    }
}
