//! Which nodes there are: from SRV records before connecting, and from the cluster itself once connected.

use std::time::Duration;

use tamada_etcd::messages::MemberListRequest;
use tamada_model::{Mono, TlsFiles};
use tracing::debug;

use super::client::{Client, configured, locked};
use super::discovery::Search;
use super::endpoints::Endpoint;
use crate::clock::{Deadline, mono};
use crate::tls::Tls;

/// The member list is asked for anew after this many ttl (dcs-layout.md 9.1).
const MEMBERS_EVERY_TTLS: u32 = 10;
/// SRV records are asked for again when a connection is needed, but not more often than this.
const SRV_EVERY: Duration = Duration::from_secs(60);
/// As TLS negotiates it, for the member list of peers.
const HTTP1: &str = "http/1.1";

/// When we last asked for nodes.
#[derive(Default)]
pub struct Asked {
    /// The cluster. Cleared when a node fails, so that it is asked soon.
    pub members: Option<Mono>,
    /// The cluster is being asked right now.
    asking_members: bool,
    /// The SRV records, with success.
    srv: Option<Mono>,
}

impl Client {
    /// Fills the row of nodes from SRV records, if these are configured. A failure is fatal only while no node is known.
    pub(super) async fn find_nodes(&self, share: Deadline) -> Result<(), String> {
        let Some((domain, suffix)) = &self.config.endpoints.srv else { return Ok(()) };
        if locked(&self.asked).srv.is_some_and(|at| mono().since(at) < SRV_EVERY) {
            return Ok(());
        }
        let limit = Deadline::after(share.left() / 2);
        let tls = match self.config.tls == TlsFiles::default() {
            true => None,
            false => Some(self.tls(HTTP1, limit).await?),
        };
        let search = Search { dns: &self.dns, names: &self.names, tls: tls.as_ref(), limit };
        match search.nodes(domain, suffix.as_deref()).await {
            Ok(mut nodes) => {
                locked(&self.asked).srv = Some(mono());
                nodes.extend(configured(&self.config));
                locked(&self.endpoints).configure(nodes);
                Ok(())
            }
            Err(why) if locked(&self.endpoints).current().is_none() => Err(why),
            Err(why) => {
                debug!("could not discover etcd: {why}");
                Ok(())
            }
        }
    }

    /// Read anew each time, so that renewed certificates need no restart.
    pub(super) async fn tls(&self, protocol: &'static str, share: Deadline) -> Result<Tls, String> {
        let files = self.config.tls.clone();
        let loaded = share.limit(tokio::task::spawn_blocking(move || Tls::load(&files, protocol))).await;
        loaded.ok_or("certificate files do not answer")?.map_err(|e| e.to_string())?
    }

    /// In the background: it must not take time from the call that made us connect.
    pub(super) fn ask_members_if_due(&self) {
        let every = self.times().ttl * MEMBERS_EVERY_TTLS;
        let now = mono();
        let mut asked = locked(&self.asked);
        let is_known = asked.members.is_some_and(|at| now.since(at) < every);
        if self.config.fixed_endpoints || is_known || asked.asking_members {
            return;
        }
        asked.members = Some(now);
        asked.asking_members = true;
        if let Some(client) = self.myself.upgrade() {
            tokio::spawn(async move { client.ask_members().await });
        }
    }

    async fn ask_members(&self) {
        let deadline = Deadline::after(self.times().retry_timeout);
        match self.call_local(MemberListRequest {}, deadline).await {
            Ok(list) => {
                let voters = list.members.iter().filter(|member| !member.is_learner);
                let urls = voters.flat_map(|member| &member.client_urls);
                locked(&self.endpoints).learn(urls.filter_map(|url| Endpoint::parse(url)).collect());
            }
            Err(trouble) => debug!("could not ask for etcd's members: {}", trouble.into_error()),
        }
        locked(&self.asked).asking_members = false;
    }
}
