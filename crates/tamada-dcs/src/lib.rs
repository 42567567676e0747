//! One port to the configuration store, and the stores behind it. Knows keys and leases; knows nothing about
//! PostgreSQL, nor about who should lead.

mod bell;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod dns;
pub mod embedded;
pub mod etcd;
pub mod names;
mod ours;
pub mod port;
mod text;
pub mod tls;
pub mod tree;

use std::sync::Arc;

use tamada_model::{StoreConfig, StoreScope};

pub use port::{Answer, Freshness, Renewal, Store, StoreError, Written};

/// The store of the configuration, from outside: who runs a voter of the embedded one opens
/// [`embedded::Embedded`] with the voter's own client. Connects when it is first asked something; fails only for what an
/// operator must change, such as an unreadable certificate.
pub fn open(config: &StoreConfig, scope: StoreScope) -> Result<Arc<dyn Store>, StoreError> {
    match config {
        StoreConfig::Etcd3(config) => Ok(Arc::new(etcd::Etcd::open(config, scope)?)),
        StoreConfig::Raft(config) => {
            let client = tamada_raft::Client::remote(config.voters(), embedded::security(config));
            Ok(Arc::new(embedded::Embedded::open(client, scope)))
        }
    }
}
