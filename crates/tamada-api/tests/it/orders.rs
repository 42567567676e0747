//! Orders: the form of their bodies, and their way to the agent and back (rest-api.md 1.4, 6, 7, 9).

use serde_json::json;
use tamada_model::{Reinitialize, Reply, Report, Request, RestartConditions};
use tamada_wire::scene;

use crate::desk::{Running, start};

/// Sends the request and lets the agent answer; what the agent got and what came back.
async fn order(server: &mut Running, method: &str, path: &str, body: &str, reply: Reply) -> (Request, String) {
    let length = body.len();
    let request = format!("{method} {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}");
    let address = server.address;
    let asked = tokio::spawn(async move {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.expect("it is open");
        crate::desk::read_to_end(&mut stream).await.expect("an answer")
    });
    let got = server.answer(reply).await;
    (got, crate::desk::short(&asked.await.expect("no panic")))
}

#[tokio::test]
async fn orders_reach_the_agent_and_its_words_come_back() {
    let mut server = start(scene::leader());
    let document = |value| scene::object(value);
    let text = |status, text: &str| Reply::text(status, text);
    for (call, body, request, reply, answer) in [
        (
            ("PATCH", "/config"),
            r#"{"ttl": 20, "pause": null}"#,
            Request::PatchConfig(document(json!({"ttl": 20, "pause": null}))),
            Reply::json(200, json!({"ttl": 20, "name": "ä"})),
            r#"200 {"ttl": 20, "name": "\u00e4"}"#,
        ),
        (
            ("PUT", "/config"),
            r#"{"ttl": 20}"#,
            Request::PutConfig(document(json!({"ttl": 20}))),
            Reply::page(502),
            "502 page",
        ),
        (("POST", "/reload"), "", Request::Reload, text(202, "reload scheduled"), "202 reload scheduled"),
        (
            ("POST", "/restart"),
            "",
            Request::Restart(RestartConditions::default()),
            text(200, "restarted successfully"),
            "200 restarted successfully",
        ),
        (
            ("DELETE", "/restart"),
            "",
            Request::CancelScheduledRestart,
            text(404, "no restarts are scheduled"),
            "404 no restarts are scheduled",
        ),
        (
            ("POST", "/reinitialize"),
            r#"{"force": true}"#,
            Request::Reinitialize(Reinitialize { force: true, from_leader: false }),
            text(503, "I am the leader, can not reinitialize"),
            "503 I am the leader, can not reinitialize",
        ),
        (("DELETE", "/switchover"), "", Request::ClearFailover, Reply::page(409), "409 page"),
    ] {
        let (method, path) = call;
        let (got, came_back) = order(&mut server, method, path, body, reply).await;
        assert_eq!((got, came_back.as_str()), (request, answer), "{method} {path}");
    }
}

#[tokio::test]
async fn a_body_must_be_an_object_of_known_length() {
    let server = start(scene::leader());
    for (method, path) in [("PATCH", "/config"), ("PUT", "/config"), ("POST", "/switchover"), ("POST", "/failover")] {
        let no_length = server.send(format!("{method} {path} HTTP/1.0\r\n\r\n")).await;
        assert!(no_length.starts_with("HTTP/1.0 411 Length Required\r\n"), "{no_length}");
        for body in ["", "{", "[1]", "5", "{}", "null"] {
            assert_eq!(server.call(method, path, body).await, "400 page", "{method} {path} {body}");
        }
    }
    for path in ["/restart", "/reinitialize"] {
        assert_eq!(server.call("POST", path, "{").await, "400 page", "{path}");
    }
    let chunked = "POST /failover HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    assert!(server.send(chunked).await.starts_with("HTTP/1.1 411 "));
}

#[tokio::test]
async fn a_body_has_an_end() {
    let server = start(scene::leader());
    let body = format!("{{\"x\": \"{}\"}}", "y".repeat(1024 * 1024));
    let head = format!("PATCH /config HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
    // The server answers as soon as it has read too much; the rest may meet a closed door.
    let mut stream = tokio::net::TcpStream::connect(server.address).await.expect("a connection");
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.expect("it is open");
    let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, body.as_bytes()).await;
    let mut code = [0; 13];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut code).await.expect("an answer");
    assert_eq!(&code, b"HTTP/1.0 413 ");
}

#[tokio::test]
async fn what_can_be_refused_at_once_never_reaches_the_agent() {
    let mut server = start(Report { pause: true, ..scene::leader() });
    let later = r#"{"schedule": "2030-01-01T00:00:00+00:00"}"#;
    let paused = "500 Can't schedule restart in the paused state";
    assert_eq!(server.call("POST", "/restart", later).await, paused);
    let role = r#"{"role": "master"}"#;
    let wrong_role = "400 PostgreSQL role should be either primary, standby_leader, or replica";
    assert_eq!(server.call("POST", "/restart", role).await, wrong_role);
    assert_eq!(server.call("POST", "/failsafe", r#"{"name": "x"}"#).await, "502 page");
    assert!(server.orders.try_recv().is_err(), "nothing was asked");
    server.publish(scene::leader());
    let (request, _) = order(&mut server, "POST", "/restart", later, Reply::text(202, "Restart scheduled")).await;
    match request {
        Request::ScheduleRestart(_, schedule) => assert_eq!(schedule.text, "2030-01-01T00:00:00+00:00"),
        other => panic!("{other:?}"),
    }
}
