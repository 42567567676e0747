//! Documents that stay true: every crate says what it is for, links lead somewhere, and the files that
//! docs/ARCHITECTURE.md sends its readers to exist.

use super::Complaint;
use super::tree::Tree;

const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";
/// Fewer words than this are no sentence.
const SENTENCE_MIN: usize = 5;

pub fn check(tree: &Tree) -> Vec<Complaint> {
    [headers(tree), links(tree), places(tree)].concat()
}

fn headers(tree: &Tree) -> Vec<Complaint> {
    let roots = |name: &str| ["lib.rs", "main.rs"].map(|file| format!("crates/{name}/src/{file}"));
    let paths = tree.crates().into_iter().flat_map(roots).chain(["xtask/src/main.rs".to_owned()]);
    paths
        .filter(|path| tree.text(path).is_some_and(|text| !says_its_purpose(text)))
        .map(|path| Complaint::about(&path, "does not begin with `//!` and a sentence about its purpose"))
        .collect()
}

fn says_its_purpose(text: &str) -> bool {
    let first = text.lines().next().and_then(|line| line.strip_prefix("//!"));
    first.is_some_and(|sentence| sentence.split_whitespace().count() >= SENTENCE_MIN)
}

/// Markdown links to files; those to the web and to headings of the same page are not ours to follow.
fn links(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in tree.files("", ".md") {
        for (number, line) in text.lines().enumerate() {
            let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
            for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
                let file = target.split('#').next().unwrap_or(target);
                if !tree.has(&resolved(path, file)) {
                    complaints.push(Complaint::at(path, number + 1, format!("there is no {target}")));
                }
            }
        }
    }
    complaints
}

fn resolved(from: &str, target: &str) -> String {
    let mut folder: Vec<&str> = from.split('/').collect();
    folder.pop();
    for step in target.split('/') {
        match step {
            "." | "" => {}
            ".." => drop(folder.pop()),
            name => folder.push(name),
        }
    }
    folder.join("/")
}

/// Paths in backticks that begin with one of our folders. A `*` or `…` in one makes it a pattern, not a place.
fn places(tree: &Tree) -> Vec<Complaint> {
    let Some(text) = tree.text(ARCHITECTURE) else { return Vec::new() };
    let mut complaints = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for place in line.split('`').skip(1).step_by(2).filter(|place| is_place(place)) {
            if !tree.has(place) {
                complaints.push(Complaint::at(ARCHITECTURE, number + 1, format!("there is no {place}")));
            }
        }
    }
    complaints
}

fn is_place(text: &str) -> bool {
    let ours = ["crates/", "xtask/", "docs/"].iter().any(|folder| text.starts_with(folder));
    ours && !text.contains(['*', '…', ' '])
}

#[cfg(test)]
mod tests {
    use super::super::complaints;
    use super::*;

    #[test]
    fn a_crate_says_what_it_is_for() {
        let with = |text: &str| {
            complaints(check, &[("crates/tamada-x/Cargo.toml", ""), ("crates/tamada-x/src/lib.rs", text)]).len()
        };
        assert_eq!(with("//! Everything that touches the store.\n"), 0);
        assert_eq!(with("//! Later.\n"), 1);
        assert_eq!(with("pub mod x;\n"), 1);
    }

    #[test]
    fn links_lead_somewhere() {
        let page = "[a](ARCHITECTURE.md#top) [b](../README.md) [c](https://example.org/x) [d](#here) [e](decisions/)";
        let files = [("docs/x.md", page), ("docs/ARCHITECTURE.md", ""), ("README.md", ""), ("docs/decisions/1.md", "")];
        assert!(complaints(check, &files).is_empty());
        let said = complaints(check, &[("docs/x.md", "see [gone](gone.md)")]);
        assert_eq!(said, ["docs/x.md:1: there is no gone.md"]);
    }

    #[test]
    fn places_exist() {
        let page = "`crates/tamada-x/src/lib.rs` and `crates/tamada-x/src/*.txt` and `text`";
        let file = ("crates/tamada-x/src/lib.rs", "//! A crate to point to.");
        assert!(complaints(check, &[(ARCHITECTURE, page), file]).is_empty());
        assert_eq!(
            complaints(check, &[(ARCHITECTURE, page)]),
            ["docs/ARCHITECTURE.md:1: there is no crates/tamada-x/src/lib.rs"]
        );
    }
}
