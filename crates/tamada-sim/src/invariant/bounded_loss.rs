//! I2: in asynchronous mode a failover loses no more than was promised: `maximum_lag_on_failover`, and what the old
//! primary wrote after it published its position for the last time.

use std::time::Duration;

use tamada_model::Lsn;

use super::{Seen, Violation};
use crate::Moment;
use crate::postgres::News;
use crate::world::World;

#[derive(Debug, Default)]
pub struct BoundedLoss {
    meddled_until: Option<Moment>,
}

impl BoundedLoss {
    /// An operator may take somebody who is further behind.
    pub fn meddled(&mut self, world: &World) {
        self.meddled_until = Some(world.now + super::one_primary::after_meddling(world) + Duration::from_secs(60));
    }

    pub fn news(&self, news: &News, world: &World) -> Seen {
        let News::Promoted { host, branch } = news else {
            return Ok(());
        };
        let Some((_, fork)) = world.fleet.wal().branch(*branch).parent else {
            return Ok(());
        };
        let published = world.published();
        let allowed = Lsn::new(fork.bytes().saturating_add(world.script.maximum_lag));
        let excused = world.just_woke(*host) || self.meddled_until.is_some_and(|until| world.now < until);
        if excused || published <= allowed {
            return Ok(());
        }
        let what = format!("{} leads from {fork} on, {published} had been published", host.name());
        Err(Violation::new("I2 bounded loss", what))
    }
}
