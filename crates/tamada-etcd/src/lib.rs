//! etcd's v3 protocol: its messages, and an endpoint that answers them from the embedded store. Knows nothing about
//! PostgreSQL, nor about what the keys mean.

pub mod messages;
