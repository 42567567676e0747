//! What a node answers to the others: the consensus' messages, errands, introductions and watches.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use prost::Message;
use tokio::sync::mpsc;

use super::Node;
use crate::ask::{Errand, WatchNews, answer_to_bytes};
use crate::codec;
use crate::consensus::{Backing, message};
use crate::link::{Handler, Identity};
use crate::peers::Kind;

/// News of a watch that wait for the connection.
const QUEUE: usize = 64;

/// A node, as others reach it. Empty until the node has started.
pub(super) struct Door(pub Arc<std::sync::OnceLock<Arc<Node>>>, pub Arc<dyn Fn() -> Identity + Send + Sync>);

impl Handler for Door {
    fn identity(&self) -> Identity {
        (self.1)()
    }

    /// Nodes of another store are turned away; a node without one may ask to join.
    fn admit(&self, peer: &Identity) -> Result<(), String> {
        let own = self.identity();
        match (own.cluster, peer.cluster) {
            (Some(ours), Some(theirs)) if ours != theirs => Err(format!(
                "{} belongs to the store {ours:016x}, and {} to the store {theirs:016x}: if the latter is to join the \
                 former, stop it and move its raft.data_dir away",
                own.address, peer.address
            )),
            _ => Ok(()),
        }
    }

    fn call(&self, peer: &Identity, kind: u16, body: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        let (node, peer) = (self.0.get().cloned(), peer.clone());
        Box::pin(async move {
            let node = node.ok_or("this node is starting")?;
            let kind = Kind::of(kind).ok_or("a request that this version does not know")?;
            node.answer(&peer, kind, body).await.map(Bytes::from)
        })
    }

    fn stream(
        &self,
        _: &Identity,
        kind: u16,
        body: Bytes,
    ) -> BoxFuture<'static, Result<mpsc::Receiver<Bytes>, String>> {
        let node = self.0.get().cloned();
        Box::pin(async move {
            let node = node.ok_or("this node is starting")?;
            match Kind::of(kind) {
                Some(Kind::Watch) => node.watch_for_another(&body),
                Some(
                    Kind::Append
                    | Kind::Vote
                    | Kind::Snapshot
                    | Kind::Canvass
                    | Kind::SignOfLife
                    | Kind::Errand
                    | Kind::Introduction,
                )
                | None => Err("a request that this version does not know".to_owned()),
            }
        })
    }
}

impl Node {
    async fn answer(&self, peer: &Identity, kind: Kind, body: Bytes) -> Result<Vec<u8>, String> {
        match kind {
            Kind::Append => {
                let (to, backing, request) = message::append_from_bytes(&body).map_err(text)?;
                self.check_meant(to)?;
                self.heard.from(peer.node);
                self.pulse.heard(&request.vote, backing);
                let answer = self.raft.append_entries(request).await.map_err(text)?;
                Ok(message::append_answer_to_bytes(&answer))
            }
            Kind::Vote => {
                let (to, request) = message::vote_from_bytes(&body).map_err(text)?;
                self.check_meant(to)?;
                self.heard.from(peer.node);
                self.pulse.heard_candidate();
                let answer = self.raft.vote(request).await.map_err(text)?;
                Ok(message::vote_answer_to_bytes(&answer))
            }
            Kind::Snapshot => {
                let (to, vote, snapshot) = message::snapshot_from_bytes(&body).map_err(text)?;
                self.check_meant(to)?;
                self.heard.from(peer.node);
                self.pulse.heard(&vote, Backing::Majority);
                let answer = self.raft.install_full_snapshot(vote, snapshot).await.map_err(text)?;
                Ok(message::snapshot_answer_to_bytes(&answer))
            }
            Kind::Canvass => {
                let (to, canvass) = message::canvass_from_bytes(&body).map_err(text)?;
                self.check_meant(to)?;
                self.heard.from(peer.node);
                Ok(message::canvass_answer_to_bytes(self.pulse.would_elect(&canvass)))
            }
            Kind::SignOfLife => {
                let (to, vote) = message::sign_of_life_from_bytes(&body).map_err(text)?;
                self.check_meant(to)?;
                self.heard.from(peer.node);
                self.pulse.heard(&vote, Backing::Majority);
                Ok(Vec::new())
            }
            Kind::Errand => {
                let errand = Errand::from_bytes(&body).map_err(text)?;
                Ok(answer_to_bytes(&self.run(errand).await))
            }
            Kind::Introduction => Ok(self.introduction().encode_to_vec()),
            Kind::Watch => Err("a watch is a stream".to_owned()),
        }
    }

    /// A node that lost its disk is another one, and must not answer for the one that it was.
    fn check_meant(&self, to: u64) -> Result<(), String> {
        if to == self.me {
            return Ok(());
        }
        Err(format!("the node at {} is not the one that was here before: it has lost its disk", self.config.self_addr))
    }

    fn watch_for_another(self: Arc<Self>, what: &[u8]) -> Result<mpsc::Receiver<Bytes>, String> {
        let range = codec::decode_range(what).map_err(text)?;
        let mut watch = self.watch(range.keys, range.at).map_err(text)?;
        let (teller, told) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let mut news = WatchNews::Began(watch.began_at());
            loop {
                let is_last = matches!(news, WatchNews::End(_));
                if teller.send(news.to_bytes().into()).await.is_err() || is_last {
                    return;
                }
                news = tokio::select! {
                    next = watch.next() => next.map_or_else(WatchNews::End, WatchNews::Changes),
                    () = teller.closed() => return,
                };
            }
        });
        Ok(told)
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
