//! The log of those who were refused: every reason is told, and nobody can fill the disk with it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock;

/// The same address and reason are told once in this time.
const QUIET: Duration = Duration::from_secs(60);
/// Whoever does not come back for so long is forgotten, with what was not told.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// So many different ones are remembered; the others are told together.
const REMEMBERED_MAX: usize = 256;

#[derive(Default)]
pub struct Refusals(Mutex<BTreeMap<(Option<IpAddr>, String), Told>>);

struct Told {
    at: Duration,
    untold: u64,
}

/// What there is to say.
#[derive(PartialEq, Eq, Debug)]
enum Say {
    Now { untold: u64 },
    Nothing,
}

impl Refusals {
    /// `from`: the stranger's address; without one it is trouble of our own.
    pub fn note(&self, from: Option<SocketAddr>, why: &str) {
        let Say::Now { untold } = self.weigh(clock::now(), from.map(|from| from.ip()), why) else { return };
        let text = match from {
            Some(from) => format!("refused {from}: {why}"),
            None => why.to_owned(),
        };
        match untold {
            0 => tracing::warn!("{text}"),
            more => tracing::warn!("{text} (and {more} times more since this was told last)"),
        }
    }

    fn weigh(&self, now: Duration, from: Option<IpAddr>, why: &str) -> Say {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, told| {
            let for_long = if told.untold > 0 { FORGOTTEN_AFTER } else { QUIET };
            now.saturating_sub(told.at) < for_long
        });
        let full = told.len() >= REMEMBERED_MAX;
        let known = told.contains_key(&(from, why.to_owned()));
        let key = if full && !known { (None, "many addresses".to_owned()) } else { (from, why.to_owned()) };
        match told.get_mut(&key) {
            Some(told) if now.saturating_sub(told.at) < QUIET => {
                told.untold += 1;
                Say::Nothing
            }
            before => {
                let untold = before.map_or(0, |told| told.untold);
                told.insert(key, Told { at: now, untold: 0 });
                Say::Now { untold }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHY: &str = "wrong raft.password";

    fn address(last: u32) -> Option<IpAddr> {
        Some(IpAddr::from(last.to_be_bytes()))
    }

    #[test]
    fn the_same_is_told_once_a_minute_with_a_count() {
        let refusals = Refusals::default();
        let at = |seconds| refusals.weigh(Duration::from_secs(seconds), address(1), WHY);
        assert_eq!(at(100), Say::Now { untold: 0 });
        assert_eq!(at(101), Say::Nothing);
        assert_eq!(at(159), Say::Nothing);
        assert_eq!(at(160), Say::Now { untold: 2 });
        assert_eq!(at(300), Say::Now { untold: 0 });
    }

    #[test]
    fn others_are_told_at_once() {
        let refusals = Refusals::default();
        let now = Duration::from_secs(100);
        assert_eq!(refusals.weigh(now, address(1), WHY), Say::Now { untold: 0 });
        assert_eq!(refusals.weigh(now, address(2), WHY), Say::Now { untold: 0 });
        assert_eq!(refusals.weigh(now, address(1), "it speaks TLS"), Say::Now { untold: 0 });
    }

    #[test]
    fn many_addresses_are_told_together() {
        let refusals = Refusals::default();
        let now = Duration::from_secs(100);
        let told = (0..10_000).filter(|n| refusals.weigh(now, address(*n), WHY) != Say::Nothing).count();
        assert_eq!(told, REMEMBERED_MAX + 1);
        assert!(refusals.0.lock().unwrap().len() <= REMEMBERED_MAX + 1);
    }
}
