//! The way back when the majority is lost for good: one node goes on alone, as a new store with what the old one had.
//!
//! What this node has not heard of is lost, even if it was confirmed; what it has heard of is kept, even if it was not. Its
//! number and the store's are drawn anew, so that a node of the old store that is found again is refused, instead of
//! deciding with others of its kind that the old store goes on.
//!
//! It happens in one write: before it, the old store is there untouched; after it, the new one.

use std::collections::{BTreeMap, BTreeSet};

use openraft::storage::{RaftLogReader, RaftLogStorage};
use openraft::{LogId, Vote};

use super::{Membership, Place, SnapshotMeta, StoredMembership, entry, next_index, open};
use crate::disk::{Change, Disk, Identity, Item};
use crate::{Command, Revision};

/// What the node goes on with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Alone {
    pub cluster: u64,
    pub revision: Revision,
    /// The other members of the old store: they may join the new one.
    pub others: Vec<String>,
}

/// Makes this node, which must not be running, the only voter of a new store.
pub(crate) async fn go_on_alone(disk: &Disk, address: &str) -> Result<Alone, String> {
    let (mut log, machine) = open(disk)?;
    let failed = |error: super::StorageError| format!("the store cannot be read: {error}");
    let last = log.get_log_state().await.map_err(failed)?.last_log_id;
    let Some(last) = last else {
        return Err("there is no store to recover: nothing was ever written here".to_owned());
    };
    let entries = log.try_get_log_entries(next_index(machine.last())..).await.map_err(failed)?;
    let (mut keyspace, membership) = machine.after(entries);
    let others = membership.nodes().map(|(_, place)| place.address.clone());
    let others: Vec<String> = others.filter(|other| other != address).collect();
    let cluster = fastrand::u64(1..);
    keyspace.belong_to(cluster);
    for other in &others {
        keyspace.apply(last.index, &Command::Invite { address: other.clone() });
    }
    let node = fastrand::u64(1..);
    let term = log.read_vote().await.map_err(failed)?.map_or(0, |vote| vote.leader_id.term) + 1;
    let identity = Identity { node, cluster: Some(cluster), address: address.to_owned() };
    let changes = vec![
        Change::Keep(Item::Identity, identity.encode()),
        Change::Keep(Item::Vote, entry::vote_to_bytes(&Vote::new(term, node))),
        Change::Keep(Item::Committed, entry::position_to_bytes(&last)),
        Change::Keep(Item::Purged, entry::position_to_bytes(&last)),
        Change::Purge { upto: last.index },
        Change::Snapshot {
            about: entry::snapshot_to_bytes(&meta(last, node, address)),
            content: keyspace.to_snapshot().into(),
        },
    ];
    let revision = keyspace.revision();
    disk.save(changes).await.map_err(|error| format!("the new store cannot be written: {error}"))?;
    Ok(Alone { cluster, revision, others })
}

fn meta(last: LogId<u64>, node: u64, address: &str) -> SnapshotMeta {
    let members = BTreeMap::from([(node, Place { address: address.to_owned() })]);
    let membership = Membership::new(vec![BTreeSet::from([node])], members);
    SnapshotMeta {
        last_log_id: Some(last),
        last_membership: StoredMembership::new(Some(last), membership),
        snapshot_id: format!("recovered-{node:016x}"),
    }
}
