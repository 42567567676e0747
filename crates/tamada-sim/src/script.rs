//! A run, written down: the settings, what goes wrong and when, and how long it takes. The same script and the same
//! seed are the same run.

use std::time::Duration;

use crate::Host;
use crate::fault::Planned;

#[derive(Clone, PartialEq, Debug)]
pub struct Script {
    pub seed: u64,
    pub members: usize,
    pub starts: Starts,
    pub settings: Times,
    pub maximum_lag: u64,
    pub check_timeline: bool,
    pub synchronous: Synchronous,
    pub nofailover: Vec<Host>,
    /// How often clients write, on average.
    pub writes_every: Duration,
    /// How far clocks run wrong, in millionths, at the most.
    pub drift: u64,
    /// Everything is well again from here on: what was begun by then has ended.
    pub faults_end: Duration,
    /// How long the cluster may take to be whole afterwards.
    pub heals_within: Duration,
    pub faults: Vec<Planned>,
}

/// Whom commits wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Synchronous {
    Off,
    On { strict: bool, count: u32 },
    Quorum { strict: bool, count: u32 },
}

/// How the members are started when the world begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Starts {
    Together,
    /// So that it is the first leader, for scripts that need to know.
    FirstAlone,
}

/// As in the dynamic configuration, in seconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Times {
    pub ttl: f64,
    pub loop_wait: f64,
    pub retry_timeout: f64,
}

impl Times {
    pub const USUAL: Times = Times { ttl: 30.0, loop_wait: 10.0, retry_timeout: 10.0 };
    pub const QUICK: Times = Times { ttl: 5.0, loop_wait: 1.0, retry_timeout: 2.0 };
    pub const QUICKEST: Times = Times { ttl: 1.5, loop_wait: 0.5, retry_timeout: 0.5 };
}

impl Script {
    /// Three healthy members; scenarios say what else.
    pub fn calm(seed: u64, times: Times) -> Self {
        Self {
            seed,
            members: 3,
            starts: Starts::FirstAlone,
            settings: times,
            maximum_lag: 1_048_576,
            check_timeline: false,
            synchronous: Synchronous::Off,
            nofailover: Vec::new(),
            writes_every: Duration::from_millis(500),
            drift: 200,
            faults_end: Duration::from_secs(60),
            heals_within: heals_within(times),
            faults: Vec::new(),
        }
    }
}

/// I6: a few leases for whoever is thought to lead, then starts, rewinds and copies, each with its failures before.
pub fn heals_within(times: Times) -> Duration {
    Duration::from_secs_f64(times.ttl * 4.0 + times.loop_wait * 4.0 + 180.0)
}
