//! Who is a member: letting nodes in, giving them a vote, taking them out. Done by the consensus leader, one change at a
//! time.
//!
//! A node's number is drawn when it first starts on an empty disk, so a node that lost its disk is another node at the
//! same address. It comes back as a copy without a vote; when it has everything, it takes the place of the one it was.
//! The old number never votes again, and the new one has never voted: nobody votes twice in one term by forgetting.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{ChangeMembers, LogIdOptionExt};
use tokio::time::timeout;

use super::standing::{Lead, even_number};
use super::{Node, unreachable};
use crate::Command;
use crate::ask::{Failure, Reply};
use crate::client::{MemberChange, Trouble};
use crate::consensus::{NotProposed, Place};

/// How long a node may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a copy may take to catch up before it has to ask again.
const CATCH_UP: Duration = Duration::from_secs(30);

type Changed = Result<(), Failure>;

impl Node {
    pub(super) async fn change(&self, change: &MemberChange) -> Result<Reply, Failure> {
        let _one = self.changing.lock().await;
        let told = match change {
            MemberChange::Add { address } => self.add(address).await,
            MemberChange::Remove { address } => self.remove(address).await,
            MemberChange::Promote { address } => self.promote(address).await,
        };
        told.map(Reply::Told)
    }

    async fn add(&self, address: &str) -> Result<String, Failure> {
        check_address(address)?;
        if self.member_at(address).is_some() {
            return Err(refused(format!("{address} is a member of the store already")));
        }
        self.write(Command::Invite { address: address.to_owned() }).await?;
        Ok(format!(
            "{address} may join: start it with this store's members in raft.partner_addrs. It will be a copy without a \
             vote until it is promoted."
        ))
    }

    async fn remove(&self, address: &str) -> Result<String, Failure> {
        let Some(node) = self.member_at(address) else {
            return self.disinvite(address).await;
        };
        let mut voters = self.voters();
        if !voters.remove(&node) {
            self.change_to(ChangeMembers::RemoveNodes([node].into()), Retain::No).await?;
            return Ok(format!("{address} is no member of the store any more."));
        }
        self.check_enough(address, &voters).await?;
        let warning = remark(voters.len());
        self.change_to(ChangeMembers::ReplaceAllVoters(voters), Retain::No).await?;
        Ok(format!("{address} is no member of the store any more.{warning}"))
    }

    async fn disinvite(&self, address: &str) -> Result<String, Failure> {
        if !self.is_invited(address) {
            let members: Vec<String> = self.membership().nodes().map(|(_, place)| place.address.clone()).collect();
            return Err(refused(format!("{address} is no member of the store; these are: {}", members.join(", "))));
        }
        self.write(Command::Disinvite { address: address.to_owned() }).await?;
        Ok(format!("{address} may not join any more."))
    }

    /// The voters that would be left must be able to decide at once, with those that answer now.
    async fn check_enough(&self, address: &str, left: &BTreeSet<u64>) -> Changed {
        if left.is_empty() {
            return Err(refused(format!("{address} is the last voter: without it there is no store")));
        }
        let there = self.answering(left).await;
        if there.len() * 2 > left.len() {
            return Ok(());
        }
        let silent: Vec<String> = left.difference(&there).map(|node| self.address_of(*node)).collect();
        Err(refused(format!(
            "without {address} the voters left could not decide: no answer from {}. Start them, or remove those first",
            silent.join(", ")
        )))
    }

    /// Those of these nodes that answer when they are asked. Who died a moment ago was heard lately, all the same.
    async fn answering(&self, nodes: &BTreeSet<u64>) -> BTreeSet<u64> {
        let ask = |node: &u64| {
            let (node, address) = (*node, self.address_of(*node));
            async move {
                let said = self.peers.at(&address).introduce(&self.introduction(), ANSWER).await;
                said.is_ok_and(|said| said.node == node).then_some(node)
            }
        };
        let others = nodes.iter().filter(|node| **node != self.me).map(ask);
        let there = futures_util::future::join_all(others).await.into_iter().flatten();
        there.chain(nodes.get(&self.me).copied()).collect()
    }

    async fn promote(&self, address: &str) -> Result<String, Failure> {
        let Some(node) = self.member_at(address) else {
            return Err(refused(match self.is_invited(address) {
                true => format!("{address} has not come yet: start it, and promote it then"),
                false => format!("{address} is no member of the store: `store add {address}` lets it join"),
            }));
        };
        let mut voters = self.voters();
        if !voters.insert(node) {
            return Err(refused(format!("{address} has a vote already")));
        }
        if self.answering(&[node].into()).await.is_empty() {
            return Err(refused(format!("{address} does not answer: a vote that nobody casts only weakens the store")));
        }
        if node != self.me {
            let newest = self.raft.metrics().borrow().last_log_index;
            self.has_everything(node, newest.unwrap_or(0)).await?;
        }
        self.change_to(ChangeMembers::AddVoterIds([node].into()), Retain::Yes).await?;
        Ok(format!("{address} has a vote now.{}", remark(voters.len())))
    }

    /// A node asks to be a member, or tells that it is one at this address.
    pub(super) async fn let_join(&self, node: u64, address: &str) -> Result<Reply, Failure> {
        let _one = self.changing.lock().await;
        check_address(address)?;
        let place = Place { address: address.to_owned() };
        let membership = self.membership();
        match membership.get_node(&node) {
            Some(known) if known.address == address => return self.finish_joining(node, place).await,
            Some(_) => {
                self.check_free(node, address)?;
                self.change_to(ChangeMembers::SetNodes(BTreeMap::from([(node, place)])), Retain::Yes).await?;
                return Ok(Reply::Told("a member, at its new address".to_owned()));
            }
            None => {}
        }
        self.check_free(node, address)?;
        match self.another_at(address, node) {
            Some(before) => self.replace(before, node, place).await,
            None if self.is_invited(address) => {
                self.add_copy(node, place).await?;
                self.write(Command::Disinvite { address: address.to_owned() }).await?;
                tracing::info!("{address} joined the store as a copy without a vote");
                Ok(Reply::Told("a copy without a vote".to_owned()))
            }
            None => Err(refused(format!(
                "{address} is no member of this store: `tamadactl store add {address}` lets it join"
            ))),
        }
    }

    /// A member asks again; if it was let in, and its leader was lost before all was done, the rest is done now.
    async fn finish_joining(&self, node: u64, place: Place) -> Result<Reply, Failure> {
        if let Some(before) = self.another_at(&place.address, node) {
            self.check_free(node, &place.address)?;
            return self.replace(before, node, place).await;
        }
        if self.is_invited(&place.address) {
            self.write(Command::Disinvite { address: place.address }).await?;
        }
        Ok(Reply::Told("a member".to_owned()))
    }

    fn is_invited(&self, address: &str) -> bool {
        self.machine.invited().iter().any(|invited| invited == address)
    }

    /// A member with this address that is not this one.
    fn another_at(&self, address: &str, node: u64) -> Option<u64> {
        let membership = self.membership();
        let mut others = membership.nodes().filter(|(other, place)| **other != node && place.address == address);
        others.next().map(|(other, _)| *other)
    }

    /// Nobody else at this address answers.
    fn check_free(&self, node: u64, address: &str) -> Changed {
        match self.another_at(address, node) {
            Some(other) if (other == self.me || self.heard.lately(other)) => {
                Err(refused(format!("two nodes call themselves {address}: give one of them another raft.self_addr")))
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn replace(&self, before: u64, node: u64, place: Place) -> Result<Reply, Failure> {
        let address = place.address.clone();
        tracing::info!("{address} comes back without what it had: it copies the store before it votes again");
        self.add_copy(node, place).await?;
        let mut voters = self.voters();
        let change = if voters.remove(&before) {
            voters.insert(node);
            ChangeMembers::ReplaceAllVoters(voters)
        } else {
            ChangeMembers::RemoveNodes([before].into())
        };
        self.change_to(change, Retain::No).await?;
        tracing::info!("{address} has the store again");
        Ok(Reply::Told("a member again".to_owned()))
    }

    async fn add_copy(&self, node: u64, place: Place) -> Changed {
        let added = self.raft.add_learner(node, place, false).await;
        let index = added.as_ref().map_or(0, |added| added.log_id.index);
        understood(added.map(|_| ()))?;
        self.has_everything(node, index).await
    }

    /// Returns when this member has confirmed the log up to here.
    async fn has_everything(&self, node: u64, index: u64) -> Changed {
        let mut metrics = self.raft.metrics();
        let confirmed = metrics.wait_for(|metrics| {
            let confirmed = metrics.replication.as_ref().and_then(|replication| replication.get(&node));
            confirmed.is_some_and(|log| log.index() >= Some(index))
        });
        match timeout(CATCH_UP, confirmed).await {
            Ok(_) => Ok(()),
            Err(_) => Err(unreachable("it has not caught up with the store in time".to_owned())),
        }
    }

    /// A change of voters takes two steps, and a leader may be lost between them: its successor makes the second.
    pub(super) async fn finish_change(&self) {
        let membership = self.membership();
        let Some(goal) = membership.get_joint_config().get(1).cloned() else { return };
        let Ok(_one) = self.changing.try_lock() else { return };
        if let Err(error) = self.raft.change_membership(ChangeMembers::ReplaceAllVoters(goal), false).await {
            tracing::debug!("a change of voters could not be completed yet: {error}");
        }
    }

    async fn change_to(&self, change: ChangeMembers<u64, Place>, retain: Retain) -> Changed {
        understood(self.raft.change_membership(change, retain == Retain::Yes).await.map(|_| ()))
    }

    async fn write(&self, command: Command) -> Changed {
        understood(self.proposer.propose(command).await.map(|_| ()))
    }

    fn voters(&self) -> BTreeSet<u64> {
        self.membership().voter_ids().collect()
    }

    pub(super) fn member_at(&self, address: &str) -> Option<u64> {
        self.membership().nodes().find(|(_, place)| place.address == address).map(|(node, _)| *node)
    }

    fn address_of(&self, node: u64) -> String {
        self.membership().get_node(&node).map_or_else(String::new, |place| place.address.clone())
    }

    pub(super) fn leads(&self) -> bool {
        self.lead() == Lead::Me
    }
}

/// What becomes of voters that are not voters any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Retain {
    Yes,
    No,
}

fn understood(result: Result<(), NotProposed>) -> Changed {
    result.map_err(|error| match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => {
            Failure::Unclear("the store's leader changed meanwhile: look at its status, and ask again".to_owned())
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_))) => {
            unreachable("another change of members is under way: ask again when it is done".to_owned())
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(other)) => refused(other.to_string()),
        RaftError::Fatal(fatal) => unreachable(format!("the store's voter stopped: {fatal}")),
    })
}

fn check_address(address: &str) -> Changed {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(port)) if port > 0 => Ok(()),
        Some(_) | None => Err(refused(format!("{address:?} is no address: it is written host:port"))),
    }
}

fn remark(voters: usize) -> String {
    if voters.is_multiple_of(2) { format!(" Mind that {}.", even_number(voters)) } else { String::new() }
}

fn refused(why: String) -> Failure {
    Failure::Trouble(Trouble::Refused(why))
}
