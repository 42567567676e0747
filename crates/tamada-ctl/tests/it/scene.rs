//! The lines of a scene.

/// One instruction of a scene, in the scene's own words and as we understand it.
pub enum Line {
    Comment,
    /// A line of the configuration file.
    Config(String),
    /// The configuration has no scope.
    NoScope,
    Env(String, String),
    File(String, String),
    Key(String, String),
    Delete(String),
    Reply {
        method: String,
        path: String,
        status: u16,
        text: String,
    },
    Get(String),
    Command {
        words: Vec<String>,
        answers: Vec<String>,
    },
}

/// Instructions with their text; what was recorded before is left out.
pub fn parse(text: &str) -> Vec<(String, Line)> {
    let mut lines = text.lines().peekable();
    let mut parsed = Vec::new();
    while let Some(line) = lines.next() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut written = line.to_owned();
        let mut belonging = |prefix: &str| {
            let mut found = Vec::new();
            while let Some(line) = lines.next_if(|line| line.starts_with(prefix)) {
                written += &format!("\n{line}");
                found.push(line[prefix.len()..].to_owned());
            }
            found
        };
        let understood = match word {
            "" | "!" | ">" | "=" | "\\" => continue,
            "#" => Line::Comment,
            "config" if rest == "noscope" => Line::NoScope,
            "config" => Line::Config(rest.to_owned()),
            "env" => pair(rest, "=", Line::Env),
            "file" => Line::File(rest.to_owned(), belonging("  ").join("\n") + "\n"),
            "key" => pair(rest, " ", Line::Key),
            "delete" => Line::Delete(rest.to_owned()),
            "get" => Line::Get(rest.to_owned()),
            "reply" => reply(rest),
            "$" => {
                let answer = |line: String| line.strip_prefix(' ').unwrap_or(&line).to_owned();
                Line::Command { answers: belonging("<").into_iter().map(answer).collect(), words: words(rest) }
            }
            other => panic!("no instruction: {other}"),
        };
        parsed.push((written, understood));
    }
    parsed
}

fn pair(text: &str, separator: &str, make: fn(String, String) -> Line) -> Line {
    let (first, second) = text.split_once(separator).unwrap_or((text, ""));
    make(first.to_owned(), second.to_owned())
}

fn reply(text: &str) -> Line {
    let mut parts = text.splitn(4, ' ').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    let (method, path) = (next(), next());
    Line::Reply { method, path, status: next().parse().expect("a status"), text: next() }
}

/// As a shell splits them: blanks separate, quotes keep together.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (Some(_) | None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
