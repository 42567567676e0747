//! The socket: taken, moved, unknown.

use tamada_api::server::Listener;
use tamada_model::RestApiConfig;
use tamada_testing::free_port;
use tamada_wire::scene;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::desk::{SOON, config, start, start_with};

fn on(host: &str, port: u16) -> RestApiConfig {
    RestApiConfig { listen: (host.into(), port), ..config() }
}

#[tokio::test]
async fn a_taken_port_is_told_in_one_sentence() {
    let server = start(scene::leader());
    let port = server.address.port();
    let error = Listener::bind(&on("127.0.0.1", port)).expect_err("it is taken").to_string();
    let expected = format!(
        "REST API can not listen on 127.0.0.1:{port}: another program is using this port; stop it or change restapi.listen"
    );
    assert_eq!(error, expected);
    let error = Listener::bind(&on("no-such-host.invalid", 0)).expect_err("it is unknown").to_string();
    assert!(error.starts_with("REST API can not listen on no-such-host.invalid:0: unknown host ("), "{error}");
    let error = Listener::bind(&on("192.0.2.1", 0)).expect_err("not ours").to_string();
    assert!(error.ends_with("this host does not have that address; change restapi.listen"), "{error}");
}

#[test]
fn who_wants_tls_does_not_get_plain_text() {
    let mut config = on("127.0.0.1", 0);
    config.tls.cert = Some("/etc/ssl/rest.pem".into());
    let error = Listener::bind(&config).expect_err("no TLS yet").to_string();
    assert!(error.ends_with("this version can not serve TLS; remove it to serve without"), "{error}");
}

#[tokio::test]
async fn all_interfaces_means_all() {
    for host in ["", "*", "0.0.0.0"] {
        let listener = Listener::bind(&on(host, 0)).expect("a free port");
        let port = listener.address().port();
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_ok(), "{host:?}");
    }
}

#[tokio::test]
async fn a_changed_listen_moves_the_socket() {
    let mut server = start_with(scene::leader(), on("127.0.0.1", free_port()));
    let old = server.address;
    // The same port on all addresses overlaps with the old socket.
    server.config.send_replace(on("0.0.0.0", old.port()).into());
    server.address = ([127, 0, 0, 2], old.port()).into();
    let moved = async {
        while TcpStream::connect(server.address).await.is_err() {
            tokio::task::yield_now().await
        }
    };
    timeout(SOON, moved).await.expect("the new address answers");
    assert!(server.get("/primary").await.starts_with("HTTP/1.0 200 "));
    server.config.send_replace(on("127.0.0.2", old.port()).into());
    let left = async {
        while TcpStream::connect(old).await.is_ok() {
            tokio::task::yield_now().await
        }
    };
    timeout(SOON, left).await.expect("the old address is given up");
    assert!(server.get("/primary").await.starts_with("HTTP/1.0 200 "));
}

#[tokio::test]
async fn a_socket_that_cannot_be_had_is_tried_again() {
    let mut server = start_with(scene::leader(), on("127.0.0.1", free_port()));
    let in_the_way = std::net::TcpListener::bind(("127.0.0.1", free_port())).expect("a free port");
    let wanted = in_the_way.local_addr().expect("it is bound");
    server.config.send_replace(on("127.0.0.1", wanted.port()).into());
    let left = async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await
        }
    };
    timeout(SOON, left).await.expect("the old address is given up");
    drop(in_the_way);
    server.address = wanted;
    let moved = async {
        while TcpStream::connect(wanted).await.is_err() {
            tokio::task::yield_now().await
        }
    };
    timeout(SOON, moved).await.expect("the new address answers");
    assert!(server.get("/primary").await.starts_with("HTTP/1.0 200 "));
}
