//! Places in the write-ahead log.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::{Add, Sub};

/// A position in the WAL, in bytes from its beginning. Printed as PostgreSQL prints it: `0/3000060`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(u64);

impl Lsn {
    pub const ZERO: Lsn = Lsn(0);

    pub fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Parses `X/Y` as PostgreSQL prints it.
    pub fn parse(text: &str) -> Option<Self> {
        let (high, low) = text.trim().split_once('/')?;
        let high = u64::from_str_radix(high, 16).ok()?;
        let low = u64::from_str_radix(low, 16).ok()?;
        (high <= u64::from(u32::MAX) && low <= u64::from(u32::MAX)).then_some(Self(high << 32 | low))
    }

    pub fn bytes(self) -> u64 {
        self.0
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// How much WAL lies between `earlier` and this position; nothing if `earlier` is not earlier.
    pub fn since(self, earlier: Lsn) -> WalBytes {
        WalBytes(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Add<WalBytes> for Lsn {
    type Output = Lsn;
    fn add(self, more: WalBytes) -> Lsn {
        Lsn(self.0.saturating_add(more.0))
    }
}

impl Sub for Lsn {
    type Output = WalBytes;
    fn sub(self, earlier: Lsn) -> WalBytes {
        self.since(earlier)
    }
}

/// An amount of WAL.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WalBytes(u64);

impl WalBytes {
    pub fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for WalBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A timeline: grows by one with every promotion. There is no timeline 0; not knowing it is `Option::None`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timeline(NonZeroU32);

impl Timeline {
    pub const FIRST: Timeline = Timeline(NonZeroU32::MIN);

    /// `None` for 0, which PostgreSQL and the store use for "unknown".
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    pub fn number(self) -> u32 {
        self.0.get()
    }

    /// The timeline that a promotion on this one begins.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lsn_text_is_postgresqls() {
        let lsn = Lsn::parse("16/B374D848").unwrap();
        assert_eq!(lsn.bytes(), 0x16_B374_D848);
        assert_eq!(lsn.to_string(), "16/B374D848");
        assert_eq!(Lsn::parse("0/40004E8").unwrap().to_string(), "0/40004E8");
        assert!(Lsn::parse("nonsense").is_none());
    }

    #[test]
    fn distance_never_goes_below_zero() {
        assert_eq!(Lsn::new(5) - Lsn::new(7), WalBytes::new(0));
    }
}
