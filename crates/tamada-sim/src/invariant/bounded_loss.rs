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

#[cfg(test)]
mod tests {
    use tamada_model::Status;
    use tamada_wire::keys::{STATUS, status_json};

    use super::super::hands::{A, B, C, promote, with_b_behind};
    use super::*;
    use crate::Host;

    /// `a` has published where it is, and then another is promoted.
    fn after_a_failover(to: Host, maximum_lag: u64) -> (World, News) {
        let mut world = with_b_behind();
        world.script.maximum_lag = maximum_lag;
        let (_, optime) = world.fleet.data(A).expect("it leads");
        let status = status_json(&Status { optime, ..Status::default() });
        world.store.put_raw(STATUS, &status, world.now);
        promote(&mut world, to);
        let (branch, _) = world.fleet.data(to).expect("it is a primary");
        (world, News::Promoted { host: to, branch })
    }

    #[test]
    fn whoever_leads_has_what_was_published_but_for_the_lag_that_is_allowed() {
        for (to, maximum_lag, keeps) in [(C, 0, true), (B, 1 << 20, true), (B, 0, false)] {
            let (world, news) = after_a_failover(to, maximum_lag);
            assert_eq!(BoundedLoss::default().news(&news, &world).is_ok(), keeps, "{to:?} with {maximum_lag}");
        }
    }

    #[test]
    fn an_operator_may_take_one_that_is_further_behind() {
        let (world, news) = after_a_failover(B, 0);
        let mut promise = BoundedLoss::default();
        promise.meddled(&world);
        assert_eq!(promise.news(&news, &world), Ok(()));
    }
}
