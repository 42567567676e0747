//! The REST server every member runs (rest-api.md).
//!
//! It is meant for a thread and a runtime of its own, so that nothing the agent does can hold up a health check. What
//! it knows comes from the [`Desk`]: the published report, both clocks, and a slot for requests. Slow and silent
//! clients cost a socket each, bounded in number and time (`connection.rs`).

mod access;
mod answer;
mod body;
mod connection;
mod desk;
mod health;
mod listen;
mod orders;
mod pages;
mod probe;
mod query;
mod route;
mod rules;
mod switchover;

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tamada_model::RestApiConfig;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tracing::{error, info, warn};

pub use desk::{Asking, Desk};
pub use listen::{ListenError, Listener};

use answer::DateHeader;
use connection::Connections;
use pages::StatusCache;
use rules::Rules;

/// How long to wait before trying again to get a socket or a file descriptor: long enough not to burn the processor,
/// short enough that nobody waits for it.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Binds to `listen` and serves until `config` is dropped. An error only if the first socket cannot be had; a later
/// one is logged and tried again.
pub async fn serve<D: Desk>(config: watch::Receiver<Arc<RestApiConfig>>, desk: D) -> Result<(), ListenError> {
    let listener = Listener::bind(&config.borrow())?;
    serve_on(listener, config, desk).await;
    Ok(())
}

/// As [`serve`], on a socket bound before, so that whoever starts us learns early that the port is taken.
pub async fn serve_on<D: Desk>(listener: Listener, mut config: watch::Receiver<Arc<RestApiConfig>>, desk: D) {
    let mut door = Door::open(listener);
    let server = Arc::new(Server::new(desk, &config.borrow()));
    config.mark_changed();
    loop {
        tokio::select! {
            accepted = door.accept() => match accepted {
                Ok((stream, peer)) => server.clone().welcome(stream, peer),
                Err(error) => {
                    warn!("REST API can not accept connections: {error}");
                    tokio::time::sleep(TRY_AGAIN).await;
                }
            },
            changed = config.changed() => {
                if changed.is_err() {
                    return;
                }
                let new = config.borrow_and_update().clone();
                server.clone().follow(&new);
                door.follow(&new);
            }
        }
    }
}

/// Everything the answers are made of.
struct Server<D> {
    desk: D,
    rules: RwLock<Arc<Rules>>,
    connections: Arc<Connections>,
    status: StatusCache,
    date: DateHeader,
}

impl<D: Desk> Server<D> {
    fn new(desk: D, config: &RestApiConfig) -> Self {
        Self {
            desk,
            rules: RwLock::new(Arc::new(Rules::new(config))),
            connections: Arc::new(Connections::default()),
            status: StatusCache::default(),
            date: DateHeader::default(),
        }
    }

    fn rules(&self) -> Arc<Rules> {
        // Nothing that could panic runs while the lock is held; a poisoned one still holds whole rules.
        self.rules.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn set_rules(&self, rules: Arc<Rules>) {
        *self.rules.write().unwrap_or_else(std::sync::PoisonError::into_inner) = rules;
    }

    /// Host names in the allowlist are looked up once per configuration, beside the service: until then, and if they
    /// are unknown, nobody comes in by them.
    fn follow(self: Arc<Self>, config: &RestApiConfig) {
        if listen::wants_tls(config) {
            warn!("restapi.certfile is set, but this version can not serve TLS: going on without");
        }
        let rules = Arc::new(Rules::new(config));
        self.set_rules(rules.clone());
        if rules.has_host_names() {
            tokio::spawn(async move {
                let resolved = rules.resolved().await;
                if Arc::ptr_eq(&self.rules(), &rules) {
                    self.set_rules(Arc::new(resolved));
                }
            });
        }
    }

    fn welcome(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        if let Some(ticket) = self.connections.admit(self.desk.now().mono) {
            tokio::spawn(connection::converse(self, stream, peer, ticket));
        }
    }
}

/// The socket in use, or the wish for one.
struct Door {
    listener: Option<tokio::net::TcpListener>,
    /// The configuration that `listener` belongs to, or shall belong to.
    config: RestApiConfig,
    /// The failure to get the socket was logged; once is enough until it is there.
    complained: bool,
}

impl Door {
    fn open(listener: Listener) -> Self {
        let mut door = Self { listener: None, config: listener.config().clone(), complained: false };
        door.take(listener);
        door
    }

    fn take(&mut self, listener: Listener) {
        match listener.into_tokio() {
            Ok(listener) => self.listener = Some(listener),
            Err(error) => error!("REST API can not listen: {error}"),
        }
    }

    /// After a change of `listen` the old socket goes first: the new address may overlap with it.
    fn follow(&mut self, config: &RestApiConfig) {
        let moves = config.listen != self.config.listen;
        self.config = config.clone();
        if moves {
            self.listener = None;
            self.complained = false;
            self.bind();
        }
    }

    fn bind(&mut self) {
        match Listener::bind(&self.config) {
            Ok(listener) => {
                info!("REST API listens on {}", listener.address());
                self.complained = false;
                self.take(listener);
            }
            Err(_) if self.complained => {}
            Err(error) => {
                self.complained = true;
                error!("{error}");
            }
        }
    }

    /// The next connection. Without a socket: tries to get one, for as long as it takes.
    async fn accept(&mut self) -> std::io::Result<(TcpStream, SocketAddr)> {
        loop {
            match &self.listener {
                Some(listener) => return listener.accept().await,
                None => {
                    tokio::time::sleep(TRY_AGAIN).await;
                    self.bind();
                }
            }
        }
    }
}
