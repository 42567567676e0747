//! The client, against members and against things that are not.

use std::time::Duration;

use hyper::Method;
use tamada_api::client::{Asked, Call, CallError, Client};
use tamada_model::{BasicAuth, CtlConfig, MemberName, PeerAnswer, Reply, Secret};
use tamada_testing::free_port;
use tamada_wire::scene;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::desk::{SOON, start};

/// A port at which one client is answered with these bytes; what it asked comes back.
async fn answering(bytes: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/patroni", listener.local_addr().expect("it is bound"));
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut question = Vec::new();
        while !question.windows(4).any(|end| end == b"\r\n\r\n") {
            stream.read_buf(&mut question).await.expect("a question");
        }
        stream.write_all(bytes.as_bytes()).await.expect("it is open");
        String::from_utf8_lossy(&question).into_owned()
    });
    (url, asked)
}

/// A port where connections are accepted by the system and by nobody else.
fn silent() -> (String, std::net::TcpListener) {
    let listener = std::net::TcpListener::bind(("127.0.0.1", free_port())).expect("a free port");
    (format!("http://{}/patroni", listener.local_addr().expect("it is bound")), listener)
}

fn with_password() -> Client {
    let authentication = Some(BasicAuth { username: "u".into(), password: Secret::new("p") });
    Client::new(&CtlConfig { authentication, ..CtlConfig::default() })
}

#[tokio::test]
async fn old_answers_end_with_the_connection() {
    for (bytes, status, body) in [
        ("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\nreload scheduled", 200, "reload scheduled"),
        ("HTTP/1.0 503 Service Unavailable\r\n\r\n", 503, ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}"),
    ] {
        let (url, _asked) = answering(bytes).await;
        let heard = Client::default().get(&url, SOON).await.expect("an answer");
        assert_eq!((heard.status, &*heard.text()), (status, body));
    }
}

#[tokio::test]
async fn a_password_travels_only_where_something_changes() {
    let (url, asked) = answering("HTTP/1.0 200 OK\r\n\r\n").await;
    with_password().get(&url, SOON).await.expect("an answer");
    assert!(!asked.await.expect("a question").to_lowercase().contains("authorization"));
    let (url, asked) = answering("HTTP/1.0 200 OK\r\n\r\n").await;
    let call = Call { method: Method::POST, url, body: Some("{}".into()) };
    with_password().send(call, SOON).await.expect("an answer");
    let question = asked.await.expect("a question").to_lowercase();
    assert!(question.starts_with("post /patroni http/1.1\r\n"), "{question}");
    assert!(question.contains("\r\nauthorization: basic dtpw\r\n"), "{question}");
    assert!(question.contains("\r\ncontent-length: 2\r\n"), "{question}");
    assert!(question.contains("\r\ncontent-type: application/json\r\n"), "{question}");
}

#[tokio::test]
async fn an_error_says_whether_it_may_have_happened() {
    let moment = Duration::from_secs(2);
    let (url, listener) = silent();
    assert!(matches!(Client::default().get(&url, moment).await, Err(CallError::Unanswered(_))));
    drop(listener);
    assert!(matches!(Client::default().get(&url, SOON).await, Err(CallError::Unreachable(_))));
    assert!(matches!(Client::default().get("https://h/", SOON).await, Err(CallError::Impossible(_))));
    let (url, _asked) = answering("").await;
    assert!(matches!(Client::default().get(&url, SOON).await, Err(CallError::Unanswered(_))));
}

#[tokio::test]
async fn a_members_server_understands_our_client() {
    let mut server = start(scene::leader());
    let url = format!("http://{}/config", server.address);
    let call = Call { method: Method::PATCH, url, body: Some("{\"ttl\": 20}".into()) };
    let asked = tokio::spawn(async move { Client::default().send(call, SOON).await });
    server.answer(Reply::text(200, "done")).await;
    let heard = asked.await.expect("no panic").expect("an answer");
    assert_eq!((heard.status, &*heard.text()), (200, "done"));
}

#[tokio::test]
async fn peers_are_heard_as_they_answer() {
    let peer = start(scene::standby());
    let (silent_url, _listener) = silent();
    let urls: [(MemberName, String); 3] = [
        ("silent".into(), silent_url),
        ("b".into(), format!("http://{}/patroni", peer.address)),
        ("refusing".into(), "http://127.0.0.1:1/patroni".into()),
    ];
    let mut asked = Client::default().ask_peers(&urls, Duration::from_secs(5));
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.push(next(&mut asked).await.expect("two who answer"));
    }
    heard.sort();
    assert_eq!(heard, [("b".into(), true), ("refusing".into(), false)], "the silent one is not waited for");
    assert_eq!(next(&mut asked).await, Some(("silent".into(), false)));
    assert_eq!(next(&mut asked).await, None);
}

/// Who, and whether it answered as a standby.
async fn next(asked: &mut Asked) -> Option<(MemberName, bool)> {
    let (name, answer) = asked.next().await?;
    let answered = match answer {
        PeerAnswer::Answered(peer) => peer.in_recovery,
        PeerAnswer::Silent { because } => {
            assert!(!because.is_empty());
            false
        }
    };
    Some((name, answered))
}
