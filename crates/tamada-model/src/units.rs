//! Numbers with units, read as PostgreSQL reads them: `16MB`, `0x10`, `1.5min` (configuration.md 1.3).
//!
//! A number alone is taken as it is. A unit needs to know what to convert to: without a base unit `1MB` says nothing.

const MEMORY: Table = &[
    ("TB", 1024.0 * 1024.0 * 1024.0 * 1024.0),
    ("GB", 1_073_741_824.0),
    ("MB", 1_048_576.0),
    ("kB", 1024.0),
    ("B", 1.0),
];
const TIME: Table = &[("d", 86_400e6), ("h", 3600e6), ("min", 60e6), ("s", 1e6), ("ms", 1e3), ("us", 1.0)];

/// Units from large to small, each with its size in the smallest.
type Table = &'static [(&'static str, f64)];

/// An integer, perhaps with a unit of `base_unit`'s kind (`B`, `kB`, `MB`, `ms`, `s`, `min`, with an optional
/// multiplier such as `8kB`). Fractions are rounded half to even; `None` is "not an integer".
pub fn integer(text: &str, base_unit: Option<&str>) -> Option<i64> {
    let text = text.trim();
    let (whole, rest) = match leading_integer(text) {
        Some((_, rest)) if rest.starts_with(['.', 'e', 'E']) => leading_real(text)?,
        Some((whole, rest)) => (whole as f64, rest),
        None if text.starts_with('.') => leading_real(text)?,
        None => return None,
    };
    let unit = rest.trim();
    if !unit.is_empty() {
        return as_integer(convert(whole, unit, base_unit?)?);
    }
    match leading_integer(text) {
        Some((exact, "")) => i64::try_from(exact).ok(),
        Some(_) | None => as_integer(whole),
    }
}

/// A real number, perhaps with a unit.
pub fn real(text: &str, base_unit: Option<&str>) -> Option<f64> {
    let (value, rest) = leading_real(text.trim())?;
    match rest.trim() {
        "" => Some(value),
        unit => convert(value, unit, base_unit?),
    }
}

fn as_integer(value: f64) -> Option<i64> {
    let rounded = value.round_ties_even();
    (rounded.abs() < 9.2e18).then_some(rounded as i64)
}

/// The number converted to the base unit, rounded to a multiple of the next smaller unit as PostgreSQL does.
fn convert(value: f64, unit: &str, base: &str) -> Option<f64> {
    let (multiplier, base_unit) = leading_integer(base).map_or((1.0, base), |(n, rest)| (n as f64, rest));
    let table = table_of(base_unit)?;
    let base_size = size_in(table, base_unit)?;
    let at = table.iter().position(|(name, _)| *name == unit)?;
    let converted = value * (table[at].1 / base_size / multiplier);
    Some(match table.get(at + 1) {
        Some((_, smaller)) => {
            let step = smaller / base_size;
            (converted / step).round_ties_even() * step
        }
        None => converted,
    })
}

fn table_of(base_unit: &str) -> Option<Table> {
    match base_unit {
        "B" | "kB" | "MB" => Some(MEMORY),
        "ms" | "s" | "min" => Some(TIME),
        _ => None,
    }
}

fn size_in(table: Table, unit: &str) -> Option<f64> {
    table.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size)
}

/// The integer at the beginning (hexadecimal, octal with a leading zero, decimal) and what follows it.
fn leading_integer(text: &str) -> Option<(i128, &str)> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let hex = unsigned.strip_prefix("0x").filter(|rest| rest.starts_with(|c: char| c.is_ascii_hexdigit()));
    let (digits, radix) = match hex {
        Some(rest) => (rest, 16),
        None if unsigned.starts_with('0') => (unsigned, 8),
        None => (unsigned, 10),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let number = i128::from_str_radix(&digits[..end], radix).ok()?;
    Some((sign * number, &digits[end..]))
}

/// The decimal or scientific number at the beginning and what follows it.
fn leading_real(text: &str) -> Option<(f64, &str)> {
    let bytes = text.as_bytes();
    let digits_from = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let begin = usize::from(text.starts_with(['-', '+']));
    let mut end = digits_from(begin);
    if bytes.get(end) == Some(&b'.') && digits_from(end + 1) > end + 1 {
        end = digits_from(end + 1);
    }
    if end == begin {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits_from(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    text[..end].parse().ok().map(|value| (value, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_as_postgresql_reads_them() {
        let table: &[(&str, Option<&str>, Option<i64>)] = &[
            ("1", None, Some(1)),
            (" -0x7f ", None, Some(-127)),
            ("0644", None, Some(420)),
            ("09", None, None),
            ("1.5", None, Some(2)),
            ("2.5", None, Some(2)),
            (".9", None, Some(1)),
            ("1e3", None, Some(1000)),
            ("9223372036854775807", None, Some(i64::MAX)),
            ("1MB", None, None),
            ("1 MB", Some("kB"), Some(1024)),
            ("1TB", Some("GB"), None),
            ("1mb", Some("kB"), None),
            ("16MB", Some("8kB"), Some(2048)),
            ("512MB", Some("16MB"), Some(32)),
            ("1.5min", Some("s"), Some(90)),
            ("1s", Some("min"), Some(0)),
            ("10500us", Some("ms"), Some(10)),
            ("30min", Some("s"), Some(1800)),
            ("on", None, None),
            ("", None, None),
        ];
        for (text, base, expected) in table {
            assert_eq!(integer(text, *base), *expected, "{text:?} in {base:?}");
        }
    }

    #[test]
    fn reals_with_units() {
        assert_eq!(real("1.5", None), Some(1.5));
        assert_eq!(real("2ms", Some("ms")), Some(2.0));
        assert_eq!(real("2.5s", Some("ms")), Some(2500.0));
        assert_eq!(real("x", None), None);
    }
}
