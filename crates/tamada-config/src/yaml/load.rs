//! From text to a value, remembering on which line each part was written.

use std::collections::BTreeMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Value};
use tamada_model::document::scalar_text;

use super::scalar::{self, Reads};

/// A document, and the line on which each dotted path was written.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    pub value: Value,
    pub lines: BTreeMap<String, usize>,
}

/// Text that is not one YAML document. Line and column count from 1.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct YamlError {
    pub line: usize,
    pub column: usize,
    pub problem: String,
}

/// A section within a section within …: deeper is a mistake or an attack on our stack.
const DEEPEST: usize = 128;

/// Aliases of aliases can make a small text enormous; no configuration has this many values.
const MOST_VALUES: usize = 200_000;

/// The one document in the text; an empty text is `null`.
pub fn load(text: &str) -> Result<Loaded, YamlError> {
    let mut composer = Composer { events: Parser::new_from_str(text), anchors: BTreeMap::new() };
    let root = composer.document()?;
    let mut lines = BTreeMap::new();
    let mut values = 0;
    let value = match root {
        Some(root) => root.into_value("", &mut lines, &mut values)?,
        None => Value::Null,
    };
    Ok(Loaded { value, lines })
}

/// The value alone.
pub fn parse(text: &str) -> Result<Value, YamlError> {
    load(text).map(|loaded| loaded.value)
}

fn error(at: Marker, problem: impl Into<String>) -> YamlError {
    YamlError { line: at.line(), column: at.col() + 1, problem: problem.into() }
}

/// A part of the document, shared by its aliases.
struct Node {
    at: Marker,
    content: Content,
}

enum Content {
    Scalar(Value),
    List(Vec<Rc<Node>>),
    Mapping(Vec<Entry>),
}

#[derive(Clone)]
struct Entry {
    key: String,
    line: usize,
    node: Rc<Node>,
}

impl Node {
    fn into_value(
        self: &Rc<Self>,
        path: &str,
        lines: &mut BTreeMap<String, usize>,
        values: &mut usize,
    ) -> Result<Value, YamlError> {
        *values += 1;
        if *values > MOST_VALUES {
            return Err(error(self.at, "too many values (aliases that repeat aliases?)"));
        }
        match &self.content {
            Content::Scalar(value) => Ok(value.clone()),
            Content::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let path = join(path, &index.to_string());
                    lines.insert(path.clone(), item.at.line());
                    list.push(item.into_value(&path, lines, values)?);
                }
                Ok(Value::Array(list))
            }
            Content::Mapping(entries) => {
                let mut map = Map::new();
                for Entry { key, line, node } in entries {
                    let path = join(path, key);
                    forget_below(lines, &path);
                    lines.insert(path.clone(), *line);
                    map.insert(key.clone(), node.into_value(&path, lines, values)?);
                }
                Ok(Value::Object(map))
            }
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A repeated key replaces what an earlier one said; so do its lines.
fn forget_below(lines: &mut BTreeMap<String, usize>, path: &str) {
    if lines.contains_key(path) {
        let below = format!("{path}.");
        lines.retain(|known, _| !known.starts_with(&below));
    }
}

struct Composer<'t> {
    events: Parser<'t, StrInput<'t>>,
    anchors: BTreeMap<usize, Rc<Node>>,
}

impl<'t> Composer<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(scan)) => Err(error(*scan.marker(), scan.info())),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Option<Rc<Node>>, YamlError> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(error(span.start, "expected a single document, but found another one"));
                }
                Event::DocumentStart(_) => {
                    let first = self.next()?;
                    root = Some(self.node(first, 0)?);
                }
                Event::Alias(_)
                | Event::Scalar(..)
                | Event::SequenceStart(..)
                | Event::SequenceEnd
                | Event::MappingStart(..)
                | Event::MappingEnd => {
                    return Err(error(span.start, "expected the start of a document"));
                }
            }
        }
    }

    fn node(&mut self, (event, span): (Event<'t>, Span), depth: usize) -> Result<Rc<Node>, YamlError> {
        if depth > DEEPEST {
            return Err(error(span.start, "nested too deeply"));
        }
        let (anchor, content) = match event {
            Event::Alias(id) => {
                return self
                    .anchors
                    .get(&id)
                    .cloned()
                    .ok_or_else(|| error(span.start, "an alias inside its own anchor"));
            }
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, Content::Scalar(scalar_value(&text, style, tag.as_deref(), span)?))
            }
            Event::SequenceStart(anchor, _) => (anchor, Content::List(self.list(depth)?)),
            Event::MappingStart(anchor, _) => (anchor, Content::Mapping(self.mapping(depth)?)),
            Event::SequenceEnd
            | Event::MappingEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::StreamStart
            | Event::StreamEnd
            | Event::Nothing => {
                return Err(error(span.start, "expected a value"));
            }
        };
        let node = Rc::new(Node { at: span.start, content });
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Rc<Node>>, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                event => items.push(self.node(event, depth + 1)?),
            }
        }
    }

    /// Merged mappings come first, so that the mapping's own keys replace theirs.
    fn mapping(&mut self, depth: usize) -> Result<Vec<Entry>, YamlError> {
        let (mut merged, mut own) = (Vec::new(), Vec::new());
        loop {
            let event = self.next()?;
            if let (Event::MappingEnd, _) = event {
                merged.append(&mut own);
                return Ok(merged);
            }
            let is_merge = matches!(&event.0, Event::Scalar(text, ScalarStyle::Plain, _, None)
                if scalar::reads_as(text) == Reads::Merge);
            let key = self.node(event, depth + 1)?;
            let value = self.next()?;
            let value = self.node(value, depth + 1)?;
            if is_merge {
                merged.extend(entries_to_merge(&value, key.at)?);
            } else {
                own.push(Entry { key: key_text(&key)?, line: key.at.line(), node: value });
            }
        }
    }
}

/// A mapping, or a list of them of which the earlier ones win.
fn entries_to_merge(value: &Node, at: Marker) -> Result<Vec<Entry>, YamlError> {
    let here =
        |entries: &[Entry]| entries.iter().map(|entry| Entry { line: at.line(), ..entry.clone() }).collect::<Vec<_>>();
    match &value.content {
        Content::Mapping(entries) => Ok(here(entries)),
        Content::List(items) => {
            let mut merged = Vec::new();
            for item in items.iter().rev() {
                match &item.content {
                    Content::Mapping(entries) => merged.extend(here(entries)),
                    Content::Scalar(_) | Content::List(_) => {
                        return Err(error(item.at, "expected a mapping for merging"));
                    }
                }
            }
            Ok(merged)
        }
        Content::Scalar(_) => Err(error(at, "expected a mapping or a list of mappings for merging")),
    }
}

/// Keys are text in JSON: what is not text becomes what JSON would write (`true`, `null`, `10`).
fn key_text(key: &Node) -> Result<String, YamlError> {
    match &key.content {
        Content::Scalar(Value::Bool(value)) => Ok(value.to_string()),
        Content::Scalar(Value::Null) => Ok("null".to_owned()),
        Content::Scalar(value) => Ok(scalar_text(value)),
        Content::List(_) | Content::Mapping(_) => Err(error(key.at, "a list or mapping cannot be a key")),
    }
}

fn scalar_value(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Value, YamlError> {
    let kind = match tag {
        None if style == ScalarStyle::Plain => "",
        None => "str",
        Some(tag) if tag.is_yaml_core_schema() => tag.suffix.as_str(),
        Some(Tag { handle, suffix })
            if (handle == "!" && suffix.is_empty()) || (handle.is_empty() && suffix == "!") =>
        {
            "str"
        }
        Some(Tag { handle, suffix }) => {
            return Err(error(span.start, format!("unknown tag {handle}{suffix}")));
        }
    };
    let value = match kind {
        "" => scalar::value_of(text),
        "str" | "binary" => Some(Value::String(text.to_owned())),
        "null" => Some(Value::Null),
        "bool" => scalar::boolean(text).map(Value::Bool),
        "int" | "timestamp" => scalar::value_of(text),
        "float" => scalar::value_of(text).map(|value| value.as_f64().map_or(value, Value::from)),
        other => return Err(error(span.start, format!("unknown tag !!{other}"))),
    };
    value.ok_or_else(|| error(span.start, format!("`{text}` has no value")))
}
