//! What an error of etcd means for us: ask elsewhere, log in again, or accept it as the answer.

use tonic::{Code, Status};

use super::rpc::is_unsent;

/// What to do about a failed call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sorted {
    /// This node cannot serve us now; the request was not carried out.
    Elsewhere,
    /// No clear answer: it may have been carried out.
    Unclear,
    /// Our token is missing, old or unknown.
    LogIn,
    /// The store has answered: this is it.
    Said,
}

pub fn sort(status: &Status) -> Sorted {
    let says = |text: &str| status.message().contains(text);
    if is_unsent(status) || NOT_CARRIED_OUT.iter().any(|text| says(text)) {
        return Sorted::Elsewhere;
    }
    if NEEDS_LOGIN.iter().any(|text| says(text)) {
        return Sorted::LogIn;
    }
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Sorted::LogIn,
        Code::NotFound
        | Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::AlreadyExists
        | Code::OutOfRange
        | Code::ResourceExhausted
        | Code::Unimplemented
        | Code::DataLoss => Sorted::Said,
        Code::Ok | Code::Cancelled | Code::Unknown | Code::DeadlineExceeded | Code::Aborted => Sorted::Unclear,
        Code::Internal | Code::Unavailable => Sorted::Unclear,
    }
}

/// The lease under which we wanted to write is gone; nothing was written.
pub fn is_lease_lost(status: &Status) -> bool {
    status.message().contains("requested lease not found")
}

/// etcd's own words for the operator, and what to do about them where that is known.
pub fn words(status: &Status) -> String {
    let words = status.message().trim_start_matches("etcdserver: ");
    if words.contains("database space exceeded") {
        return format!("etcd answered: {words}; compact and defragment it, then disarm its NOSPACE alarm");
    }
    format!("etcd answered: {words}")
}

/// The server runs without users; a password is not needed.
pub fn is_auth_off(status: &Status) -> bool {
    status.message().contains("authentication is not enabled")
}

/// Said before anything was proposed to the raft group.
const NOT_CARRIED_OUT: [&str; 5] = [
    "etcdserver: no leader",
    "etcdserver: too many requests",
    "etcdserver: rpc not supported for learner",
    "etcdserver: not capable",
    "not a primary lessor",
];

/// dcs-layout.md 9.2, "Token".
const NEEDS_LOGIN: [&str; 4] =
    ["user name is empty", "permission denied", "invalid auth token", "revision of auth store is old"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_what_to_do() {
        let cases = [
            (Code::Unavailable, "etcdserver: no leader", Sorted::Elsewhere),
            (Code::Unknown, "lease: not a primary lessor", Sorted::Elsewhere),
            (Code::Unavailable, "etcdserver: request timed out", Sorted::Unclear),
            (Code::Unavailable, "connection reset", Sorted::Unclear),
            (Code::InvalidArgument, "etcdserver: user name is empty", Sorted::LogIn),
            (Code::InvalidArgument, "etcdserver: revision of auth store is old", Sorted::LogIn),
            (Code::Unauthenticated, "etcdserver: invalid auth token", Sorted::LogIn),
            (Code::PermissionDenied, "etcdserver: permission denied", Sorted::LogIn),
            (Code::NotFound, "etcdserver: requested lease not found", Sorted::Said),
            (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded", Sorted::Said),
            (Code::ResourceExhausted, "etcdserver: too many requests", Sorted::Elsewhere),
        ];
        for (code, message, sorted) in cases {
            assert_eq!(sort(&Status::new(code, message)), sorted, "{message}");
        }
    }
}
