//! The other nodes, by address; and what may be asked of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use prost::Message;

use crate::ask::{Errand, Failure, Reply, answer_from_bytes};
use crate::client::Trouble;
use crate::link::{CallError, Identity, Peer, Security};

/// What a frame between nodes is about. A number is never used again for something else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub(crate) enum Kind {
    Append = 1,
    Vote = 2,
    Snapshot = 3,
    Canvass = 4,
    SignOfLife = 5,
    Errand = 10,
    Introduction = 11,
    Watch = 12,
}

impl Kind {
    pub fn of(number: u16) -> Option<Self> {
        [
            Self::Append,
            Self::Vote,
            Self::Snapshot,
            Self::Canvass,
            Self::SignOfLife,
            Self::Errand,
            Self::Introduction,
            Self::Watch,
        ]
        .into_iter()
        .find(|kind| *kind as u16 == number)
    }
}

/// Who a node is, before there is a store that would know.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Introduction {
    #[prost(fixed64, tag = "1")]
    pub node: u64,
    #[prost(string, tag = "2")]
    pub address: String,
    #[prost(string, repeated, tag = "3")]
    pub partners: Vec<String>,
    /// It has no store.
    #[prost(bool, tag = "4")]
    pub empty: bool,
}

/// Connections to other nodes, made when they are first needed.
pub(crate) struct Peers {
    security: Security,
    introduce: Arc<dyn Fn() -> Identity + Send + Sync>,
    known: Mutex<BTreeMap<String, Neighbour>>,
}

/// One other node.
#[derive(Clone)]
pub(crate) struct Neighbour(Arc<Peer>);

impl Peers {
    pub fn new(security: Security, introduce: Arc<dyn Fn() -> Identity + Send + Sync>) -> Self {
        Self { security, introduce, known: Mutex::default() }
    }

    pub fn at(&self, address: &str) -> Neighbour {
        let mut known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(neighbour) = known.get(address) {
            return neighbour.clone();
        }
        let peer = Peer::new(address.to_owned(), &self.security, self.introduce.clone());
        let neighbour = Neighbour(Arc::new(peer));
        known.insert(address.to_owned(), neighbour.clone());
        neighbour
    }
}

impl Neighbour {
    pub async fn call(&self, kind: Kind, body: Vec<u8>, within: Duration) -> Result<Bytes, CallError> {
        self.0.call(kind as u16, body.into(), within).await
    }

    /// The outer error: whether and how it was not answered.
    pub async fn run(&self, errand: &Errand) -> Result<Result<Reply, Failure>, CallError> {
        let answer = self.call(Kind::Errand, errand.to_bytes(), errand.within).await?;
        let garbled =
            |error| Err(Failure::Trouble(Trouble::Refused(format!("an answer that cannot be read: {error}"))));
        Ok(answer_from_bytes(&answer).unwrap_or_else(garbled))
    }

    pub async fn introduce(&self, own: &Introduction, within: Duration) -> Result<Introduction, CallError> {
        let answer = self.call(Kind::Introduction, own.encode_to_vec(), within).await?;
        Introduction::decode(answer)
            .map_err(|error| CallError::Refused(format!("an answer that cannot be read: {error}")))
    }

    pub fn peer(&self) -> &Peer {
        &self.0
    }
}
