//! Ports that are nobody else's until the test has ended.
//!
//! 1. A test binds port 0, reads which port the system gave it, closes the socket, and starts a server there.
//! 2. Meanwhile the system gives the same port to another test, or to the near end of some connection.
//! 3. The server cannot start; or it is stopped for a moment, and cannot come back.
//!
//! So our ports lie outside the range from which the system gives, and whoever has one holds a name on which all tests
//! of this machine agree. The name is that of an abstract socket: it needs neither a file nor rights, it ends with its
//! process however that ends, and it is seen exactly where the port is, in the same network namespace.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, PoisonError};

/// A port on which nobody listens and which no other test gets before this process ends.
pub fn free_port() -> u16 {
    let ports = candidates(&given_by_the_system());
    // Tests that run side by side begin to look at different places.
    let first = std::process::id() as usize * 16 % ports.len();
    let found = ports[first..].iter().chain(&ports[..first]).find(|port| reserve(**port));
    *found.expect("thousands of ports are not all in use")
}

/// Where services without privileges may listen, unless the system gives these ports away by itself. Where it gives all
/// of them, at least no two tests get the same.
fn candidates(given: &RangeInclusive<u16>) -> Vec<u16> {
    let unprivileged = 10_000..=u16::MAX;
    let outside: Vec<u16> = unprivileged.clone().filter(|port| !given.contains(port)).collect();
    if outside.len() < 1000 { unprivileged.collect() } else { outside }
}

fn given_by_the_system() -> RangeInclusive<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = text.split_whitespace().map_while(|bound| bound.parse().ok());
    // As the kernel has it where nobody changed it.
    bounds.next().unwrap_or(32_768)..=bounds.next().unwrap_or(60_999)
}

fn reserve(port: u16) -> bool {
    static HELD: Mutex<Vec<UnixDatagram>> = Mutex::new(Vec::new());
    let Some(name) = hold(port) else { return false };
    // Somebody may listen there who has never heard of us.
    let is_free = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
    if is_free {
        HELD.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    }
    is_free
}

fn hold(port: u16) -> Option<UnixDatagram> {
    let name = SocketAddr::from_abstract_name(format!("a port of Tamada's tests: {port}"));
    UnixDatagram::bind_addr(&name.expect("short enough for a socket")).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_port_is_given_once_and_can_be_listened_on() {
        let ports: BTreeSet<u16> = (0..50).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 50);
        for port in ports {
            assert!(hold(port).is_none(), "{port} is held");
            TcpListener::bind(("127.0.0.1", port)).expect("nobody listens there");
        }
    }

    #[test]
    fn a_port_in_use_is_not_given() {
        let port = free_port();
        let _taken = TcpListener::bind(("127.0.0.1", port)).expect("nobody listens there");
        assert!(!reserve(port));
    }

    #[test]
    fn what_the_system_gives_is_left_to_it() {
        let ports = candidates(&(32_768..=60_999));
        assert_eq!((ports.first(), ports.last()), (Some(&10_000), Some(&65_535)));
        assert!(!ports.iter().any(|port| (32_768..=60_999).contains(port)));
        assert_eq!(candidates(&(1024..=65_535)).len(), 55_536, "better than nothing");
    }
}
