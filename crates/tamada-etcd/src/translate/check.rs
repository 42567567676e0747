//! What etcd refuses about the form of a request, in the order in which it does: clients see the first complaint only.
//! The store itself refuses a key that is written twice.

use crate::errors::{EMPTY_KEY, Error, INVALID_SORT, KEY_NOT_FOUND, LEASE_PROVIDED, TOO_MANY_OPS, VALUE_PROVIDED};
use crate::messages::{
    DeleteRangeRequest, Operation, PutRequest, RangeRequest, RequestOp, SortOrder, SortTarget, TxnRequest,
};

/// Comparisons, or operations of one branch; those of nested transactions count too.
const OPS_MAX: usize = 128;

type Checked = Result<(), Error>;

pub fn range(request: &RangeRequest) -> Checked {
    refuse_if(request.key.is_empty(), EMPTY_KEY)?;
    let known = SortOrder::try_from(request.sort_order).is_ok() && SortTarget::try_from(request.sort_target).is_ok();
    refuse_if(!known, INVALID_SORT)
}

pub fn put(request: &PutRequest) -> Checked {
    refuse_if(request.key.is_empty(), EMPTY_KEY)?;
    refuse_if(request.ignore_value && !request.value.is_empty(), VALUE_PROVIDED)?;
    refuse_if(request.ignore_lease && request.lease != 0, LEASE_PROVIDED)
}

pub fn delete(request: &DeleteRangeRequest) -> Checked {
    refuse_if(request.key.is_empty(), EMPTY_KEY)
}

pub fn txn(request: &TxnRequest) -> Checked {
    parts(request, OPS_MAX)
}

fn parts(request: &TxnRequest, ops_max: usize) -> Checked {
    let ops = request.compare.len().max(request.success.len()).max(request.failure.len());
    refuse_if(ops > ops_max, TOO_MANY_OPS)?;
    refuse_if(request.compare.iter().any(|compare| compare.key.is_empty()), EMPTY_KEY)?;
    request.success.iter().chain(&request.failure).try_for_each(|op| part(op, ops_max - ops))
}

fn part(op: &RequestOp, ops_max: usize) -> Checked {
    match &op.request {
        Some(Operation::Range(request)) => range(request),
        Some(Operation::Put(request)) => put(request),
        Some(Operation::DeleteRange(request)) => delete(request),
        Some(Operation::Txn(request)) => parts(request, ops_max),
        None => Err(KEY_NOT_FOUND),
    }
}

fn refuse_if(condition: bool, error: Error) -> Checked {
    if condition { Err(error) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(request: Operation) -> RequestOp {
        RequestOp { request: Some(request) }
    }

    fn put_of(key: &str) -> RequestOp {
        op(Operation::Put(PutRequest { key: key.into(), ..PutRequest::default() }))
    }

    fn txn_of(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> TxnRequest {
        TxnRequest { compare: Vec::new(), success, failure }
    }

    fn nested(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
        op(Operation::Txn(txn_of(success, failure)))
    }

    #[test]
    fn a_transaction_is_bounded_with_all_that_is_nested_in_it() {
        let puts = |n: usize| (0..n).map(|i| put_of(&format!("k{i}"))).collect::<Vec<_>>();
        assert_eq!(txn(&txn_of(puts(128), vec![])), Ok(()));
        assert_eq!(txn(&txn_of(puts(129), vec![])), Err(TOO_MANY_OPS));
        assert_eq!(txn(&txn_of(vec![nested(puts(127), vec![])], vec![])), Ok(()));
        assert_eq!(txn(&txn_of(vec![nested(puts(128), vec![])], vec![])), Err(TOO_MANY_OPS));
    }

    #[test]
    fn every_part_needs_a_key() {
        assert_eq!(range(&RangeRequest::default()), Err(EMPTY_KEY));
        assert_eq!(txn(&txn_of(vec![put_of("")], vec![])), Err(EMPTY_KEY));
        assert_eq!(txn(&txn_of(vec![RequestOp { request: None }], vec![])), Err(KEY_NOT_FOUND));
    }

    #[test]
    fn what_shall_be_kept_is_not_given() {
        let put = |ignore_value, ignore_lease| PutRequest {
            key: b"a".to_vec(),
            value: b"v".to_vec(),
            lease: 7,
            ignore_value,
            ignore_lease,
            prev_kv: false,
        };
        assert_eq!(super::put(&put(true, false)), Err(VALUE_PROVIDED));
        assert_eq!(super::put(&put(false, true)), Err(LEASE_PROVIDED));
    }
}
