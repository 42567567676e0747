//! Words that must not stand in a crate: unfinished work, switched-off tests, and clocks read in passing.

use super::Complaint;
use super::source::lines_with;
use super::tree::Tree;

/// In code, tests included.
const UNFINISHED: &[(&str, &str)] = &[
    ("todo!", "finish it, or open an issue and refuse clearly"),
    ("unimplemented!", "finish it, or open an issue and refuse clearly"),
    ("dbg!", "log it with `tracing`, or remove it"),
    ("#[ignore", "a test that does not run proves nothing"),
    ("allow(dead_code)", "remove what nobody uses"),
];

/// In comments. A text for operators may contain them: the original's sample configuration does.
const NOTES: &[(&str, &str)] =
    &[("FIXME", "mend it, or say in an issue what is wrong"), ("XXX", "mend it, or say in an issue what is wrong")];

/// In the product, outside of a file named `clock.rs`.
const CLOCKS: &[&str] = &["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now", "clock_gettime"];

const CLOCK: &str = "clocks are read in `clock.rs` only: take the time, or a deadline, from there";

pub fn check(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in tree.sources("crates/") {
        let mut complain = |text: &str, word: &str, why: &str| {
            let found = lines_with(text, word).into_iter();
            complaints.extend(found.map(|line| Complaint::at(source.path, line, format!("`{word}`: {why}"))));
        };
        UNFINISHED.iter().for_each(|(word, why)| complain(&source.code, word, why));
        NOTES.iter().for_each(|(word, why)| complain(&source.comments, word, why));
        if !source.path.ends_with("/clock.rs") {
            CLOCKS.iter().for_each(|word| complain(&source.product, word, CLOCK));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::super::complaints;
    use super::*;

    fn about(code: &str) -> Vec<String> {
        complaints(check, &[("crates/tamada-x/src/lib.rs", code)])
    }

    #[test]
    fn each_word_is_found() {
        for (word, _) in UNFINISHED {
            assert_eq!(about(word).len(), 1, "{word}");
        }
        for (word, _) in NOTES {
            assert_eq!(about(&format!("// {word} later")).len(), 1, "{word}");
        }
        for word in CLOCKS {
            assert_eq!(about(&format!("let now = std::{word}();")).len(), 1, "{word}");
        }
    }

    #[test]
    fn prose_may_name_them() {
        assert!(about("// no todo! and no Instant::now\nlet text = \"dbg! FIXME\";").is_empty());
    }

    #[test]
    fn clocks_are_for_clock_rs_and_for_tests() {
        let reads = "fn now() { Instant::now() }";
        assert!(complaints(check, &[("crates/tamada/src/clock.rs", reads)]).is_empty());
        assert!(complaints(check, &[("crates/tamada/tests/it/main.rs", reads)]).is_empty());
        assert_eq!(complaints(check, &[("crates/tamada/src/my_clock.rs", reads)]).len(), 1);
        assert_eq!(complaints(check, &[("crates/tamada/tests/it/main.rs", "#[ignore]")]).len(), 1);
    }
}
