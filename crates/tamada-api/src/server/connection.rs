//! One client at a time, and how many of them.
//!
//! A client may connect and say nothing, say a little every few seconds, or stop listening. Each of them gets a socket
//! and a small task, but no more than its time: the first request must be complete soon, later ones may take a while
//! (a kept connection). When all places are taken, the one that has been silent longest is closed for the newcomer.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tamada_model::Mono;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::{Desk, Server};

/// Far more than load balancers and dashboards need. A process may usually open 1024 files, and the agent must never
/// miss one because of its clients.
const CONNECTIONS_MAX: usize = 500;

/// A new client's first request, complete with its headers.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// A kept connection without a next request. Longer than the interval at which dashboards usually scrape.
const IDLE_MAX: Duration = Duration::from_secs(75);

/// Request line and headers.
const HEAD_MAX: usize = 16 * 1024;

/// Talks with one client until it goes, is too slow, or has to make room.
pub(super) async fn converse<D: Desk>(server: Arc<Server<D>>, stream: TcpStream, peer: SocketAddr, ticket: Ticket) {
    if let Err(error) = keep_watch(&stream) {
        debug!("{peer}: {error}");
    }
    // The conversation needs buffers; silence does not.
    let spoke = tokio::select! {
        readable = timeout(FIRST_REQUEST_WITHIN, stream.readable()) => matches!(readable, Ok(Ok(()))),
        () = ticket.place.leave.notified() => false,
    };
    if spoke {
        Box::pin(talk(server, stream, peer, &ticket.place)).await;
    }
}

async fn talk<D: Desk>(server: Arc<Server<D>>, stream: TcpStream, peer: SocketAddr, place: &Place) {
    let service = service_fn(|request| {
        place.begin();
        let server = &server;
        async move {
            let response = server.answer(peer.ip(), request).await;
            place.end(server.desk.now().mono);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .max_buf_size(HEAD_MAX)
        .half_close(true)
        .title_case_headers(true)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let first = async {
        sleep(FIRST_REQUEST_WITHIN).await;
        if place.has_asked() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        end = &mut connection => if let Err(error) = end { debug!("{peer}: {error}") },
        () = first => debug!("{peer}: no request within {} seconds", FIRST_REQUEST_WITHIN.as_secs()),
        () = place.leave.notified() => debug!("{peer}: closed to make room"),
    }
}

/// A peer that vanished without a word is noticed (rest-api.md 1, "Keepalive"); small answers leave at once.
fn keep_watch(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new().with_time(Duration::from_secs(3)).with_interval(Duration::from_secs(2));
    socket.set_tcp_keepalive(&probes.with_retries(3))?;
    socket.set_tcp_user_timeout(Some(Duration::from_secs(10)))
}

/// All open connections.
#[derive(Default)]
pub(super) struct Connections {
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    next: u64,
    taken: BTreeMap<u64, Arc<Place>>,
}

impl Connections {
    /// A place for a new client; `None` if all are taken by clients that are being served.
    pub fn admit(self: &Arc<Self>, now: Mono) -> Option<Ticket> {
        let mut places = self.lock();
        if places.taken.len() >= CONNECTIONS_MAX {
            let idle = places.taken.iter().filter_map(|(id, place)| Some((place.idle_since()?, *id)));
            let (_, longest) = idle.min()?;
            if let Some(place) = places.taken.remove(&longest) {
                place.leave.notify_one();
            }
        }
        let id = places.next;
        places.next += 1;
        let place = Arc::new(Place::new(now));
        places.taken.insert(id, place.clone());
        drop(places);
        Some(Ticket { id, place, connections: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // The map is whole after every statement.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to be connected; given back when dropped.
pub(super) struct Ticket {
    id: u64,
    place: Arc<Place>,
    connections: Arc<Connections>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.connections.lock().taken.remove(&self.id);
    }
}

/// One connection as the others see it.
struct Place {
    /// Milliseconds since boot, or [`BUSY`].
    idle_since: AtomicU64,
    asked: AtomicBool,
    leave: Notify,
}

const BUSY: u64 = u64::MAX;

impl Place {
    fn new(now: Mono) -> Self {
        Self { idle_since: AtomicU64::new(millis(now)), asked: AtomicBool::new(false), leave: Notify::new() }
    }

    fn begin(&self) {
        self.asked.store(true, Ordering::Relaxed);
        self.idle_since.store(BUSY, Ordering::Relaxed);
    }

    fn end(&self, now: Mono) {
        self.idle_since.store(millis(now), Ordering::Relaxed);
    }

    fn has_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// `None` while a request is being answered.
    fn idle_since(&self) -> Option<u64> {
        Some(self.idle_since.load(Ordering::Relaxed)).filter(|since| *since != BUSY)
    }
}

fn millis(at: Mono) -> u64 {
    u64::try_from(at.since_boot().as_millis()).unwrap_or(BUSY - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Mono {
        Mono::new(Duration::from_millis(millis))
    }

    #[test]
    fn the_longest_silent_client_makes_room() {
        let connections = Arc::new(Connections::default());
        let mut tickets: Vec<Ticket> = (0..CONNECTIONS_MAX as u64).map(|i| connections.admit(at(i)).unwrap()).collect();
        tickets[0].place.begin();
        tickets[1].place.end(at(5000));
        tickets.push(connections.admit(at(6000)).unwrap());
        let left = connections.lock().taken.keys().copied().collect::<Vec<_>>();
        assert_eq!(left.len(), CONNECTIONS_MAX);
        assert!(left.contains(&0) && left.contains(&1) && !left.contains(&2), "the third one was silent longest");
        drop(tickets);
        assert!(connections.lock().taken.is_empty());
    }

    #[test]
    fn nobody_being_served_is_sent_away() {
        let connections = Arc::new(Connections::default());
        let tickets: Vec<Ticket> = (0..CONNECTIONS_MAX as u64).map(|i| connections.admit(at(i)).unwrap()).collect();
        tickets.iter().for_each(|ticket| ticket.place.begin());
        assert!(connections.admit(at(6000)).is_none());
    }
}
