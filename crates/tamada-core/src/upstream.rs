//! Whom a standby follows, and whom an empty member clones from (ha-loop.md 11.2, 7.4).

use tamada_model::{CloneSource, Cluster, Member, MemberName, Upstream, UpstreamMember};

use crate::View;

/// The upstream wanted now. [`Upstream::Nobody`] when nobody leads, the leader has no address, or tag `nostream` is set.
pub fn wanted(view: &View<'_>, cluster: &Cluster) -> Upstream {
    if view.me.tags.nostream() {
        return Upstream::Nobody;
    }
    let chosen =
        view.me.tags.replicatefrom().filter(|name| *name != view.me.name && cluster.members.contains_key(name));
    let name = chosen.as_ref().or(cluster.leader_name()).filter(|name| **name != view.me.name);
    name.and_then(|name| member(cluster, name)).map_or(Upstream::Nobody, Upstream::Member)
}

/// The leader itself, as rewinding needs it; `None` when it is us, or has no address.
pub fn leader(view: &View<'_>, cluster: &Cluster) -> Option<UpstreamMember> {
    cluster.leader_name().filter(|name| **name != view.me.name).and_then(|name| member(cluster, name))
}

fn member(cluster: &Cluster, name: &MemberName) -> Option<UpstreamMember> {
    let (host, port) = cluster.member(name).and_then(Member::address)?;
    Some(UpstreamMember { name: name.clone(), host, port })
}

/// A running replica that offers itself by tag `clonefrom`, else the leader. Among several the choice falls by our own
/// name, so that members cloning at once spread over the sources without chance in the core.
pub fn clone_source(view: &View<'_>, cluster: &Cluster) -> Option<CloneSource> {
    let offers: Vec<UpstreamMember> = cluster
        .members
        .iter()
        .filter(|(name, member)| {
            member.tags.clonefrom()
                && member.is_running()
                && **name != view.me.name
                && cluster.leader_name() != Some(*name)
        })
        .filter_map(|(name, _)| self::member(cluster, name))
        .collect();
    if cluster.is_unlocked() {
        return None;
    }
    match offers.len() {
        0 => leader(view, cluster).map(|member| CloneSource::Member { member, is_leader: true }),
        n => Some(CloneSource::Member { member: offers[spread(view.me.name.as_str(), n)].clone(), is_leader: false }),
    }
}

/// A number below `n` that depends on the name alone.
fn spread(name: &str, n: usize) -> usize {
    name.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte))) % n
}
