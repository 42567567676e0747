//! Who may change something (rest-api.md 1.2).

use std::sync::Arc;

use serde_json::json;
use tamada_model::{BasicAuth, Reply, Report, Secret};
use tamada_wire::scene;
use tokio::time::timeout;

use crate::desk::{SOON, config, start_with};

#[tokio::test]
async fn a_password_is_asked_for_where_something_changes() {
    let authentication = Some(BasicAuth { username: "admin".into(), password: Secret::new("s3:cret") });
    let config = tamada_model::RestApiConfig { authentication, ..config() };
    let mut server = start_with(scene::leader(), config);
    let answer = server.send("POST /reload HTTP/1.0\r\n\r\n").await;
    let head = "HTTP/1.0 401 Unauthorized\r\nServer: ";
    assert!(answer.starts_with(head), "{answer}");
    assert!(answer.contains("GMT\r\nWww-Authenticate: Basic realm=\"Patroni\"\r\nContent-Type: text/html\r\n\r\n"));
    assert!(answer.ends_with("\r\n\r\nno auth header received"), "{answer}");
    for wrong in ["Basic YWRtaW46d3Jvbmc=", "Basic ", "Bearer YWRtaW46czM6Y3JldA==", "YWRtaW46czM6Y3JldA=="] {
        let answer = server.call_with("POST", "/reload", &format!("Authorization: {wrong}\r\n"), "").await;
        assert_eq!(answer, "401 not authenticated", "{wrong}");
    }
    assert!(server.get("/patroni").await.starts_with("HTTP/1.0 200 "));
    assert_eq!(server.call("POST", "/nonsense", "").await, "501 page");
    let right = "POST /reload HTTP/1.0\r\nAuthorization: Basic YWRtaW46czM6Y3JldA==\r\n\r\n";
    let address = server.address;
    let asked = tokio::spawn(async move {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
        tokio::io::AsyncWriteExt::write_all(&mut stream, right.as_bytes()).await.expect("it is open");
        crate::desk::read_to_end(&mut stream).await.expect("an answer")
    });
    server.answer(Reply::text(202, "reload scheduled")).await;
    let answer = timeout(SOON, asked).await.expect("an answer").expect("no panic");
    assert!(answer.ends_with("\r\n\r\nreload scheduled"), "{answer}");
}

/// What `POST /failsafe` answers, which never reaches the agent: 502 for whoever is let in.
async fn knock(report: Report, allowlist: &[&str], include_members: bool) -> String {
    let allowlist = allowlist.iter().map(|entry| (*entry).to_owned()).collect();
    let config = tamada_model::RestApiConfig { allowlist, allowlist_include_members: include_members, ..config() };
    start_with(report, config).call("POST", "/failsafe", "{}").await
}

#[tokio::test]
async fn the_allowlist_lets_in_whom_it_names() {
    let denied = "403 Access is denied";
    assert_eq!(knock(scene::leader(), &[], false).await, "502 page");
    assert_eq!(knock(scene::leader(), &["10.0.0.0/8"], false).await, denied);
    assert_eq!(knock(scene::leader(), &["10.0.0.0/8", "127.0.0.0/8"], false).await, "502 page");
    assert_eq!(knock(scene::leader(), &["127.0.0.1"], false).await, "502 page");
    assert_eq!(knock(scene::leader(), &["no-such-host.invalid"], false).await, denied);
}

#[tokio::test]
async fn members_are_let_in_by_the_host_of_their_api_url() {
    assert_eq!(knock(scene::leader(), &[], true).await, "403 Access is denied", "they live in 10.0.0.0");
    for url in ["http://127.0.0.1:8008/patroni", "http://localhost:8008/patroni"] {
        let cluster = scene::cluster(&[("members/b", json!({"api_url": url}))]);
        let report = Report { cluster: Some(Arc::new(cluster)), ..scene::leader() };
        assert_eq!(knock(report.clone(), &[], true).await, "502 page", "{url}");
        assert_eq!(knock(report, &["10.0.0.0/8"], false).await, "403 Access is denied", "{url}");
    }
}

#[tokio::test]
async fn host_names_in_the_allowlist_are_looked_up() {
    let config = tamada_model::RestApiConfig { allowlist: vec!["localhost".into()], ..config() };
    let server = start_with(scene::leader(), config);
    let let_in = async { while server.call("POST", "/failsafe", "{}").await != "502 page" {} };
    timeout(SOON, let_in).await.expect("localhost becomes 127.0.0.1");
}
