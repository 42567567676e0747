//! Reading and writing YAML against texts that PyYAML made: each case is its meaning, the input, `----`, the output.

use serde_json::Value;
use tamada_config::yaml::{Dump, Layout, dump, dump_flow, dump_with, load, parse};

/// Splits a golden file into (meaning, input, output).
fn cases(file: &str) -> Vec<(&str, &str, &str)> {
    file.split("\n====\n")
        .filter(|case| !case.trim().is_empty())
        .map(|case| {
            let (meaning, rest) = case.split_once('\n').expect("a case begins with its meaning");
            let (input, output) = rest.split_once("----\n").expect("a case has an input and an output");
            (meaning, input, output)
        })
        .collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text.trim()).expect("valid JSON")
}

#[test]
fn block_style_is_pyyamls() {
    for (meaning, value, expected) in cases(include_str!("golden/dump.txt")) {
        assert_eq!(dump(&json(value)), expected, "{meaning}");
    }
}

#[test]
fn flow_style_is_pyyamls() {
    for (meaning, value, expected) in cases(include_str!("golden/flow.txt")) {
        let how = Dump { layout: Layout::Flow, ..Dump::default() };
        assert_eq!(dump_with(&json(value), how), expected, "{meaning}");
    }
}

#[test]
fn tags_fit_on_one_line() {
    assert_eq!(dump_flow(&json(r#"{"nofailover": true, "a": "on"}"#)), "{a: 'on', nofailover: true}");
}

#[test]
fn values_are_pyyamls() {
    for (meaning, text, expected) in cases(include_str!("golden/load.txt")) {
        assert_eq!(parse(text).expect("valid YAML"), json(expected), "{meaning}");
    }
}

#[test]
fn what_is_written_reads_back() {
    for (meaning, value, _) in cases(include_str!("golden/dump.txt")) {
        // YAML 1.2 takes U+0085 for a character, YAML 1.1 for a line end: the one text that does not come back.
        if !value.contains("\\u0085") {
            assert_eq!(parse(&dump(&json(value))).expect("valid YAML"), json(value), "{meaning}");
        }
    }
}

#[test]
fn errors_say_where() {
    for (meaning, text, expected) in cases(include_str!("golden/broken.txt")) {
        assert_eq!(parse(text).expect_err("broken").to_string(), expected, "{meaning}");
    }
}

#[test]
fn every_path_knows_its_line() {
    let text = "a: 1\nb:\n  c: 2\n  d:\n  - x\n  - e: 3\n# gap\nf: &f {g: 4}\nh:\n  <<: *f\nb: {i: 5}\n";
    let lines = load(text).expect("valid YAML").lines;
    let line = |path: &str| lines.get(path).copied();
    assert_eq!(line("a"), Some(1));
    assert_eq!(line("f.g"), Some(8));
    assert_eq!(line("h.g"), Some(10), "merged: where it was merged");
    assert_eq!((line("b"), line("b.i"), line("b.c"), line("b.d.1.e")), (Some(11), Some(11), None, None));
}

#[test]
fn aliases_cannot_exhaust_memory() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    assert!(parse(&text).expect_err("too much").problem.contains("too many values"));
    let deep = "[".repeat(500) + &"]".repeat(500);
    assert!(parse(&deep).is_err());
}
