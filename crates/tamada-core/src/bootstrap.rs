//! A bootstrap that nobody goes on with.
//!
//! 1. a wins the initialize race: the key is there, and empty.
//! 2. a is killed in the middle of initdb. Nothing in the store ever removes the key.
//! 3. Everybody, a too when it is back, waits for a leader, for ever.
//!
//! Member keys are leased, so a member at work on a bootstrap shows in the store. When none has shown for a whole ttl,
//! the first living member by name takes the empty key away, and the race begins anew. Should the maker be alive after
//! all, it finds at the end that the key is not its own any more, and abandons what it made.

use tamada_model::{Cluster, Initialize, Member, Role, State};

use crate::View;

/// The cluster is in the making, and no living member says that it is at it.
pub fn is_forsaken(cluster: &Cluster) -> bool {
    cluster.is_unlocked()
        && cluster.initialize == Initialize::Underway
        && !cluster.members.values().any(|member| may_be_making(member))
}

/// Anything but a member without data that does nothing: it may be the maker, at any stage.
fn may_be_making(member: &Member) -> bool {
    let idle = member.role == Some(Role::Uninitialized) && member.state.as_deref() == Some(State::Stopped.text());
    !idle
}

/// It is ours to begin anew.
pub fn is_ours_to_clear(view: &View<'_>, cluster: &Cluster) -> bool {
    let long = view.memory.forsaken_since.is_some_and(|since| view.now.mono.since(since) >= view.settings.ttl);
    long && is_forsaken(cluster) && cluster.members.keys().next() == Some(&view.me.name)
}
