//! What one member needs of etcd: a client, one lease, and what it wrote last.

use std::sync::Arc;
use std::time::Duration;

use tamada_model::{Etcd3Config, StoreScope};

use super::client::{Client, Times};
use super::lease::Lease;
use super::rpc::HTTP2;
use crate::StoreError;
use crate::ours::Ours;
use crate::tls::Tls;
use crate::tree::{Tree, TreeStore};

/// One cluster's keys in etcd, as one member sees them.
pub struct Etcd {
    pub(super) client: Arc<Client>,
    pub(super) ours: Ours,
    pub(super) lease: Lease,
}

impl Etcd {
    /// Nothing is asked yet; only the certificate files must be readable.
    pub fn open(config: &Etcd3Config, scope: StoreScope) -> Result<TreeStore<Self>, StoreError> {
        if config.https {
            Tls::load(&config.tls, HTTP2).map_err(|why| StoreError::Refused(format!("etcd3: {why}")))?;
        }
        let times = Times { ttl: scope.ttl, retry_timeout: scope.retry_timeout };
        let client = Client::new(config.clone(), times);
        Ok(TreeStore::new(Self { client, ours: Ours::new(scope), lease: Lease::default() }))
    }
}

impl Tree for Etcd {
    const NAME: &'static str = "etcd";

    fn set_times(&self, ttl: Duration, retry_timeout: Duration) {
        self.client.set_times(Times { ttl, retry_timeout });
    }
}
