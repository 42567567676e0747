//! The clippy files. Clippy reads only the nearest one, so the core's repeats the root's list and adds its own; and an
//! entry without a reason would leave whoever trips over it guessing.

use super::Complaint;
use super::tree::Tree;

const ROOT: &str = "clippy.toml";
const CORE: &str = "crates/tamada-core/clippy.toml";

pub fn check(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for path in [ROOT, CORE] {
        match tree.text(path) {
            None => complaints.push(Complaint::about(path, "is missing")),
            Some(text) => complaints.extend(without_reason(path, text)),
        }
    }
    let (root, core) = (tree.text(ROOT).unwrap_or_default(), tree.text(CORE).unwrap_or_default());
    let missing = entries(root).filter(|(_, entry)| !entries(core).any(|(_, other)| other == *entry));
    complaints.extend(missing.map(|(_, entry)| Complaint::about(CORE, format!("lacks the root's entry {entry}"))));
    complaints
}

fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter_map(|(number, line)| {
        let (_, rest) = line.split_once("path = \"")?;
        Some((number + 1, rest.split('"').next()?))
    })
}

fn without_reason(path: &str, text: &str) -> Vec<Complaint> {
    let lines: Vec<&str> = text.lines().collect();
    entries(text)
        .filter(|(line, _)| !lines[line - 1].contains("reason = \""))
        .map(|(line, entry)| Complaint::at(path, line, format!("{entry} is disallowed without a reason")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::complaints;
    use super::*;

    const A: &str = "disallowed-types = [\n  { path = \"a::A\", reason = \"because\" },\n]";

    #[test]
    fn the_core_repeats_the_root() {
        assert!(complaints(check, &[(ROOT, A), (CORE, A)]).is_empty());
        assert_eq!(complaints(check, &[(ROOT, A), (CORE, "")]).len(), 1);
        assert_eq!(complaints(check, &[]).len(), 2);
    }

    #[test]
    fn every_entry_has_its_reason() {
        let bare = "disallowed-types = [\n  { path = \"a::A\" },\n]";
        let said = complaints(check, &[(ROOT, bare), (CORE, A)]);
        assert_eq!(said, ["clippy.toml:2: a::A is disallowed without a reason"]);
    }
}
