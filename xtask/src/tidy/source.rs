//! Rust text with everything blanked that is not code: comments, the insides of strings, and code only tests see.
//!
//! Blanked means replaced by spaces, so that every line and column stays where it was. A comment may then say what code
//! must not.

/// One file: as it is, its comments, its code, and the part of the code that ends up in the product.
pub struct Source<'t> {
    pub path: &'t str,
    pub text: &'t str,
    pub comments: String,
    pub code: String,
    pub product: String,
}

impl<'t> Source<'t> {
    pub fn new(path: &'t str, text: &'t str) -> Self {
        let (code, comments) = parted(text);
        let product = if is_test_file(path) { String::new() } else { without_tests(&code) };
        Self { path, text, comments, code, product }
    }

    /// Modules that this file declares for tests only, as the paths (without `.rs`) where their files would be.
    pub fn test_modules(&self) -> Vec<String> {
        let mut modules = Vec::new();
        for (start, _) in self.code.match_indices(TEST_ONLY) {
            let rest = self.code[start + TEST_ONLY.len()..].trim_start();
            let item = rest.strip_prefix("pub(crate)").unwrap_or(rest).trim_start();
            let Some(name) = item.strip_prefix("mod ").and_then(|item| item.split_once(';')) else { continue };
            if name.0.trim().chars().all(is_word) {
                modules.push(format!("{}/{}", self.folder_of_children(), name.0.trim()));
            }
        }
        modules
    }

    fn folder_of_children(&self) -> &str {
        let plain = self.path.strip_suffix(".rs").unwrap_or(self.path);
        let of_folder = ["/lib", "/main", "/mod"].iter().find_map(|name| plain.strip_suffix(name));
        of_folder.unwrap_or(plain)
    }
}

const TEST_ONLY: &str = "#[cfg(test)]";

pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.contains("/benches/")
}

/// Lines (from 1) where `word` stands by itself: `rand` is not in `operand`.
pub fn lines_with(code: &str, word: &str) -> Vec<usize> {
    code.lines().enumerate().filter(|(_, line)| contains_word(line, word)).map(|(number, _)| number + 1).collect()
}

fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, found)| {
        let before = line[..start].chars().next_back();
        let after = line[start + found.len()..].chars().next();
        let joined =
            |inner: Option<char>, outer: Option<char>| inner.is_some_and(is_word) && outer.is_some_and(is_word);
        !joined(word.chars().next(), before) && !joined(word.chars().next_back(), after)
    })
}

pub fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// Where the item that begins at `start` ends: after its first block, or at the semicolon of an item without one.
pub fn item_end(code: &str, start: usize) -> usize {
    let mut inside = 0;
    for (offset, c) in code[start..].char_indices() {
        match c {
            '(' | '[' => inside += 1,
            ')' | ']' => inside -= 1,
            ';' if inside == 0 => return start + offset,
            '{' if inside == 0 => return block_end(code, start + offset),
            _ => {}
        }
    }
    code.len()
}

/// The offset of the brace that closes the one at `open`.
pub fn block_end(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (offset, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return open + offset,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

fn without_tests(code: &str) -> String {
    let mut product = code.to_owned();
    for (start, _) in code.match_indices(TEST_ONLY) {
        let end = item_end(code, start + TEST_ONLY.len());
        product.replace_range(start..end, &blanked(&code[start..end]));
    }
    product
}

fn blanked(text: &str) -> String {
    let blank = |byte: u8| if byte == b'\n' { '\n' } else { ' ' };
    text.bytes().map(blank).collect()
}

/// The text twice: once with everything blanked but code, once with everything blanked but comments.
fn parted(text: &str) -> (String, String) {
    let (mut code, mut comments) = (String::new(), String::new());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let piece = beginning(rest, code.chars().next_back());
        let (here, later) = rest.split_at(match piece {
            Piece::Code => c.len_utf8(),
            Piece::Comment(length) | Piece::Literal(length) => length,
        });
        let blank = blanked(here);
        let (to_code, to_comments) = match piece {
            Piece::Code => (here, blank.as_str()),
            Piece::Comment(_) => (blank.as_str(), here),
            Piece::Literal(_) => (blank.as_str(), blank.as_str()),
        };
        code.push_str(to_code);
        comments.push_str(to_comments);
        rest = later;
    }
    (code, comments)
}

/// What begins at a place, and how many bytes of it there are.
enum Piece {
    Code,
    Comment(usize),
    Literal(usize),
}

fn beginning(rest: &str, before: Option<char>) -> Piece {
    let literal = match rest.as_bytes() {
        [b'/', b'/', ..] => return Piece::Comment(rest.find('\n').unwrap_or(rest.len())),
        [b'/', b'*', ..] => return Piece::Comment(block_comment(rest)),
        [b'"', ..] => quoted(rest),
        [b'\'', ..] => character(rest),
        [b'r', ..] if before.is_none_or(|before| !is_word(before) || before == 'b' || before == 'c') => {
            raw_string(rest)
        }
        _ => 0,
    };
    if literal == 0 { Piece::Code } else { Piece::Literal(literal) }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        match here {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `'x'` and `'\n'` are characters; `'a` without a closing quote is a lifetime, and code.
fn character(rest: &str) -> usize {
    let mut inside = rest.chars().skip(1);
    match (inside.next(), inside.next()) {
        (Some('\\'), Some(escape)) => {
            let from = 2 + escape.len_utf8();
            rest[from..].find('\'').map_or(0, |end| from + end + 1)
        }
        (Some(only), Some('\'')) => only.len_utf8() + 2,
        _ => 0,
    }
}

/// `r"…"` and `r#"…"#`; 0 for a raw identifier, or a name that begins with r.
fn raw_string(rest: &str) -> usize {
    let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
    let open = 1 + hashes;
    if !rest[open..].starts_with('"') {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    rest[open + 1..].find(&close).map_or(rest.len(), |end| open + 1 + end + close.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(text: &str) -> String {
        parted(text).0
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        let code = code_of("a /* x /* y */ z */ b // c\nd \"e \\\" f\" g");
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "b", "d", "g"]);
        assert_eq!(code.lines().count(), 2);
        let comments = parted("a // b\nc /* d */ \"// e\"").1;
        assert_eq!(comments.split_whitespace().collect::<Vec<_>>(), ["//", "b", "/*", "d", "*/"]);
        let raw = code_of("br#\"one \" two\"# three r\"four\" r#type for_r(\"five\")");
        assert_eq!(raw.split_whitespace().collect::<Vec<_>>(), ["b", "three", "r#type", "for_r(", ")"]);
    }

    #[test]
    fn lifetimes_are_code_and_characters_are_not() {
        assert_eq!(code_of("fn f<'a>(x: &'a str) { '\"' }"), "fn f<'a>(x: &'a str) {     }");
        assert_eq!(code_of("['{', '\\'', '\\u{7b}', 'ä']").replace(' ', ""), "[,,,]");
    }

    #[test]
    fn code_for_tests_is_not_in_the_product() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { {} } }\nfn c() {}\n#[cfg(test)]\nuse d;\nfn e() {}";
        let source = Source::new("crates/x/src/lib.rs", text);
        assert_eq!(lines_with(&source.product, "fn"), [1, 4, 7]);
        assert_eq!(lines_with(&source.code, "fn"), [1, 3, 4, 7]);
        assert_eq!(Source::new("crates/x/tests/it/main.rs", text).product, "");
    }

    #[test]
    fn modules_for_tests_are_found_where_their_files_are() {
        let text = "#[cfg(test)]\nmod cases;\nmod real;\n#[cfg(test)]\nmod here { }";
        assert_eq!(Source::new("crates/x/src/lib.rs", text).test_modules(), ["crates/x/src/cases"]);
        assert_eq!(Source::new("crates/x/src/deep.rs", text).test_modules(), ["crates/x/src/deep/cases"]);
    }

    #[test]
    fn words_stand_by_themselves() {
        assert_eq!(lines_with("operand\nuse rand;\nrand_core\nrand::x()", "rand"), [2, 4]);
        assert_eq!(lines_with("#[ignore]\n#[ignored]", "#[ignore"), [1]);
    }
}
