//! From a value to text, byte for byte as PyYAML's `safe_dump` writes it.
//!
//! People compare what `show-config` prints with what they keep in version control, and `edit-config` shows the
//! difference of two such texts: a single quote more would be a changed line. So the layout follows the original's
//! emitter: block style, keys sorted, lists not indented below their key, quotes only where the text would read as
//! something else, long text folded at spaces beyond the width.

use serde_json::{Map, Value};
use tamada_model::document::number_text;

use super::scalar::{self, Reads};

/// How to lay a value out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dump {
    /// Lines are folded at the first space beyond this column.
    pub width: usize,
    pub layout: Layout,
    pub keys: Keys,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    Block,
    Flow,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keys {
    Sorted,
    AsTheyAre,
}

impl Default for Dump {
    fn default() -> Self {
        Self { width: 200, layout: Layout::Block, keys: Keys::Sorted }
    }
}

/// Block style, width 200: `show-config`, `edit-config`.
pub fn dump(value: &Value) -> String {
    dump_with(value, Dump::default())
}

/// Flow style on one line, without the line end: `{clonefrom: true, dc: x}`.
pub fn dump_flow(value: &Value) -> String {
    let text = dump_with(value, Dump { layout: Layout::Flow, ..Dump::default() });
    text.trim_end_matches('\n').to_owned()
}

pub fn dump_with(value: &Value, how: Dump) -> String {
    let mut emitter =
        Emitter { how, out: String::new(), column: 0, blank: true, fresh: true, indents: Vec::new(), flow_level: 0 };
    emitter.node(value, Context::Root);
    emitter.indent_line();
    let text_needs_end = is_scalar(value) && !emitter.out.starts_with(['\'', '"']);
    if text_needs_end {
        emitter.out.push_str("...\n");
    }
    emitter.out
}

fn is_scalar(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Root,
    ListItem,
    /// A value beside its key.
    MapValue,
    /// A key on one line with its value.
    Key,
    /// A key too long for that, after `?`.
    LongKey,
}

struct Emitter {
    how: Dump,
    out: String,
    column: usize,
    /// The last thing written was white space (or nothing).
    blank: bool,
    /// Only indentation and list dashes stand on this line so far.
    fresh: bool,
    indents: Vec<usize>,
    flow_level: usize,
}

const STEP: usize = 2;
/// A longer key is written after `?`; PyYAML counts the five characters of the tag `!!str` too.
const LONGEST_KEY: usize = 128 - 5;

impl Emitter {
    fn node(&mut self, value: &Value, context: Context) {
        match value {
            Value::Null => self.scalar("null", Reads::Null, context),
            Value::Bool(flag) => self.scalar(if *flag { "true" } else { "false" }, Reads::Bool, context),
            Value::Number(number) => self.scalar(&number_of_yaml(number), Reads::Integer, context),
            Value::String(text) => self.scalar(text, Reads::Text, context),
            Value::Array(items) if self.flows() || items.is_empty() => self.flow_list(items),
            Value::Array(items) => self.block_list(items, context),
            Value::Object(map) if self.flows() || map.is_empty() => self.flow_map(map),
            Value::Object(map) => self.block_map(map),
        }
    }

    fn flows(&self) -> bool {
        self.flow_level > 0 || self.how.layout == Layout::Flow
    }

    fn entries<'m>(&self, map: &'m Map<String, Value>) -> Vec<(&'m String, &'m Value)> {
        let mut entries: Vec<_> = map.iter().collect();
        if self.how.keys == Keys::Sorted {
            entries.sort_by(|a, b| a.0.cmp(b.0));
        }
        entries
    }

    fn block_list(&mut self, items: &[Value], context: Context) {
        let hanging = matches!(context, Context::MapValue | Context::LongKey) && !self.fresh;
        self.deeper(if hanging { 0 } else { STEP }, 0);
        for item in items {
            self.indent_line();
            self.list_dash();
            self.node(item, Context::ListItem);
        }
        self.indents.pop();
    }

    fn block_map(&mut self, map: &Map<String, Value>) {
        self.deeper(STEP, 0);
        for (key, value) in self.entries(map) {
            self.indent_line();
            if is_simple_key(key) {
                self.scalar(key, Reads::Text, Context::Key);
                self.mark(":", Gap::None);
            } else {
                self.explicit_mark("?");
                self.scalar(key, Reads::Text, Context::LongKey);
                self.indent_line();
                self.explicit_mark(":");
            }
            self.node(value, Context::MapValue);
        }
        self.indents.pop();
    }

    fn flow_list(&mut self, items: &[Value]) {
        self.open("[");
        for (index, item) in items.iter().enumerate() {
            self.next_flow_entry(index);
            self.node(item, Context::ListItem);
        }
        self.close("]");
    }

    fn flow_map(&mut self, map: &Map<String, Value>) {
        self.open("{");
        for (index, (key, value)) in self.entries(map).into_iter().enumerate() {
            self.next_flow_entry(index);
            if is_simple_key(key) {
                self.scalar(key, Reads::Text, Context::Key);
                self.mark(":", Gap::None);
            } else {
                self.mark("?", Gap::Before);
                self.scalar(key, Reads::Text, Context::LongKey);
                self.fold_if_long();
                self.mark(":", Gap::Before);
            }
            self.node(value, Context::MapValue);
        }
        self.close("}");
    }

    fn open(&mut self, bracket: &str) {
        self.mark(bracket, Gap::Before);
        self.blank = true;
        self.flow_level += 1;
        self.deeper(STEP, STEP);
    }

    fn close(&mut self, bracket: &str) {
        self.indents.pop();
        self.flow_level -= 1;
        self.mark(bracket, Gap::None);
    }

    fn next_flow_entry(&mut self, index: usize) {
        if index > 0 {
            self.mark(",", Gap::None);
        }
        self.fold_if_long();
    }

    fn fold_if_long(&mut self) {
        if self.column > self.how.width {
            self.indent_line();
        }
    }

    fn deeper(&mut self, step: usize, first: usize) {
        let indent = self.indents.last().map_or(first, |indent| indent + step);
        self.indents.push(indent);
    }

    fn indent(&self) -> usize {
        self.indents.last().copied().unwrap_or(0)
    }

    /// Goes to a new line, unless we stand at its indentation already.
    fn indent_line(&mut self) {
        let indent = self.indent();
        if !self.fresh || self.column > indent || (self.column == indent && !self.blank) {
            self.line_break();
        }
        if self.column < indent {
            self.out.extend(std::iter::repeat_n(' ', indent - self.column));
            self.column = indent;
            self.blank = true;
        }
    }

    fn line_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
        self.blank = true;
        self.fresh = true;
    }

    fn write(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn mark(&mut self, mark: &str, gap: Gap) {
        if gap == Gap::Before && !self.blank {
            self.write(" ");
        }
        self.write(mark);
        self.blank = false;
        self.fresh = false;
    }

    /// `-`: what follows may begin on the same line.
    fn list_dash(&mut self) {
        self.explicit_mark("-");
    }

    fn explicit_mark(&mut self, mark: &str) {
        let fresh = self.fresh;
        self.mark(mark, Gap::Before);
        self.fresh = fresh;
    }

    fn scalar(&mut self, text: &str, kind: Reads, context: Context) {
        let on_one_line = context == Context::Key;
        let traits = Traits::of(text);
        let reads_back = kind != Reads::Text || scalar::reads_as(text) == Reads::Text;
        let plain_allowed = if self.flow_level > 0 { traits.flow_plain } else { traits.block_plain };
        self.deeper(STEP, STEP);
        if reads_back && plain_allowed && !text.is_empty() {
            self.plain(text, on_one_line);
        } else if traits.single_quoted && !(on_one_line && traits.multiline) {
            self.single_quoted(text, on_one_line);
        } else {
            self.double_quoted(text, on_one_line);
        }
        self.indents.pop();
    }

    fn plain(&mut self, text: &str, on_one_line: bool) {
        if !self.blank {
            self.write(" ");
        }
        self.blank = false;
        self.fresh = false;
        for piece in pieces(text) {
            if piece == " " && self.column > self.how.width && !on_one_line {
                self.indent_line();
                self.blank = false;
                self.fresh = false;
            } else {
                self.write(piece);
            }
        }
    }

    fn single_quoted(&mut self, text: &str, on_one_line: bool) {
        self.mark("'", Gap::Before);
        let pieces = pieces(text);
        let last = pieces.len().saturating_sub(1);
        for (index, piece) in pieces.into_iter().enumerate() {
            if is_break(piece.chars().next().unwrap_or(' ')) {
                self.breaks(piece);
            } else if piece == " " && index != 0 && index != last && self.column > self.how.width && !on_one_line {
                self.indent_line();
            } else {
                self.write(&piece.replace('\'', "''"));
            }
        }
        self.mark("'", Gap::None);
    }

    /// A line end inside quotes is written twice, because a single one would read as a space.
    fn breaks(&mut self, run: &str) {
        if run.starts_with('\n') {
            self.line_break();
        }
        for c in run.chars() {
            self.line_break();
            if c != '\n' {
                self.out.pop();
                self.out.push(c);
            }
        }
        self.indent_line();
    }

    /// Folds with a backslash, at spaces and beside escapes. `unwritten` is where the characters that are still to be
    /// written begin; right after an escape that is one beyond the present one.
    fn double_quoted(&mut self, text: &str, on_one_line: bool) {
        self.mark("\"", Gap::Before);
        let chars: Vec<char> = text.chars().collect();
        let run = |from: usize, to: usize| chars.get(from..to).unwrap_or_default().iter().collect::<String>();
        let mut unwritten = 0;
        for (at, &c) in chars.iter().enumerate() {
            if let Some(escape) = escape(c) {
                self.write(&run(unwritten, at));
                self.write(&escape);
                unwritten = at + 1;
            }
            let is_inside = at > 0 && at + 1 < chars.len();
            let may_fold = !on_one_line && is_inside && (c == ' ' || unwritten >= at);
            if may_fold && self.column + at > self.how.width + unwritten {
                self.write(&run(unwritten, at));
                unwritten = unwritten.max(at);
                self.fold_in_double_quotes(chars[unwritten] == ' ');
            }
        }
        self.write(&run(unwritten, chars.len()));
        self.mark("\"", Gap::None);
    }

    fn fold_in_double_quotes(&mut self, space_follows: bool) {
        self.write("\\");
        self.indent_line();
        self.blank = false;
        self.fresh = false;
        if space_follows {
            self.write("\\");
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    None,
    Before,
}

fn is_simple_key(key: &str) -> bool {
    !key.is_empty() && !key.chars().any(is_break) && key.chars().count() < LONGEST_KEY
}

/// A float needs a point to read back as one: `1.0e+16`.
fn number_of_yaml(number: &serde_json::Number) -> String {
    let text = number_text(number);
    match text.split_once('e') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0e{exponent}"),
        Some(_) | None => text,
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_white(c: char) -> bool {
    matches!(c, '\0' | ' ' | '\t' | '\r') || is_break(c)
}

/// Runs of blanks, of line ends, and of everything else.
fn pieces(text: &str) -> Vec<&str> {
    let class = |c: char| if c == ' ' { 1 } else { u8::from(is_break(c)) * 2 };
    let mut pieces = Vec::new();
    let mut begin = 0;
    let mut previous = None;
    for (at, c) in text.char_indices() {
        if previous.is_some_and(|before| before != class(c)) {
            pieces.push(&text[begin..at]);
            begin = at;
        }
        previous = Some(class(c));
    }
    pieces.push(&text[begin..]);
    pieces
}

fn escape(c: char) -> Option<String> {
    let short = match c {
        '\0' => '0',
        '\x07' => 'a',
        '\x08' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\x0b' => 'v',
        '\x0c' => 'f',
        '\r' => 'r',
        '\x1b' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => return None,
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        ' '..='~' | '\u{a1}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' => return None,
        other => {
            return Some(match other as u32 {
                code @ ..=0xff => format!("\\x{code:02X}"),
                code @ ..=0xffff => format!("\\u{code:04X}"),
                code => format!("\\U{code:08X}"),
            });
        }
    };
    Some(format!("\\{short}"))
}

/// In which styles a text can be written.
struct Traits {
    block_plain: bool,
    flow_plain: bool,
    single_quoted: bool,
    multiline: bool,
}

impl Traits {
    fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let multiline = chars.iter().copied().any(is_break);
        let special = chars.iter().copied().any(|c| !is_printable(c));
        let pair =
            |first: fn(char) -> bool, second: fn(char) -> bool| chars.windows(2).any(|w| first(w[0]) && second(w[1]));
        let is_space = |c: char| c == ' ';
        let edges_blank = |c: Option<&char>| c.is_some_and(|&c| c == ' ' || is_break(c));
        let break_then_space = pair(is_break, is_space);
        let only_double = special || pair(is_space, is_break);
        let plain = !edges_blank(chars.first())
            && !edges_blank(chars.last())
            && !break_then_space
            && !only_double
            && !multiline;
        let (in_block, in_flow) = indicators(text, &chars);
        Self {
            block_plain: plain && !in_block,
            flow_plain: plain && !in_flow && !in_block,
            single_quoted: !break_then_space && !only_double,
            multiline,
        }
    }
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}'
        | '\u{10000}'..='\u{10fffe}')
}

/// Whether the text holds a mark that means something in block style, and in flow style.
fn indicators(text: &str, chars: &[char]) -> (bool, bool) {
    let mut block = text.starts_with("---") || text.starts_with("...");
    let mut flow = block;
    for (index, &c) in chars.iter().enumerate() {
        let white_before = index == 0 || is_white(chars[index - 1]);
        let white_after = chars.get(index + 1).is_none_or(|&c| is_white(c));
        let (in_block, in_flow) = match c {
            '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`'
                if index == 0 =>
            {
                (true, true)
            }
            '?' if index == 0 => (white_after, true),
            '-' if index == 0 => (white_after, white_after),
            ':' => (white_after, true),
            ',' | '?' | '[' | ']' | '{' | '}' => (false, true),
            '#' => (white_before, white_before),
            _ => (false, false),
        };
        block |= in_block;
        flow |= in_flow;
    }
    (block, flow)
}
