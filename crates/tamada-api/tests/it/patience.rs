//! Clients that say nothing, or too slowly.

use std::time::Duration;

use tamada_wire::scene;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::desk::{SOON, read_to_end, start};

#[tokio::test]
async fn two_hundred_silent_clients_disturb_nobody() {
    let server = start(scene::leader());
    let mut silent = Vec::new();
    for i in 0..200 {
        let mut stream = TcpStream::connect(server.address).await.expect("a connection");
        // Some never speak, some stop in the middle of a request.
        if i % 2 == 0 {
            stream.write_all(b"GET /primary HTTP/1.0\r\nHos").await.expect("it is open");
        }
        silent.push(stream);
    }
    for path in ["/primary", "/health", "/patroni"] {
        // The silent are sent away after ten seconds.
        let answer = timeout(Duration::from_secs(5), server.get(path)).await.expect("nobody has to wait for that");
        assert!(answer.starts_with("HTTP/1.0 200 "), "{path}: {answer}");
    }
}

#[tokio::test]
async fn who_does_not_finish_the_first_request_is_left() {
    let server = start(scene::leader());
    let until_closed = async |beginning: &'static str| {
        let mut stream = TcpStream::connect(server.address).await.expect("a connection");
        stream.write_all(beginning.as_bytes()).await.expect("it is open");
        let end = timeout(SOON, read_to_end(&mut stream)).await.expect("the server closes");
        assert_eq!(end.unwrap_or_default(), "", "{beginning:?}");
    };
    tokio::join!(until_closed(""), until_closed("GET /primary HTTP/1.1\r\nHost: "));
}

#[tokio::test]
async fn a_client_may_close_its_side_after_asking() {
    let server = start(scene::leader());
    let mut stream = TcpStream::connect(server.address).await.expect("a connection");
    stream.write_all(b"GET /liveness HTTP/1.0\r\n\r\n").await.expect("it is open");
    stream.shutdown().await.expect("it is open");
    let answer = timeout(SOON, read_to_end(&mut stream)).await.expect("an end").expect("an answer");
    assert_eq!(answer, "HTTP/1.0 200 OK\r\n\r\n");
}

#[tokio::test]
async fn nonsense_and_endless_headers_are_refused() {
    let server = start(scene::leader());
    assert!(server.send("nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(20 * 1024));
    assert!(server.send(endless).await.starts_with("HTTP/1.1 431 "));
}
