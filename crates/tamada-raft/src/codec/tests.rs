//! What is written is read again, whatever it is; what is not understood is an error, and no bytes make a panic.

use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::keyspace::Keyspace;
use crate::txn::Txn;
use crate::txn::{
    ChangeKind, Compare, Delete, Expiry, Is, KeyValue, Keys, Op, OpReply, Operand, Part, Previous, Put, TxnReply, What,
};

const FAR: Duration = Duration::new(u64::MAX, 999_999_999);

fn key() -> Keys {
    Keys::One("/service/demo/leader".into())
}

fn txn(ops: Vec<Op>) -> Command {
    Command::Txn(Txn { then: ops, ..Txn::default() })
}

/// Every kind of everything, with the least and the greatest of each.
fn commands() -> Vec<Command> {
    let between = Keys::Between("a".into(), Bytes::new());
    let compare = |keys: &Keys, is, to| Compare { keys: keys.clone(), is, to };
    let when = vec![
        compare(&key(), Is::Equal, Operand::Version(0)),
        compare(&between, Is::NotEqual, Operand::Created(u64::MAX)),
        compare(&Keys::From(Bytes::new()), Is::Greater, Operand::Modified(1)),
        compare(&key(), Is::Less, Operand::Value(Bytes::new())),
        compare(&key(), Is::Equal, Operand::Lease(i64::MIN)),
    ];
    let put = |value, lease, previous| Op::Put(Put { key: "k".into(), value, lease, previous });
    let range = |at, limit, part| Op::Range(Range { keys: between.clone(), at, limit, part });
    let ops = vec![
        range(None, 0, Part::Whole),
        range(Some(0), u64::MAX, Part::KeysOnly),
        range(Some(u64::MAX), 1, Part::CountOnly),
        put(What::Keep, What::Keep, Previous::Unasked),
        put(What::Set(Bytes::new()), What::Set(0), Previous::Asked),
        put(What::Set(vec![0, 255].into()), What::Set(i64::MAX), Previous::Asked),
        Op::Delete(Delete { keys: Keys::One(Bytes::new()), previous: Previous::Asked }),
        Op::Delete(Delete { keys: between.clone(), previous: Previous::Unasked }),
        Op::Txn(Txn { otherwise: vec![Op::Txn(Txn::default())], ..Txn::default() }),
        Op::Grant { id: 0, ttl: Duration::ZERO },
        Op::Grant { id: i64::MIN, ttl: FAR },
        Op::KeepAlive(0),
        Op::Revoke(i64::MAX),
    ];
    vec![
        Command::Txn(Txn { when, then: ops.clone(), otherwise: ops }),
        Command::Txn(Txn::default()),
        Command::Expire(Vec::new()),
        Command::Expire(vec![Expiry { lease: i64::MIN, renewed: u64::MAX }, Expiry { lease: 0, renewed: 0 }]),
        Command::Compact(0),
        Command::Compact(u64::MAX),
        Command::Found { cluster: 0 },
        Command::Found { cluster: u64::MAX },
        Command::Invite { address: String::new() },
        Command::Disinvite { address: "büro:2379".into() },
    ]
}

fn kv() -> KeyValue {
    let (created, modified) = (u64::MAX, 0);
    KeyValue { key: "k".into(), value: vec![0, 255].into(), created, modified, version: 1, lease: i64::MIN }
}

fn outcomes() -> Vec<Outcome> {
    let replies = vec![
        OpReply::Range(RangeReply::default()),
        OpReply::Range(RangeReply { kvs: vec![kv(), kv()], count: u64::MAX }),
        OpReply::Put { previous: None },
        OpReply::Put { previous: Some(kv()) },
        OpReply::Delete { count: 0, previous: Vec::new() },
        OpReply::Delete { count: 1, previous: vec![kv()] },
        OpReply::Txn(TxnReply { held: false, replies: vec![OpReply::Put { previous: None }] }),
        OpReply::Lease { id: 0, ttl: FAR },
    ];
    let refusals = [
        Refusal::LeaseNotFound,
        Refusal::LeaseExists,
        Refusal::KeyNotFound,
        Refusal::DuplicateKey,
        Refusal::Compacted { oldest: 0 },
        Refusal::FutureRevision { newest: u64::MAX },
        Refusal::TooLarge("it is".into()),
        Refusal::Full(String::new()),
    ];
    let results = [Ok(TxnReply { held: true, replies }), Ok(TxnReply { held: false, replies: Vec::new() })];
    let results = results.into_iter().chain(refusals.into_iter().map(Err));
    results.map(|result| Outcome { revision: 1, result }).collect()
}

#[test]
fn each_command_is_read_as_it_was_written() {
    for command in commands() {
        assert_eq!(decode_command(&encode_command(&command)), Ok(command));
    }
}

#[test]
fn each_outcome_is_read_as_it_was_written() {
    for outcome in outcomes() {
        assert_eq!(decode_outcome(&encode_outcome(&outcome)), Ok(outcome));
    }
}

#[test]
fn what_stands_alone_is_read_as_it_was_written() {
    let lease = LeaseView { id: i64::MIN, ttl: FAR, left: Duration::ZERO, keys: vec!["a".into(), Bytes::new()] };
    assert_eq!(decode_lease_view(&encode_lease_view(&lease)), Ok(lease));
    let range = Range { at: Some(0), ..Range::of(key()) };
    assert_eq!(decode_range(&encode_range(&range)), Ok(range));
    let reply = RangeReply { kvs: vec![kv()], count: 1 };
    assert_eq!(decode_range_reply(&encode_range_reply(&reply)), Ok(reply));
    let refusal = Refusal::Full("32 MiB".into());
    assert_eq!(decode_refusal(&encode_refusal(&refusal)), Ok(refusal));
    for change in [ChangeKind::Put, ChangeKind::Delete].map(|kind| Change { now: kv(), kind, previous: None }) {
        assert_eq!(decode_change(&encode_change(&change)), Ok(change));
    }
}

#[test]
fn a_renewal_is_small() {
    let lease = i64::MAX;
    assert!(encode_command(&txn(vec![Op::KeepAlive(lease)])).len() < 20);
    let compare = Compare { keys: key(), is: Is::Equal, to: Operand::Lease(lease) };
    let mine = Txn { when: vec![compare], then: vec![Op::KeepAlive(lease)], otherwise: Vec::new() };
    assert!(encode_command(&Command::Txn(mine)).len() < 40 + "/service/demo/leader".len());
    assert!(encode_command(&Command::Expire(vec![Expiry { lease, renewed: 1 << 40 }])).len() < 40);
    let renewed =
        TxnReply { held: true, replies: vec![OpReply::Lease { id: lease, ttl: Duration::from_millis(1500) }] };
    assert!(encode_outcome(&Outcome { revision: 1 << 40, result: Ok(renewed) }).len() < 40);
}

/// `format1.txt` is what the first version wrote. If this fails, give what is new a new number, and leave the file.
#[test]
fn what_was_once_written_stays_readable() {
    let mut written = include_str!("format1.txt").lines().filter(|line| !line.starts_with('#'));
    for command in commands() {
        assert_eq!(written.next(), Some(hex(&encode_command(&command)).as_str()), "{command:?}");
    }
    for outcome in outcomes() {
        assert_eq!(written.next(), Some(hex(&encode_outcome(&outcome)).as_str()), "{outcome:?}");
    }
    assert_eq!(written.next(), Some(hex(&a_snapshot()).as_str()), "a snapshot");
    assert_eq!(written.next(), None);
}

/// With at least one of everything that a snapshot may hold.
fn a_snapshot() -> Vec<u8> {
    let mut space = Keyspace::default();
    let put = |lease, value: &'static str| {
        let value = What::Set(value.into());
        Op::Put(Put { key: "leader".into(), value, lease: What::Set(lease), previous: Previous::Unasked })
    };
    let log = [
        Command::Found { cluster: 4711 },
        Command::Invite { address: "b:2379".into() },
        txn(vec![Op::Grant { id: 7, ttl: Duration::from_millis(1500) }, put(7, "a")]),
        txn(vec![Op::Delete(Delete { keys: Keys::One("leader".into()), previous: Previous::Unasked })]),
        txn(vec![Op::KeepAlive(7), put(7, "b")]),
        Command::Compact(2),
    ];
    for (index, command) in (1..).zip(&log) {
        space.apply(index, command);
    }
    space.to_snapshot()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A field that no version has used yet.
const OF_TOMORROW: &[u8] = &[0x7a, 1, b'?'];

fn with_tomorrow(bytes: Vec<u8>) -> Vec<u8> {
    [bytes.as_slice(), OF_TOMORROW].concat()
}

#[test]
fn a_command_with_something_unknown_is_an_error() {
    for command in commands() {
        assert_eq!(decode_command(&with_tomorrow(encode_command(&command))), Err(CodecError::Unknown("a part of it")));
    }
    assert_eq!(decode_command(OF_TOMORROW), Err(CodecError::Unknown("a part of it")));
    assert_eq!(decode_command(&[]), Err(CodecError::Unknown("the kind of command")));
}

#[test]
fn so_is_something_unknown_deep_inside_of_it() {
    let inside = |op: &[u8]| {
        let txn = [&[0x12, op.len() as u8], op].concat();
        decode_command(&[&[0x0a, txn.len() as u8], txn.as_slice()].concat())
    };
    assert_eq!(inside(&[0x30, 7]), Ok(self::txn(vec![Op::KeepAlive(7)])));
    assert_eq!(inside(OF_TOMORROW), Err(CodecError::Unknown("a part of it")));
    assert_eq!(inside(&[]), Err(CodecError::Unknown("the kind of operation")));
    let part_of_tomorrow = [0x0a, 5, 0x0a, 1, b'a', 0x30, 3];
    assert_eq!(inside(&part_of_tomorrow), Err(CodecError::Unknown("a part of a key")));
}

#[test]
fn a_fraction_of_a_second_is_less_than_a_second() {
    let time = |nanos| duration(Some(messages::Time { seconds: u64::MAX, nanos }));
    assert_eq!(time(999_999_999), Ok(FAR));
    assert!(matches!(time(1_000_000_000), Err(CodecError::Garbled(_))));
}

#[test]
fn an_answer_may_tell_more_than_is_known() {
    for outcome in outcomes() {
        assert_eq!(decode_outcome(&with_tomorrow(encode_outcome(&outcome))), Ok(outcome));
    }
    let refused_for_a_reason_of_tomorrow = [0x1a, 2, 0x08, 99];
    assert_eq!(decode_outcome(&refused_for_a_reason_of_tomorrow), Err(CodecError::Unknown("why it was refused")));
}

#[test]
fn no_depth_of_nesting_overflows_the_stack() {
    let deep = (0..5_000).fold(Vec::new(), |inner: Vec<u8>, depth| {
        let mut outer = vec![if depth % 2 == 0 { 0x12 } else { 0x22 }];
        prost::encoding::encode_varint(inner.len() as u64, &mut outer);
        outer.extend(inner);
        outer
    });
    // A transaction stands in a command as its first field.
    let mut command = vec![0x0a];
    prost::encoding::encode_varint(deep.len() as u64, &mut command);
    command.extend(deep);
    assert!(decode_command(&command).is_err());
}

#[test]
fn a_record_is_what_was_sealed() {
    let record = seal(RecordKind::Vote, 3, b"body");
    assert_eq!(open(RecordKind::Vote, 3, &record), Ok((3, b"body".as_slice())));
    assert_eq!(open(RecordKind::Vote, 4, &record), Ok((3, b"body".as_slice())));
    assert_eq!(open(RecordKind::Vote, 2, &record), Err(CodecError::Newer { format: 3, known: 2 }));
    assert!(matches!(open(RecordKind::Entry, 3, &record), Err(CodecError::Damaged(_))));
    assert_eq!(open(RecordKind::Entry, 1, &seal(RecordKind::Entry, 0, b"")), Ok((0, b"".as_slice())));
}

#[test]
fn each_changed_bit_and_each_missing_byte_of_a_record_is_noticed() {
    let record = seal(RecordKind::Entry, 1, b"some body");
    for place in 0..record.len() {
        assert!(matches!(open(RecordKind::Entry, 1, &record[..place]), Err(CodecError::Damaged(_))));
        for bit in 0..8 {
            let mut damaged = record.clone();
            damaged[place] ^= 1 << bit;
            assert!(matches!(open(RecordKind::Entry, 1, &damaged), Err(CodecError::Damaged(_))));
        }
    }
}

/// Whether it can be read does not matter, as long as whoever tries lives to tell.
fn read_as_everything(bytes: &[u8]) {
    drop(open(RecordKind::Snapshot, 1, bytes));
    drop(decode_command(bytes));
    drop(decode_range(bytes));
    drop(decode_outcome(bytes));
    drop(decode_range_reply(bytes));
    drop(decode_change(bytes));
    drop(decode_lease_view(bytes));
    drop(decode_refusal(bytes));
    drop(Keyspace::from_snapshot(bytes));
    drop(Keyspace::from_snapshot(&seal(RecordKind::Snapshot, 1, bytes)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn no_damage_makes_a_panic(which in 0..100_usize, place in any::<usize>(), byte in any::<u8>()) {
        let written: Vec<Vec<u8>> =
            commands().iter().map(encode_command).chain(outcomes().iter().map(encode_outcome)).collect();
        let mut bytes = written[which % written.len()].clone();
        if let Some(spoiled) = place.checked_rem(bytes.len()) {
            bytes[spoiled] = byte;
        }
        read_as_everything(&bytes);
    }

    #[test]
    fn what_can_be_read_is_written_again_as_it_was(bytes in vec(any::<u8>(), 0..30)) {
        if let Ok(command) = decode_command(&bytes) {
            prop_assert_eq!(decode_command(&encode_command(&command)), Ok(command));
        }
    }
}
