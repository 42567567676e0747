//! The difference of two configurations, as a unified diff without file names.

use similar::{Algorithm, TextDiff};

/// Lines of context around each change.
const CONTEXT: usize = 3;

/// Without a newline at the end.
pub fn unified(before: &str, after: &str) -> String {
    let difference = TextDiff::configure().algorithm(Algorithm::Myers).diff_lines(before, after);
    let text = difference.unified_diff().context_radius(CONTEXT).header("", "").to_string();
    text.trim_end_matches('\n').to_owned()
}

/// What goes is red, what comes is green.
pub fn coloured(before: &str, after: &str) -> String {
    let paint = |line: &str| match line.chars().next() {
        Some('-') => format!("\x1b[31m{line}\x1b[0m\n"),
        Some('+') => format!("\x1b[32m{line}\x1b[0m\n"),
        Some('@') => format!("\x1b[36m{line}\x1b[0m\n"),
        Some(_) | None => format!("{line}\n"),
    };
    unified(before, after).lines().map(paint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_no_names() {
        assert_eq!(unified("a: 1\nb: 2\n", "a: 1\nb: 3\n"), "--- \n+++ \n@@ -1,2 +1,2 @@\n a: 1\n-b: 2\n+b: 3");
    }
}
