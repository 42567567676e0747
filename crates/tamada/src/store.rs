//! The store that the configuration names. The embedded one also runs here: our voter, and the address at which it
//! answers etcd's protocol.
//!
//! What becomes of an agent whose voter ends because its disk failed? PostgreSQL may well be on another disk, and in good
//! health; and a store that lost one voter of three works on. So the agent goes on too, and asks the other voters (its
//! client does so by itself); only if there are none, or too few, is the store gone for it, and then it does what it
//! does without a store. The rejected idea is to end the agent: that stops a primary, and on the next start the voter
//! fails again.
//!
//! A voter that fails at *start* is treated alike. To refuse the start would be wrong:
//!
//! 1. The agent of a primary is killed, and its file of the store is damaged; PostgreSQL runs on.
//! 2. The service manager starts the agent, which cannot start its voter, and ends; again and again.
//! 3. The lease ends, and another member is promoted. Nobody stops the old primary, and clients still write there.
//!
//! Only without partners the agent ends, and stops its primary first: who joined later (`store add`) may be missing in
//! our file, and have the majority that promotes another member.

use std::sync::Arc;

use tamada_dcs::embedded::{Embedded, security, voter_config};
use tamada_dcs::{Store, StoreError};
use tamada_etcd::{EtcdEndpoint, EtcdEndpointConfig};
use tamada_model::{RaftConfig, StoreConfig, StoreScope};
use tamada_raft::{Client, Voter};
use tokio::sync::{oneshot, watch};

/// The store, and what must live as long as we use it.
pub struct Opened {
    pub store: Arc<dyn Store>,
    pub part: Option<Part>,
}

/// What this process does for the embedded store.
pub struct Part {
    client: Client,
    voter: Option<Voter>,
    endpoint: Option<Endpoint>,
}

/// Etcd's protocol on a thread and a runtime of its own: a flood of its clients can slow itself down, but not the lease.
struct Endpoint {
    /// Ends it when dropped.
    _stop: oneshot::Sender<()>,
}

/// The error is a sentence for the operator.
pub async fn open(config: &StoreConfig, scope: StoreScope) -> Result<Opened, String> {
    match config {
        StoreConfig::Etcd3(_) => {
            let store = tamada_dcs::open(config, scope).map_err(|error: StoreError| error.to_string())?;
            Ok(Opened { store, part: None })
        }
        StoreConfig::Raft(raft) => {
            let part = Part::begin_or_lean(raft).await?;
            part.say_when_it_fails();
            let store = Arc::new(Embedded::open(part.client.clone(), scope));
            Ok(Opened { store, part: Some(part) })
        }
    }
}

impl Part {
    pub async fn begin(raft: &RaftConfig) -> Result<Self, String> {
        let voter = start_voter(raft).await?;
        let client = match &voter {
            Some(voter) => voter.client(),
            None => Client::remote(raft.voters(), security(raft)),
        };
        let endpoint = match &raft.etcd_addr {
            Some(address) => Some(Endpoint::start(client.clone(), raft, address).await?),
            None => None,
        };
        Ok(Self { client, voter, endpoint })
    }

    /// As [`Part::begin`]; but what fails here is left out, if the partners can do without.
    async fn begin_or_lean(raft: &RaftConfig) -> Result<Self, String> {
        let why = match Self::begin(raft).await {
            Ok(part) => return Ok(part),
            Err(why) if raft.partners.is_empty() => return Err(why),
            Err(why) => why,
        };
        tracing::error!("{why}");
        let without_endpoint = RaftConfig { etcd_addr: None, ..raft.clone() };
        if raft.etcd_addr.is_some()
            && let Ok(part) = Self::begin(&without_endpoint).await
        {
            tracing::warn!("going on without answering etcd's protocol");
            return Ok(part);
        }
        tracing::warn!("going on without a voter of our own: the other voters are asked");
        Ok(Self { client: Client::remote(raft.partners.clone(), security(raft)), voter: None, endpoint: None })
    }

    /// Returns why our voter ended, once it has done so by itself.
    pub async fn failure(&self) -> String {
        match &self.voter {
            Some(voter) => failure(voter.ended()).await,
            None => std::future::pending().await,
        }
    }

    fn say_when_it_fails(&self) {
        let Some(voter) = &self.voter else { return };
        let ended = voter.ended();
        tokio::spawn(async move {
            let why = failure(ended).await;
            tracing::error!("our voter of the store ended ({why}): from now on the other voters are asked");
        });
    }

    /// Leaves nothing unwritten behind.
    pub async fn end(self) {
        drop(self.endpoint);
        if let Some(voter) = self.voter {
            voter.stop().await;
        }
    }
}

async fn failure(mut ended: watch::Receiver<Option<String>>) -> String {
    match ended.wait_for(Option::is_some).await.map(|why| why.clone()) {
        Ok(Some(why)) => why,
        // It was stopped.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

/// It reads its disk and binds its address before it returns.
async fn start_voter(raft: &RaftConfig) -> Result<Option<Voter>, String> {
    let Some(config) = voter_config(raft) else { return Ok(None) };
    let started = tokio::task::spawn_blocking(move || Voter::start(config)).await;
    started.unwrap_or_else(|panic| Err(panic.to_string())).map(Some)
}

impl Endpoint {
    async fn start(client: Client, raft: &RaftConfig, address: &str) -> Result<Self, String> {
        let config = EtcdEndpointConfig {
            listen: address.to_owned(),
            password: raft.password.as_ref().map(|password| password.expose().to_owned()),
            tls: security(raft).tls.filter(|files| files.cert.is_some()),
            advertise: advertised(raft, address),
        };
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("raft.etcd_addr: {error}"))?;
        let thread = std::thread::Builder::new().name("etcd".into()).stack_size(512 * 1024);
        let serve = async move {
            match EtcdEndpoint::start(client, config).await {
                Ok(_endpoint) => {
                    let _ = tell.send(Ok(()));
                    let _ = stopped.await;
                }
                Err(why) => drop(tell.send(Err(why))),
            }
        };
        thread.spawn(move || runtime.block_on(serve)).map_err(|error| format!("raft.etcd_addr: {error}"))?;
        let begun = told.await.unwrap_or_else(|_| Err("its thread ended at once".to_owned()));
        begun.map(|()| Self { _stop: stop }).map_err(|why| format!("raft.etcd_addr: {why}"))
    }
}

/// Where clients on other hosts find it: at the address where it listens, or, if that is every address of this host, at
/// the host under which the other voters know us.
fn advertised(raft: &RaftConfig, address: &str) -> Option<String> {
    let (host, port) = address.rsplit_once(':')?;
    if !["*", "0.0.0.0", "[::]"].contains(&host) {
        return Some(address.to_owned());
    }
    let (our_host, _) = raft.voter.as_ref()?.self_addr.rsplit_once(':')?;
    Some(format!("{our_host}:{port}"))
}

#[cfg(test)]
mod tests {
    use tamada_model::RaftVoter;

    use super::*;

    #[test]
    fn clients_are_told_an_address_that_they_can_reach() {
        let self_addr = "[fd00::1]:2222".to_owned();
        let voter = Some(RaftVoter { self_addr, bind_addr: None, data_dir: "/raft".into() });
        let raft = RaftConfig { voter, ..RaftConfig::default() };
        assert_eq!(advertised(&raft, "10.0.0.1:2379").as_deref(), Some("10.0.0.1:2379"));
        assert_eq!(advertised(&raft, "*:2379").as_deref(), Some("[fd00::1]:2379"));
        assert_eq!(advertised(&RaftConfig::default(), "0.0.0.0:2379"), None);
    }
}
