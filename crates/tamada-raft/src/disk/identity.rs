//! Who a node is, for as long as its disk lasts.
//!
//! The number is drawn when the disk is new, so a node that lost its disk comes back under another one: a newcomer that
//! must be let in, never an old voter with an empty memory.

use bytes::Bytes;
use prost::Message;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Never 0.
    pub node: u64,
    /// The number of the cluster it belongs to; `None` until it was founded or joined.
    pub cluster: Option<u64>,
    /// Under which the others reach it; empty until it was started with one.
    pub address: String,
}

#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(uint64, tag = "1")]
    node: u64,
    #[prost(uint64, optional, tag = "2")]
    cluster: Option<u64>,
    #[prost(string, tag = "3")]
    address: String,
}

impl Identity {
    /// Of a node that belongs nowhere yet.
    pub(super) fn drawn() -> Self {
        Self { node: fastrand::u64(1..), cluster: None, address: String::new() }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let Self { node, cluster, address } = self.clone();
        Record { node, cluster, address }.encode_to_vec().into()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let Record { node, cluster, address } = Record::decode(bytes).map_err(|e| e.to_string())?;
        if node == 0 {
            return Err("a node without a number".to_owned());
        }
        Ok(Self { node, cluster, address })
    }
}
