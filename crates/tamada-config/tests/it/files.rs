//! Finding and folding files.

use tamada_config::{Environment, Source, load};

use crate::scene::{Scene, variables};

#[test]
fn files_of_a_directory_fold_in_the_order_of_their_names() {
    let scene = Scene::new();
    scene.file("20.yaml", "b: {x: 2, gone: null}\nlist: [2]\n");
    scene.file("10.yml", "a: 1\nb: {x: 1, y: 1, gone: 1}\nlist: [1, 1]\nsame: 10\n");
    scene.file("30.yml", "same: '10'\n");
    scene.file("ignored.txt", "a: [broken");
    std::fs::create_dir(scene.path().join("40.yml")).expect("the directory is new");
    let local = load(Some(scene.path()), Environment::default()).expect("valid YAML");
    let expected = serde_json::json!({"a": 1, "b": {"x": 2, "y": 1}, "list": [2], "same": 10});
    assert_eq!(serde_json::Value::Object(local.document().clone()), expected);
    let place = |path: &str| scene.told(&local.place(path).expect("known").to_string());
    assert_eq!(place("b.y"), "10.yml:2");
    assert_eq!(place("b.x"), "20.yaml:1");
    assert_eq!(place("b.unknown"), "20.yaml:1");
}

#[test]
fn all_broken_files_are_named_at_once() {
    let scene = Scene::new();
    scene.file("1.yml", "a: [1\n");
    scene.file("2.yml", "- not a mapping\n");
    scene.file("3.yml", "# nothing\n");
    scene.file("4.yml", "fine: 1\n");
    std::fs::write(scene.path().join("5.yml"), b"a: \xff\n").expect("the directory is writable");
    let failure = load(Some(scene.path()), Environment::default()).expect_err("broken");
    let told = scene.told(&failure.to_string());
    assert_eq!(
        told,
        "1.yml:2: not valid YAML at column 1: while parsing a flow sequence, expected ',' or ']'\n\
         2.yml:1: invalid config file: the top level must be sections (`key: value`)\n\
         3.yml: invalid config file 3.yml: it is empty\n\
         5.yml: is not UTF-8 text"
    );
}

#[test]
fn without_a_file_a_variable_is_the_whole_configuration() {
    let environment = variables(&[("PATRONI_CONFIGURATION", "name: x\n"), ("PATRONI_SCOPE", "ignored")]);
    let local = load(Some("/nonexistent/file.yml".as_ref()), environment).expect("valid YAML");
    assert_eq!(local.source(), &Source::Variable);
    assert_eq!(local.document().get("scope"), None);
    assert_eq!(local.place("name").expect("known").to_string(), "PATRONI_CONFIGURATION:1");
    assert!(local.reload().is_none());
}

#[test]
fn without_both_single_variables_are() {
    let environment = variables(&[("PATRONI_CONFIGURATION", ""), ("PATRONI_SCOPE", "s")]);
    let local = load(None, environment).expect("variables only");
    assert_eq!(local.source(), &Source::Environment);
    assert_eq!(local.document()["scope"], "s");
    assert_eq!(local.place("scope").expect("known").to_string(), "PATRONI_SCOPE");
}

#[test]
fn a_broken_variable_says_its_line() {
    let environment = variables(&[("PATRONI_CONFIGURATION", "a: 1\nb: [\n")]);
    let failure = load(None, environment).expect_err("broken");
    assert!(failure.to_string().starts_with("PATRONI_CONFIGURATION:3: not valid YAML"), "{failure}");
}

#[test]
fn a_reload_reads_the_file_again_under_the_same_variables() {
    let scene = Scene::new();
    let file = scene.file("a.yml", "name: a\nscope: file\n");
    let local = load(Some(&file), variables(&[("PATRONI_SCOPE", "variable")])).expect("valid YAML");
    let again = local.reload().expect("a file").expect("valid YAML");
    assert!(local.says_the_same(&again));
    scene.file("a.yml", "# a line more\nname: a\n");
    let moved = local.reload().expect("a file").expect("valid YAML");
    assert!(local.says_the_same(&moved), "lines do not matter");
    scene.file("a.yml", "name: b\n");
    let changed = local.reload().expect("a file").expect("valid YAML");
    assert!(!local.says_the_same(&changed));
    assert_eq!(changed.document()["scope"], "variable");
}

#[test]
fn the_configuration_prints_as_sorted_yaml() {
    let scene = Scene::new();
    let file = scene.file("a.yml", "scope: s\nb: [x, 'on']\n");
    let local = load(Some(&file), variables(&[("PATRONI_NAME", "n")])).expect("valid YAML");
    assert_eq!(local.to_yaml(), "b:\n- x\n- 'on'\nname: n\nscope: s\n");
}
