//! The files that the checks look at, read once.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::source::Source;

/// Path from the root, with `/`, to text.
pub struct Tree(BTreeMap<String, String>);

const FOLDERS: [&str; 4] = ["crates", "xtask", "docs", "scripts"];
/// A test's certificate or dump is nobody's business here.
const KINDS: [&str; 5] = ["rs", "toml", "md", "txt", "sh"];

impl Tree {
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(root)? {
            let path = entry?.path();
            if path.is_file() && (is_read(&path) || path.extension().is_none()) {
                take(root, &path, &mut files)?;
            }
        }
        for folder in FOLDERS {
            walk(root, &root.join(folder), &mut files)?;
        }
        Ok(Self(files))
    }

    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Whether there is a file of this path, or a folder that contains one.
    pub fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.0.contains_key(path) || self.0.keys().any(|file| file.starts_with(&folder))
    }

    pub fn files<'t>(&'t self, under: &'t str, ending: &'t str) -> impl Iterator<Item = (&'t str, &'t str)> {
        let wanted = move |path: &str| path.starts_with(under) && path.ends_with(ending);
        self.0.iter().filter(move |(path, _)| wanted(path)).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Rust files below a folder, prepared for looking at code only.
    pub fn sources<'t>(&'t self, under: &'t str) -> impl Iterator<Item = Source<'t>> {
        self.files(under, ".rs").map(|(path, text)| Source::new(path, text))
    }

    /// Names of the folders directly below `crates`.
    pub fn crates(&self) -> Vec<&str> {
        let manifests = self.files("crates/", "/Cargo.toml");
        manifests
            .filter_map(|(path, _)| path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml"))
            .filter(|name| !name.contains('/'))
            .collect()
    }
}

fn walk(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            walk(root, &path, files)?;
        } else if path.is_file() && is_read(&path) {
            take(root, &path, files)?;
        }
    }
    Ok(())
}

fn is_read(path: &Path) -> bool {
    path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known))
}

fn take(root: &Path, path: &Path, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    let inside = path.strip_prefix(root).expect("walked down from the root");
    files.insert(inside.to_string_lossy().into_owned(), String::from_utf8_lossy(&fs::read(path)?).into_owned());
    Ok(())
}
