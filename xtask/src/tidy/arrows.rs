//! Which crate may use which: one table, compared with every manifest and with the table in docs/ARCHITECTURE.md.
//!
//! Arrows are allowed here, not described: an arrow that nobody uses any more may stay until somebody removes it.

use std::collections::BTreeMap;

use super::Complaint;
use super::tree::Tree;

const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";

/// The allowed arrows between our crates. Changing one is a decision: change the table in docs/ARCHITECTURE.md with it.
const ARROWS: &[(&str, &[&str])] = &[
    ("tamada-model", &[]),
    ("tamada-core", &["tamada-model"]),
    ("tamada-wire", &["tamada-model"]),
    ("tamada-config", &["tamada-model", "tamada-testing"]),
    ("tamada-raft", &["tamada-testing"]),
    ("tamada-etcd", &["tamada-raft", "tamada-testing"]),
    ("tamada-dcs", &["tamada-model", "tamada-wire", "tamada-raft", "tamada-etcd", "tamada-testing"]),
    ("tamada-postgres", &["tamada-model", "tamada-testing"]),
    ("tamada-api", &["tamada-model", "tamada-wire", "tamada-testing"]),
    (
        "tamada-ctl",
        &["tamada-model", "tamada-config", "tamada-dcs", "tamada-raft", "tamada-api", "tamada-wire", "tamada-testing"],
    ),
    (
        "tamada",
        &[
            "tamada-model",
            "tamada-core",
            "tamada-wire",
            "tamada-config",
            "tamada-dcs",
            "tamada-raft",
            "tamada-etcd",
            "tamada-postgres",
            "tamada-api",
            "tamada-ctl",
            "tamada-testing",
        ],
    ),
    ("tamada-sim", &["tamada-model", "tamada-core", "tamada-wire", "tamada-dcs"]),
    ("tamada-testing", &[]),
    ("xtask", &[]),
];

pub fn check(tree: &Tree) -> Vec<Complaint> {
    against(tree, ARROWS)
}

fn against(tree: &Tree, arrows: &[(&str, &[&str])]) -> Vec<Complaint> {
    let mut complaints = manifests(tree, arrows);
    complaints.extend(documented(tree, arrows));
    complaints
}

fn manifests(tree: &Tree, arrows: &[(&str, &[&str])]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let folders = tree.crates().into_iter().map(|name| (name, format!("crates/{name}/Cargo.toml")));
    for (name, path) in folders.chain([("xtask", "xtask/Cargo.toml".to_owned())]) {
        let Some(text) = tree.text(&path) else { continue };
        let Some((_, allowed)) = arrows.iter().find(|(from, _)| *from == name) else {
            complaints.push(Complaint::about(&path, "this crate is not in the table of xtask/src/tidy/arrows.rs"));
            continue;
        };
        complaints.extend(manifest(name, &path, text, allowed));
    }
    complaints
}

fn manifest(name: &str, path: &str, text: &str, allowed: &[&str]) -> Vec<Complaint> {
    let manifest = Manifest::parse(text);
    let mut complaints = Vec::new();
    if manifest.name.as_deref() != Some(name) {
        complaints.push(Complaint::about(path, format!("the package is not named as its folder, {name}")));
    }
    for (used, line) in manifest.ours {
        // A crate may name itself among its dev-dependencies, to switch on features for its tests.
        if used != name && !allowed.contains(&used.as_str()) {
            complaints.push(Complaint::at(path, line, format!("{name} must not depend on {used}")));
        }
    }
    complaints
}

/// What we want to know of a Cargo.toml.
#[derive(Default)]
struct Manifest {
    name: Option<String>,
    /// Our own crates among all kinds of dependencies, with their lines.
    ours: BTreeMap<String, usize>,
}

impl Manifest {
    fn parse(text: &str) -> Self {
        let mut manifest = Self::default();
        let mut section = String::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']).to_owned();
                manifest.header(&section, number + 1);
            } else if let Some((key, value)) = line.split_once('=') {
                manifest.entry(&section, key.trim(), value.trim(), number + 1);
            }
        }
        manifest
    }

    /// `[dependencies.tamada-core]` names its crate in the header.
    fn header(&mut self, section: &str, line: usize) {
        if let Some((table, name)) = section.rsplit_once('.')
            && table.ends_with("dependencies")
        {
            self.depends(name, line);
        }
    }

    fn entry(&mut self, section: &str, key: &str, value: &str, line: usize) {
        if section == "package" && key == "name" {
            self.name = Some(value.trim_matches('"').to_owned());
        }
        if section.ends_with("dependencies") {
            let renamed = value.split_once("package").and_then(|(_, rest)| rest.split('"').nth(1));
            self.depends(renamed.unwrap_or(key.split('.').next().unwrap_or(key)), line);
        } else if section.contains("dependencies.") && key == "package" {
            self.depends(value.trim_matches('"'), line);
        }
    }

    fn depends(&mut self, name: &str, line: usize) {
        let name = name.trim_matches('"');
        if name == "xtask" || name == "tamada" || name.starts_with("tamada-") {
            self.ours.insert(name.to_owned(), line);
        }
    }
}

/// Rows of the document's table: ``| `crate` | sentence | `used`, `used` |``.
fn documented(tree: &Tree, arrows: &[(&str, &[&str])]) -> Vec<Complaint> {
    let Some(text) = tree.text(ARCHITECTURE) else {
        return vec![Complaint::about(ARCHITECTURE, "is missing")];
    };
    let rows: BTreeMap<String, (Vec<String>, usize)> = text
        .lines()
        .enumerate()
        .filter_map(|(number, line)| row(line).map(|(name, to)| (name, (to, number + 1))))
        .collect();
    let mut complaints = Vec::new();
    for (name, allowed) in arrows {
        match rows.get(*name) {
            None => {
                complaints.push(Complaint::about(ARCHITECTURE, format!("the table of crates has no row for {name}")))
            }
            Some((to, line)) if to != allowed => {
                let wanted = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
                complaints.push(Complaint::at(ARCHITECTURE, *line, format!("{name} may use: {wanted}")));
            }
            Some(_) => {}
        }
    }
    let unknown = rows.iter().filter(|(name, _)| !arrows.iter().any(|(known, _)| known == *name));
    complaints
        .extend(unknown.map(|(name, (_, line))| Complaint::at(ARCHITECTURE, *line, format!("there is no {name}"))));
    complaints
}

fn row(line: &str) -> Option<(String, Vec<String>)> {
    let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
    let [name, _, arrows, ""] = cells[..] else { return None };
    let name = name.strip_prefix('`')?.strip_suffix('`')?;
    if name != "xtask" && name != "tamada" && !name.starts_with("tamada-") {
        return None;
    }
    Some((name.to_owned(), arrows.split('`').skip(1).step_by(2).map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    const TABLE: &[(&str, &[&str])] = &[("tamada-a", &[]), ("tamada-b", &["tamada-a"])];
    const DOC: &str =
        "| Crate | Sentence | May use |\n|--|--|--|\n| `tamada-a` | a | nothing |\n| `tamada-b` | b | `tamada-a` |\n";

    fn complaints(a: &str, b: &str, doc: &str) -> Vec<String> {
        let tree = Tree::of(&[
            ("crates/tamada-a/Cargo.toml", &format!("[package]\nname = \"tamada-a\"\n{a}")),
            ("crates/tamada-b/Cargo.toml", &format!("[package]\nname = \"tamada-b\"\n{b}")),
            (ARCHITECTURE, doc),
        ]);
        against(&tree, TABLE).iter().map(Complaint::to_string).collect()
    }

    #[test]
    fn an_allowed_arrow_is_fine() {
        assert!(complaints("", "[dependencies]\ntamada-a = { workspace = true }\nserde = \"1\"", DOC).is_empty());
    }

    #[test]
    fn an_arrow_outside_of_the_table_is_found_in_every_spelling() {
        for spelling in [
            "[dependencies]\ntamada-b = { workspace = true }",
            "[dev-dependencies]\ntamada-b.workspace = true",
            "[dependencies.tamada-b]\nworkspace = true",
            "[target.'cfg(unix)'.dependencies]\nb = { package = \"tamada-b\", path = \"../b\" }",
        ] {
            let said = complaints(spelling, "", DOC);
            assert_eq!(said.len(), 1, "{spelling}");
            assert!(said[0].ends_with("tamada-a must not depend on tamada-b"), "{said:?}");
        }
    }

    #[test]
    fn a_crate_without_a_row_or_with_another_name_is_found() {
        let tree = Tree::of(&[("crates/tamada-c/Cargo.toml", "[package]\nname = \"c\""), (ARCHITECTURE, DOC)]);
        assert!(against(&tree, TABLE)[0].what.contains("not in the table"));
        let tree = Tree::of(&[("crates/tamada-a/Cargo.toml", "[package]\nname = \"c\""), (ARCHITECTURE, DOC)]);
        assert!(against(&tree, TABLE)[0].what.contains("not named as its folder"));
    }

    #[test]
    fn the_document_must_say_the_same() {
        assert!(complaints("", "", &DOC.replace("nothing", "`tamada-b`"))[0].ends_with("tamada-a may use: nothing"));
        assert!(complaints("", "", &DOC.replace("`tamada-b`", "B"))[0].ends_with("no row for tamada-b"));
        let with_more = format!("{DOC}| `tamada-z` | z | nothing |\n");
        assert!(complaints("", "", &with_more)[0].ends_with("there is no tamada-z"));
    }
}
