//! Majorities that are lost, clients that are silent, and requests that are too much.

use std::time::Duration;

use tamada_etcd::messages::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

use crate::caller::Caller;
use crate::store::{Entrance, LIMIT, Store};

fn look() -> RangeRequest {
    RangeRequest { key: b"a".to_vec(), ..RangeRequest::default() }
}

fn put(value: Vec<u8>) -> PutRequest {
    PutRequest { key: b"a".to_vec(), value, ..PutRequest::default() }
}

async fn watch(caller: &Caller) -> Streaming<WatchResponse> {
    let create = WatchCreateRequest { key: b"a".to_vec(), ..WatchCreateRequest::default() };
    let order = WatchRequest { order: Some(WatchOrder::Create(create)) };
    let orders = futures_util::StreamExt::chain(
        futures_util::stream::iter([order]),
        futures_util::stream::pending::<WatchRequest>(),
    );
    let mut answers = caller.converse(WATCH_PATH, orders).await.expect("a stream");
    answers.message().await.expect("it is created").expect("it is created");
    answers
}

/// How the answers end.
async fn end(answers: &mut Streaming<WatchResponse>) -> Status {
    let ended = async {
        loop {
            if let Err(status) = answers.message().await {
                return status;
            }
        }
    };
    timeout(LIMIT, ended).await.expect("it ends")
}

#[tokio::test]
async fn a_voter_without_majority_says_so_and_serves_nobody() {
    let mut store = Store::new(3, Entrance::default()).await;
    let patient = store.caller(0).await;
    let careful = store.caller(0).await.with("hasleader", "true");
    patient.ask(put(b"1".to_vec())).await.expect("it is written");
    let mut told = watch(&careful).await;
    store.stop(1);
    store.stop(2);
    let status = end(&mut told).await;
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "etcdserver: no leader"));
    let status = careful.ask(look()).await.expect_err("it cannot know");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "etcdserver: no leader"));
    for serializable in [false, true] {
        let look = RangeRequest { serializable, ..look() };
        let status = timeout(LIMIT, patient.ask(look)).await.expect("an answer").expect_err("it cannot know");
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
    let status = timeout(LIMIT, patient.ask(put(b"2".to_vec()))).await.expect("an answer").expect_err("it cannot");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let health = timeout(LIMIT, get(&store, "/health")).await.expect("an answer");
    assert!(health.starts_with("HTTP/1.1 503") && health.contains("\"health\":\"false\""), "{health}");
}

#[tokio::test]
async fn a_process_without_a_voter_serves_what_the_voters_tell() {
    let store = Store::new(3, Entrance::default()).await;
    let (_endpoint, port) = store.endpoint_elsewhere().await;
    let caller = Caller::to(port).await.with("hasleader", "true");
    let mut told = watch(&caller).await;
    caller.ask(put(b"1".to_vec())).await.expect("it is written");
    let event = timeout(LIMIT, told.message()).await.expect("in time").expect("it goes on").expect("it goes on");
    assert_eq!(event.events.len(), 1);
    let found = caller.ask(look()).await.expect("it is read");
    assert_eq!(found.kvs[0].value, b"1");
    let header = found.header.expect("there is one");
    assert_eq!((header.revision, header.cluster_id, header.raft_term), (2, 0, 0), "zeros mean: not told");
    let members = caller.ask(MemberListRequest {}).await.expect("they are told").members;
    assert!(members.len() == 3 && members.iter().all(|member| member.client_urls.is_empty()), "{members:?}");
}

#[tokio::test]
async fn watches_end_with_their_endpoint() {
    let mut store = Store::new(1, Entrance::default()).await;
    let caller = store.caller(0).await;
    let mut told = watch(&caller).await;
    store.stop(0);
    end(&mut told).await;
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_and_the_next_one_served() {
    let store = Store::alone().await;
    let caller = store.caller(0).await;
    caller.ask(put(vec![b'x'; 1_500_000])).await.expect("it is written");
    let status = caller.ask(put(vec![b'x'; 1_600_000])).await.expect_err("too large");
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "etcdserver: request is too large"));
    caller.ask(put(vec![b'x'; 3_000_000])).await.expect_err("much too large");
    caller.ask(put(b"small".to_vec())).await.expect("it is written");
}

/// The answer to a plain request, as text.
async fn get(store: &Store, path: &str) -> String {
    ask_plainly(store, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
}

async fn ask_plainly(store: &Store, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", store.port(0))).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    timeout(LIMIT, stream.read_to_string(&mut answer)).await.expect("it answers in time").expect("text");
    answer
}

#[tokio::test]
async fn plain_http_tells_version_health_and_one_key() {
    let store = Store::alone().await;
    let key = b"/service/demo/leader".to_vec();
    let put = PutRequest { key, value: b"a".to_vec(), ..PutRequest::default() };
    store.caller(0).await.ask(put).await.expect("it is written");
    assert!(get(&store, "/version").await.ends_with("{\"etcdserver\":\"3.5.0\",\"etcdcluster\":\"3.5.0\"}\n"));
    assert!(get(&store, "/health").await.ends_with("{\"health\":\"true\",\"reason\":\"\"}\n"));
    let found = get(&store, "/v2/keys/service/demo/leader?quorum=true&recursive=false&sorted=false").await;
    assert!(found.starts_with("HTTP/1.1 200") && found.contains("x-etcd-index: 2"), "{found}");
    let node =
        r#"{"action":"get","node":{"key":"/service/demo/leader","value":"a","modifiedIndex":2,"createdIndex":2}}"#;
    assert!(found.ends_with(&format!("{node}\n")), "{found}");
    let missing = get(&store, "/v2/keys/service/none/leader").await;
    assert!(missing.starts_with("HTTP/1.1 404") && missing.contains("\"errorCode\":100"), "{missing}");
    for other in ["/metrics", "/v2/members", "/"] {
        let answer = get(&store, other).await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("gRPC"), "{answer}");
    }
}

#[tokio::test]
async fn one_key_by_plain_http_needs_the_password_where_there_is_one() {
    let store = Store::new(1, Entrance { password: Some("secret".into()), tls: None }).await;
    let ask = async |password: &str| {
        let head = "GET /v2/keys/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
        ask_plainly(&store, &format!("{head}{password}\r\n")).await
    };
    assert!(ask("").await.starts_with("HTTP/1.1 401"));
    // user:guess, user:secret
    assert!(ask("Authorization: Basic dXNlcjpndWVzcw==\r\n").await.starts_with("HTTP/1.1 401"));
    assert!(ask("Authorization: Basic dXNlcjpzZWNyZXQ=\r\n").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn silent_clients_are_few_and_do_not_stay() {
    let store = Store::alone().await;
    let mut silent = Vec::new();
    for _ in 0..250 {
        silent.push(TcpStream::connect(("127.0.0.1", store.port(0))).await.expect("it listens"));
    }
    let mut one_more = TcpStream::connect(("127.0.0.1", store.port(0))).await.expect("it listens");
    let sent_away = timeout(Duration::from_secs(5), one_more.read(&mut [0])).await;
    assert!(matches!(sent_away, Ok(Ok(0) | Err(_))), "there is no place for it");
    for stream in &mut silent {
        let closed = timeout(LIMIT, stream.read(&mut [0])).await.expect("it is closed in time");
        assert!(matches!(closed, Ok(0) | Err(_)));
    }
    store.caller(0).await.ask(look()).await.expect("there is a place again");
}
