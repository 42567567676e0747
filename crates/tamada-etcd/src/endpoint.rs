//! The endpoint: an address where the embedded store answers etcd's protocol.
//!
//! Here is the socket. `connection` talks with one client, `grpc` and `plain` know the two ways of asking, `server` knows
//! what the calls do, and `translate` what the words mean.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tamada_raft::Client;
use tamada_raft::link::TlsFiles;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use crate::access::Access;
use crate::connection;
use crate::server::Server;
use crate::tls::Tls;

/// Far more than tools and a few members need. A process may usually open 1024 files, and the agent must never miss one
/// because of its clients.
const CONNECTIONS_MAX: usize = 250;

/// How soon a renewed certificate is shown.
const READ_CERTIFICATES_EVERY: Duration = Duration::from_secs(60);

/// How long to wait when no connection can be accepted, which is mostly for want of file descriptors.
const TRY_AGAIN: Duration = Duration::from_millis(500);

pub struct EtcdEndpointConfig {
    /// `host:port`; `*` or nothing as host means all addresses.
    pub listen: String,
    /// What clients log in with, under any user name; empty or `None`: everybody may ask.
    pub password: Option<String>,
    /// With authorities among the files, clients have to show a certificate of theirs.
    pub tls: Option<TlsFiles>,
    /// `host:port` at which clients on other hosts reach this endpoint; `None`: they are told no address.
    pub advertise: Option<String>,
}

/// A running endpoint; gone with all its connections when dropped.
pub struct EtcdEndpoint {
    address: SocketAddr,
    serving: AbortHandle,
}

impl EtcdEndpoint {
    /// Serves on the caller's runtime. The error is a sentence for the operator.
    pub async fn start(store: Client, config: EtcdEndpointConfig) -> Result<Self, String> {
        let tls = match config.tls {
            Some(files) => Some(Tls::load(files).await?),
            None => None,
        };
        let listener = listen(&config.listen).await.map_err(|why| format!("{}: {why}", config.listen))?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let advertised = config.advertise.map(|address| format!("{scheme}://{address}"));
        let server = Arc::new(Server::new(store, Access::new(config.password.as_deref()), advertised));
        info!("etcd's protocol is answered on {scheme}://{address}");
        let serving = tokio::spawn(serve(listener, tls, server)).abort_handle();
        Ok(Self { address, serving })
    }

    /// The address that was bound: with port 0 configured, the one that was given.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for EtcdEndpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// On the first of the host's addresses that can be had.
async fn listen(address: &str) -> Result<TcpListener, String> {
    let (host, port) = address.rsplit_once(':').ok_or("not an address with a port")?;
    let port: u16 = port.parse().map_err(|_| "not an address with a port")?;
    let bound = match host {
        // One socket for both kinds of addresses, where the host has both.
        "" | "*" => match TcpListener::bind(("::", port)).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind(("0.0.0.0", port)).await,
        },
        host => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let found: Vec<_> = lookup_host((host, port)).await.map_err(|e| e.to_string())?.collect();
            TcpListener::bind(&found[..]).await
        }
    };
    bound.map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => "another program is using this port; stop it or change raft.etcd_addr".into(),
        _ => e.to_string(),
    })
}

/// Until it is aborted, and all connections with it.
async fn serve(listener: TcpListener, mut tls: Option<Tls>, server: Arc<Server>) {
    let mut clients = JoinSet::new();
    let mut renewal = interval(READ_CERTIFICATES_EVERY);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => welcome(&mut clients, stream, peer, tls.as_ref(), &server),
                Err(error) => {
                    warn!("etcd endpoint can not accept connections: {error}");
                    sleep(TRY_AGAIN).await;
                }
            },
            Some(_) = clients.join_next() => {}
            _ = renewal.tick() => if let Some(tls) = &mut tls { tls.renew().await },
        }
    }
}

fn welcome(clients: &mut JoinSet<()>, stream: TcpStream, peer: SocketAddr, tls: Option<&Tls>, server: &Arc<Server>) {
    if clients.len() < CONNECTIONS_MAX {
        clients.spawn(connection::converse(stream, peer, tls.map(Tls::acceptor), server.clone()));
    } else {
        warn!("etcd endpoint: {peer} is turned away, as {CONNECTIONS_MAX} clients are connected");
    }
}
