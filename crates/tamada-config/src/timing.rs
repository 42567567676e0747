//! `ttl`, `loop_wait` and `retry_timeout`: three numbers that must leave room for one another (configuration.md 1.6).
//!
//! A leader asks for its lock every `loop_wait`, and may spend `retry_timeout` on the store and once more on
//! PostgreSQL before it gives up. If that is longer than the lock lives, it would be replaced while it is still
//! trying. Hence `loop_wait + 2*retry_timeout <= ttl`. We shorten `loop_wait` first and `retry_timeout` only when that
//! is not enough, with the original's arithmetic for whole seconds. Unlike the original we also take fractions and
//! smaller values, down to what the store can keep.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use tamada_model::Document;
use tamada_model::document::scalar_text;

use crate::complaint::{Complaint, Place};

/// One of the three.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beat {
    Ttl,
    LoopWait,
    RetryTimeout,
}

impl Beat {
    /// The least that the store can keep, in seconds. etcd grants no lease below two.
    pub fn least(self, store: Option<&str>) -> f64 {
        match (self, store) {
            (Self::LoopWait, _) => 0.1,
            (Self::Ttl, Some("raft")) => 0.5,
            (Self::RetryTimeout, Some("raft")) => 0.1,
            (Self::Ttl, _) => 2.0,
            (Self::RetryTimeout, _) => 0.3,
        }
    }
}

/// The three numbers, in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    pub ttl: Duration,
    pub loop_wait: Duration,
    pub retry_timeout: Duration,
}

/// What is used when nobody says.
pub const DEFAULT: Timing =
    Timing { ttl: Duration::from_secs(30), loop_wait: Duration::from_secs(10), retry_timeout: Duration::from_secs(10) };

/// Milliseconds, printed as seconds: `5`, `0.5`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Millis(u64);

impl Millis {
    fn of_seconds(seconds: f64) -> Self {
        Self((seconds * 1000.0).round() as u64)
    }

    fn is_whole(self) -> bool {
        self.0.is_multiple_of(1000)
    }

    fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 as f64 / 1000.0)
    }
}

/// Reads the three numbers of a dynamic configuration, corrects them to what the store can keep, and says what was
/// corrected. A value that is not a number rejects the document.
pub fn timing(dynamic: &Document, store: Option<&str>) -> Result<(Timing, Vec<String>), Vec<Complaint>> {
    let mut warnings = Vec::new();
    let mut complaints = Vec::new();
    let mut read = |key: &str, default: f64, beat: Beat| match seconds(dynamic.get(key), default) {
        Some(value) => at_least(key, value, beat.least(store), &mut warnings),
        None => {
            complaints.push(not_a_number(key));
            Millis::of_seconds(default)
        }
    };
    let loop_wait = read("loop_wait", 10.0, Beat::LoopWait);
    let retry_timeout = read("retry_timeout", 10.0, Beat::RetryTimeout);
    let ttl = read("ttl", 30.0, Beat::Ttl);
    if !complaints.is_empty() {
        return Err(complaints);
    }
    Ok((fitted(ttl, loop_wait, retry_timeout, &mut warnings), warnings))
}

fn not_a_number(key: &str) -> Complaint {
    let problem = "is not a number of seconds".to_owned();
    Complaint { path: key.to_owned(), place: Some(Place::Dynamic), problem }
}

fn seconds(value: Option<&Value>, default: f64) -> Option<f64> {
    let value = match value {
        None => return Some(default),
        Some(Value::Bool(flag)) => return Some(f64::from(u8::from(*flag))),
        Some(value) => scalar_text(value).trim().parse::<f64>().ok()?,
    };
    (value.is_finite() && value < 1e9).then_some(value.max(0.0))
}

fn at_least(key: &str, value: f64, least: f64, warnings: &mut Vec<String>) -> Millis {
    let (value, least) = (Millis::of_seconds(value), Millis::of_seconds(least));
    if value < least {
        warnings.push(format!("{key}={value} can't be smaller than {least}, adjusting..."));
        return least;
    }
    value
}

fn fitted(ttl: Millis, loop_wait: Millis, retry_timeout: Millis, warnings: &mut Vec<String>) -> Timing {
    let timing = |loop_wait: Millis, retry_timeout: Millis| Timing {
        ttl: ttl.duration(),
        loop_wait: loop_wait.duration(),
        retry_timeout: retry_timeout.duration(),
    };
    if loop_wait.0 + 2 * retry_timeout.0 <= ttl.0 {
        return timing(loop_wait, retry_timeout);
    }
    let rule = format!("Violated the rule \"loop_wait + 2*retry_timeout <= ttl\", where ttl={ttl}");
    // Whole numbers never go below one second; who asked for less, or has less than two, gets less.
    let shortest = loop_wait.min(Millis(1000)).min(Millis(ttl.0 / 2));
    if shortest.0 + 2 * retry_timeout.0 > ttl.0 {
        let shorter = half_of_rest(ttl, shortest);
        warnings.push(format!(
            "{rule}. Adjusting loop_wait from {loop_wait} to {shortest} and retry_timeout from {retry_timeout} to {shorter}"
        ));
        return timing(shortest, shorter);
    }
    let rest = Millis(ttl.0 - 2 * retry_timeout.0);
    warnings.push(format!("{rule} and retry_timeout={retry_timeout}. Adjusting loop_wait from {loop_wait} to {rest}"));
    timing(rest, retry_timeout)
}

/// Half of what `loop_wait` leaves: whole seconds stay whole, unless that would leave nothing.
fn half_of_rest(ttl: Millis, loop_wait: Millis) -> Millis {
    let rest = ttl.0 - loop_wait.0;
    match rest / 2000 * 1000 {
        whole if whole > 0 && ttl.is_whole() && loop_wait.is_whole() => Millis(whole),
        _ => Millis(rest / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(document: Value) -> Result<(f64, f64, f64, Vec<String>), Vec<Complaint>> {
        read_for("etcd3", document)
    }

    fn read_for(store: &str, document: Value) -> Result<(f64, f64, f64, Vec<String>), Vec<Complaint>> {
        let Value::Object(document) = document else { panic!("not an object") };
        let (t, warnings) = timing(&document, Some(store))?;
        Ok((t.ttl.as_secs_f64(), t.loop_wait.as_secs_f64(), t.retry_timeout.as_secs_f64(), warnings))
    }

    #[test]
    fn whole_seconds_come_out_as_the_originals() {
        // ttl, loop_wait, retry_timeout → loop_wait, retry_timeout
        let table = [
            ((30, 10, 10), (10.0, 10.0)),
            ((20, 10, 10), (1.0, 9.0)),
            ((21, 10, 10), (1.0, 10.0)),
            ((30, 20, 10), (10.0, 10.0)),
            ((30, 10, 20), (1.0, 14.0)),
            ((5, 1, 2), (1.0, 2.0)),
            ((5, 10, 10), (1.0, 2.0)),
            ((2, 10, 10), (1.0, 0.5)),
        ];
        for ((ttl, loop_wait, retry), expected) in table {
            let (_, l, r, _) = read(json!({"ttl": ttl, "loop_wait": loop_wait, "retry_timeout": retry})).unwrap();
            assert_eq!((l, r), expected, "{ttl} {loop_wait} {retry}");
        }
    }

    #[test]
    fn whole_seconds_do_so_everywhere() {
        for (ttl, loop_wait, retry) in (20..45).flat_map(|t| (1..32).flat_map(move |l| (3..24).map(move |r| (t, l, r))))
        {
            let expected = match () {
                () if 1 + 2 * retry > ttl => (1, (ttl - 1) / 2),
                () if loop_wait + 2 * retry > ttl => (ttl - 2 * retry, retry),
                () => (loop_wait, retry),
            };
            let (_, l, r, _) = read(json!({"ttl": ttl, "loop_wait": loop_wait, "retry_timeout": retry})).unwrap();
            assert_eq!((l, r), (f64::from(expected.0), f64::from(expected.1)), "{ttl} {loop_wait} {retry}");
        }
    }

    #[test]
    fn fractions_fit_too() {
        assert_eq!(read(json!({"ttl": 2, "loop_wait": 0.2, "retry_timeout": 0.8})).unwrap(), (2.0, 0.2, 0.8, vec![]));
        let (_, l, r, warnings) = read(json!({"ttl": "2.5", "loop_wait": 0.5, "retry_timeout": 3})).unwrap();
        assert_eq!((l, r), (0.5, 1.0));
        assert_eq!(
            warnings,
            ["Violated the rule \"loop_wait + 2*retry_timeout <= ttl\", where ttl=2.5. \
              Adjusting loop_wait from 0.5 to 0.5 and retry_timeout from 3 to 1"]
        );
    }

    #[test]
    fn the_embedded_store_keeps_shorter_times() {
        let brief = || json!({"ttl": 0.5, "loop_wait": 0.1, "retry_timeout": 0.2});
        assert_eq!(read_for("raft", brief()).unwrap(), (0.5, 0.1, 0.2, vec![]));
        let (ttl, l, r, warnings) = read_for("etcd3", brief()).unwrap();
        assert_eq!((ttl, l, r, warnings.len()), (2.0, 0.1, 0.3, 2));
        let (ttl, l, r, warnings) = read_for("raft", json!({"ttl": 0.3, "loop_wait": 1, "retry_timeout": 1})).unwrap();
        assert_eq!((ttl, l, r), (0.5, 0.25, 0.125));
        assert_eq!(
            warnings,
            [
                "ttl=0.3 can't be smaller than 0.5, adjusting...",
                "Violated the rule \"loop_wait + 2*retry_timeout <= ttl\", where ttl=0.5. \
                 Adjusting loop_wait from 1 to 0.25 and retry_timeout from 1 to 0.125",
            ]
        );
    }

    #[test]
    fn corrections_are_told_in_the_originals_words() {
        let (ttl, l, r, warnings) = read(json!({"ttl": 1, "loop_wait": 0, "retry_timeout": 0.1})).unwrap();
        assert_eq!((ttl, l, r), (2.0, 0.1, 0.3));
        assert_eq!(
            warnings,
            [
                "loop_wait=0 can't be smaller than 0.1, adjusting...",
                "retry_timeout=0.1 can't be smaller than 0.3, adjusting...",
                "ttl=1 can't be smaller than 2, adjusting...",
            ]
        );
        let (.., warnings) = read(json!({"ttl": 30, "loop_wait": 15})).unwrap();
        assert_eq!(
            warnings,
            ["Violated the rule \"loop_wait + 2*retry_timeout <= ttl\", where ttl=30 and retry_timeout=10. \
              Adjusting loop_wait from 15 to 10"]
        );
    }

    #[test]
    fn what_is_not_a_number_rejects_the_document() {
        assert_eq!(read(json!({"ttl": "soon", "loop_wait": null})).unwrap_err().len(), 2);
        assert_eq!(read(json!({"ttl": [30]})).unwrap_err()[0].path, "ttl");
        assert_eq!(read(json!({"ttl": " 30 "})).unwrap().0, 30.0);
    }
}
