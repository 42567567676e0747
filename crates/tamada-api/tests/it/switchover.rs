//! Switchover and failover from the request to its end, with peers that answer (rest-api.md 8).

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tamada_model::{Cluster, FailoverRequest, Reply, Report, Request, Stamp, Stamped, Tags};
use tamada_wire::scene;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::desk::{Running, SOON, short, start};

/// a leads; b is a peer at the given address.
fn cluster(peer: &Running) -> Cluster {
    let url = format!("http://{}/patroni", peer.address);
    scene::cluster(&[
        ("leader", json!("a")),
        ("members/a", json!({"api_url": "http://127.0.0.1:1/patroni"})),
        ("members/b", json!({"api_url": url})),
        ("members/c", json!({"api_url": "http://127.0.0.1:1/patroni"})),
    ])
}

fn leading(cluster: Cluster) -> Report {
    Report { cluster: Some(Arc::new(cluster)), cluster_seen_at: Some(scene::now()), ..scene::leader() }
}

fn ask(server: &Running, path: &str, body: &str) -> JoinHandle<String> {
    let (address, length) = (server.address, body.len());
    let request = format!("POST {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}");
    tokio::spawn(async move {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.expect("it is open");
        short(&crate::desk::read_to_end(&mut stream).await.expect("an answer"))
    })
}

async fn end(asked: JoinHandle<String>) -> String {
    timeout(SOON, asked).await.expect("an answer").expect("no panic")
}

fn written(request: Request) -> FailoverRequest {
    match request {
        Request::SetFailover(request) => request,
        other => panic!("{other:?}"),
    }
}

/// The report that the agent would publish after reading this.
fn now_read(mut cluster: Cluster, leader: Option<&str>, request: Option<FailoverRequest>, after: Duration) -> Report {
    let stamped = |value| Stamped { stamp: Stamp::new("2"), value };
    cluster.leader = leader.map(|name| Stamped { stamp: Stamp::new("2"), value: name.into() });
    cluster.failover = request.map(stamped);
    Report { cluster_seen_at: Some(scene::now() + after), ..leading(cluster) }
}

#[tokio::test]
async fn a_switchover_is_answered_when_the_new_leader_is_seen() {
    let peer = start(scene::standby());
    let mut server = start(leading(cluster(&peer)));
    let asked = ask(&server, "/switchover", r#"{"leader": "a"}"#);
    let request = written(server.answer(Reply::text(200, "")).await);
    assert_eq!(request, FailoverRequest { leader: Some("a".into()), ..FailoverRequest::default() });
    let millis = Duration::from_millis;
    server.publish(now_read(cluster(&peer), Some("a"), Some(request.clone()), millis(10)));
    server.publish(now_read(cluster(&peer), None, Some(request.clone()), millis(20)));
    server.publish(now_read(cluster(&peer), Some("b"), Some(request), millis(30)));
    assert_eq!(end(asked).await, "200 Successfully switched over to \"b\"");
}

#[tokio::test]
async fn somebody_else_may_win_a_failover() {
    let peer = start(scene::standby());
    let mut server = start(leading(cluster(&peer)));
    let asked = ask(&server, "/failover", r#"{"candidate": "b"}"#);
    let request = written(server.answer(Reply::text(200, "")).await);
    assert_eq!((request.leader.as_ref(), request.candidate.as_ref()), (None, Some(&"b".into())));
    server.publish(now_read(cluster(&peer), Some("c"), None, Duration::from_millis(10)));
    assert_eq!(end(asked).await, "200 Failed over to \"c\" instead of \"b\"");
}

#[tokio::test]
async fn a_request_that_vanishes_has_failed() {
    let peer = start(scene::standby());
    let mut server = start(leading(cluster(&peer)));
    let asked = ask(&server, "/switchover", r#"{"leader": "a", "candidate": "b"}"#);
    let request = written(server.answer(Reply::text(200, "")).await);
    server.publish(now_read(cluster(&peer), Some("a"), Some(request), Duration::from_millis(10)));
    server.publish(now_read(cluster(&peer), Some("a"), None, Duration::from_secs(2)));
    assert_eq!(end(asked).await, "503 Switchover failed");
}

#[tokio::test]
async fn a_scheduled_switchover_asks_nobody_and_waits_for_nothing() {
    let peer = start(Report { watchdog_failed: true, ..scene::standby() });
    let mut server = start(leading(cluster(&peer)));
    let body = r#"{"leader": "a", "scheduled_at": "2030-01-01 00:00+00:00"}"#;
    let asked = ask(&server, "/switchover", body);
    let request = written(server.answer(Reply::text(200, "")).await);
    assert_eq!(request.scheduled_at.map(|at| at.text).as_deref(), Some("2030-01-01T00:00:00+00:00"));
    assert_eq!(end(asked).await, "202 Switchover scheduled");
}

#[tokio::test]
async fn a_write_that_fails_is_told() {
    let peer = start(scene::standby());
    let mut server = start(leading(cluster(&peer)));
    let asked = ask(&server, "/switchover", r#"{"leader": "a"}"#);
    server.answer(Reply::page(503)).await;
    assert_eq!(end(asked).await, "503 failed to write failover key into DCS");
}

#[tokio::test]
async fn nobody_good_to_take_over() {
    let none = "412 switchover is not possible: no good candidates have been found";
    let nofailover = Tags(scene::object(json!({"nofailover": true})));
    for peer in [
        start(Report { tags: nofailover, ..scene::standby() }),
        start(Report { watchdog_failed: true, ..scene::standby() }),
        start(Report { state: tamada_model::State::Stopped, ..scene::standby() }),
    ] {
        let server = start(leading(cluster(&peer)));
        assert_eq!(server.call("POST", "/switchover", r#"{"leader": "a"}"#).await, none);
        let unreachable = r#"{"leader": "a", "candidate": "c"}"#;
        assert_eq!(server.call("POST", "/switchover", unreachable).await, none);
    }
    let peer = start(scene::standby());
    let server = start(leading(cluster(&peer)));
    let mismatch = "412 leader name does not match";
    assert_eq!(server.call("POST", "/switchover", r#"{"leader": "b"}"#).await, mismatch);
    let unknown = "412 candidate does not exists";
    assert_eq!(server.call("POST", "/failover", r#"{"candidate": "x"}"#).await, unknown);
    server.publish(Report { cluster_seen_at: None, ..server.report() });
    assert_eq!(server.call("POST", "/switchover", r#"{"leader": "a"}"#).await, "503 page");
}
