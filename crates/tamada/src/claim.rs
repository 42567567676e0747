//! One agent for one data directory. Two that share one, say a configuration copied with another name and other ports,
//! stop, start and rewind each other's PostgreSQL.
//!
//! The claim is a name in Linux's abstract socket space: it leaves no file, needs no writable place beside the data
//! directory, outlives its removal by a reinitialization, and ends with the process however that ends. It is seen by
//! agents in the same network namespace; containers that share a volume are not kept apart by it.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

/// Holds the data directory as long as it lives.
pub struct Claim {
    _name: Option<UnixListener>,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "another agent of this machine manages the data directory {0:?}: stop it or give this member a \
     postgresql.data_dir of its own."
)]
pub struct Taken(PathBuf);

/// Only a taken name refuses; an operating system that does not know such names does not.
pub fn claim(data_dir: &Path) -> Result<Claim, Taken> {
    let bound = SocketAddr::from_abstract_name(name(data_dir)).and_then(|name| UnixListener::bind_addr(&name));
    match bound {
        Ok(listener) => Ok(Claim { _name: Some(listener) }),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(Taken(data_dir.to_owned())),
        Err(error) => {
            tracing::warn!("could not claim the data directory {data_dir:?} for this agent: {error}");
            Ok(Claim { _name: None })
        }
    }
}

/// By the place on the disk, whatever links lead to it. The directory itself may come and go, so what counts is its
/// parent, or the nearest ancestor that exists.
fn name(data_dir: &Path) -> Vec<u8> {
    let real = fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let found = real.ancestors().skip(1).find_map(|parent| Some((parent, fs::metadata(parent).ok()?)));
    let (place, rest) = match &found {
        Some((parent, about)) => {
            (format!("{}:{}", about.dev(), about.ino()), real.strip_prefix(parent).unwrap_or(&real))
        }
        None => (String::new(), real.as_path()),
    };
    // A socket's name holds 107 bytes; the end of a path tells more than its beginning.
    let rest = rest.as_os_str().as_bytes();
    let tail = &rest[rest.len().saturating_sub(48)..];
    [format!("tamada-data/{place}/").as_bytes(), tail].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_agent_for_one_directory_by_whatever_path() {
        let base = std::env::temp_dir().join(format!("tamada-claim-{}", std::process::id()));
        fs::create_dir_all(base.join("data")).unwrap();
        std::os::unix::fs::symlink(base.join("data"), base.join("link")).unwrap();
        let held = claim(&base.join("data")).ok();
        assert!(held.is_some() && claim(&base.join("link")).is_err() && claim(&base.join("other")).is_ok());
        fs::remove_dir(base.join("data")).unwrap();
        assert!(claim(&base.join("data")).is_err());
        drop(held);
        // Another test may be starting a process, which for a moment has a copy of what we held.
        while claim(&base.join("data")).is_err() {
            std::thread::yield_now();
        }
        fs::remove_dir_all(&base).unwrap();
    }
}
