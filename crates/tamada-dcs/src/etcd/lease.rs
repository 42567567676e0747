//! The one lease of this process, under which `leader` and our member key live.
//!
//! etcd counts a lease from when it hears the grant or the keep-alive, its holder from when it asked (architecture.md
//! 4), so etcd always ends it later than the holder. The same must hold for the length: a ttl with a fraction is
//! rounded *up* to etcd's whole seconds. Rounded down, etcd could give the lock away while its holder still counts on
//! it; rounded up, the next leader waits a fraction of a second longer. For the same reason etcd's own minimum (about
//! 2 s) does no harm: it grants more than we asked, and we count what we asked.

use std::sync::Mutex;
use std::time::Duration;

use tamada_etcd::messages::{LeaseGrantRequest, LeaseKeepAliveRequest};
use tamada_model::Mono;
use tracing::{debug, error};

use super::client::{Client, Trouble, locked};
use super::sort::is_lease_lost;
use crate::clock::{Deadline, mono};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseId(pub i64);

/// How sure we want to be that the lease lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Assurance {
    /// It was confirmed after the caller asked: from then on it lasts a whole ttl.
    Now,
    /// It was confirmed at most this long ago.
    Within(Duration),
}

#[derive(Default)]
pub struct Lease {
    held: Mutex<Option<Held>>,
    /// Held while a lease is granted: the process has one.
    granting: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    id: LeaseId,
    seconds_asked: i64,
    /// When we asked for what was last confirmed.
    confirmed: Mono,
}

impl Lease {
    /// A living lease of the present ttl: the one we have, or a new one.
    pub async fn ensure(&self, client: &Client, assurance: Assurance, deadline: Deadline) -> Result<LeaseId, Trouble> {
        let seconds = whole_seconds(client.times().ttl);
        let enough = confirmed_since(assurance);
        loop {
            if let Some(held) = self.held().filter(|held| held.seconds_asked == seconds)
                && (held.confirmed >= enough || self.keep_alive(client, held, deadline).await?)
            {
                return Ok(held.id);
            }
            self.grant(client, seconds, deadline).await?;
        }
    }

    /// etcd does not know it any more.
    pub fn lost(&self, id: LeaseId) {
        let mut held = locked(&self.held);
        if held.is_some_and(|held| held.id == id) {
            *held = None;
        }
    }

    fn held(&self) -> Option<Held> {
        *locked(&self.held)
    }

    /// False: the lease is gone.
    async fn keep_alive(&self, client: &Client, held: Held, deadline: Deadline) -> Result<bool, Trouble> {
        let asked = mono();
        let answer = client.call_local(LeaseKeepAliveRequest { id: held.id.0 }, deadline).await;
        let alive = match answer {
            Ok(answer) => answer.ttl > 0,
            Err(Trouble::Said(status, _)) if is_lease_lost(&status) => false,
            Err(trouble) => return Err(trouble),
        };
        if alive {
            self.confirmed(held.id, asked);
        } else {
            error!("Our lease disappeared from Etcd. Will try to get a new one and retry attempt");
            self.lost(held.id);
        }
        Ok(alive)
    }

    fn confirmed(&self, id: LeaseId, asked: Mono) {
        if let Some(held) = locked(&self.held).as_mut().filter(|held| held.id == id) {
            held.confirmed = held.confirmed.max(asked);
        }
    }

    /// Afterwards there is a lease of this length, be it granted for us or for somebody who asked at the same time.
    /// A grant whose answer got lost leaves a lease without keys behind, which ends by itself.
    async fn grant(&self, client: &Client, seconds: i64, deadline: Deadline) -> Result<(), Trouble> {
        let Some(_one_at_a_time) = deadline.limit(self.granting.lock()).await else {
            return Err(Trouble::NotSent("still waiting for a lease".to_owned()));
        };
        if self.held().is_some_and(|held| held.seconds_asked == seconds) {
            return Ok(());
        }
        let confirmed = mono();
        let answer = client.call_local(LeaseGrantRequest { ttl: seconds, id: 0 }, deadline).await?;
        if !answer.error.is_empty() {
            return Err(Trouble::NotSent(format!("etcd granted no lease: {}", answer.error)));
        }
        if answer.ttl < seconds {
            return Err(Trouble::Refused(format!("etcd grants {} s where the ttl is {seconds} s", answer.ttl)));
        }
        debug!("etcd granted a lease of {} s, asked for {seconds} s", answer.ttl);
        *locked(&self.held) = Some(Held { id: LeaseId(answer.id), seconds_asked: seconds, confirmed });
        Ok(())
    }
}

fn confirmed_since(assurance: Assurance) -> Mono {
    match assurance {
        Assurance::Now => mono(),
        Assurance::Within(age) => mono() - age,
    }
}

fn whole_seconds(ttl: Duration) -> i64 {
    let up = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    i64::try_from(up).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_a_second_counts_as_a_whole_one() {
        assert_eq!(whole_seconds(Duration::from_secs(30)), 30);
        assert_eq!(whole_seconds(Duration::from_millis(2500)), 3);
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::ZERO), 1);
    }
}
