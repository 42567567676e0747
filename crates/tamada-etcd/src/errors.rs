//! Refusals in etcd's own words. Clients compare both the code and the text, so neither may be improved.

use tamada_raft::Refusal;
use tonic::{Code, Status};

/// One of etcd's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    pub code: Code,
    pub text: &'static str,
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Status::new(error.code, error.text)
    }
}

macro_rules! errors {
    ($($name:ident: $code:ident $text:literal;)*) => {
        $(pub const $name: Error = Error { code: Code::$code, text: $text };)*
    };
}

errors! {
    EMPTY_KEY: InvalidArgument "etcdserver: key is not provided";
    KEY_NOT_FOUND: InvalidArgument "etcdserver: key not found";
    VALUE_PROVIDED: InvalidArgument "etcdserver: value is provided";
    LEASE_PROVIDED: InvalidArgument "etcdserver: lease is provided";
    UNKNOWN_COMPARISON: InvalidArgument "etcdserver: unknown comparison in txn request";
    TOO_MANY_OPS: InvalidArgument "etcdserver: too many operations in txn request";
    DUPLICATE_KEY: InvalidArgument "etcdserver: duplicate key given in txn request";
    INVALID_SORT: InvalidArgument "etcdserver: invalid sort option";
    TOO_LARGE: InvalidArgument "etcdserver: request is too large";
    COMPACTED: OutOfRange "etcdserver: mvcc: required revision has been compacted";
    FUTURE_REVISION: OutOfRange "etcdserver: mvcc: required revision is a future revision";
    NO_SPACE: ResourceExhausted "etcdserver: mvcc: database space exceeded";
    LEASE_NOT_FOUND: NotFound "etcdserver: requested lease not found";
    LEASE_EXISTS: FailedPrecondition "etcdserver: lease already exists";
    LEASE_TOO_LONG: OutOfRange "etcdserver: too large lease TTL";
    USER_EMPTY: InvalidArgument "etcdserver: user name is empty";
    AUTH_FAILED: InvalidArgument "etcdserver: authentication failed, invalid user ID or password";
    AUTH_NOT_ENABLED: FailedPrecondition "etcdserver: authentication is not enabled";
    INVALID_TOKEN: Unauthenticated "etcdserver: invalid auth token";
    NO_LEADER: Unavailable "etcdserver: no leader";
    TIMED_OUT: Unavailable "etcdserver: request timed out";
    TOO_MANY_REQUESTS: ResourceExhausted "etcdserver: too many requests";
    STOPPED: Unavailable "etcdserver: server stopped";
    INCONSISTENT: Internal "the store answered something else than it was asked";
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::LeaseNotFound => LEASE_NOT_FOUND,
            Refusal::LeaseExists => LEASE_EXISTS,
            Refusal::KeyNotFound => KEY_NOT_FOUND,
            Refusal::DuplicateKey => DUPLICATE_KEY,
            Refusal::Compacted { .. } => COMPACTED,
            Refusal::FutureRevision { .. } => FUTURE_REVISION,
            Refusal::TooLarge(_) => TOO_LARGE,
            Refusal::Full(_) => NO_SPACE,
        }
    }
}
