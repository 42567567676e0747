//! How we reach our own server (postgres.md 2.1).

use std::path::{Path, PathBuf};

use tamada_model::PostgresConfig;

use crate::client::Host;

/// Where the server listens for us: fixed at its start, whatever the configuration says afterwards (2.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Addresses {
    /// For queries.
    pub queries: Host,
    /// For the replication protocol.
    pub replication: Host,
    pub port: u16,
}

impl Addresses {
    /// `sockets`: the wanted `unix_socket_directories`, if configured.
    pub fn new(config: &PostgresConfig, sockets: Option<&str>) -> Self {
        let tcp = Host::Tcp(local_host(&config.listen_addresses));
        let socket = || socket(sockets, config.port).unwrap_or_else(|| tcp.clone());
        Self {
            queries: if config.use_unix_socket { socket() } else { tcp.clone() },
            replication: if config.use_unix_socket_repl { socket() } else { tcp.clone() },
            port: config.port,
        }
    }
}

pub(crate) fn local_host(listen: &str) -> String {
    let addresses: Vec<&str> = listen.split(',').map(str::trim).filter(|address| !address.is_empty()).collect();
    let local = ["*", "localhost", "0.0.0.0", "127.0.0.1"];
    if addresses.is_empty() || addresses.iter().any(|address| local.contains(address)) {
        return "localhost".to_owned();
    }
    addresses.first().map_or("localhost", |first| first).to_owned()
}

/// The first absolute directory; where nothing is configured, the one that PostgreSQL's packages were built with.
fn socket(configured: Option<&str>, port: u16) -> Option<Host> {
    match configured {
        Some(list) => {
            let mut directories = list.split(',').map(|directory| directory.trim().trim_matches('"'));
            directories.find(|directory| directory.starts_with('/')).map(|directory| Host::Socket(directory.into()))
        }
        None => {
            let built_in = ["/var/run/postgresql", "/tmp"].map(PathBuf::from);
            let here = |directory: &&PathBuf| holds_socket(directory, port);
            built_in.iter().find(here).or(built_in.first()).cloned().map(Host::Socket)
        }
    }
}

fn holds_socket(directory: &Path, port: u16) -> bool {
    directory.join(format!(".s.PGSQL.{port}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_listening_on_this_host_is_localhost() {
        assert_eq!(local_host("10.0.0.1, 127.0.0.1"), "localhost");
        assert_eq!(local_host("*"), "localhost");
        assert_eq!(local_host("10.0.0.1,10.0.0.2"), "10.0.0.1");
    }

    #[test]
    fn the_first_absolute_directory_holds_our_socket() {
        assert_eq!(socket(Some("., /run/pg, /tmp"), 1), Some(Host::Socket("/run/pg".into())));
        assert_eq!(socket(Some("."), 1), None);
        assert!(socket(None, 1).is_some());
    }
}
