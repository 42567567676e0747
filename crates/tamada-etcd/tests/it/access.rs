//! Who may ask: passwords, tokens, certificates.

use prost::Message;
use tamada_etcd::messages::*;
use tonic::Code;

use crate::caller::Caller;
use crate::store::{Entrance, Store};

async fn guarded(voters: usize) -> Store {
    Store::new(voters, Entrance { password: Some("secret".into()), tls: None }).await
}

fn look() -> RangeRequest {
    RangeRequest { key: b"a".to_vec(), ..RangeRequest::default() }
}

fn log_in(name: &str, password: &str) -> AuthenticateRequest {
    AuthenticateRequest { name: name.into(), password: password.into() }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, tonic::Status>, code: Code, text: &str) {
    let status = answer.expect_err("it is refused");
    assert_eq!((status.code(), status.message()), (code, text));
}

#[tokio::test]
async fn the_password_gives_a_token_that_every_voter_accepts() {
    let store = guarded(3).await;
    let token = store.caller(0).await.ask(log_in("anybody", "secret")).await.expect("the right password").token;
    for place in 0..3 {
        store.caller(place).await.with("token", &token).ask(look()).await.expect("it may look");
        // As clients that come through a gateway send it.
        store.caller(place).await.with("authorization", &token).ask(look()).await.expect("it may look");
    }
}

#[tokio::test]
async fn strangers_are_refused_in_the_words_that_make_clients_log_in() {
    let store = guarded(1).await;
    let stranger = store.caller(0).await;
    refused(stranger.ask(look()).await, Code::InvalidArgument, "etcdserver: user name is empty");
    let liar = store.caller(0).await.with("token", "1900000000.abcdef");
    refused(liar.ask(look()).await, Code::Unauthenticated, "etcdserver: invalid auth token");
    refused(stranger.ask(log_in("", "secret")).await, Code::InvalidArgument, "etcdserver: user name is empty");
    let wrong = "etcdserver: authentication failed, invalid user ID or password";
    refused(stranger.ask(log_in("root", "guess")).await, Code::InvalidArgument, wrong);
}

/// Everything but logging in.
#[tokio::test]
async fn no_call_is_open_to_strangers() {
    async fn is_closed<C: Call>(stranger: &Caller, question: C)
    where
        C::Answer: std::fmt::Debug,
    {
        refused(stranger.ask(question).await, Code::InvalidArgument, "etcdserver: user name is empty");
    }
    let store = guarded(1).await;
    let stranger = store.caller(0).await;
    is_closed(&stranger, look()).await;
    is_closed(&stranger, PutRequest::default()).await;
    is_closed(&stranger, DeleteRangeRequest::default()).await;
    is_closed(&stranger, TxnRequest::default()).await;
    is_closed(&stranger, CompactionRequest::default()).await;
    is_closed(&stranger, LeaseGrantRequest::default()).await;
    is_closed(&stranger, LeaseRevokeRequest::default()).await;
    is_closed(&stranger, LeaseKeepAliveRequest::default()).await;
    is_closed(&stranger, LeaseTimeToLiveRequest::default()).await;
    is_closed(&stranger, LeaseLeasesRequest::default()).await;
    is_closed(&stranger, MemberListRequest::default()).await;
    is_closed(&stranger, AlarmRequest::default()).await;
    is_closed(&stranger, StatusRequest::default()).await;
    let orders = futures_util::stream::iter([WatchRequest::default()]);
    let watch = stranger.converse::<_, WatchResponse>(WATCH_PATH, orders).await.map(|_| ());
    refused(watch, Code::InvalidArgument, "etcdserver: user name is empty");
}

#[tokio::test]
async fn where_there_is_no_password_clients_are_told_to_go_on_without() {
    let store = Store::alone().await;
    let caller = store.caller(0).await;
    let why = "etcdserver: authentication is not enabled";
    refused(caller.ask(log_in("root", "secret")).await, Code::FailedPrecondition, why);
    caller.with("token", "of before").ask(look()).await.expect("it may look");
}

#[derive(Clone, PartialEq, Message)]
struct Nothing {}

#[tokio::test]
async fn what_is_not_supported_is_refused_as_such() {
    let store = Store::alone().await;
    let caller = store.caller(0).await;
    for path in [
        "/etcdserverpb.Auth/AuthStatus",
        "/etcdserverpb.Auth/UserAdd",
        "/etcdserverpb.Cluster/MemberAdd",
        "/etcdserverpb.Cluster/MemberRemove",
        "/etcdserverpb.Maintenance/Defragment",
        "/etcdserverpb.Maintenance/Hash",
        "/etcdserverpb.Maintenance/HashKV",
        "/etcdserverpb.Maintenance/Snapshot",
        "/etcdserverpb.Maintenance/MoveLeader",
        "/v3electionpb.Election/Campaign",
        "/v3lockpb.Lock/Lock",
    ] {
        let status = caller.ask_at::<_, Nothing>(path, Nothing {}).await.expect_err("it is refused");
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
        assert!(status.message().contains(path) && status.message().contains("not supported"), "{status}");
    }
}
