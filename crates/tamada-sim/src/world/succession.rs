//! Who led last: on what WAL, and at whose wish. No key of the store tells that, and several promises ask.

use std::time::Duration;

use tamada_model::FailoverKind;
use tamada_wire::keys;

use super::World;
use crate::postgres::News;
use crate::store::{Changed, Changes};
use crate::wal::BranchId;
use crate::{Host, Moment};

#[derive(Debug, Default)]
pub(crate) struct Succession {
    holder: Option<Host>,
    /// What the lock's holder wrote on last.
    led_on: Option<BranchId>,
    /// The same when a position was published last.
    published_on: Option<BranchId>,
    /// Whom requests have named, and how.
    named: Vec<Named>,
    /// How it was named who took the lock last.
    named_then: Vec<Named>,
}

#[derive(Clone, Copy, Debug)]
struct Named {
    host: Host,
    how: FailoverKind,
    /// When the request was gone, or another.
    until: Option<Moment>,
}

impl World {
    /// Before anybody else hears that the store has changed.
    pub(super) fn follow_succession(&mut self, changes: &Changes) {
        if changes.has(Changed::Failover) {
            self.request_changed();
        }
        if changes.has(Changed::Leader) {
            self.lock_moved();
        }
        if changes.has(Changed::Status) {
            self.succession.published_on = self.succession.led_on;
        }
    }

    /// After the promises have compared it with who led before.
    pub(super) fn is_succeeded_by(&mut self, news: &News) {
        match news {
            News::Writable { host } if self.succession.holder == Some(*host) => self.leads_on(*host),
            News::Writable { .. }
            | News::Promoted { .. }
            | News::JobEnded { .. }
            | News::JobProgress { .. }
            | News::PostmasterGone { .. }
            | News::Checkpointed { .. }
            | News::Acked { .. }
            | News::Failed { .. }
            | News::Removed { .. }
            | News::Rewound { .. }
            | News::Mixed { .. }
            | News::Noted { .. } => {}
        }
    }

    fn request_changed(&mut self) {
        for named in &mut self.succession.named {
            named.until.get_or_insert(self.now);
        }
        let text = self.store.raw(keys::FAILOVER).unwrap_or_default();
        let Some(request) = keys::parse_failover(text.as_bytes()) else { return };
        let candidate = request.candidate.as_ref().and_then(|candidate| self.host(candidate.as_str()));
        self.succession.named.extend(candidate.map(|host| Named { host, how: request.kind(), until: None }));
    }

    fn lock_moved(&mut self) {
        let holder = self.store.leader().and_then(|(name, _)| self.host(name.as_str()));
        let before = std::mem::replace(&mut self.succession.holder, holder);
        if let Some(holder) = holder.filter(|holder| before != Some(*holder)) {
            self.succession.named_then = self.is_named(holder).collect();
            self.leads_on(holder);
        }
    }

    fn leads_on(&mut self, host: Host) {
        if self.fleet.is_primary(host) {
            self.succession.led_on = self.fleet.data(host).map(|(branch, _)| branch);
        }
    }

    /// As its agent knows it: what it asks of the store it gives up after `retry_timeout`.
    fn is_named(&self, host: Host) -> impl Iterator<Item = Named> {
        let a_pass = Duration::from_secs_f64(self.script.settings.retry_timeout);
        let counts = move |named: &&Named| named.until.is_none_or(|until| self.now.since(until) <= a_pass);
        self.succession.named.iter().filter(counts).filter(move |named| named.host == host).copied()
    }

    // --- what the promises ask

    /// What the lock's holder wrote on last.
    pub(crate) fn led_on(&self) -> Option<BranchId> {
        self.succession.led_on
    }

    /// Where the position is that was published last.
    pub(crate) fn published_on(&self) -> Option<BranchId> {
        self.succession.published_on
    }

    /// An operator wants this member to lead, or wanted it when it took the lock.
    pub(crate) fn is_asked_for(&self, host: Host) -> bool {
        self.is_named(host).next().is_some() || self.was_named(host).next().is_some()
    }

    /// It took the lock because an operator wanted it to lead whatever that loses. (In pause, who has taken it for a
    /// switchover says the same of itself afterwards.)
    pub(crate) fn leads_at_any_cost(&self, host: Host) -> bool {
        self.was_named(host).any(|named| named.how == FailoverKind::ManualFailover)
    }

    fn was_named(&self, host: Host) -> impl Iterator<Item = &Named> {
        self.succession.named_then.iter().filter(move |named| named.host == host)
    }
}

#[cfg(test)]
impl World {
    /// As if it had taken the lock just now.
    pub(crate) fn gives_the_lock_to(&mut self, host: Host) {
        self.store.put_raw(keys::LEADER, host.name(), self.now);
        self.store_changed();
    }

    pub(crate) fn names_in_a_manual_failover(&mut self, host: Host) {
        self.store.put_raw(keys::FAILOVER, &format!(r#"{{"member": "{}"}}"#, host.name()), self.now);
        self.store_changed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diary::Diary;
    use crate::member::Runs;
    use crate::plant::Plants;
    use crate::script::{Script, Times};

    const A: Host = Host(0);
    const B: Host = Host(1);

    /// `a` has led, and nobody does anything from now on.
    fn without_agents() -> World {
        let mut world = World::new(Script::calm(1, Times::QUICK), Plants::none(), Diary::Closed);
        world.passes(Duration::from_secs(60));
        for member in &mut world.members {
            member.agent_runs = Runs::Still;
            member.guard.lives = false;
        }
        world.store.delete_raw(keys::LEADER, world.now);
        world.store_changed();
        world
    }

    fn written_on(world: &World, host: Host) -> Option<BranchId> {
        world.fleet.data(host).map(|(branch, _)| branch)
    }

    #[test]
    fn who_takes_the_lock_leads_on_from_when_it_is_a_primary() {
        let mut world = without_agents();
        assert_eq!(world.led_on(), written_on(&world, A));
        world.gives_the_lock_to(B);
        assert_eq!(world.led_on(), written_on(&world, A), "it is a standby yet");
        world.with_fleet(|fleet, now, _| fleet.promote_by_hand(B, now));
        world.passes(Duration::from_secs(5));
        assert!(written_on(&world, A) != written_on(&world, B));
        assert_eq!(world.led_on(), written_on(&world, B));
    }

    #[test]
    fn who_is_promoted_without_the_lock_does_not_lead_before_it_has_it() {
        let mut world = without_agents();
        world.with_fleet(|fleet, now, _| fleet.promote_by_hand(B, now));
        world.passes(Duration::from_secs(5));
        assert_eq!(world.led_on(), written_on(&world, A));
        world.gives_the_lock_to(B);
        assert_eq!(world.led_on(), written_on(&world, B));
    }

    #[test]
    fn a_position_is_on_what_was_led_on_when_it_was_published() {
        let mut world = without_agents();
        world.gives_the_lock_to(B);
        world.with_fleet(|fleet, now, _| fleet.promote_by_hand(B, now));
        world.passes(Duration::from_secs(5));
        assert_eq!(world.published_on(), written_on(&world, A));
        world.store.put_raw(keys::STATUS, "{}", world.now);
        world.store_changed();
        assert_eq!(world.published_on(), written_on(&world, B));
    }

    #[test]
    fn who_was_named_when_it_took_the_lock_is_asked_for_until_another_takes_it() {
        let mut world = without_agents();
        world.names_in_a_manual_failover(B);
        world.gives_the_lock_to(B);
        world.store.delete_raw(keys::FAILOVER, world.now);
        world.store_changed();
        world.now = world.now + Duration::from_secs(60);
        assert!(world.is_asked_for(B) && world.leads_at_any_cost(B));
        world.gives_the_lock_to(A);
        assert!(!world.leads_at_any_cost(A) && !world.leads_at_any_cost(B));
    }

    #[test]
    fn who_is_named_no_more_was_asked_for_as_long_as_it_may_not_have_heard() {
        let mut world = without_agents();
        world.names_in_a_manual_failover(B);
        world.names_in_a_manual_failover(A);
        assert!(world.is_asked_for(A) && world.is_asked_for(B));
        world.now = world.now + Duration::from_secs(60);
        assert!(world.is_asked_for(A) && !world.is_asked_for(B));
    }
}
