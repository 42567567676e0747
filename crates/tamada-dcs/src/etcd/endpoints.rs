//! Which etcd nodes there are, and which of them we talk to.
//!
//! We stay with the node that works. When it fails it goes to the end of the row and the next one is tried. The row is
//! what the cluster itself tells (its members' client addresses), followed by the configured addresses, which are a
//! way back in when the members advertise something we cannot reach.

use std::fmt;

/// One node's client address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    pub https: bool,
    pub host: String,
    pub port: u16,
}

impl Endpoint {
    /// `http://10.0.0.1:2379`, as etcd's members advertise it.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let https = match scheme {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let uri: http::Uri = format!("{scheme}://{rest}").parse().ok()?;
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { https, host, port: uri.port_u16().unwrap_or(2379) })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// The row of nodes; the first is the one in use.
#[derive(Debug)]
pub struct Endpoints {
    configured: Vec<Endpoint>,
    row: Vec<Endpoint>,
}

impl Endpoints {
    pub fn new(configured: Vec<Endpoint>) -> Self {
        Self { row: configured.clone(), configured }
    }

    pub fn current(&self) -> Option<&Endpoint> {
        self.row.first()
    }

    /// How many nodes there are to try.
    pub fn count(&self) -> usize {
        self.row.len()
    }

    pub fn is_configured(&self, endpoint: &Endpoint) -> bool {
        self.configured.contains(endpoint)
    }

    /// Moves on, unless somebody else already has.
    pub fn failed(&mut self, endpoint: &Endpoint) {
        if self.current() == Some(endpoint) {
            self.row.rotate_left(1);
        }
    }

    /// The addresses that stand in the configuration or in its SRV records, when these change.
    pub fn configure(&mut self, configured: Vec<Endpoint>) {
        self.configured = configured;
        let members = std::mem::take(&mut self.row);
        self.learn(members);
    }

    /// The cluster's own list. An empty one teaches nothing.
    pub fn learn(&mut self, mut members: Vec<Endpoint>) {
        if members.is_empty() && !self.row.is_empty() {
            return;
        }
        let current = self.current().cloned();
        for endpoint in &self.configured {
            if !members.contains(endpoint) {
                members.push(endpoint.clone());
            }
        }
        if let Some(place) = current.and_then(|current| members.iter().position(|member| *member == current)) {
            members.rotate_left(place);
        }
        self.row = members;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(hosts: &str) -> Vec<Endpoint> {
        hosts.chars().map(|host| Endpoint { https: false, host: host.to_string(), port: 2379 }).collect()
    }

    fn hosts(endpoints: &Endpoints) -> String {
        endpoints.row.iter().map(|endpoint| endpoint.host.as_str()).collect()
    }

    #[test]
    fn a_failed_node_goes_to_the_end_once() {
        let mut endpoints = Endpoints::new(row("abc"));
        endpoints.failed(&row("a")[0]);
        endpoints.failed(&row("a")[0]);
        assert_eq!(hosts(&endpoints), "bca");
    }

    #[test]
    fn the_clusters_own_list_comes_first_and_the_node_in_use_stays() {
        let mut endpoints = Endpoints::new(row("ab"));
        endpoints.failed(&row("a")[0]);
        endpoints.learn(row("xbyz"));
        assert_eq!(hosts(&endpoints), "byzax");
        endpoints.learn(Vec::new());
        assert_eq!(hosts(&endpoints), "byzax");
    }

    #[test]
    fn addresses_read_and_print() {
        for url in ["http://10.0.0.1:2379", "https://[fe80::1]:23790", "http://node-1:1"] {
            assert_eq!(Endpoint::parse(url).unwrap().to_string(), url);
        }
        assert_eq!(Endpoint::parse("http://h").unwrap().port, 2379);
        assert!(Endpoint::parse("unix://x").is_none());
        assert!(Endpoint::parse("h:2379").is_none());
    }
}
