//! Whatever is sent arrives as it was, and whatever arrives does no harm.

use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{CommittedLeaderId, EntryPayload, LogId, Snapshot, Vote};
use proptest::prelude::*;

use super::super::message::*;
use super::super::{
    Backing, Batch, Canvass, Entry, Membership, Place, SnapshotMeta, StoredMembership, TypeConfig, entry,
};
use super::cluster::put;
use crate::Command;

fn position() -> impl Strategy<Value = LogId<u64>> {
    (any::<u64>(), any::<u64>(), 0..u64::MAX - 1000)
        .prop_map(|(term, node, index)| LogId::new(CommittedLeaderId::new(term, node), index))
}

fn vote() -> impl Strategy<Value = Vote<u64>> {
    (any::<u64>(), any::<u64>(), any::<bool>())
        .prop_map(|(term, node, committed)| Vote { committed, ..Vote::new(term, node) })
}

fn membership() -> impl Strategy<Value = Membership> {
    let voters = prop::collection::vec(prop::collection::btree_set(0..9u64, 0..5), 0..3);
    let members =
        prop::collection::btree_map(0..9u64, "[a-z]{1,9}:[0-9]{1,5}".prop_map(|address| Place { address }), 0..9);
    (voters, members).prop_map(|(voters, members)| Membership::new(voters, members))
}

fn payload() -> impl Strategy<Value = EntryPayload<TypeConfig>> {
    let command = prop_oneof![
        "[a-z]{0,9}".prop_map(|key| put(&key, "value")),
        any::<u64>().prop_map(|cluster| Command::Found { cluster }),
    ];
    prop_oneof![
        Just(EntryPayload::Blank),
        prop::collection::vec(command, 0..4).prop_map(|commands| EntryPayload::Normal(Batch(commands))),
        membership().prop_map(EntryPayload::Membership),
    ]
}

fn append() -> impl Strategy<Value = AppendEntriesRequest<TypeConfig>> {
    let before = prop::option::of(position());
    (vote(), before, prop::collection::vec(payload(), 0..5), prop::option::of(position())).prop_map(
        |(vote, prev_log_id, payloads, leader_commit)| {
            let first = prev_log_id.map_or(0, |before| before.index + 1);
            let entry = |(index, payload)| Entry { log_id: LogId::new(vote.leader_id, index), payload };
            AppendEntriesRequest {
                vote,
                prev_log_id,
                entries: (first..).zip(payloads).map(entry).collect(),
                leader_commit,
            }
        },
    )
}

fn snapshot() -> impl Strategy<Value = Snapshot<TypeConfig>> {
    (prop::option::of(position()), prop::option::of(position()), membership(), any::<Vec<u8>>()).prop_map(
        |(last_log_id, at, membership, content)| {
            let last_membership = StoredMembership::new(at, membership);
            let meta = SnapshotMeta { last_log_id, last_membership, snapshot_id: "id".to_owned() };
            Snapshot { meta, snapshot: Box::new(Bytes::from(content)) }
        },
    )
}

fn appended() -> impl Strategy<Value = AppendEntriesResponse<u64>> {
    (0..4, prop::option::of(position()), vote()).prop_map(|(kind, upto, vote)| match kind {
        0 => AppendEntriesResponse::Success,
        1 => AppendEntriesResponse::PartialSuccess(upto),
        2 => AppendEntriesResponse::Conflict,
        _ => AppendEntriesResponse::HigherVote(vote),
    })
}

/// All readers. None of them may panic.
fn read_everything(bytes: &[u8]) {
    let _ = append_from_bytes(bytes);
    let _ = append_answer_from_bytes(bytes);
    let _ = vote_from_bytes(bytes);
    let _ = vote_answer_from_bytes(bytes);
    let _ = canvass_from_bytes(bytes);
    let _ = canvass_answer_from_bytes(bytes);
    let _ = snapshot_from_bytes(bytes);
    let _ = snapshot_answer_from_bytes(bytes);
    let _ = entry::from_bytes(bytes);
    let _ = entry::vote_from_bytes(bytes);
    let _ = entry::position_from_bytes(bytes);
    let _ = entry::snapshot_from_bytes(bytes);
}

proptest! {
    #[test]
    fn entries_and_their_answers_arrive(request in append(), answer in appended()) {
        for backing in [Backing::Majority, Backing::Lost] {
            let arrived = append_from_bytes(&append_to_bytes(7, backing, &request)).unwrap();
            prop_assert_eq!(format!("{arrived:?}"), format!("{:?}", (7, backing, &request)));
        }
        prop_assert_eq!(append_answer_from_bytes(&append_answer_to_bytes(&answer)).unwrap(), answer);
    }

    #[test]
    fn votes_and_their_answers_arrive(vote in vote(), last in prop::option::of(position()), granted: bool) {
        let request = VoteRequest::new(vote, last);
        prop_assert_eq!(vote_from_bytes(&vote_to_bytes(7, &request)).unwrap(), (7, request));
        let answer = VoteResponse::new(vote, last, granted);
        prop_assert_eq!(vote_answer_from_bytes(&vote_answer_to_bytes(&answer)).unwrap(), answer);
        let canvass = Canvass { last };
        prop_assert_eq!(canvass_from_bytes(&canvass_to_bytes(7, &canvass)).unwrap(), (7, canvass));
        prop_assert_eq!(canvass_answer_from_bytes(&canvass_answer_to_bytes(granted)).unwrap(), granted);
    }

    #[test]
    fn snapshots_and_their_answers_arrive(sender in vote(), snapshot in snapshot()) {
        let (to, vote, arrived) = snapshot_from_bytes(&snapshot_to_bytes(7, &sender, &snapshot)).unwrap();
        prop_assert_eq!((to, vote), (7, sender));
        prop_assert_eq!((arrived.meta, arrived.snapshot), (snapshot.meta, snapshot.snapshot));
        let answer = SnapshotResponse::new(sender);
        prop_assert_eq!(snapshot_answer_from_bytes(&snapshot_answer_to_bytes(&answer)).unwrap(), answer);
    }

    #[test]
    fn noise_does_no_harm(noise: Vec<u8>) {
        read_everything(&noise);
    }

    #[test]
    fn damaged_messages_do_no_harm(request in append(), snapshot in snapshot(), place: prop::sample::Index, bit in 0..8u8) {
        for mut bytes in [append_to_bytes(7, Backing::Majority, &request), snapshot_to_bytes(7, &request.vote, &snapshot)] {
            *place.get_mut(&mut bytes) ^= 1 << bit;
            read_everything(&bytes);
            bytes.truncate(place.index(bytes.len()));
            read_everything(&bytes);
        }
    }
}

#[test]
fn entries_with_a_gap_are_refused() {
    let at = |index| LogId::new(CommittedLeaderId::new(1, 1), index);
    let entry = |index| Entry { log_id: at(index), payload: EntryPayload::Blank };
    let request = |entries| AppendEntriesRequest {
        vote: Vote::new(1, 1),
        prev_log_id: Some(at(4)),
        entries,
        leader_commit: None,
    };
    let arrives = |entries| append_from_bytes(&append_to_bytes(7, Backing::Majority, &request(entries)));
    arrives(vec![entry(5), entry(6)]).unwrap();
    arrives(vec![entry(5), entry(7)]).unwrap_err();
    arrives(vec![entry(6)]).unwrap_err();
}

/// Something in it would have been passed over.
#[test]
fn an_entry_of_a_newer_version_is_refused() {
    let at = LogId::new(CommittedLeaderId::new(1, 1), 5);
    let mut bytes = entry::to_bytes(&Entry { log_id: at, payload: EntryPayload::Blank }).to_vec();
    entry::from_bytes(&bytes).unwrap();
    bytes.extend([0x78, 1]); // Field 15 is 1.
    entry::from_bytes(&bytes).unwrap_err();
}
