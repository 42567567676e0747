//! Command lines in configuration are written as for a shell, but no shell runs them: we cut them into words by the
//! shell's rules of quoting and nothing else (no variables, no globs).

/// `a 'b c' "d \" e" f\ g` → four words. `None` when a quote is not closed.
pub(crate) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' => quoted(&mut chars, word.get_or_insert_default())?,
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(chars.next()?),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

fn quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '\'' => return Some(()),
            other => word.push(other),
        }
    }
}

fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '\\' => match chars.next()? {
                c @ ('"' | '\\') => word.push(c),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
}

/// A value that is quoted as a whole loses its quotes (postgres.md 18.1): `'a b'` → `a b`.
pub(crate) fn unquote(value: &str) -> String {
    match split(value).as_deref() {
        Some([only]) => only.clone(),
        Some(_) | None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_as_a_shell_would() {
        assert_eq!(split(r#"cp 'a b' "c \" d" e\ f ''"#).unwrap(), ["cp", "a b", r#"c " d"#, "e f", ""]);
        assert_eq!(split("  one  ").unwrap(), ["one"]);
        assert!(split("never 'closed").is_none());
    }

    #[test]
    fn only_wholly_quoted_values_lose_their_quotes() {
        assert_eq!(unquote("'a b'"), "a b");
        assert_eq!(unquote("a b"), "a b");
        assert_eq!(unquote("plain"), "plain");
    }
}
