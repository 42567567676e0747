//! Nodes from SRV records (dcs-layout.md 9.1, "SRV").

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::endpoints::Endpoint;
use super::rpc::reach;
use crate::clock::Deadline;
use crate::dns::{Dns, Offer};
use crate::names::Names;
use crate::tls::Tls;

/// Service name, and whether it names peers: these are asked for the client addresses of their members.
const SERVICES: [(&str, Offers); 6] = [
    ("etcd-client-ssl", Offers::Clients),
    ("etcd-client", Offers::Clients),
    ("etcd-ssl", Offers::Clients),
    ("etcd", Offers::Clients),
    ("etcd-server-ssl", Offers::Peers),
    ("etcd-server", Offers::Peers),
];
/// A member list is small; a stranger's answer need not be.
const LONGEST_LIST: u64 = 256 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Offers {
    Clients,
    Peers,
}

/// How to look for nodes.
pub struct Search<'a> {
    pub dns: &'a Dns,
    pub names: &'a Names,
    /// For peers that speak TLS.
    pub tls: Option<&'a Tls>,
    pub limit: Deadline,
}

impl Search<'_> {
    /// The nodes of the first service that has any.
    pub async fn nodes(&self, domain: &str, suffix: Option<&str>) -> Result<Vec<Endpoint>, String> {
        let mut complaint = format!("no SRV records of etcd under _tcp.{domain}");
        for (service, offers) in SERVICES {
            let name = match suffix {
                Some(suffix) => format!("_{service}-{suffix}._tcp.{domain}"),
                None => format!("_{service}._tcp.{domain}"),
            };
            let found = self.dns.srv(&name, self.limit).await?;
            let https = service.ends_with("-ssl");
            let named: Vec<_> = found.into_iter().map(|Offer { host, port }| Endpoint { https, host, port }).collect();
            let nodes = match offers {
                Offers::Clients => named,
                Offers::Peers => self.clients_of(&named).await.unwrap_or_else(|why| {
                    complaint = why;
                    Vec::new()
                }),
            };
            if !nodes.is_empty() {
                return Ok(nodes);
            }
        }
        Err(complaint)
    }

    async fn clients_of(&self, peers: &[Endpoint]) -> Result<Vec<Endpoint>, String> {
        let mut complaint = Ok(Vec::new());
        for (tried, peer) in peers.iter().enumerate() {
            let shares = u32::try_from(peers.len() - tried).unwrap_or(u32::MAX);
            let share = Deadline::after(self.limit.left() / shares);
            match share.limit(self.members(peer, share)).await {
                Some(Ok(nodes)) => return Ok(nodes),
                Some(Err(why)) => complaint = Err(format!("{peer}: {why}")),
                None => complaint = Err(format!("{peer}: no answer in time")),
            }
        }
        complaint
    }

    /// `GET /members`. HTTP/1.0, so that the answer comes in one piece and ends with the connection.
    async fn members(&self, peer: &Endpoint, limit: Deadline) -> Result<Vec<Endpoint>, String> {
        let tls = if peer.https { self.tls } else { None };
        let mut stream = reach(peer, self.names, tls, limit).await?;
        let request = format!("GET /members HTTP/1.0\r\nHost: {}:{}\r\n\r\n", peer.host, peer.port);
        stream.write_all(request.as_bytes()).await.map_err(|e| e.to_string())?;
        let mut answer = Vec::new();
        stream.take(LONGEST_LIST).read_to_end(&mut answer).await.map_err(|e| e.to_string())?;
        client_urls(&answer).ok_or_else(|| "it told no members".to_owned())
    }
}

fn client_urls(answer: &[u8]) -> Option<Vec<Endpoint>> {
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let members: Value = serde_json::from_slice(&answer[body..]).ok()?;
    let urls = members.as_array()?.iter().filter_map(|member| member.get("clientURLs")?.as_array()).flatten();
    Some(urls.filter_map(|url| Endpoint::parse(url.as_str()?)).collect())
}
