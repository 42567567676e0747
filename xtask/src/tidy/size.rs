//! A file tells one idea, and a function fits the eye. These limits are far above what we aim at (500 and 20 lines):
//! whatever reaches them has stopped being either.

use super::Complaint;
use super::source::{Source, is_word, item_end, line_of};
use super::tree::Tree;

const FILE_MAX: usize = 900;
const FUNCTION_MAX: usize = 90;
/// A `match` that only pairs each variant with a text is read row by row, like a table; cutting it would make two lists
/// that must be kept complete together. Such a function says so by [`TABLE`] in its first line.
const TABLE_MAX: usize = 180;
const TABLE: &str = "// tidy: a table, one row per variant";

pub fn check(tree: &Tree) -> Vec<Complaint> {
    let sources = tree.sources("crates/").chain(tree.sources("xtask/"));
    sources.flat_map(|source| [long_file(&source), long_functions(&source)].concat()).collect()
}

fn long_file(source: &Source<'_>) -> Vec<Complaint> {
    let lines = source.text.lines().count();
    let complaint = || Complaint::about(source.path, format!("{lines} lines, more than {FILE_MAX}"));
    (lines > FILE_MAX).then(complaint).into_iter().collect()
}

fn long_functions(source: &Source<'_>) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (start, name) in functions(&source.code) {
        let first = line_of(&source.code, start);
        let lines = line_of(&source.code, item_end(&source.code, start)) - first + 1;
        let is_table = source.text.lines().nth(first).is_some_and(|line| line.trim() == TABLE);
        let most = if is_table { TABLE_MAX } else { FUNCTION_MAX };
        if lines > most {
            let what = format!("function {name} has {lines} lines, more than {most}");
            complaints.push(Complaint::at(source.path, first, what));
        }
    }
    complaints
}

/// Offset and name of every `fn name`; function pointer types have no name and are left out.
fn functions(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.match_indices("fn ").filter_map(|(start, found)| {
        if code[..start].chars().next_back().is_some_and(is_word) {
            return None;
        }
        let rest = &code[start + found.len()..];
        let name = &rest[..rest.find(|c| !is_word(c))?];
        (!name.is_empty()).then_some((start, name))
    })
}

#[cfg(test)]
mod tests {
    use super::super::complaints;
    use super::*;

    fn about(code: &str) -> Vec<String> {
        complaints(check, &[("crates/tamada-x/src/lib.rs", code)])
    }

    #[test]
    fn a_file_of_the_limit_passes_and_one_more_line_does_not() {
        assert!(about(&"\n".repeat(FILE_MAX)).is_empty());
        assert_eq!(about(&"\n".repeat(FILE_MAX + 1)).len(), 1);
    }

    #[test]
    fn a_function_of_the_limit_passes_and_one_more_line_does_not() {
        let function = |inner: usize| {
            format!("struct S;\nfn f(a: [u8; 2])\nwhere\n    A: B,\n{{\n{}}}\nfn g() {{}}\n", "x;\n".repeat(inner))
        };
        assert!(about(&function(FUNCTION_MAX - 5)).is_empty());
        let said = about(&function(FUNCTION_MAX - 4));
        assert_eq!(said, ["crates/tamada-x/src/lib.rs:2: function f has 91 lines, more than 90"]);
    }

    #[test]
    fn a_table_may_be_longer_but_not_endless() {
        let table = |rows: usize| format!("fn f() {{\n    {TABLE}\n{}}}\n", "x;\n".repeat(rows));
        assert!(about(&table(FUNCTION_MAX)).is_empty());
        assert_eq!(about(&table(TABLE_MAX)).len(), 1);
    }

    #[test]
    fn declarations_and_pointers_are_short() {
        let code = format!("trait T {{ fn f(&self); }}\ntype P = fn (u8);\n{}", "\n".repeat(200));
        assert!(about(&code).is_empty());
    }
}
