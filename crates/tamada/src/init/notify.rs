//! Words with the service manager (configuration.md 6): a datagram to the socket named in `NOTIFY_SOCKET`.
//!
//! Without such a variable nobody listens. If the message can not be sent there is nothing better to do than to say so:
//! the manager has its own timeouts.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::clock;

pub fn notify_ready() {
    tell("READY=1");
}

/// To be followed by [`notify_ready`] when the new configuration is in force.
pub fn notify_reloading() {
    tell(&reloading(clock::monotonic_micros()));
}

pub fn notify_stopping() {
    tell("STOPPING=1");
}

fn reloading(monotonic_micros: i64) -> String {
    format!("RELOADING=1\nMONOTONIC_USEC={monotonic_micros}")
}

fn tell(state: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
        return;
    };
    if let Err(error) = send(&socket, state) {
        tracing::warn!("could not tell the service manager {state:?}: {error}");
    }
}

/// Never waits: a full socket is an error.
fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    sender.send_to_addr(state.as_bytes(), &address(socket)?)?;
    Ok(())
}

/// A path, or `@name` in the abstract namespace.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn hears(manager: &UnixDatagram, socket: &OsStr) {
        manager.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit above zero");
        for said in ["READY=1", &reloading(42), "STOPPING=1"] {
            send(socket, said).expect("somebody listens");
            let mut heard = [0; 64];
            let length = manager.recv(&mut heard).expect("was just sent");
            assert_eq!(&heard[..length], said.as_bytes());
        }
    }

    #[test]
    fn a_socket_with_a_path_hears_us() {
        let path = std::env::temp_dir().join(format!("tamada-notify-{}", std::process::id()));
        let manager = UnixDatagram::bind(&path).expect("the path is free");
        hears(&manager, path.as_os_str());
        std::fs::remove_file(&path).expect("we made it");
        assert!(send(path.as_os_str(), "READY=1").is_err());
    }

    #[test]
    fn a_socket_without_a_path_hears_us() {
        let name = format!("tamada-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("short enough");
        let manager = UnixDatagram::bind_addr(&address).expect("the name is free");
        hears(&manager, OsStr::new(&format!("@{name}")));
    }

    #[test]
    fn reloading_carries_the_time() {
        assert_eq!(reloading(1_500_000), "RELOADING=1\nMONOTONIC_USEC=1500000");
        assert!(clock::monotonic_micros() > 0);
    }
}
