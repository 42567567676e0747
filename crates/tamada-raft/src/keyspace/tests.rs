//! What takes numbers instead of words: limits, how much is remembered, and snapshots. The rest is in `cases`.

use prost::Message;

use super::*;
use crate::codec::{CodecError, RecordKind, open, seal};
use crate::txn::{Compare, Delete, Expiry, Is, Op, Operand, Part, Previous, Put, What};

const MIB: usize = 1024 * 1024;

/// A store, and the log it was made from.
#[derive(Default)]
struct Store {
    space: Keyspace,
    index: u64,
}

impl Store {
    fn apply(&mut self, command: Command) -> Applied {
        self.index += 1;
        self.space.apply(self.index, &command)
    }

    fn txn(&mut self, ops: Vec<Op>) -> Result<TxnReply, Refusal> {
        self.apply(Command::Txn(all(ops))).outcome.result
    }

    fn must(&mut self, ops: Vec<Op>) {
        assert!(self.txn(ops).is_ok());
    }

    /// Until nothing of a mebibyte fits any more.
    fn filled() -> Self {
        let mut store = Self::default();
        let mut name = 0;
        while store.txn(vec![put(&format!("big/{name}"), MIB)]).is_ok() {
            name += 1;
        }
        store
    }
}

fn all(ops: Vec<Op>) -> Txn {
    Txn { then: ops, ..Txn::default() }
}

fn put(key: &str, bytes: usize) -> Op {
    put_under(0, key, bytes)
}

fn put_under(lease: LeaseId, key: &str, bytes: usize) -> Op {
    let key = Bytes::copy_from_slice(key.as_bytes());
    let value = What::Set(Bytes::from(vec![b'.'; bytes]));
    Op::Put(Put { key, value, lease: What::Set(lease), previous: Previous::Unasked })
}

fn get(prefix: &str) -> Op {
    Op::Range(Range::of(Keys::prefix(prefix.as_bytes())))
}

fn grant(id: LeaseId) -> Op {
    Op::Grant { id, ttl: Duration::from_secs(5) }
}

fn nested(depth: usize) -> Txn {
    (1..depth).fold(Txn::default(), |inner, _| all(vec![Op::Txn(inner)]))
}

fn is_too_large(result: Result<impl std::fmt::Debug, Refusal>) -> bool {
    result.is_err_and(|refusal| matches!(refusal, Refusal::TooLarge(_)))
}

fn is_full(result: Result<impl std::fmt::Debug, Refusal>) -> bool {
    result.is_err_and(|refusal| matches!(refusal, Refusal::Full(_)))
}

#[test]
fn a_transaction_has_at_most_128_operations_and_comparisons() {
    assert_eq!(acceptable(&all(vec![get("a"); 128])), Ok(()));
    assert!(is_too_large(acceptable(&all(vec![get("a"); 129]))));
    assert!(is_too_large(acceptable(&Txn { otherwise: vec![get("a"); 129], ..Txn::default() })));
    let compare = Compare { keys: Keys::One(Bytes::new()), is: Is::Equal, to: Operand::Version(0) };
    assert!(is_too_large(acceptable(&Txn { when: vec![compare; 129], ..Txn::default() })));
}

#[test]
fn nested_transactions_are_counted_together() {
    let inner = Op::Txn(all(vec![get("a"); 100]));
    assert_eq!(acceptable(&all(vec![inner.clone(); 10])), Ok(()));
    assert!(is_too_large(acceptable(&all(vec![inner; 11]))));
}

#[test]
fn transactions_are_nested_at_most_8_deep() {
    assert_eq!(acceptable(&nested(8)), Ok(()));
    assert!(is_too_large(acceptable(&nested(9))));
    assert!(is_too_large(acceptable(&nested(200))));
}

#[test]
fn a_transaction_has_at_most_one_and_a_half_mebibytes() {
    let half = MIB / 2;
    assert_eq!(acceptable(&all(vec![put("a", half), put("b", half), put("c", half - 3)])), Ok(()));
    assert!(is_too_large(acceptable(&all(vec![put("a", half), put("b", half), put("c", half - 2)]))));
    let inner = Txn { otherwise: vec![put("c", half)], ..Txn::default() };
    assert!(is_too_large(acceptable(&all(vec![put("a", half), put("b", half), Op::Txn(inner)]))));
}

#[test]
fn a_lease_is_not_longer_than_an_instant_can_bear() {
    let grant = |ttl| all(vec![Op::Grant { id: 1, ttl }]);
    assert_eq!(acceptable(&grant(Duration::from_secs(9_000_000_000))), Ok(()));
    assert!(is_too_large(acceptable(&grant(Duration::MAX))));
}

#[test]
fn what_is_not_acceptable_is_not_done() {
    let mut store = Store::default();
    assert!(is_too_large(store.txn(vec![put("a", 2 * MIB)])));
    assert_eq!(store.space, Keyspace::default());
}

#[test]
fn a_full_store_takes_what_makes_it_no_larger() {
    let mut store = Store::default();
    store.must(vec![grant(7), put_under(7, "small", 100)]);
    let big: Vec<String> = (0..40).map(|n| format!("big/{n}")).collect();
    let fitted = big.iter().take_while(|name| store.txn(vec![put(name, MIB)]).is_ok()).count();
    assert_eq!(fitted, 31, "32 MiB, with what the names and numbers take");
    let room = 32 * MIB as u64 - store.space.bytes();
    while store.txn(vec![put(&format!("small/{}", store.index), room as usize / 100)]).is_ok() {}

    assert!(is_full(store.txn(vec![put("small", room as usize)])));
    assert!(is_full(store.txn(vec![Op::KeepAlive(7), put("new", room as usize)])));
    store.must(vec![Op::KeepAlive(7)]);
    store.must(vec![put_under(7, "small", 100)]);
    store.must(vec![put_under(7, "small", 1)]);
    store.must(vec![Op::Delete(Delete { keys: Keys::One("big/0".into()), previous: Previous::Unasked })]);
    store.must(vec![put("big/0", MIB - 1000)]);
    store.must(vec![Op::Revoke(7)]);
    assert_eq!(store.space.lease(7), None);
}

#[test]
fn a_full_store_takes_a_large_key_for_another_one() {
    let mut store = Store::filled();
    assert!(is_full(store.txn(vec![put("another", MIB)])));
    let delete = Op::Delete(Delete { keys: Keys::One("big/3".into()), previous: Previous::Unasked });
    store.must(vec![delete, put("another", MIB)]);
}

#[test]
fn a_store_that_is_larger_than_it_may_be_can_be_made_smaller() {
    let most = 32 * MIB as u64;
    assert_eq!(limits::growth(most + 10, most + 10), Ok(()));
    assert_eq!(limits::growth(most + 10, most + 1), Ok(()));
    assert!(is_full(limits::growth(most + 10, most + 11)));
    assert_eq!(limits::growth(most - 10, most), Ok(()));
}

#[test]
fn leases_fill_a_store_as_keys_do() {
    let mut store = Store::filled();
    let mut granted = 0;
    while store.txn(vec![grant(0); 100]).is_ok() {
        granted += 100;
    }
    assert!((1_000..10_000).contains(&granted), "{granted} in less than a mebibyte");
    let leases: Vec<Expiry> = store.space.leases().map(|l| Expiry { lease: l.id, renewed: l.renewed }).collect();
    store.apply(Command::Expire(leases));
    store.must(vec![grant(0); 100]);
}

#[test]
fn an_answer_carries_everything_at_most_once() {
    let mut store = Store::filled();
    store.must(vec![get("big/")]);
    assert!(is_too_large(store.txn(vec![get("big/"), get("big/")])));
    let count = Op::Range(Range { part: Part::CountOnly, ..Range::of(Keys::prefix(b"big/")) });
    store.must(vec![get("big/"), count]);
    let delete = Op::Delete(Delete { keys: Keys::prefix(b"big/"), previous: Previous::Asked });
    assert!(is_too_large(store.txn(vec![get("big/"), delete.clone()])));
    store.must(vec![delete]);
}

#[test]
fn invitations_are_bounded() {
    let mut store = Store::default();
    let mut invite = |address: String| store.apply(Command::Invite { address }).outcome.result;
    for port in 1..=64 {
        assert!(invite(format!("host:{port}")).is_ok());
    }
    assert!(is_full(invite("host:65".into())));
    assert!(invite("host:64".into()).is_ok_and(|reply| !reply.held), "it is there already");
    assert!(is_too_large(invite("h".repeat(261))));
}

#[test]
fn the_last_thousand_revisions_are_remembered() {
    let mut store = Store::default();
    for _ in 2..=2_000 {
        store.must(vec![put("a", 1)]);
    }
    let since = |from| store.space.changes_since(&Keys::One("a".into()), from).map(|found| found.len());
    assert_eq!(since(1_001), Ok(1_000));
    assert_eq!(since(1_000), Err(Compacted { oldest: 1_001 }));
    let at = |at| store.space.range(&Range { at: Some(at), ..Range::of(Keys::One("a".into())) });
    assert_eq!(at(1_001).expect("it is remembered").kvs[0].version, 1_000);
    assert_eq!(at(1_000), Err(Refusal::Compacted { oldest: 1_001 }));
}

#[test]
fn large_changes_are_forgotten_sooner_but_never_the_newest() {
    let mut store = Store::default();
    let since = |store: &Store, from| store.space.changes_since(&Keys::prefix(b""), from).map(|found| found.len());
    for name in ["a", "b", "c"] {
        store.must(vec![put(name, MIB / 2 - 1000)]);
    }
    assert_eq!(since(&store, 3), Ok(2));
    assert_eq!(since(&store, 2), Err(Compacted { oldest: 3 }));
    store.must(vec![put("a", MIB)]);
    assert_eq!(since(&store, 5), Ok(1));
    assert_eq!(since(&store, 4), Err(Compacted { oldest: 5 }));
    store.must(vec![put("d", 1)]);
    assert_eq!(since(&store, 6), Ok(1), "it came after too much, which is gone");
}

#[test]
fn renewals_leave_nothing_behind() {
    let mut store = Store::default();
    store.must(vec![grant(7), put_under(7, "leader", 100)]);
    let before = store.space.to_snapshot();
    for _ in 0..10_000 {
        store.must(vec![Op::KeepAlive(7)]);
    }
    assert!(store.space.to_snapshot().len() <= before.len() + 8, "only the index of the last one has grown");
    assert_eq!(store.space.lease(7).map(|lease| lease.renewed), Some(10_001));
}

#[test]
fn a_key_does_not_hold_on_to_the_message_it_came_in() {
    let mut store = Store::default();
    let message = Bytes::from(vec![b'a'; MIB]);
    let value = What::Set(message.slice(10..20));
    let put = Put { key: message.slice(0..1), value, lease: What::Set(0), previous: Previous::Unasked };
    store.must(vec![Op::Put(put)]);
    assert!(message.is_unique());
}

#[test]
fn chosen_ids_are_positive_and_differ() {
    let mut store = Store::default();
    for _ in 0..1_000 {
        store.must(vec![grant(0), grant(0)]);
    }
    assert_eq!(store.space.leases().filter(|lease| lease.id > 0).count(), 2_000);
}

fn lived_in() -> Keyspace {
    let mut store = Store::default();
    store.apply(Command::Found { cluster: 99 });
    store.apply(Command::Invite { address: "b:2379".into() });
    store.must(vec![grant(7), put_under(7, "leader", 10), put("config", 20)]);
    store.must(vec![Op::KeepAlive(7), put("config", 30)]);
    store.must(vec![Op::Delete(Delete { keys: Keys::One("config".into()), previous: Previous::Unasked })]);
    store.must(vec![put("config", 40)]);
    store.apply(Command::Compact(3));
    store.space
}

#[test]
fn a_snapshot_holds_everything() {
    for space in [Keyspace::default(), lived_in()] {
        assert_eq!(Keyspace::from_snapshot(&space.to_snapshot()), Ok(space));
    }
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let snapshot = lived_in().to_snapshot();
    for place in 0..snapshot.len() {
        let mut damaged = snapshot.clone();
        damaged[place] ^= 1;
        assert!(matches!(Keyspace::from_snapshot(&damaged), Err(CodecError::Damaged(_))), "byte {place}");
        assert!(matches!(Keyspace::from_snapshot(&snapshot[..place]), Err(CodecError::Damaged(_))), "{place} bytes");
    }
}

#[test]
fn a_snapshot_of_a_newer_version_is_refused() {
    let newer = seal(RecordKind::Snapshot, 2, b"?");
    assert_eq!(Keyspace::from_snapshot(&newer), Err(CodecError::Newer { format: 2, known: 1 }));
    let snapshot = lived_in().to_snapshot();
    let (format, body) = open(RecordKind::Snapshot, 1, &snapshot).expect("we wrote it");
    let with_a_field_of_tomorrow = seal(RecordKind::Snapshot, format, &[body, &[0x78, 1]].concat());
    assert!(matches!(Keyspace::from_snapshot(&with_a_field_of_tomorrow), Err(CodecError::Unknown(_))));
}

#[test]
fn a_snapshot_that_contradicts_itself_is_refused() {
    use crate::codec::messages;
    let refused = |spoil: fn(&mut messages::State)| {
        let snapshot = lived_in().to_snapshot();
        let (format, body) = open(RecordKind::Snapshot, 1, &snapshot).expect("we wrote it");
        let mut state = messages::State::decode(body).expect("we wrote it");
        spoil(&mut state);
        let spoiled = seal(RecordKind::Snapshot, format, &state.encode_to_vec());
        matches!(Keyspace::from_snapshot(&spoiled), Err(CodecError::Garbled(_)))
    };
    assert!(!refused(|_| ()));
    assert!(refused(|state| state.leases.clear()), "a key has a lease that does not exist");
    assert!(refused(|state| state.leases[0].id = 0), "0 means no lease");
    assert!(refused(|state| state.leases.extend_from_within(..)), "a lease is there twice");
    assert!(refused(|state| state.keys.extend_from_within(..1)), "a key is there twice");
    assert!(refused(|state| drop(state.history.pop())), "the history ends too soon");
    assert!(refused(|state| state.revision = 0), "there is no revision 0");
    assert!(refused(|state| state.revision = u64::MAX), "there would be none after it");
    assert!(refused(|state| state.oldest = state.revision + 1), "nothing can be read at all");
}
