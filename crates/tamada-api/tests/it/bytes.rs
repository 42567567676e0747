//! The exact bytes of answers (rest-api.md 1; docs/decisions/0003-http-keepalive.md).

use std::time::Duration;

use tamada_model::ServerTokens;
use tamada_wire::{json, rest, scene};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::desk::{SOON, config, short, start, start_with};

const UNAVAILABLE: &str = "HTTP/1.0 503 Service Unavailable\r\n\r\n";

fn status_body(report: &tamada_model::Report) -> String {
    json::spaced(&rest::status_document(report, scene::now()))
}

#[tokio::test]
async fn http_1_0_gets_headers_in_order_and_no_length() {
    let server = start(scene::leader());
    let head = concat!(
        "HTTP/1.0 200 OK\r\n",
        "Server: Tamada/",
        env!("CARGO_PKG_VERSION"),
        "\r\nDate: Mon, 23 Nov 2026 09:10:10 GMT\r\nContent-Type: application/json\r\n\r\n",
    );
    let expected = format!("{head}{}", status_body(&scene::leader()));
    assert_eq!(server.get("/primary").await, expected);
    assert_eq!(server.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await, expected, "closed all the same");
}

#[tokio::test]
async fn only_the_code_means_only_the_status_line() {
    let server = start(scene::leader());
    for (request, expected) in [
        ("GET /liveness HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n"),
        ("GET /readiness HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n"),
        ("HEAD /primary HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n"),
        ("OPTIONS / HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n"),
        ("OPTIONS /replica HTTP/1.0", UNAVAILABLE),
        ("HEAD /liveness HTTP/1.0", UNAVAILABLE),
        ("HEAD /patroni HTTP/1.0", UNAVAILABLE),
        ("OPTIONS /metrics HTTP/1.0", UNAVAILABLE),
    ] {
        assert_eq!(server.send(format!("{request}\r\n\r\n")).await, expected, "{request}");
    }
}

#[tokio::test]
async fn http_1_1_learns_the_length_and_keeps_the_connection() {
    let server = start(scene::leader());
    let mut stream = TcpStream::connect(server.address).await.expect("a connection");
    let body = status_body(&scene::leader());
    let full = format!("\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for (request, end) in [
        ("GET /primary", full.as_str()),
        ("GET /liveness", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("HEAD /primary", "HTTP/1.1 200 OK\r\n\r\n"),
        ("OPTIONS /replica", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        ("GET /primary", full.as_str()),
    ] {
        stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.expect("it is open");
        let answer = read_until(&mut stream, end).await;
        assert!(answer.starts_with("HTTP/1.1 ") && answer.ends_with(end), "{request}: {answer}");
    }
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        let read = timeout(SOON, stream.read_buf(&mut answer)).await;
        let read = read.unwrap_or_else(|_| panic!("no more after {}", String::from_utf8_lossy(&answer)));
        assert_ne!(read.expect("it is open"), 0, "closed after {}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_operator_names_the_server_and_adds_headers() {
    let mut config = config();
    config.server_tokens = ServerTokens::Minimal;
    config.http_extra_headers = vec![("X-Frame-Options".into(), "DENY".into()), ("bad name".into(), "x".into())];
    let server = start_with(scene::leader(), config.clone());
    let answer = server.get("/metrics").await;
    let head = "HTTP/1.0 200 OK\r\nServer: Patroni/4.1.4\r\nDate: Mon, 23 Nov 2026 09:10:10 GMT\r\n\
                Content-Type: text/plain\r\nX-Frame-Options: DENY\r\n\r\n# HELP patroni_version ";
    assert!(answer.starts_with(head), "{answer}");
    assert_eq!(server.get("/liveness").await, "HTTP/1.0 200 OK\r\n\r\n");
    assert!(!server.send("POST /x HTTP/1.0\r\n\r\n").await.contains("X-Frame-Options"), "pages stay bare");
    config.server_tokens = ServerTokens::ProductOnly;
    server.config.send_replace(config.into());
    let followed = async { while !server.get("/patroni").await.contains("\r\nServer: Patroni\r\n") {} };
    timeout(SOON, followed).await.expect("the new configuration is followed");
}

#[tokio::test]
async fn what_nobody_serves_is_503_for_readers_and_501_for_others() {
    let server = start(scene::leader());
    assert_eq!(short(&server.get("/nonsense").await), format!("503 {}", status_body(&scene::leader())));
    for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
        let answer = server.send(format!("{method} /nonsense HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 501 Not Implemented\r\n"), "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert!(answer.contains("Server does not support this operation"), "{answer}");
    }
    for path in ["/sigterm", "/citus", "/mpp"] {
        assert_eq!(server.call("POST", path, "{}").await, "501 page");
    }
}

#[tokio::test]
async fn information_comes_from_the_report() {
    let server = start(scene::leader());
    let cluster = server.get("/cluster").await;
    assert!(cluster.contains("\"name\": \"b\", \"role\": \"replica\", \"state\": \"streaming\""), "{cluster}");
    assert_eq!(short(&server.get("/patroni").await), format!("200 {}", status_body(&scene::leader())));
    assert_eq!(short(&server.get("/patroni/anything").await), format!("200 {}", status_body(&scene::leader())));
    assert_eq!(short(&server.get("/history").await), "200 []");
    assert_eq!(short(&server.get("/config").await), "502 page");
    assert_eq!(short(&server.get("/failsafe").await), "502 page");
    let keys = [
        ("config", serde_json::json!({"ttl": 30})),
        ("failsafe", serde_json::json!({"a": "http://h/patroni"})),
        ("history", serde_json::json!([[1, 2, "x"]])),
    ];
    let cluster = Some(std::sync::Arc::new(scene::cluster(&keys)));
    server.publish(tamada_model::Report { cluster, ..scene::leader() });
    assert_eq!(short(&server.get("/config").await), "200 {\"ttl\": 30}");
    assert_eq!(short(&server.get("/failsafe").await), "200 {\"a\": \"http://h/patroni\"}");
    assert_eq!(short(&server.get("/history").await), "200 [[1, 2, \"x\"]]");
}

#[tokio::test]
async fn before_the_store_was_read_little_can_be_said() {
    let server = start(tamada_model::Report { cluster: None, cluster_seen_at: None, ..scene::leader() });
    assert_eq!(short(&server.get("/cluster").await), "503 page");
    assert_eq!(short(&server.get("/history").await), "503 page");
    assert_eq!(short(&server.get("/config").await), "502 page");
    assert_eq!(short(&server.get("/failsafe").await), "200 {}");
    assert!(server.get("/patroni").await.contains("\"cluster_unlocked\": true"));
}

#[tokio::test]
async fn time_passes_between_reports() {
    let server = start(scene::leader());
    server.pass(Duration::from_secs(19));
    assert!(server.get("/primary").await.starts_with("HTTP/1.0 200 "));
    server.pass(Duration::from_secs(1));
    let answer = server.get("/primary").await;
    assert!(answer.starts_with("HTTP/1.0 503 "), "the lease is over: {answer}");
    assert!(answer.contains("\"cluster_unlocked\": true"), "and the view too old: {answer}");
    assert_eq!(short(&server.get("/cluster").await), "503 page");
}
