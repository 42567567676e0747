//! I2: a failover takes the one who has most. Nothing is lost that a member in good order had: one that nothing had
//! disturbed for a while, that had its place in the store, and that could be asked. Where commits wait for standbys, these
//! alone are asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::{Seen, Violation};
use crate::fault::{Fault, Touched};
use crate::store::{Changed, Changes};
use crate::wal::Point;
use crate::world::World;
use crate::{Host, Moment};

/// Longer than everything between a question to the others and the store's answer to whoever takes the lock.
const CALM: Duration = Duration::from_secs(6);

#[derive(Debug, Default)]
pub struct BestLeads {
    /// Faults that last.
    under_way: BTreeMap<usize, Touched>,
    calm_since: BTreeMap<Host, Moment>,
    /// What each had at the looks since it has been well.
    well: BTreeMap<Host, VecDeque<(Moment, Point)>>,
    /// Who leads next is somebody's wish.
    wished_until: Option<Moment>,
    held: bool,
}

impl BestLeads {
    pub fn begins(&mut self, number: usize, fault: &Fault, world: &World) {
        self.under_way.insert(number, fault.touches());
        self.disturbed(fault.touches(), world);
    }

    pub fn ends(&mut self, number: usize, fault: &Fault, world: &World) {
        self.under_way.remove(&number);
        self.disturbed(fault.touches(), world);
    }

    fn disturbed(&mut self, touched: Touched, world: &World) {
        let hosts: BTreeSet<Host> = world.hosts().filter(|host| touched.includes(*host)).collect();
        self.well.retain(|host, _| !hosts.contains(host));
        self.calm_since.extend(hosts.into_iter().map(|host| (host, world.now)));
    }

    fn is_calm(&self, host: Host, world: &World) -> bool {
        let since = self.calm_since.get(&host).is_none_or(|since| world.now.since(*since) >= CALM);
        since && !self.under_way.values().any(|touched| touched.includes(host))
    }

    pub fn meddled(&mut self, world: &World) {
        self.wished_until = Some(world.now + super::one_primary::after_meddling(world) + Duration::from_secs(60));
    }

    pub fn look(&mut self, world: &World) {
        for host in world.hosts() {
            match world.fleet.data(host).filter(|_| is_well(host, world)) {
                Some(point) => self.well.entry(host).or_default().push_back((world.now, point)),
                None => drop(self.well.remove(&host)),
            }
        }
        for looks in self.well.values_mut() {
            while looks.get(1).is_some_and(|(at, _)| world.now.since(*at) >= CALM) {
                looks.pop_front();
            }
        }
    }

    /// What it has had for so long that whoever asked must have heard of it.
    fn has_had(&self, host: Host, world: &World) -> Option<Point> {
        let (at, point) = self.well.get(&host)?.front()?;
        (world.now.since(*at) >= CALM).then_some(*point)
    }

    pub fn store_changed(&mut self, changes: &Changes, world: &World) -> Seen {
        if changes.has(Changed::Failover) {
            self.meddled(world);
        }
        if !changes.has(Changed::Leader) {
            return Ok(());
        }
        let holder = world.store.leader().and_then(|(name, _)| world.host(name.as_str()));
        let was_free = !std::mem::replace(&mut self.held, holder.is_some());
        holder.filter(|_| was_free).map_or(Ok(()), |holder| self.takes_the_lock(holder, world))
    }

    fn takes_the_lock(&self, holder: Host, world: &World) -> Seen {
        // A request stands until somebody can read it, however long that takes.
        let lately = self.wished_until.is_some_and(|until| world.now < until);
        let wished = lately || world.is_asked_for(holder) || world.is_paused();
        if wished || world.fleet.is_writable(holder) || !self.is_calm(holder, world) {
            return Ok(());
        }
        let Some(here) = world.fleet.data(holder) else { return Ok(()) };
        let has_more = |other: &Host| {
            let there = self.has_had(*other, world).filter(|_| self.is_calm(*other, world));
            let more = there.filter(|there| world.fleet.wal().is_ancestor(here, *there) && here.1 < there.1);
            more.is_some_and(|there| !was_left_behind(there, world))
        };
        match world.hosts().filter(|other| *other != holder && world.has_say(*other)).find(has_more) {
            None => Ok(()),
            Some(other) => {
                let what = format!("{} takes the lock, and {} has had more", holder.name(), other.name());
                Err(Violation::new("I2 the best leads", what))
            }
        }
    }
}

/// It answers whoever asks, its agent by itself and its PostgreSQL with all that it has, and may be asked: who has the tag
/// is not.
fn is_well(host: Host, world: &World) -> bool {
    let member = &world.members[host.0];
    let answers = member.agent().is_some() && member.answers();
    let in_store = || world.store.raw(&format!("members/{}", host.name())).is_some();
    answers && !world.is_tagged(host) && world.fleet.shows_all(host) && in_store()
}

/// What it had more than others was given up when another history was led on: its data is of no use, whether it knows
/// that or not.
fn was_left_behind(point: Point, world: &World) -> bool {
    let wal = world.fleet.wal();
    let Some(led_on) = world.led_on() else { return false };
    let led = (led_on, wal.branch(led_on).end);
    !wal.is_ancestor(point, led) && !wal.is_ancestor(led, point)
}

#[cfg(test)]
mod tests {
    use super::super::hands::{A, B, C, promote, with_b_behind};
    use super::*;
    use crate::member::Runs;

    /// `a` is gone; `c` has all that it wrote, `b` has not.
    fn without_a() -> (BestLeads, World) {
        let mut world = with_b_behind();
        world.with_fleet(|fleet, now, _| fleet.kill_postmaster(A, now));
        for host in [B, C] {
            world.members[host.0].agent_runs = Runs::On;
            world.store.put_raw(&format!("members/{}", host.name()), "{}", world.now);
        }
        let mut promise = BestLeads::default();
        for _ in 0..8 {
            promise.look(&world);
            world.now = world.now + Duration::from_secs(1);
        }
        (promise, world)
    }

    #[test]
    fn whoever_takes_the_lock_has_all_that_the_others_had() {
        let (promise, world) = without_a();
        assert_eq!(promise.takes_the_lock(C, &world), Ok(()));
        assert!(promise.takes_the_lock(B, &world).is_err());
    }

    #[test]
    fn what_a_member_says_of_its_data_is_not_asked() {
        let (promise, mut world) = without_a();
        let mut report = (**world.members[C.0].report.as_ref().expect("it has told")).clone();
        report.because = "reinitialize this member".to_owned();
        world.members[C.0].report = Some(report.into());
        assert!(promise.takes_the_lock(B, &world).is_err());
    }

    #[test]
    fn what_was_given_up_when_another_history_was_led_on_is_of_no_use() {
        let mut world = with_b_behind();
        world.with_fleet(|fleet, now, _| fleet.kill_postmaster(A, now));
        let is_of_use = |host, world: &World| !was_left_behind(world.fleet.data(host).expect("it has data"), world);
        assert!(is_of_use(B, &world) && is_of_use(C, &world), "a led last");
        promote(&mut world, B);
        world.gives_the_lock_to(B);
        assert!(is_of_use(B, &world) && !is_of_use(C, &world));
    }

    #[test]
    fn an_operator_may_choose() {
        let (mut promise, world) = without_a();
        promise.meddled(&world);
        assert_eq!(promise.takes_the_lock(B, &world), Ok(()));
    }

    #[test]
    fn an_operators_choice_stands_until_somebody_can_read_it() {
        let (promise, mut world) = without_a();
        world.names_in_a_manual_failover(C);
        assert!(promise.takes_the_lock(B, &world).is_err());
        world.names_in_a_manual_failover(B);
        assert_eq!(promise.takes_the_lock(B, &world), Ok(()));
    }

    #[test]
    fn who_was_disturbed_a_moment_ago_may_not_have_been_heard() {
        let (mut promise, world) = without_a();
        promise.begins(0, &Fault::KillGuard(A), &world);
        assert!(promise.takes_the_lock(B, &world).is_err());
        promise.begins(1, &Fault::FreezeAgent(C), &world);
        promise.ends(1, &Fault::FreezeAgent(C), &world);
        assert_eq!(promise.takes_the_lock(B, &world), Ok(()));
    }
}
