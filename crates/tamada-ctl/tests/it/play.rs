//! Plays one scene: writes its keys, runs its commands, and tells what happened in the scene's own form.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tamada_ctl::{Console, Surroundings};
use tamada_testing::write_script;

use crate::etcd::Etcd;
use crate::mask::Masks;
use crate::member::{Member, Reply};
use crate::scene::{Line, parse};

pub fn play(etcd: &Etcd, name: &str, scene: &str) -> String {
    let mut stage = Stage::new(etcd, name);
    let mut happened = Vec::new();
    for (written, line) in parse(scene) {
        happened.push(written);
        happened.extend(stage.perform(line));
    }
    happened.join("\n") + "\n"
}

struct Stage<'e> {
    etcd: &'e Etcd,
    base: String,
    member: Member,
    directory: Directory,
    config: Vec<String>,
    env: BTreeMap<String, String>,
}

impl<'e> Stage<'e> {
    fn new(etcd: &'e Etcd, name: &str) -> Self {
        let port = etcd.port;
        let config = ["scope: demo", &format!("namespace: /{name}/"), "etcd3:", &format!("  host: 127.0.0.1:{port}")];
        let path = std::env::var("PATH").expect("a path to programs");
        let env = [("PATH", path.as_str()), ("HOME", "/nonexistent")];
        Self {
            etcd,
            base: format!("/{name}/demo/"),
            member: Member::start(),
            directory: Directory::new(),
            config: config.map(str::to_owned).to_vec(),
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }

    fn perform(&mut self, line: Line) -> Vec<String> {
        match line {
            Line::Comment => {}
            Line::NoScope => drop(self.config.remove(0)),
            Line::Config(text) => self.config.push(self.filled(&text)),
            Line::Env(name, value) => drop(self.env.insert(name, self.filled(&value))),
            Line::File(name, content) => self.directory.write(&name, &self.filled(&content)),
            Line::Key(key, value) => self.etcd.put(&format!("{}{key}", self.base), &self.filled(&value)),
            Line::Delete(key) => self.etcd.delete(&format!("{}{key}", self.base)),
            Line::Reply { method, path, status, text } => {
                self.member.will_reply(&method, &path, Reply { status, text: self.filled(&text) });
            }
            Line::Get(key) => {
                let value = self.etcd.get(&format!("{}{key}", self.base));
                return gutter(" ", &self.masks().apply(&format!("{}\n", value.as_deref().unwrap_or("(none)"))));
            }
            Line::Command { words, answers } => return self.run(&words, &answers),
        }
        Vec::new()
    }

    fn run(&self, words: &[String], answers: &[String]) -> Vec<String> {
        self.directory.write("ctl.yml", &(self.config.join("\n") + "\n"));
        let mut words: Vec<String> = words.iter().map(|word| self.filled(word)).collect();
        // A raw command gets no configuration file of ours.
        match words.first().map(String::as_str) {
            Some("raw") => drop(words.remove(0)),
            Some(_) | None => drop(words.splice(0..0, ["-c".to_owned(), self.directory.file("ctl.yml")])),
        }
        let (out, err) = (Buffer::default(), Buffer::default());
        let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
        let console = Console::scripted(Box::new(out.clone()), Box::new(err.clone()), &answers);
        self.member.heard();
        let code = tamada_ctl::run(&words, "patronictl", Surroundings::new(self.env.clone()), console);
        let masks = self.masks();
        let heard: String = self.member.heard().into_iter().map(|line| line + "\n").collect();
        let mut happened = gutter(">", &masks.apply(&heard));
        happened.extend(gutter(" ", &masks.apply(&out.text())));
        happened.extend(gutter("!", &masks.apply(&err.text())));
        happened.extend((code != 0).then(|| format!("= {code}")));
        happened
    }

    fn filled(&self, text: &str) -> String {
        let text = text.replace("{port}", &self.member.port.to_string()).replace("{dir}", &self.directory.text());
        text.replace("{etcd}", &self.etcd.port.to_string())
    }

    fn masks(&self) -> Masks {
        Masks { port: self.member.port, directory: self.directory.text() }
    }
}

/// Each line behind its mark; a backslash where the last line has no end.
fn gutter(mark: &str, text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let mark = |line: &str| if line.is_empty() { mark.trim_end().to_owned() } else { format!("{mark} {line}") };
    let mut lines: Vec<String> = text.strip_suffix('\n').unwrap_or(text).split('\n').map(mark).collect();
    lines.extend((!text.ends_with('\n')).then(|| "\\".to_owned()));
    lines
}

/// A temporary directory, gone with the scene.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tamada-ctl-scene-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    fn text(&self) -> String {
        self.0.display().to_string()
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.0.join(name);
        if content.starts_with("#!") {
            return write_script(&path, content);
        }
        fs::write(&path, content).expect("our directory");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Left over, it would only be untidy.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("we print text")
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
