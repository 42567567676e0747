//! A peer's status document as the leader race reads it (ha-loop.md 12.9).
//!
//! The HTTP status does not matter, the body does: an agent that lives but whose PostgreSQL does not tell its position
//! is no obstacle, therefore it counts as silent.

use serde_json::Value;
use tamada_model::document::truthy;
use tamada_model::{Lsn, PeerAnswer, PeerStatus, Tags, Timeline};

use crate::keys;

pub fn peer_answer(body: &[u8]) -> PeerAnswer {
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => return PeerAnswer::Silent { because: format!("the answer is not JSON: {error}") },
    };
    match peer_status(body) {
        Ok(status) => PeerAnswer::Answered(Box::new(status)),
        Err(because) => PeerAnswer::Silent { because: because.to_owned() },
    }
}

fn peer_status(body: Value) -> Result<PeerStatus, &'static str> {
    let field = |key: &str| body.get(key).filter(|value| truthy(value));
    let wal =
        field("wal").or_else(|| field("xlog")).and_then(Value::as_object).ok_or("the answer has no WAL position")?;
    let is_primary = matches!(body.get("role").and_then(Value::as_str), Some("primary" | "master"));
    let in_recovery = !is_primary && !wal.get("location").is_some_and(truthy);
    let position = |key: &str| wal.get(key).map_or(Some(0), Value::as_u64).map(Lsn::new);
    let received = || position("received_location").zip(position("replayed_location"));
    let position = match in_recovery {
        false => Lsn::ZERO,
        true => received().map(|(received, replayed)| received.max(replayed)).ok_or("its WAL position is no number")?,
    };
    let timeline = body.get("timeline").and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    Ok(PeerStatus {
        in_recovery,
        position,
        timeline: timeline.and_then(Timeline::new),
        origin: body.get("origin").and_then(keys::parse_origin),
        tags: body.get("tags").and_then(Value::as_object).cloned().map(Tags).unwrap_or_default(),
        watchdog_failed: field("watchdog_failed").is_some(),
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(body: &str) -> String {
        match peer_answer(body.as_bytes()) {
            PeerAnswer::Silent { because } => because,
            PeerAnswer::Answered(peer) => {
                let what = if peer.in_recovery { "standby" } else { "primary" };
                format!("{what} at {:?} tl {:?}", peer.position, peer.timeline.map(Timeline::number))
            }
        }
    }

    #[test]
    fn the_body_tells_what_a_peer_is() {
        let no_number = "its WAL position is no number";
        for (body, expected) in [
            (r#"{"xlog":{"location":5},"role":"primary","timeline":3}"#, "primary at 0/0 tl Some(3)"),
            (r#"{"xlog":{"location":0},"role":"master"}"#, "primary at 0/0 tl None"),
            (r#"{"wal":{"location":7},"role":"replica"}"#, "primary at 0/0 tl None"),
            (r#"{"xlog":{"received_location":5,"replayed_location":16},"role":"replica"}"#, "standby at 0/10 tl None"),
            (r#"{"xlog":{"replayed_location":1},"timeline":0}"#, "standby at 0/1 tl None"),
            (r#"{"xlog":{"received_location":null,"replayed_location":1}}"#, no_number),
            (r#"{"xlog":{"received_location":"a"}}"#, no_number),
            (r#"{"state":"stopped","role":"replica"}"#, "the answer has no WAL position"),
            (r#"{"xlog":{}}"#, "the answer has no WAL position"),
            ("[]", "the answer has no WAL position"),
        ] {
            assert_eq!(heard(body), expected, "{body}");
        }
        assert!(heard("<html>").starts_with("the answer is not JSON"));
    }

    #[test]
    fn tags_and_watchdog_come_from_the_top_level() {
        let body = r#"{"xlog":{"received_location":1},"tags":{"nofailover":true},"watchdog_failed":true}"#;
        let PeerAnswer::Answered(peer) = peer_answer(body.as_bytes()) else { panic!("silent") };
        assert!(peer.tags.nofailover() && peer.watchdog_failed);
    }
}
