//! What every store must do, as named checks over the port: run against real servers by this crate's tests, and
//! against the model store by the simulator's, so that the model cannot be kinder than the world.
//!
//! A check gets its own scope, so all of them may run at once on one server.

mod bell;
mod keys;
mod lock;
mod member;

use std::sync::Arc;
use std::time::Duration;

use tamada_model::{Cluster, Lsn, Member, MemberName, Stamp, State};

use crate::{Answer, Freshness, Store, StoreError, Written};

/// The world around the stores under test.
pub trait Bench: Send + Sync {
    /// A store object as a new process of this member would have it. Dropping it is the death of that process.
    fn open(&self, scope: &str, member: &str, ttl: Duration) -> Arc<dyn Store>;
    /// The shortest ttl that the store can keep, in whole seconds.
    fn shortest_ttl(&self) -> Duration;
    /// By how much a store may end a lease late.
    fn late_by(&self) -> Duration;
    /// Lets time pass.
    fn pass(&self, time: Duration) -> Answer<'_, ()>;
    /// Time passed since some fixed instant.
    fn now(&self) -> Duration;
    /// Ends a session from outside, by the name under which members show it.
    fn end_session(&self, session: &str) -> Answer<'_, ()>;
}

/// How a check ended; the error is what was seen.
pub type Checked = Result<(), String>;

/// One promise of the port.
#[derive(Clone, Copy)]
pub struct Check {
    pub name: &'static str,
    run: fn(Scene) -> Answer<'static, Checked>,
}

impl Check {
    pub fn run(&self, bench: Arc<dyn Bench>) -> Answer<'static, Checked> {
        (self.run)(Scene { bench, scope: self.name })
    }
}

/// Makes the list of checks from the functions that do them.
macro_rules! checks {
    ($($module:ident: $($name:ident)*;)*) => {
        &[$($(Check { name: stringify!($name), run: |scene| Box::pin($module::$name(scene)) }),*),*]
    };
}

pub const CHECKS: &[Check] = checks! {
    lock:
        only_one_acquires
        of_many_at_once_only_one_acquires
        renewing_and_acquiring_at_once_have_one_winner
        acquiring_what_is_ours_succeeds
        a_namesake_does_not_acquire
        renewing_keeps_the_lock_beyond_its_ttl
        a_silent_holder_loses_the_lock_after_its_ttl_and_not_before
        renewing_never_overwrites_another_holder
        renewing_recreates_a_lock_that_vanished
        a_restarted_holder_keeps_its_lock
        taking_overwrites
        releasing_frees_the_lock_and_tells_the_last_position
        releasing_what_is_not_ours_changes_nothing
        renewing_writes_status_and_failsafe_along
        a_new_reign_writes_its_status_anew
        a_new_ttl_holds_from_the_next_renewal
        a_lock_survives_the_loss_of_its_session;
    member:
        touching_publishes_the_record
        touching_again_changes_nothing
        a_dead_members_key_disappears
        a_deleted_member_is_gone
        a_member_key_survives_the_loss_of_its_session
        a_member_key_deleted_by_hand_comes_back;
    keys:
        nothing_is_there_at_first
        a_bootstrap_begins_once
        initialize_is_written_over_or_not_as_asked
        config_is_compared_and_swapped
        failover_is_compared_and_swapped_and_cleared
        sync_is_compared_swapped_and_deleted
        of_many_swaps_at_once_only_one_wins
        history_and_status_are_overwritten
        deleting_a_cluster_spares_its_namesake
        reads_never_go_back
        an_ordered_read_sees_what_another_was_told_is_done;
    bell:
        the_bell_rings_for_what_concerns_a_member
        the_bell_is_silent_about_the_leaders_own_status
        the_bell_rings_when_a_lock_expires;
};

/// One check's part of the store.
struct Scene {
    bench: Arc<dyn Bench>,
    scope: &'static str,
}

/// Enough for any single operation on a living store, however busy the machine.
const SOON: Duration = Duration::from_secs(20);
/// A ttl for checks in which nothing shall expire.
const LONG: Duration = Duration::from_secs(60);

impl Scene {
    fn open(&self, member: &str) -> Arc<dyn Store> {
        self.bench.open(self.scope, member, LONG)
    }

    fn open_brief(&self, member: &str) -> Arc<dyn Store> {
        self.bench.open(self.scope, member, self.bench.shortest_ttl())
    }

    async fn pass(&self, time: Duration) {
        self.bench.pass(time).await;
    }

    /// Lets as much time pass as a lease of the shortest ttl that was renewed just now may last.
    async fn outwait(&self) {
        self.pass(self.bench.shortest_ttl() + self.bench.late_by()).await;
    }

    /// Looks until it is so, which needs no more than the end of a lease of the shortest ttl.
    async fn until(&self, what: &str, store: &Arc<dyn Store>, is_so: impl Fn(&Cluster) -> bool) -> Result<(), String> {
        let latest = self.bench.now() + self.bench.shortest_ttl() + self.bench.late_by() + SOON;
        while !is_so(&look(store).await?) {
            holds(what, self.bench.now() < latest)?;
            self.pass(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

fn done(written: Written) -> Result<Stamp, String> {
    match written {
        Written::Done(stamp) => Ok(stamp),
        other @ (Written::Beaten | Written::Unclear(_) | Written::Failed(_)) => Err(format!("not done: {other:?}")),
    }
}

fn beaten(written: Written) -> Checked {
    match written {
        Written::Beaten => Ok(()),
        other @ (Written::Done(_) | Written::Unclear(_) | Written::Failed(_)) => Err(format!("not beaten: {other:?}")),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, expected: T) -> Checked {
    if seen == expected { Ok(()) } else { Err(format!("{what}: saw {seen:?}, expected {expected:?}")) }
}

fn holds(what: &str, condition: bool) -> Checked {
    if condition { Ok(()) } else { Err(format!("not so: {what}")) }
}

async fn look(store: &Arc<dyn Store>) -> Result<Cluster, String> {
    store.read(Freshness::Linearizable, SOON).await.map_err(|e: StoreError| e.to_string())
}

async fn leader(store: &Arc<dyn Store>) -> Result<Option<String>, String> {
    Ok(look(store).await?.leader_name().map(MemberName::to_string))
}

fn record(position: u64) -> Member {
    Member {
        conn_url: Some("postgres://10.0.0.1:5432/postgres".into()),
        api_url: Some("http://10.0.0.1:8008/patroni".into()),
        state: Some(State::Running.text().into()),
        version: Some("4.1.4".into()),
        xlog_location: Some(Lsn::new(position)),
        ..Member::default()
    }
}
