//! The core neither looks nor touches: time comes in as `now`, chance as a seed, the world as an observation. Only then
//! does the simulator run the very code that production runs, and only then is the same seed the same history.

use super::Complaint;
use super::source::lines_with;
use super::tree::Tree;

const CORE: &str = "crates/tamada-core/";

/// What the core must not name, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    ("tokio", "the core does not wait; it is asked again"),
    ("async", "the core does not wait; it is asked again"),
    ("HashMap", "its order differs from run to run: BTreeMap"),
    ("HashSet", "its order differs from run to run: BTreeSet"),
    ("Instant", "time comes in as `now`"),
    ("SystemTime", "time comes in as `now`"),
    ("jiff", "calendar arithmetic belongs to the rim"),
    ("rand", "chance comes in as a seed"),
    ("fastrand", "chance comes in as a seed"),
    ("thread_local", "what survives a pass lives in `Memory`"),
    ("std::env", "the world comes in as an observation"),
    ("std::fs", "the world comes in as an observation"),
    ("std::io", "the world comes in as an observation"),
    ("std::net", "the world comes in as an observation"),
    ("std::os", "the world comes in as an observation"),
    ("std::process", "what is to be done goes out as an effect"),
    ("std::thread", "the core is one struct and runs where it is called"),
    ("println", "what is to be told goes out in the report"),
    ("eprintln", "what is to be told goes out in the report"),
    ("tracing", "what is to be told goes out in the report"),
];

/// The simulator's planted faults are each thread's own. The file is compiled to nothing in whatever is shipped, which
/// [`planted`] sees to.
const FOR_THE_SIMULATOR: &[(&str, &str)] = &[("crates/tamada-core/src/plant.rs", "thread_local")];

/// Who may switch the planted faults on.
const SIMULATOR: &str = "crates/tamada-sim/Cargo.toml";
const ITS_OWN: &str = "crates/tamada-core/Cargo.toml";

pub fn check(tree: &Tree) -> Vec<Complaint> {
    let for_tests: Vec<String> = tree.sources(CORE).flat_map(|source| source.test_modules()).collect();
    let is_for_tests =
        |path: &str| for_tests.iter().any(|module| path.strip_prefix(module.as_str()).is_some_and(ends_module));
    let mut complaints = Vec::new();
    for source in tree.sources(CORE).filter(|source| !is_for_tests(source.path)) {
        let named = unfolded(&source.product);
        complaints.extend(forbidden(source.path, &named));
    }
    if let Some(manifest) = tree.text(ITS_OWN) {
        complaints.extend(forbidden(ITS_OWN, manifest));
    }
    complaints.extend(planted(tree));
    complaints
}

/// A core in which faults can be planted is for the simulator alone.
fn planted(tree: &Tree) -> Vec<Complaint> {
    let why = "`planted` is for tamada-sim alone: nothing else may run a core in which faults can be planted";
    tree.files("", "Cargo.toml")
        .filter(|(path, _)| *path != SIMULATOR && *path != ITS_OWN)
        .flat_map(|(path, text)| {
            lines_with(text, "planted").into_iter().map(move |line| Complaint::at(path, line, why))
        })
        .collect()
}

/// After `src/cases`: `.rs`, or a file below the folder.
fn ends_module(rest: &str) -> bool {
    rest == ".rs" || rest.starts_with('/')
}

fn forbidden(path: &str, text: &str) -> Vec<Complaint> {
    let complain = |line, word: &str, why: &str| Complaint::at(path, line, format!("`{word}` in the core: {why}"));
    FORBIDDEN
        .iter()
        .filter(|(word, _)| !FOR_THE_SIMULATOR.contains(&(path, word)))
        .flat_map(|(word, why)| lines_with(text, word).into_iter().map(move |line| complain(line, word, why)))
        .collect()
}

/// `use std::{fs, net::TcpStream};` also names `std::fs` and `std::net`: written out on the line where it begins.
fn unfolded(code: &str) -> String {
    let mut lines: Vec<String> = code.lines().map(str::to_owned).collect();
    for (start, found) in code.match_indices("std::{") {
        let open = start + found.len() - 1;
        let inside = &code[open + 1..super::source::block_end(code, open)];
        let line = super::source::line_of(code, start) - 1;
        for module in top_level(inside) {
            lines[line].push_str(&format!(" std::{module}"));
        }
    }
    lines.join("\n")
}

/// The first words of a comma-separated list, not of the lists inside it.
fn top_level(list: &str) -> Vec<&str> {
    let mut depth = 0;
    let pieces = list.split(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    pieces.filter_map(|piece| piece.trim().split("::").next()).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::complaints;
    use super::*;

    fn about(code: &str) -> Vec<String> {
        complaints(check, &[("crates/tamada-core/src/lib.rs", code)])
    }

    #[test]
    fn each_forbidden_word_is_found() {
        for (word, _) in FORBIDDEN {
            assert_eq!(about(&format!("fn f() {{ {word}::x }}")).len(), 1, "{word}");
        }
    }

    #[test]
    fn also_inside_a_group() {
        assert_eq!(about("use std::{fmt, collections::{BTreeMap}, fs, net::TcpStream};").len(), 2);
        assert!(about("use std::{fmt, collections::BTreeMap, sync::Arc};").is_empty());
    }

    #[test]
    fn comments_tests_and_other_crates_may_say_it() {
        assert!(about("// no std::fs here\n#[cfg(test)]\nmod tests { use std::fs; }").is_empty());
        assert!(complaints(check, &[("crates/tamada-dcs/src/lib.rs", "use tokio;")]).is_empty());
        let files = [
            ("crates/tamada-core/src/lib.rs", "#[cfg(test)]\nmod cases;"),
            ("crates/tamada-core/src/cases.rs", "use std::fs;"),
            ("crates/tamada-core/tests/it/main.rs", "use std::fs;"),
        ];
        assert!(complaints(check, &files).is_empty());
    }

    #[test]
    fn only_the_simulators_file_has_something_of_a_threads_own() {
        let code = "thread_local! { static PLANTED: Cell<u8> = const { Cell::new(0) }; }";
        assert!(complaints(check, &[("crates/tamada-core/src/plant.rs", code)]).is_empty());
        assert_eq!(complaints(check, &[("crates/tamada-core/src/race.rs", code)]).len(), 1);
        assert_eq!(complaints(check, &[("crates/tamada-core/src/plant.rs", "use std::fs;")]).len(), 1);
    }

    #[test]
    fn only_the_simulator_switches_planted_faults_on() {
        let manifest = "[dependencies]\ntamada-core = { workspace = true, features = [\"planted\"] }";
        assert!(complaints(check, &[("crates/tamada-sim/Cargo.toml", manifest)]).is_empty());
        for path in ["crates/tamada/Cargo.toml", "crates/tamada-testing/Cargo.toml", "Cargo.toml"] {
            assert_eq!(complaints(check, &[(path, manifest)]).len(), 1, "{path}");
        }
        assert!(complaints(check, &[("crates/tamada-core/Cargo.toml", "[features]\nplanted = []")]).is_empty());
    }

    #[test]
    fn the_manifest_counts() {
        let said =
            complaints(check, &[("crates/tamada-core/Cargo.toml", "[dependencies]\ntokio = { workspace = true }")]);
        assert_eq!(said.len(), 1);
    }
}
