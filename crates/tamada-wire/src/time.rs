//! Timestamps in keys and requests.
//!
//! People write them in many ways; we read those that can mean one thing only: year first, or the mail form with the
//! month's name. `02/03/2026` is refused, because half of the world would schedule a switchover for the wrong day.
//! An instant needs a zone; without one the reader is told so and decides (the CLI assumes its own, REST refuses).

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use tamada_model::{Schedule, Wall};

/// An instant together with the offset from UTC it was written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    pub at: Wall,
    offset: Offset,
}

impl Moment {
    pub fn utc(at: Wall) -> Self {
        Self { at, offset: Offset::UTC }
    }

    /// In the zone of this host.
    pub fn local(at: Wall) -> Self {
        Self { at, offset: local_zone().to_offset(timestamp(at)) }
    }

    /// `2026-11-23T09:00:00.123456+01:00`; whole seconds without the fraction.
    pub fn iso(&self) -> String {
        let civil = self.civil();
        let fraction = match self.at.micros().rem_euclid(1_000_000) {
            0 => String::new(),
            micros => format!(".{micros:06}"),
        };
        format!("{}T{}{fraction}{}", date_text(civil.date()), time_text(civil), offset_text(self.offset))
    }

    /// As the failover key, the member key and REST carry it.
    pub fn schedule(&self) -> Schedule {
        Schedule { text: self.iso(), at: Some(self.at) }
    }

    fn civil(&self) -> DateTime {
        self.offset.to_datetime(timestamp(self.at))
    }
}

/// What a timestamp turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    Zoned(Moment),
    /// A calendar time that says nothing about its zone.
    Unzoned(LocalTime),
    /// Not a timestamp, or one that could mean different things.
    Unreadable,
}

/// A calendar time without a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalTime(DateTime);

impl LocalTime {
    /// Read in the zone of this host; of two possible instants (clocks set back) the earlier.
    pub fn in_local_zone(self) -> Option<Moment> {
        let instant = local_zone().to_timestamp(self.0).ok()?;
        Some(Moment::local(Wall::from_micros(instant.as_microsecond())))
    }
}

/// Reads `2026-11-23T09:00:00+01:00` and its relatives: blank for `T`, no colons, no seconds, fraction, `Z`, `UTC`,
/// and `Mon, 23 Nov 2026 09:00:00 +0100`.
pub fn read(text: &str) -> Reading {
    let text = text.trim();
    read_year_first(text).or_else(|| read_mail_form(text)).unwrap_or(Reading::Unreadable)
}

/// A timestamp found in a key: kept as text, with the instant if there is one.
pub fn schedule(text: &str) -> Schedule {
    Schedule { text: text.to_owned(), at: instant(text) }
}

/// The instant a text names; `None` without a zone.
pub fn instant(text: &str) -> Option<Wall> {
    match read(text) {
        Reading::Zoned(moment) => Some(moment.at),
        Reading::Unzoned(_) | Reading::Unreadable => None,
    }
}

/// `2026-11-23 09:00:00.123456+00:00`, the form of every timestamp in REST bodies that has no other (rest-api.md 1).
pub fn utc_text(at: Wall) -> String {
    let civil = Moment::utc(at).civil();
    let micros = at.micros().rem_euclid(1_000_000);
    format!("{} {}.{micros:06}+00:00", date_text(civil.date()), time_text(civil))
}

/// `Mon, 23 Nov 2026 09:00:00 GMT`, for the `Date` header.
pub fn http_date(at: Wall) -> String {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let civil = Moment::utc(at).civil();
    // Both are one of seven and one of twelve by type.
    let day = DAYS[civil.weekday().to_monday_zero_offset() as usize];
    let month = MONTHS[civil.month() as usize - 1];
    format!("{day}, {:02} {month} {:04} {} GMT", civil.day(), civil.year(), time_text(civil))
}

fn local_zone() -> TimeZone {
    TimeZone::try_system().unwrap_or(TimeZone::UTC)
}

/// Instants beyond the calendar's end (year 9999) are shown as its end.
fn timestamp(at: Wall) -> Timestamp {
    let end = if at.micros() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(at.micros()).unwrap_or(end)
}

fn date_text(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
}

fn time_text(civil: DateTime) -> String {
    format!("{:02}:{:02}:{:02}", civil.hour(), civil.minute(), civil.second())
}

fn offset_text(offset: Offset) -> String {
    let seconds = offset.seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
    format!("{sign}{hours:02}:{minutes:02}")
}

fn read_mail_form(text: &str) -> Option<Reading> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    let at = Wall::from_micros(zoned.timestamp().as_microsecond());
    Some(Reading::Zoned(Moment { at, offset: zoned.offset() }))
}

fn read_year_first(text: &str) -> Option<Reading> {
    let mut cursor = Cursor(text);
    let date = read_date(&mut cursor)?;
    let time = if cursor.skip_separator() { read_time(&mut cursor)? } else { Time::midnight() };
    cursor.skip_blanks();
    let civil = DateTime::from_parts(date, time);
    if cursor.0.is_empty() {
        return Some(Reading::Unzoned(LocalTime(civil)));
    }
    let offset = read_offset(&mut cursor)?;
    let instant = offset.to_timestamp(civil).ok().filter(|_| cursor.0.is_empty())?;
    Some(Reading::Zoned(Moment { at: Wall::from_micros(instant.as_microsecond()), offset }))
}

fn read_date(cursor: &mut Cursor) -> Option<Date> {
    let year = cursor.digits(4)?;
    let separator = ['-', '/'].into_iter().find(|c| cursor.skip(*c));
    let month = cursor.digits(2)?;
    if let Some(separator) = separator
        && !cursor.skip(separator)
    {
        return None;
    }
    let day = cursor.digits(2)?;
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

fn read_time(cursor: &mut Cursor) -> Option<Time> {
    let hour = cursor.digits(2)?;
    let colons = cursor.skip(':');
    let minute = cursor.digits(2)?;
    let has_seconds = if colons { cursor.skip(':') } else { cursor.starts_with_digit() };
    let second = if has_seconds { cursor.digits(2)? } else { 0 };
    let nanos = if has_seconds && (cursor.skip('.') || cursor.skip(',')) { cursor.fraction()? * 1000 } else { 0 };
    let part = |n: u32| i8::try_from(n).ok();
    Time::new(part(hour)?, part(minute)?, part(second)?, i32::try_from(nanos).ok()?).ok()
}

fn read_offset(cursor: &mut Cursor) -> Option<Offset> {
    for utc in ["Z", "z", "UTC", "GMT"] {
        if let Some(rest) = cursor.0.strip_prefix(utc) {
            cursor.0 = rest;
            return Some(Offset::UTC);
        }
    }
    let sign = if cursor.skip('+') { 1 } else { cursor.skip('-').then_some(-1)? };
    let hours = cursor.digits(2)?;
    let minutes = if cursor.skip(':') || cursor.starts_with_digit() { cursor.digits(2)? } else { 0 };
    if minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * i32::try_from(hours * 3600 + minutes * 60).ok()?).ok()
}

/// What is left to read.
struct Cursor<'a>(&'a str);

impl Cursor<'_> {
    fn skip(&mut self, c: char) -> bool {
        let rest = self.0.strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_start_matches(' ');
    }

    /// `T`, or at least one blank with something behind it.
    fn skip_separator(&mut self) -> bool {
        let blanks = self.0.starts_with(' ');
        self.skip_blanks();
        if blanks { self.starts_with_digit() } else { self.skip('T') || self.skip('t') }
    }

    fn starts_with_digit(&self) -> bool {
        self.0.starts_with(|c: char| c.is_ascii_digit())
    }

    fn digits(&mut self, count: usize) -> Option<u32> {
        let digits = self.0.get(..count).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        self.0 = &self.0[count..];
        digits.parse().ok()
    }

    /// Microseconds; further digits are dropped.
    fn fraction(&mut self) -> Option<u32> {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        let kept = &digits[..end.min(6)];
        (!kept.is_empty()).then(|| format!("{kept:0<6}").parse().ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match read(text) {
            Reading::Zoned(moment) => moment.iso(),
            Reading::Unzoned(local) => format!("unzoned {}", local.0),
            Reading::Unreadable => "unreadable".to_owned(),
        }
    }

    #[test]
    fn what_can_mean_one_thing_only_is_read() {
        for (text, reading) in [
            ("2030-01-01T00:00:00+00:00", "2030-01-01T00:00:00+00:00"),
            ("2030-01-01T10:30:00.5+01:00", "2030-01-01T10:30:00.500000+01:00"),
            ("2030-01-01 10:30 -0330", "2030-01-01T10:30:00-03:30"),
            ("20300101T103000Z", "2030-01-01T10:30:00+00:00"),
            ("2030/01/01 10:30:00 UTC", "2030-01-01T10:30:00+00:00"),
            ("2026-11-23 09:00:00.123456+00", "2026-11-23T09:00:00.123456+00:00"),
            ("Mon, 23 Nov 2026 09:00:00 +0100", "2026-11-23T09:00:00+01:00"),
            ("2030-01-01T10:30:00", "unzoned 2030-01-01T10:30:00"),
            ("2030-01-01", "unzoned 2030-01-01T00:00:00"),
            ("02/03/2026 10:00 UTC", "unreadable"),
            ("2030-13-01T00:00Z", "unreadable"),
            ("2030-01-01T25:00Z", "unreadable"),
            ("2030-01-01T10:00 CET", "unreadable"),
            ("2030-01-01T10:00:00+01:00 or so", "unreadable"),
            ("10:00 UTC", "unreadable"),
            ("foobar", "unreadable"),
            ("", "unreadable"),
            ("2030-01-01T10:00:00.+00:00", "unreadable"),
            ("é030-01-01", "unreadable"),
        ] {
            assert_eq!(shown(text), reading, "{text}");
        }
    }

    #[test]
    fn a_key_keeps_the_text_whatever_it_says() {
        assert_eq!(schedule("tomorrow"), Schedule { text: "tomorrow".into(), at: None });
        assert_eq!(schedule("1970-01-01T01:00:01+01:00").at, Some(Wall::from_micros(1_000_000)));
    }

    #[test]
    fn rest_timestamps_are_utc_with_six_digits() {
        assert_eq!(utc_text(Wall::from_micros(1_657_656_955_179_243)), "2022-07-12 20:15:55.179243+00:00");
        assert_eq!(utc_text(Wall::from_micros(0)), "1970-01-01 00:00:00.000000+00:00");
        assert_eq!(utc_text(Wall::from_micros(i64::MAX)).len(), 32);
    }

    #[test]
    fn the_date_header_is_in_the_form_of_mails() {
        assert_eq!(http_date(Wall::from_micros(784_111_777_999_999)), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
