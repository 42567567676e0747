//! Synchronous replication.
pub mod quorum;
