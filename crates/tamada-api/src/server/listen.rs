//! Getting the socket (rest-api.md 1, "Listener").

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};
use tamada_model::RestApiConfig;

/// The original queues five connections and drops the rest for a second. Queueing costs nothing, so the configured
/// number only ever makes the queue longer.
const BACKLOG_MIN: u32 = 128;

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    config: RestApiConfig,
}

/// Why there is no socket, in one sentence.
#[derive(Debug, thiserror::Error)]
#[error("REST API can not listen on {host}:{port}: {why}")]
pub struct ListenError {
    host: String,
    port: u16,
    why: String,
}

impl Listener {
    pub fn bind(config: &RestApiConfig) -> Result<Self, ListenError> {
        let (host, port) = &config.listen;
        let backlog = config.request_queue_size.max(BACKLOG_MIN);
        let error = |why: String| ListenError { host: host.clone(), port: *port, why };
        if wants_tls(config) {
            return Err(error(NO_TLS.into()));
        }
        let candidates = candidates(host, *port).map_err(|why| error(format!("unknown host ({why})")))?;
        let mut last = "the host has no address".to_owned();
        for address in candidates {
            match listen(address, backlog).and_then(|socket| Ok((socket.local_addr()?, socket))) {
                Ok((address, socket)) => return Ok(Self { socket, address, config: config.clone() }),
                Err(why) => last = in_words(&why),
            }
        }
        Err(error(last))
    }

    /// The address that was bound: with port 0 configured, the one that was given.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was bound for.
    pub(super) fn config(&self) -> &RestApiConfig {
        &self.config
    }

    pub(super) fn into_tokio(self) -> std::io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::from_std(self.socket)
    }
}

/// Whoever asked for TLS must not get passwords in plain text instead.
const NO_TLS: &str = "restapi.certfile is set, but this version can not serve TLS; remove it to serve without";

pub(super) fn wants_tls(config: &RestApiConfig) -> bool {
    config.tls.cert.is_some()
}

/// All interfaces: one socket for IPv6 and IPv4 where the host has IPv6, else IPv4.
fn candidates(host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    match host {
        "" | "*" => Ok(vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]),
        host => Ok((host.trim_start_matches('[').trim_end_matches(']'), port).to_socket_addrs()?.collect()),
    }
}

fn listen(address: SocketAddr, backlog: u32) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

fn in_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "another program is using this port; stop it or change restapi.listen".into(),
        std::io::ErrorKind::AddrNotAvailable => "this host does not have that address; change restapi.listen".into(),
        std::io::ErrorKind::PermissionDenied => "not permitted; use a port above 1023".into(),
        _ => error.to_string(),
    }
}
