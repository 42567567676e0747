//! Which replication slots this member should have for the others (postgres.md 15.1–15.6), and what the leader tells
//! about slots in `/status`.

use std::collections::BTreeMap;

use tamada_model::{Cluster, Document, Lsn, Member, MemberName, PgMajor, Slot, Status};

use crate::View;

#[derive(Clone, PartialEq, Debug, Default)]
pub struct SlotPlan {
    pub wanted: Vec<WantedSlot>,
    /// Do not drop what we do not know (paused).
    pub keep_unknown: bool,
    pub ignore: Vec<Document>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WantedSlot {
    pub name: String,
    /// Somebody streams from here through it.
    pub active_here: bool,
    /// How far it may be advanced where nobody streams.
    pub lsn: Option<Lsn>,
}

/// `None`: slots are switched off, or `/config` is missing.
pub fn plan(view: &View<'_>, cluster: &Cluster) -> Option<SlotPlan> {
    if !view.settings.use_slots || cluster.config.is_none() {
        return None;
    }
    let mut wanted: BTreeMap<String, WantedSlot> = BTreeMap::new();
    for (name, member) in others(view, cluster) {
        let active_here = streams_from_us(view, cluster, name, member);
        if !active_here && !keeps_for_absent(view, member) {
            continue;
        }
        let slot = name.slot_name();
        let lsn = known_position(cluster, name, member, &slot);
        wanted.insert(slot.clone(), WantedSlot { name: slot, active_here, lsn });
    }
    for slot in kept_for_absent(view, cluster) {
        let lsn = None;
        wanted.entry(slot.clone()).or_insert(WantedSlot { name: slot.clone(), active_here: false, lsn });
    }
    Some(SlotPlan {
        wanted: wanted.into_values().collect(),
        keep_unknown: view.settings.pause,
        ignore: view.settings.ignore_slots.clone(),
    })
}

/// What the leader tells to keep; and what we as leader are going to tell with our next renewal.
fn kept_for_absent<'a>(view: &View<'a>, cluster: &'a Cluster) -> impl Iterator<Item = &'a String> {
    let keeps = retains(view) && !view.me.tags.nofailover();
    let own = view.me.name.slot_name();
    let ours = view.memory.retained_slots.keys().filter(|_| view.memory.lease.is_some());
    cluster.status.retain_slots.iter().chain(ours).filter(move |slot| keeps && **slot != own)
}

fn others<'a>(view: &View<'a>, cluster: &'a Cluster) -> impl Iterator<Item = (&'a MemberName, &'a Member)> {
    let me = view.me;
    let members = cluster.members.iter().map(|(name, member)| (name, member.as_ref()));
    members.filter(move |(name, member)| **name != me.name && !member.tags.nostream())
}

/// On a leader: everybody who does not cascade from somebody else. On a replica: those that cascade from us.
fn streams_from_us(view: &View<'_>, cluster: &Cluster, name: &MemberName, member: &Member) -> bool {
    let upstream = member.tags.replicatefrom();
    if view.has_lock() {
        upstream.is_none_or(|upstream| upstream == view.me.name || !cluster.members.contains_key(&upstream))
    } else {
        upstream.as_ref() == Some(&view.me.name) && cluster.leader_name() != Some(name)
    }
}

fn retains(view: &View<'_>) -> bool {
    let major = view.present().and_then(|present| present.major);
    major >= Some(PgMajor::of(11)) && !view.settings.member_slots_ttl.is_zero()
}

/// With retention a slot is kept ready on every node that may lead; a nofailover node keeps only its cascade's.
fn keeps_for_absent(view: &View<'_>, member: &Member) -> bool {
    retains(view) && (!view.me.tags.nofailover() || member.tags.replicatefrom().as_ref() == Some(&view.me.name))
}

fn known_position(cluster: &Cluster, _name: &MemberName, member: &Member, slot: &str) -> Option<Lsn> {
    let told = cluster.status.slots.get(slot).copied();
    let leader_is_old =
        cluster.leader_member().and_then(Member::agent_version).is_some_and(|version| !version.at_least(&[4, 0, 0]));
    if member.tags.replicatefrom().is_some() || leader_is_old { told.max(member.xlog_location) } else { told }
}

/// What the leader writes to `/status`: its position and its slots' (15.6), and the names that are to be kept (15.4).
pub fn status(view: &View<'_>, cluster: &Cluster) -> Option<Status> {
    let live = view.live()?;
    let optime = view.wal_position()?;
    let mut slots = BTreeMap::new();
    if retains(view) {
        slots.extend(live.slots.iter().filter_map(position_of).map(|(name, lsn)| (name.to_owned(), lsn)));
        slots.insert(view.me.name.slot_name(), optime);
    }
    let retain_slots = retained(view, cluster);
    // Where it began may be recycled, and an agent that is new here cannot read it any more: what we have published of
    // our timeline stays.
    let origins = [view.present().and_then(|present| present.origin), cluster.status.origin];
    let origin = origins.into_iter().flatten().find(|origin| Some(origin.timeline) == view.timeline());
    Some(Status { optime, slots, retain_slots, origin })
}

fn position_of(slot: &Slot) -> Option<(&str, Lsn)> {
    let lsn = if slot.logical { slot.confirmed_flush_lsn } else { slot.restart_lsn };
    lsn.map(|lsn| (slot.name.as_str(), lsn))
}

fn retained(view: &View<'_>, cluster: &Cluster) -> Vec<String> {
    if !retains(view) {
        return Vec::new();
    }
    let mut names: Vec<String> = view
        .memory
        .retained_slots
        .iter()
        .filter(|(_, seen)| view.now.mono.since(**seen) < view.settings.member_slots_ttl)
        .map(|(name, _)| name.clone())
        .collect();
    names.extend(streaming_slots(view, cluster));
    names.sort();
    names.dedup();
    names
}

/// Slots that exist here and belong to members streaming through them now.
pub fn streaming_slots(view: &View<'_>, cluster: &Cluster) -> Vec<String> {
    let Some(live) = view.live() else {
        return Vec::new();
    };
    let existing = |slot: &str| live.slots.iter().any(|own| own.name == slot && !own.logical);
    others(view, cluster)
        .filter(|(_, member)| member.is_running() && member.replication_state.as_deref() == Some("streaming"))
        .map(|(name, _)| name.slot_name())
        .filter(|slot| existing(slot) && !view.settings.permanent_slots.contains_key(slot))
        .collect()
}
