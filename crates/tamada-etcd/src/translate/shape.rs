//! The order and the choice of what a range shows. The store knows neither: it tells keys by name.
//!
//! 1. etcd cuts at the limit first if it may, which is when keys come in the order of their names and all of them
//!    count. It reads one more than asked, to know whether there are more.
//! 2. Otherwise it reads all, drops what lies outside of the revisions asked for, sorts, and then cuts.
//! 3. Sorting by anything but the name without saying in which direction counts as ascending, but is forgotten in the
//!    first step: then only what was read is sorted. Clients cannot want that, but they get it from etcd, too.

use std::cmp::Ordering;

use tamada_raft::{KeyValue, Part, RangeReply};

use super::signed;
use crate::messages::{RangeRequest, SortOrder, SortTarget};

/// How many keys to read.
pub fn limit(request: &RangeRequest) -> u64 {
    match u64::try_from(request.limit) {
        Ok(0) | Err(_) => 0,
        Ok(_) if reads_all(request) => 0,
        Ok(limit) => limit + 1,
    }
}

/// How much of each key to read.
pub fn part(request: &RangeRequest) -> Part {
    let sorts_by_value = request.sort_target() == SortTarget::Value;
    match (request.count_only, request.keys_only) {
        (true, _) => Part::CountOnly,
        (false, true) if !sorts_by_value => Part::KeysOnly,
        (false, _) => Part::Whole,
    }
}

/// What is shown of what was read, and whether there is more.
pub fn shown(request: &RangeRequest, read: RangeReply) -> (Vec<KeyValue>, bool) {
    let mut kvs = read.kvs;
    kvs.retain(|kv| is_wanted(request, kv));
    sort(request, &mut kvs);
    let limit = usize::try_from(request.limit).ok().filter(|limit| *limit != 0).unwrap_or(usize::MAX);
    let more = kvs.len() > limit;
    kvs.truncate(limit);
    if request.keys_only {
        kvs.iter_mut().for_each(|kv| kv.value.clear());
    }
    (kvs, more)
}

fn reads_all(request: &RangeRequest) -> bool {
    let chooses =
        [request.min_mod_revision, request.max_mod_revision, request.min_create_revision, request.max_create_revision];
    request.sort_order() != SortOrder::None || chooses.iter().any(|revision| *revision != 0)
}

fn is_wanted(request: &RangeRequest, kv: &KeyValue) -> bool {
    let within = |revision: u64, min: i64, max: i64| {
        let revision = signed(revision);
        (min == 0 || revision >= min) && (max == 0 || revision <= max)
    };
    within(kv.modified, request.min_mod_revision, request.max_mod_revision)
        && within(kv.created, request.min_create_revision, request.max_create_revision)
}

fn sort(request: &RangeRequest, kvs: &mut [KeyValue]) {
    let by: fn(&KeyValue, &KeyValue) -> Ordering = match request.sort_target() {
        SortTarget::Key => |a, b| a.key.cmp(&b.key),
        SortTarget::Version => |a, b| a.version.cmp(&b.version),
        SortTarget::Create => |a, b| a.created.cmp(&b.created),
        SortTarget::Mod => |a, b| a.modified.cmp(&b.modified),
        SortTarget::Value => |a, b| a.value.cmp(&b.value),
    };
    match request.sort_order() {
        SortOrder::None | SortOrder::Ascend => kvs.sort_by(by),
        SortOrder::Descend => kvs.sort_by(|a, b| by(b, a)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn kv(key: &str, modified: u64, value: &str) -> KeyValue {
        let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
        KeyValue { key, value, created: 1, modified, version: 1, lease: 0 }
    }

    fn three() -> RangeReply {
        RangeReply { kvs: vec![kv("a", 30, "y"), kv("b", 10, "x"), kv("c", 20, "z")], count: 3 }
    }

    #[track_caller]
    fn check(request: &RangeRequest, expected: &str) {
        let (kvs, more) = shown(request, three());
        let names: Vec<_> = kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key)).collect();
        assert_eq!(format!("{}{}", names.join(" "), if more { " …" } else { "" }), expected);
    }

    #[test]
    fn keys_come_by_name_unless_asked_otherwise() {
        let by = |target: SortTarget, order: SortOrder| RangeRequest {
            sort_target: target.into(),
            sort_order: order.into(),
            ..RangeRequest::default()
        };
        check(&RangeRequest::default(), "a b c");
        check(&by(SortTarget::Key, SortOrder::Descend), "c b a");
        check(&by(SortTarget::Mod, SortOrder::Ascend), "b c a");
        check(&by(SortTarget::Value, SortOrder::Descend), "c a b");
        check(&by(SortTarget::Mod, SortOrder::None), "b c a");
    }

    #[test]
    fn a_limit_cuts_what_is_sorted_and_says_so() {
        let request = RangeRequest { sort_target: SortTarget::Mod.into(), limit: 2, ..RangeRequest::default() };
        check(&request, "b c …");
        assert_eq!(limit(&request), 3);
        let descending = RangeRequest { sort_order: SortOrder::Descend.into(), ..request };
        check(&descending, "a c …");
        assert_eq!(limit(&descending), 0);
    }

    #[test]
    fn only_what_changed_between_two_revisions() {
        let request = RangeRequest { min_mod_revision: 15, max_mod_revision: 30, limit: 1, ..RangeRequest::default() };
        check(&request, "a …");
        assert_eq!(limit(&request), 0);
    }

    #[test]
    fn values_are_read_where_they_give_the_order() {
        let keys_only = RangeRequest { keys_only: true, ..RangeRequest::default() };
        assert_eq!(part(&keys_only), Part::KeysOnly);
        let by_value = RangeRequest { sort_target: SortTarget::Value.into(), ..keys_only };
        assert_eq!(part(&by_value), Part::Whole);
        let (kvs, _) = shown(&by_value, three());
        assert!(kvs[0].key == "b" && kvs[0].value.is_empty());
    }
}
