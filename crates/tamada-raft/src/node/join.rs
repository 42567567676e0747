//! How a node comes to belong: by founding a new store together with all its partners, or by joining one that exists.
//!
//! 1. A node with an empty disk cannot know whether it is new or has lost everything. If it is the second, and founds
//!    a new store with others who have lost everything, two stores exist, and two primaries.
//! 2. Therefore a store is founded only when *all* partners have been heard, all of them empty, and all with the same
//!    list. The one with the smallest address does it.
//! 3. As soon as one partner has a store, an empty node asks to join it, under the new number that it drew; see
//!    `members` for what becomes of the number it had.
//!
//! A node that has a store asks too, when it starts: its address may be new, or it may have been taken out meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{InitializeError, RaftError};
use tokio::time::sleep;

use super::Node;
use super::standing::even_number;
use crate::Command;
use crate::ask::{Ask, Errand, Failure, Hop, Reply};
use crate::client::Trouble;
use crate::consensus::Place;
use crate::link::CallError;
use crate::peers::Introduction;

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a partner may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(2);
/// Joining includes copying the store, and waiting for a change of members that is under way.
const ADMISSION: Duration = Duration::from_secs(40);
/// How often a member looks whether it still is one. One that is taken out need not hear of it: it hears no leader any
/// more, and has to ask.
const LOOK: Duration = Duration::from_secs(5);

/// Why a node does not belong yet.
enum NotYet {
    /// Nobody could tell.
    Unheard,
    /// Somebody must act, or somebody must come.
    Obstacle(String),
}

pub(super) async fn belong(node: Arc<Node>) {
    let mut told = None;
    loop {
        match node.try_to_belong().await {
            Ok(()) => {
                node.set_obstacle(None);
                told = None;
                sleep(LOOK).await;
                while node.is_member() && node.hears_leader() {
                    sleep(LOOK).await;
                }
            }
            Err(NotYet::Unheard) => {
                node.set_obstacle(None);
                sleep(AGAIN).await;
            }
            Err(NotYet::Obstacle(why)) => {
                if told.as_ref() != Some(&why) {
                    tracing::warn!("{why}");
                }
                node.set_obstacle(Some(why.clone()));
                told = Some(why);
                sleep(AGAIN).await;
            }
        }
    }
}

/// Keeps what every founded store needs, whoever leads: its number, on every disk; and no change of voters left half
/// done.
pub(super) async fn keep(node: Arc<Node>) {
    let mut applied = node.machine.applied();
    loop {
        node.remember_cluster().await;
        if node.leads() {
            node.name_cluster().await;
            node.finish_change().await;
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            _ = applied.changed() => {}
        }
    }
}

impl Node {
    /// Nothing was ever written here that others count on.
    pub(super) fn is_empty(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        metrics.last_log_index.is_none() && metrics.last_applied.is_none()
    }

    pub(super) fn is_member(&self) -> bool {
        self.membership().get_node(&self.me).is_some()
    }

    pub(super) fn introduction(&self) -> Introduction {
        Introduction {
            node: self.me,
            address: self.config.self_addr.clone(),
            partners: self.config.partner_addrs.clone(),
            empty: self.is_empty(),
        }
    }

    async fn try_to_belong(&self) -> Result<(), NotYet> {
        if !self.is_empty() {
            self.ask_to_join(&self.config.partner_addrs).await?;
            return self.check_strangers().await;
        }
        let heard = self.hear_partners().await;
        let founded =
            |(_, said): &(&String, Result<Introduction, CallError>)| said.as_ref().is_ok_and(|said| !said.empty);
        let members: Vec<String> =
            heard.iter().filter(|said| founded(said)).map(|(address, _)| (*address).clone()).collect();
        if members.is_empty() { self.found(heard).await } else { self.ask_to_join(&members).await }
    }

    async fn hear_partners(&self) -> Vec<(&String, Result<Introduction, CallError>)> {
        let own = &self.introduction();
        let hearings = self
            .config
            .partner_addrs
            .iter()
            .map(|address| async move { (address, self.peers.at(address).introduce(own, INTRODUCTION).await) });
        futures_util::future::join_all(hearings).await
    }

    async fn found(&self, heard: Vec<(&String, Result<Introduction, CallError>)>) -> Result<(), NotYet> {
        let mut members = BTreeMap::from([(self.me, Place { address: self.config.self_addr.clone() })]);
        for (address, said) in heard {
            let said = said.map_err(|why| {
                NotYet::Obstacle(format!(
                    "waiting for {why} (a new store is founded when all of raft.partner_addrs have been heard)"
                ))
            })?;
            self.check_partner(address, &said)?;
            members.insert(said.node, Place { address: said.address });
        }
        let first = members.values().map(|place| &place.address).min();
        if first != Some(&self.config.self_addr) {
            return Err(NotYet::Unheard);
        }
        let addresses: Vec<String> = members.values().map(|place| place.address.clone()).collect();
        match self.raft.initialize(members).await {
            Ok(()) => {
                tracing::info!("founded the store with {}", addresses.join(", "));
                if addresses.len().is_multiple_of(2) {
                    tracing::warn!("{}", even_number(addresses.len()));
                }
                Ok(())
            }
            // It has been done, and is not to be seen yet.
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Err(NotYet::Unheard),
            Err(error) => Err(NotYet::Obstacle(format!("the store could not be founded: {error}"))),
        }
    }

    /// Partners that are not members of our store: they may have another one.
    async fn check_strangers(&self) -> Result<(), NotYet> {
        for address in self.config.partner_addrs.iter().filter(|address| self.member_at(address).is_none()) {
            if let Err(CallError::Refused(why)) =
                self.peers.at(address).introduce(&self.introduction(), INTRODUCTION).await
            {
                return Err(NotYet::Obstacle(why));
            }
        }
        Ok(())
    }

    /// All who found a store must mean the same one.
    fn check_partner(&self, address: &str, said: &Introduction) -> Result<(), NotYet> {
        let own = &self.config.self_addr;
        if said.node == self.me {
            return Err(NotYet::Obstacle(format!(
                "raft.partner_addrs of {own} names {own} itself as {address}: remove it"
            )));
        }
        if said.address == *own {
            return Err(NotYet::Obstacle(format!(
                "two nodes call themselves {own}: give the one at {address} another raft.self_addr"
            )));
        }
        if said.address != *address {
            return Err(NotYet::Obstacle(format!(
                "the node at {address} calls itself {}: raft.partner_addrs must name a node as its own raft.self_addr does",
                said.address
            )));
        }
        let whole = |own: &str, partners: &[String]| -> BTreeSet<String> {
            partners.iter().cloned().chain([own.to_owned()]).collect()
        };
        let (ours, theirs) = (whole(own, &self.config.partner_addrs), whole(address, &said.partners));
        if ours == theirs {
            return Ok(());
        }
        let list = |members: BTreeSet<String>| members.into_iter().collect::<Vec<_>>().join(", ");
        Err(NotYet::Obstacle(format!(
            "{own} would found a store of {}, but {address} one of {}: raft.self_addr and raft.partner_addrs must name \
             the same nodes on all of them",
            list(ours),
            list(theirs)
        )))
    }

    async fn ask_to_join(&self, members: &[String]) -> Result<(), NotYet> {
        let ask = Ask::Join { node: self.me, address: self.config.self_addr.clone() };
        let errand = Errand { ask, within: ADMISSION, hop: Hop::First };
        if self.hears_leader() {
            return heed(self.run(errand).await);
        }
        let mut refusal = NotYet::Unheard;
        for address in members {
            match self.peers.at(address).run(&errand).await {
                Ok(answer) => match heed(answer) {
                    Ok(()) => return Ok(()),
                    Err(why) => refusal = why,
                },
                Err(CallError::Refused(why)) => refusal = NotYet::Obstacle(why),
                Err(CallError::NotSent(_) | CallError::Lost(_)) => {}
            }
        }
        Err(refusal)
    }

    async fn remember_cluster(&self) {
        let Some(cluster) = self.machine.cluster() else { return };
        if self.disk.identity().cluster == Some(cluster) {
            return;
        }
        if let Err(why) = self.disk.set_cluster(cluster).await {
            tracing::warn!("the number of the store could not be written: {why}");
        }
    }

    async fn name_cluster(&self) {
        if self.machine.cluster().is_none() {
            // Of several that are written, the first counts.
            let _ = self.proposer.propose(Command::Found { cluster: fastrand::u64(1..) }).await;
        }
    }
}

fn heed(answer: Result<Reply, Failure>) -> Result<(), NotYet> {
    match answer {
        Ok(_) => Ok(()),
        Err(Failure::Trouble(Trouble::Refused(why))) => Err(NotYet::Obstacle(why)),
        Err(Failure::Trouble(Trouble::Unreachable(_)) | Failure::Unclear(_) | Failure::NotLeader) => {
            Err(NotYet::Unheard)
        }
    }
}
