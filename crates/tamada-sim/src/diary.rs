//! Who knew, decided and did what, and when: readable, and the same bytes for the same run.

use crate::{Host, Moment};

/// Written only when somebody is going to read it.
#[derive(Debug)]
pub enum Diary {
    Closed,
    Open(Vec<String>),
}

impl Diary {
    pub fn open() -> Self {
        Diary::Open(Vec::new())
    }

    pub fn note(&mut self, at: Moment, host: Option<Host>, what: impl FnOnce() -> String) {
        if let Diary::Open(lines) = self {
            let who = host.map_or("-", Host::name);
            lines.push(format!("{at} {who:<2} {}", what()));
        }
    }

    pub fn lines(&self) -> &[String] {
        match self {
            Diary::Closed => &[],
            Diary::Open(lines) => lines,
        }
    }
}
