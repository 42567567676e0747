//! One port to the configuration store, and the stores behind it. Knows keys and leases; knows nothing about
//! PostgreSQL, nor about who should lead.

pub mod port;

pub use port::{Answer, Freshness, Renewal, Store, StoreError, Written};
