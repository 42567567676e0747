//! `%(asctime)s %(levelname)-8s %(message)s`: the pattern of a plain line, read once, filled in for each record.
//!
//! What the original's formatter would only stumble over when it writes its first line is an error here, before
//! anything begins.

use tamada_model::Wall;
use tamada_model::document::number_text;

use super::calendar::Calendar;
use super::record::{Attribute, Record, Shown};

/// A width or precision beyond this is a slip of the keyboard.
const WIDTH_MAX: usize = 1000;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PatternError {
    #[error("%({0}) is not known; known are {known}", known = Attribute::names().collect::<Vec<_>>().join(", "))]
    Unknown(String),
    #[error("`{0}` is not of the form %(name)s; a percent sign by itself is written %%")]
    Malformed(String),
    #[error("%({0}) is a text and can not be written with `{1}`; use `s`")]
    NotANumber(String, char),
    #[error("nothing of a record is in it, at least %(message)s should be")]
    Empty,
}

pub struct Pattern(Vec<Piece>);

#[derive(PartialEq, Debug)]
enum Piece {
    Literal(String),
    Attribute(Attribute, Conversion),
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, begun)) = rest.split_once('%') {
            push_literal(&mut pieces, literal);
            rest = match begun.strip_prefix('%') {
                Some(after) => {
                    push_literal(&mut pieces, "%");
                    after
                }
                None => {
                    let (piece, after) = attribute(begun)?;
                    pieces.push(piece);
                    after
                }
            };
        }
        push_literal(&mut pieces, rest);
        let says_something = pieces.iter().any(|piece| matches!(piece, Piece::Attribute(..)));
        if says_something { Ok(Self(pieces)) } else { Err(PatternError::Empty) }
    }

    pub fn fill(&self, record: &Record, calendar: &Calendar, started: Wall, line: &mut String) {
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => line.push_str(text),
                Piece::Attribute(attribute, conversion) => {
                    let shown = record.show(*attribute, || calendar.text(record.at), started);
                    conversion.write(&shown, line);
                }
            }
        }
    }
}

fn push_literal(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Literal(before)) => before.push_str(text),
        Some(Piece::Attribute(..)) | None if text.is_empty() => {}
        Some(Piece::Attribute(..)) | None => pieces.push(Piece::Literal(text.to_owned())),
    }
}

/// `(name)-8s` and what follows it.
fn attribute(begun: &str) -> Result<(Piece, &str), PatternError> {
    let malformed = || PatternError::Malformed(format!("%{}", begun.chars().take(20).collect::<String>()));
    let (name, rest) = begun.strip_prefix('(').and_then(|named| named.split_once(')')).ok_or_else(malformed)?;
    let attribute = Attribute::named(name).ok_or_else(|| PatternError::Unknown(name.to_owned()))?;
    let (conversion, rest) = Conversion::parse(rest).ok_or_else(malformed)?;
    match conversion.kind.needs_number() {
        Some(letter) if !attribute.is_number() => Err(PatternError::NotANumber(name.to_owned(), letter)),
        Some(_) | None => Ok((Piece::Attribute(attribute, conversion), rest)),
    }
}

/// How a value is written, as in printf.
#[derive(Clone, PartialEq, Debug)]
struct Conversion {
    kind: Kind,
    left: bool,
    zeros: bool,
    /// What stands where a negative number has its `-`.
    plus: &'static str,
    width: usize,
    precision: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Text,
    Quoted,
    Whole,
    Fixed,
}

impl Kind {
    /// The letter, if it goes with numbers only.
    fn needs_number(self) -> Option<char> {
        match self {
            Self::Text | Self::Quoted => None,
            Self::Whole => Some('d'),
            Self::Fixed => Some('f'),
        }
    }
}

impl Conversion {
    fn parse(text: &str) -> Option<(Self, &str)> {
        let (flags, rest) = split_while(text, |c| "#0- +".contains(c));
        let (width, rest) = number(rest)?;
        let (precision, rest) = match rest.strip_prefix('.') {
            Some(rest) => number(rest).map(|(precision, rest)| (Some(precision), rest))?,
            None => (None, rest),
        };
        let mut rest = rest.trim_start_matches(['h', 'l', 'L']).chars();
        let kind = match rest.next()? {
            's' => Kind::Text,
            'r' | 'a' => Kind::Quoted,
            'd' | 'i' | 'u' => Kind::Whole,
            'f' | 'F' => Kind::Fixed,
            _ => return None,
        };
        let plus = match (flags.contains('+'), flags.contains(' ')) {
            (true, _) => "+",
            (false, true) => " ",
            (false, false) => "",
        };
        let (left, zeros) = (flags.contains('-'), flags.contains('0'));
        Some((Self { kind, left, zeros, plus, width, precision }, rest.as_str()))
    }

    fn write(&self, shown: &Shown<'_>, line: &mut String) {
        match (self.kind, shown) {
            (Kind::Whole, Shown::Whole(number)) => self.write_number(*number < 0, &self.digits(*number), line),
            // The fraction is cut off, as the original does.
            (Kind::Whole, Shown::Real(number)) => {
                self.write_number(*number < 0.0, &self.digits(number.trunc() as i64), line);
            }
            (Kind::Fixed, Shown::Whole(number)) => self.write_fixed(*number as f64, line),
            (Kind::Fixed, Shown::Real(number)) => self.write_fixed(*number, line),
            // A text was refused with these when the pattern was read.
            (Kind::Whole | Kind::Fixed, Shown::Text(_) | Shown::Nothing) | (Kind::Text, _) => {
                self.write_text(&plain(shown), line);
            }
            (Kind::Quoted, Shown::Text(text)) => self.write_text(&quoted(text), line),
            (Kind::Quoted, Shown::Whole(_) | Shown::Real(_) | Shown::Nothing) => self.write_text(&plain(shown), line),
        }
    }

    fn digits(&self, number: i64) -> String {
        format!("{:0>least$}", number.unsigned_abs(), least = self.precision.unwrap_or(1))
    }

    fn write_fixed(&self, number: f64, line: &mut String) {
        let digits = format!("{:.*}", self.precision.unwrap_or(6), number.abs());
        self.write_number(number.is_sign_negative(), &digits, line);
    }

    fn write_number(&self, negative: bool, digits: &str, line: &mut String) {
        let sign = if negative { "-" } else { self.plus };
        let missing = self.width.saturating_sub(sign.len() + digits.len());
        let (before, zeros, after) = match (self.left, self.zeros) {
            (true, _) => (0, 0, missing),
            (false, true) => (0, missing, 0),
            (false, false) => (missing, 0, 0),
        };
        line.extend(std::iter::repeat_n(' ', before));
        line.push_str(sign);
        line.extend(std::iter::repeat_n('0', zeros));
        line.push_str(digits);
        line.extend(std::iter::repeat_n(' ', after));
    }

    fn write_text(&self, text: &str, line: &mut String) {
        let text = match self.precision.and_then(|precision| text.char_indices().nth(precision)) {
            Some((end, _)) => &text[..end],
            None => text,
        };
        // Most have no width; then nothing needs to be counted.
        let missing = if self.width == 0 { 0 } else { self.width.saturating_sub(text.chars().count()) };
        let (before, after) = if self.left { (0, missing) } else { (missing, 0) };
        line.extend(std::iter::repeat_n(' ', before));
        line.push_str(text);
        line.extend(std::iter::repeat_n(' ', after));
    }
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// Digits as a number, none as 0.
fn number(text: &str) -> Option<(usize, &str)> {
    let (digits, rest) = split_while(text, |c| c.is_ascii_digit());
    let number = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    (number <= WIDTH_MAX).then_some((number, rest))
}

fn plain(shown: &Shown<'_>) -> String {
    match shown {
        Shown::Text(text) => text.clone().into_owned(),
        Shown::Whole(number) => number.to_string(),
        Shown::Real(number) => serde_json::Number::from_f64(*number).map_or_else(String::new, |n| number_text(&n)),
        Shown::Nothing => "None".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n").replace('\r', "\\r");
    format!("'{escaped}'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::{calendar, record};

    fn line(pattern: &str) -> String {
        let mut line = String::new();
        let started = Wall::from_micros(record().at.micros() - 1_500_000);
        Pattern::parse(pattern).expect("a pattern").fill(&record(), &calendar(), started, &mut line);
        line
    }

    #[test]
    fn lines_as_the_original_writes_them() {
        for (pattern, expected) in [
            ("%(asctime)s %(levelname)s: %(message)s", "2026-07-24 12:12:29,012 WARNING: disk is full"),
            ("%(message)s", "disk is full"),
            ("[%(levelname)-8s]", "[WARNING ]"),
            ("[%(levelname)8s]", "[ WARNING]"),
            ("[%(levelname).4s]", "[WARN]"),
            ("[%(levelname)-6.4s]", "[WARN  ]"),
            ("%(levelno)d %(levelno)s %(levelno)05d %(levelno)-4d|", "30 30 00030 30  |"),
            ("%(levelno)+d %(levelno) d", "+30  30"),
            ("%(created)f %(created)s %(created)d", "1784895149.012345 1784895149.012345 1784895149"),
            ("%(created).2f", "1784895149.01"),
            ("%(msecs)03d %(msecs)d %(msecs)s", "012 12 12.0"),
            ("%(relativeCreated)d %(relativeCreated).1f", "1500 1500.0"),
            ("%(name)s", "tamada_postgres.job.rewind"),
            ("%(module)s %(filename)s:%(lineno)d", "rewind rewind.rs:17"),
            ("%(pathname)s", "crates/tamada-postgres/src/job/rewind.rs"),
            ("%(funcName)s|%(taskName)s", "|None"),
            ("%(process)d", &std::process::id().to_string()),
            ("%(processName)s %(thread)d", "MainProcess 1"),
            ("%(levelname)r %(levelno)r", "'WARNING' 30"),
            ("100%% %(levelname)s%%", "100% WARNING%"),
        ] {
            assert_eq!(line(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_could_not_be_written_is_refused() {
        let refused = |pattern: &str| Pattern::parse(pattern).map(|_| ()).expect_err(pattern);
        assert_eq!(refused("%(message)s %(host)s"), PatternError::Unknown("host".into()));
        assert_eq!(refused("%(message)d"), PatternError::NotANumber("message".into(), 'd'));
        assert_eq!(refused("done"), PatternError::Empty);
        assert_eq!(refused(""), PatternError::Empty);
        for pattern in ["%s", "%(message)", "%(message", "%(message)y", "50% %(message)s", "%(message)99999s"] {
            assert!(matches!(refused(pattern), PatternError::Malformed(_)), "{pattern}");
        }
    }
}
