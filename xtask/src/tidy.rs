//! What can be checked is not asked for: the habits of this repository that neither compiler nor clippy can see.
//!
//! Each check is a function from the files' text to complaints, so that its tests can show it a tree that breaks the
//! rule. They read text, not syntax: a little less exact than a parser, and instant to build.

mod arrows;
mod cases;
mod docs;
mod lints;
mod purity;
mod size;
mod source;
mod tree;
mod words;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use tree::Tree;

/// One breach of one rule, with its place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Complaint {
    path: String,
    /// Counted from 1; 0 where the whole file is meant.
    line: usize,
    what: String,
}

impl Complaint {
    fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }

    fn about(path: &str, what: impl Into<String>) -> Self {
        Self::at(path, 0, what)
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

type Check = fn(&Tree) -> Vec<Complaint>;

const CHECKS: [Check; 7] =
    [arrows::check, purity::check, words::check, size::check, lints::check, docs::check, cases::check];

pub fn run(root: &Path) -> ExitCode {
    let tree = match Tree::read(root) {
        Ok(tree) => tree,
        Err(error) => {
            eprintln!("tidy could not read the checkout: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut complaints: Vec<Complaint> = CHECKS.iter().flat_map(|check| check(&tree)).collect();
    complaints.sort();
    complaints.iter().for_each(|complaint| println!("{complaint}"));
    match complaints.len() {
        0 => {
            println!("tidy: {} files, nothing to complain about", tree.len());
            ExitCode::SUCCESS
        }
        many => {
            println!("tidy: {many} to mend");
            ExitCode::FAILURE
        }
    }
}

/// For the checks' own tests: what they say about a tree of the given files.
#[cfg(test)]
fn complaints(check: Check, files: &[(&str, &str)]) -> Vec<String> {
    check(&Tree::of(files)).iter().map(Complaint::to_string).collect()
}
