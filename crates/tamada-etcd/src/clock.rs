//! The calendar, for the ends of tokens.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn calendar_seconds() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "a token is shown to other hosts, which share only the calendar with us"
    )]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
