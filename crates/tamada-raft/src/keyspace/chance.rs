//! Logs made up by chance, carried out by the keyspace and by its model. Few keys and few leases, so that they meet.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::model::{Lease, Model};
use super::{Compacted, Keyspace};
use crate::codec;
use crate::txn::{
    Command, Compare, Delete, Expiry, Is, Keys, LeaseId, Op, Operand, Part, Previous, Put, Range, Revision, Txn, What,
};

fn settings() -> ProptestConfig {
    ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn the_keyspace_does_what_the_model_does(log in vec(entry(), 1..40), asked in vec(range(), 4)) {
        let (mut space, mut model) = (Keyspace::default(), Model::new());
        for (index, entry) in (1..).zip(&log) {
            let command = entry.command(&model);
            let applied = model.apply(index, &command);
            prop_assert_eq!(space.apply(index, &command), applied, "entry {}: {:?}", index, command);
            assert_alike(&space, &model, &asked)?;
        }
    }

    #[test]
    fn a_log_does_the_same_from_the_start_and_from_a_snapshot(log in vec(entry(), 1..40), taken_at in 0..40_usize) {
        let commands = commands(&log);
        let mut space = Keyspace::default();
        let mut restored = None;
        for (index, command) in (1..).zip(&commands) {
            if index as usize == taken_at {
                restored = Some(Keyspace::from_snapshot(&space.to_snapshot()).expect("we wrote it"));
            }
            let applied = space.apply(index, command);
            if let Some(restored) = &mut restored {
                prop_assert_eq!(restored.apply(index, command), applied);
                prop_assert_eq!(restored.to_snapshot(), space.to_snapshot());
            }
        }
        prop_assert_eq!(Keyspace::from_snapshot(&space.to_snapshot()), Ok(space));
    }

    #[test]
    fn what_is_written_is_read_again(log in vec(entry(), 1..20)) {
        let mut space = Keyspace::default();
        for (index, command) in (1..).zip(commands(&log)) {
            let applied = space.apply(index, &command);
            prop_assert_eq!(codec::decode_command(&codec::encode_command(&command)), Ok(command));
            prop_assert_eq!(codec::decode_outcome(&codec::encode_outcome(&applied.outcome)), Ok(applied.outcome));
            for change in applied.changes {
                prop_assert_eq!(codec::decode_change(&codec::encode_change(&change)), Ok(change));
            }
        }
    }
}

fn assert_alike(space: &Keyspace, model: &Model, asked: &[Range]) -> Result<(), TestCaseError> {
    prop_assert_eq!(space.revision(), model.revision());
    prop_assert_eq!(space.cluster(), model.cluster);
    prop_assert_eq!(space.invited(), &model.invited);
    for range in asked {
        prop_assert_eq!(space.range(range), model.range(range));
        let from = range.at.unwrap_or_default();
        let since = model.changes_since(&range.keys, from).ok_or(Compacted { oldest: model.oldest });
        prop_assert_eq!(space.changes_since(&range.keys, from), since);
    }
    let mut leases = model.leases.clone();
    leases.sort_by_key(|lease| lease.id);
    let found: Vec<Lease> = space.leases().map(|l| Lease { id: l.id, ttl: l.ttl, renewed: l.renewed }).collect();
    prop_assert_eq!(found, leases);
    for lease in space.leases() {
        prop_assert_eq!(lease.keys, &model.keys_of(lease.id));
    }
    Ok(())
}

/// An entry of a log; whether a lease was renewed since it was judged is known only when its turn has come.
#[derive(Clone, Debug)]
enum Entry {
    Command(Command),
    Expire(BTreeSet<LeaseId>, Judged),
}

#[derive(Clone, Copy, Debug)]
enum Judged {
    Lately,
    BeforeItWasRenewed,
}

impl Entry {
    fn command(&self, model: &Model) -> Command {
        let renewed = |id: &LeaseId| model.leases.iter().find(|lease| lease.id == *id).map_or(0, |lease| lease.renewed);
        match self {
            Entry::Command(command) => command.clone(),
            Entry::Expire(leases, judged) => {
                let age = match judged {
                    Judged::Lately => 0,
                    Judged::BeforeItWasRenewed => 1,
                };
                let expiry = |id: &LeaseId| Expiry { lease: *id, renewed: renewed(id).saturating_sub(age) };
                Command::Expire(leases.iter().map(expiry).collect())
            }
        }
    }
}

fn commands(log: &[Entry]) -> Vec<Command> {
    let mut model = Model::new();
    let mut commands = Vec::new();
    for (index, entry) in (1..).zip(log) {
        let command = entry.command(&model);
        model.apply(index, &command);
        commands.push(command);
    }
    commands
}

fn entry() -> impl Strategy<Value = Entry> {
    let judged = prop_oneof![Just(Judged::Lately), Just(Judged::BeforeItWasRenewed)];
    let leases = proptest::collection::btree_set(1..4_i64, 1..3);
    prop_oneof![
        20 => txn().prop_map(|txn| Entry::Command(Command::Txn(txn))),
        4 => (leases, judged).prop_map(|(leases, judged)| Entry::Expire(leases, judged)),
        2 => revision().prop_map(|before| Entry::Command(Command::Compact(before))),
        1 => select(vec![7, 8]).prop_map(|cluster| Entry::Command(Command::Found { cluster })),
        1 => address().prop_map(|address| Entry::Command(Command::Invite { address })),
        1 => address().prop_map(|address| Entry::Command(Command::Disinvite { address })),
    ]
}

fn txn() -> impl Strategy<Value = Txn> {
    let nested = flat_txn(op().boxed());
    flat_txn(prop_oneof![5 => op(), 1 => nested.prop_map(Op::Txn)].boxed())
}

fn flat_txn(op: BoxedStrategy<Op>) -> impl Strategy<Value = Txn> {
    (vec(compare(), 0..2), vec(op.clone(), 0..4), vec(op, 0..2)).prop_map(|(when, then, otherwise)| Txn {
        when,
        then,
        otherwise,
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => range().prop_map(Op::Range),
        8 => put().prop_map(Op::Put),
        3 => (keys(), previous()).prop_map(|(keys, previous)| Op::Delete(Delete { keys, previous })),
        4 => (lease(), 1..9_u64).prop_map(|(id, seconds)| Op::Grant { id, ttl: Duration::from_secs(seconds) }),
        2 => lease().prop_map(Op::KeepAlive),
        1 => lease().prop_map(Op::Revoke),
    ]
}

fn put() -> impl Strategy<Value = Put> {
    let value = prop_oneof![6 => value().prop_map(What::Set), 1 => Just(What::Keep)];
    let lease = prop_oneof![3 => Just(What::Set(0)), 3 => lease().prop_map(What::Set), 1 => Just(What::Keep)];
    (key(), value, lease, previous()).prop_map(|(key, value, lease, previous)| Put { key, value, lease, previous })
}

fn range() -> impl Strategy<Value = Range> {
    let part = select(vec![Part::Whole, Part::Whole, Part::KeysOnly, Part::CountOnly]);
    (keys(), option::of(revision()), select(vec![0, 0, 1, 2]), part).prop_map(|(keys, at, limit, part)| Range {
        keys,
        at,
        limit,
        part,
    })
}

fn compare() -> impl Strategy<Value = Compare> {
    let is = select(vec![Is::Equal, Is::NotEqual, Is::Greater, Is::Less]);
    let to = prop_oneof![
        (0..3_u64).prop_map(Operand::Version),
        revision().prop_map(Operand::Created),
        revision().prop_map(Operand::Modified),
        value().prop_map(Operand::Value),
        (0..4_i64).prop_map(Operand::Lease),
    ];
    (keys(), is, to).prop_map(|(keys, is, to)| Compare { keys, is, to })
}

fn keys() -> impl Strategy<Value = Keys> {
    prop_oneof![
        4 => key().prop_map(Keys::One),
        1 => (key(), key()).prop_map(|(from, to)| Keys::Between(from, to)),
        1 => key().prop_map(Keys::From),
        1 => key().prop_map(|key| Keys::prefix(&key)),
    ]
}

fn key() -> impl Strategy<Value = Bytes> {
    select(vec!["a", "aa", "ab", "b", "c", "\u{ff}"]).prop_map(|key| Bytes::from_static(key.as_bytes()))
}

fn value() -> impl Strategy<Value = Bytes> {
    select(vec!["", "1", "2"]).prop_map(|value| Bytes::from_static(value.as_bytes()))
}

fn previous() -> impl Strategy<Value = Previous> {
    select(vec![Previous::Asked, Previous::Unasked])
}

fn lease() -> impl Strategy<Value = LeaseId> {
    1..4_i64
}

fn revision() -> impl Strategy<Value = Revision> {
    0..20_u64
}

fn address() -> impl Strategy<Value = String> {
    select(vec!["a:1", "b:1"]).prop_map(str::to_owned)
}
