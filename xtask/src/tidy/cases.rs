//! No dead cases: a text case that no test reads proves nothing, and nobody would notice.
//!
//! A case is read if some Rust file of the core names it, or lists the whole folder (`read_dir` beside the word
//! `cases`).

use super::Complaint;
use super::tree::Tree;

const CORE: &str = "crates/tamada-core/";
const CASES: &str = "crates/tamada-core/src/cases/";

pub fn check(tree: &Tree) -> Vec<Complaint> {
    let readers: Vec<&str> = tree.files(CORE, ".rs").map(|(_, text)| text).collect();
    if readers.iter().any(|text| text.contains("read_dir") && text.contains("cases")) {
        return Vec::new();
    }
    tree.files(CASES, ".txt")
        .filter(|(path, _)| !readers.iter().any(|text| names(text, &path[CASES.len()..])))
        .map(|(path, _)| Complaint::about(path, "no test reads this case"))
        .collect()
}

/// As `cases/x.txt`, or as `"x.txt"`.
fn names(text: &str, file: &str) -> bool {
    text.contains(&format!("cases/{file}")) || text.contains(&format!("\"{file}\""))
}

#[cfg(test)]
mod tests {
    use super::super::complaints;
    use super::*;

    const CASE: (&str, &str) = ("crates/tamada-core/src/cases/race.txt", "# a case");

    #[test]
    fn a_case_that_nobody_reads_is_dead() {
        assert_eq!(complaints(check, &[CASE]).len(), 1);
        let other = ("crates/tamada-core/src/cases.rs", "include_str!(\"cases/embrace.txt\")");
        assert_eq!(complaints(check, &[CASE, other]).len(), 1);
    }

    #[test]
    fn named_or_listed_it_lives() {
        for reader in ["include_str!(\"cases/race.txt\")", "check(\"race.txt\")", "fs::read_dir(\"src/cases\")"] {
            assert!(complaints(check, &[CASE, ("crates/tamada-core/src/lib.rs", reader)]).is_empty(), "{reader}");
        }
    }

    #[test]
    fn no_folder_no_complaint() {
        assert!(complaints(check, &[]).is_empty());
    }
}
