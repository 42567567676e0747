//! What a plain scalar means in YAML 1.1.
//!
//! The loader asks to build the value; the dumper asks to know when text must be quoted so as not to become something
//! else. Both must give the same answer, hence one table.

use serde_json::{Number, Value};

/// What a plain scalar reads as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reads {
    Null,
    Bool,
    Integer,
    Float,
    Timestamp,
    /// `<<`
    Merge,
    /// `=`, the default value of a mapping: nobody uses it, but text must not look like it.
    Default,
    Text,
}

pub fn reads_as(text: &str) -> Reads {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Reads::Null,
        "<<" => Reads::Merge,
        "=" => Reads::Default,
        _ if boolean(text).is_some() => Reads::Bool,
        _ if is_float(text) => Reads::Float,
        _ if is_integer(text) => Reads::Integer,
        _ if Timestamp::parse(text).is_some() => Reads::Timestamp,
        _ => Reads::Text,
    }
}

/// The value of a plain scalar; `None` if it looks like a number but has no value (`0b_`).
pub fn value_of(text: &str) -> Option<Value> {
    match reads_as(text) {
        Reads::Null => Some(Value::Null),
        Reads::Bool => boolean(text).map(Value::Bool),
        Reads::Integer => integer(text),
        Reads::Float => float(text),
        Reads::Timestamp => Timestamp::parse(text).map(|at| Value::String(at.text())),
        Reads::Merge | Reads::Default | Reads::Text => Some(Value::String(text.to_owned())),
    }
}

/// `yes`, `Yes`, `YES` and so on; not `y`, and no other mixture of cases.
pub fn boolean(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let capital = text.get(..1).is_some_and(|first| first != &lower[..1]) && text[1..] == lower[1..];
    if text != lower && !capital && text != text.to_ascii_uppercase() {
        return None;
    }
    match lower.as_str() {
        "yes" | "true" | "on" => Some(true),
        "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

fn all(text: &str, of: impl Fn(u8) -> bool) -> bool {
    text.bytes().all(|b| b == b'_' || of(b))
}

/// `[1-9][0-9_]*` or, for floats, `[0-9][0-9_]*`, followed by groups `:[0-5]?[0-9]`.
fn is_sexagesimal(text: &str) -> bool {
    let mut groups = text.split(':');
    let first = groups.next().unwrap_or_default();
    let mut rest = groups.peekable();
    rest.peek().is_some()
        && first.starts_with(|c: char| c.is_ascii_digit())
        && all(first, |b| b.is_ascii_digit())
        && rest.all(|group| match group.as_bytes() {
            [one] => one.is_ascii_digit(),
            [ten, one] => (b'0'..=b'5').contains(ten) && one.is_ascii_digit(),
            _ => false,
        })
}

fn is_integer(text: &str) -> bool {
    let digits = unsigned(text);
    if let Some(binary) = digits.strip_prefix("0b") {
        return !binary.is_empty() && all(binary, |b| matches!(b, b'0' | b'1'));
    }
    if let Some(hex) = digits.strip_prefix("0x") {
        return !hex.is_empty() && all(hex, |b| b.is_ascii_hexdigit());
    }
    if let Some(octal) = digits.strip_prefix('0') {
        return all(octal, |b| (b'0'..=b'7').contains(&b));
    }
    let starts = digits.starts_with(|c: char| c.is_ascii_digit());
    starts && (all(digits, |b| b.is_ascii_digit()) || is_sexagesimal(digits))
}

fn is_float(text: &str) -> bool {
    let digits = unsigned(text);
    if matches!(digits, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let Some((whole, tail)) = digits.split_once('.') else { return false };
    if is_sexagesimal(whole) {
        return all(tail, |b| b.is_ascii_digit());
    }
    let (fraction, exponent) = match tail.find(['e', 'E']) {
        Some(at) => (&tail[..at], Some(&tail[at + 1..])),
        None => (tail, None),
    };
    let exponent_holds =
        exponent.is_none_or(|e| e.starts_with(['-', '+']) && e.len() > 1 && e[1..].bytes().all(|b| b.is_ascii_digit()));
    let digits_hold = all(fraction, |b| b.is_ascii_digit())
        && if whole.is_empty() {
            text.starts_with('.') && fraction.starts_with(|c: char| c.is_ascii_digit())
        } else {
            whole.starts_with(|c: char| c.is_ascii_digit()) && all(whole, |b| b.is_ascii_digit())
        };
    digits_hold && exponent_holds
}

fn integer(text: &str) -> Option<Value> {
    let clean = text.replace('_', "");
    let digits = unsigned(&clean);
    let magnitude = match digits {
        _ if digits.starts_with("0b") => i128::from_str_radix(&digits[2..], 2).ok(),
        _ if digits.starts_with("0x") => i128::from_str_radix(&digits[2..], 16).ok(),
        _ if digits.starts_with('0') => i128::from_str_radix(digits, 8).ok(),
        _ if digits.contains(':') => {
            digits.split(':').try_fold(0_i128, |sum, group| sum.checked_mul(60)?.checked_add(group.parse().ok()?))
        }
        _ => match digits.parse() {
            Ok(number) => Some(number),
            // More digits than any setting has: the text says as much as the number would.
            Err(_) => return Some(Value::String(clean)),
        },
    }?;
    let number = if clean.starts_with('-') { -magnitude } else { magnitude };
    Some(Number::from_i128(number).map_or_else(|| Value::String(number.to_string()), Value::Number))
}

fn float(text: &str) -> Option<Value> {
    let clean = text.replace('_', "").to_ascii_lowercase();
    let negative = clean.starts_with('-');
    let magnitude = match unsigned(&clean) {
        ".inf" => f64::INFINITY,
        ".nan" => f64::NAN,
        digits => digits.split(':').try_fold(0.0, |sum, group| Some(sum * 60.0 + group.parse::<f64>().ok()?))?,
    };
    let number = if negative { -magnitude } else { magnitude };
    Some(Number::from_f64(number).map_or_else(|| Value::String(number.to_string().to_lowercase()), Value::Number))
}

/// A date or an instant, kept as the original prints it.
struct Timestamp<'a> {
    date: [u32; 3],
    time: Option<[u32; 3]>,
    fraction: &'a str,
    zone: Zone,
}

enum Zone {
    None,
    Minutes(i32),
}

impl<'a> Timestamp<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let Some(split) = text.find(['T', 't', ' ', '\t']) else {
            let date = Self::groups(text, '-', [4..=4, 2..=2, 2..=2])?;
            return Some(Self { date, time: None, fraction: "", zone: Zone::None });
        };
        let date = Self::groups(&text[..split], '-', [4..=4, 1..=2, 1..=2])?;
        let rest = match &text[split..] {
            rest if rest.starts_with(['T', 't']) => &rest[1..],
            rest => rest.trim_start_matches([' ', '\t']),
        };
        let clock_end = rest.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(rest.len());
        let time = Self::groups(&rest[..clock_end], ':', [1..=2, 2..=2, 2..=2])?;
        let (fraction, zone) = match rest[clock_end..].strip_prefix('.') {
            Some(tail) => tail.split_at(tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len())),
            None => ("", &rest[clock_end..]),
        };
        Some(Self { date, time: Some(time), fraction, zone: Zone::parse(zone)? })
    }

    fn groups(text: &str, separator: char, widths: [std::ops::RangeInclusive<usize>; 3]) -> Option<[u32; 3]> {
        let mut numbers = [0; 3];
        let mut parts = text.split(separator);
        for (number, width) in numbers.iter_mut().zip(widths) {
            let part = parts.next()?;
            if !width.contains(&part.len()) || !part.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            *number = part.parse().ok()?;
        }
        parts.next().is_none().then_some(numbers)
    }

    fn text(&self) -> String {
        let [year, month, day] = self.date;
        let mut text = format!("{year:04}-{month:02}-{day:02}");
        if let Some([hour, minute, second]) = self.time {
            text += &format!(" {hour:02}:{minute:02}:{second:02}");
            let micros = &format!("{:0<6}", self.fraction)[..6];
            if micros != "000000" {
                text += &format!(".{micros}");
            }
        }
        if let Zone::Minutes(minutes) = self.zone {
            let sign = if minutes < 0 { '-' } else { '+' };
            text += &format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
        }
        text
    }
}

impl Zone {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_start_matches([' ', '\t']);
        if text.is_empty() {
            return Some(Zone::None);
        }
        if text == "Z" {
            return Some(Zone::Minutes(0));
        }
        let sign = match text.as_bytes()[0] {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let (hours, minutes) = text[1..].split_once(':').unwrap_or((&text[1..], "00"));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if !(1..=2).contains(&hours.len()) || minutes.len() != 2 || !digits(hours) || !digits(minutes) {
            return None;
        }
        Some(Zone::Minutes(sign * (hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok()?)))
    }
}
