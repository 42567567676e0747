//! `switchover` and `failover`: another member becomes leader (ctl.md 5).
//!
//! First all questions and checks, then one request to the leader (without one, to the candidate). If the request
//! cannot be made, the wish is written into the store, where the leader finds it.

use std::time::Duration;

use hyper::Method;
use serde_json::{Map, Value};
use tamada_api::client::{CallError, Heard};
use tamada_model::{Cluster, FailoverRequest, MemberName};

use crate::cli::{CANDIDATE, FORCE, GROUP, Given, LEADER, SCHEDULED};
use crate::clock::{self, When};
use crate::commands::reload::loop_wait;
use crate::failure::Failure;
use crate::format::Format;
use crate::members::{self, Columns, NamedCluster};
use crate::selection;
use crate::tool::{Request, Tool, must_be_done};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Switchover,
    Failover,
}

impl Act {
    fn name(self) -> &'static str {
        match self {
            Act::Switchover => "switchover",
            Act::Failover => "failover",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Act::Switchover => "Switchover",
            Act::Failover => "Failover",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Act::Switchover => "/switchover",
            Act::Failover => "/failover",
        }
    }
}

/// What the operator has settled on.
struct Wish {
    act: Act,
    /// Only a switchover names it.
    leader: Option<MemberName>,
    candidate: Option<MemberName>,
    when: When,
}

pub async fn run(tool: &mut Tool, given: &Given, act: Act) -> Result<(), Failure> {
    let named = read_group(tool, given).await?;
    let wish = settle(tool, given, &named, act).await?;
    confirm(tool, given, &named, &wish).await?;
    carry_out(tool, &named, &wish).await
}

/// With Citus and no group told, the group is asked for.
async fn read_group(tool: &mut Tool, given: &Given) -> Result<NamedCluster, Failure> {
    let scope = tool.scope(given.argument(0))?;
    let group = match tool.group(given) {
        Err(_) if given.integer(&GROUP).is_none() && !given.flag(&FORCE) => {
            Some(tool.console.ask_number("Citus group").await?)
        }
        group => group?,
    };
    let named = tool.read(&scope, group).await?;
    tool.console.say("Current cluster topology");
    members::show(&mut tool.console, &named, Format::Pretty, Columns::AsNeeded);
    Ok(named)
}

async fn settle(tool: &mut Tool, given: &Given, named: &NamedCluster, act: Act) -> Result<Wish, Failure> {
    let leader = match act {
        Act::Switchover => Some(settle_leader(tool, given, named).await?),
        Act::Failover => None,
    };
    let candidate = settle_candidate(tool, given, named, act).await?;
    let when = match act {
        Act::Switchover => settle_time(tool, given, named).await?,
        Act::Failover => When::Now,
    };
    Ok(Wish { act, leader, candidate, when })
}

async fn settle_leader(tool: &mut Tool, given: &Given, named: &NamedCluster) -> Result<MemberName, Failure> {
    let current = named.cluster.leader_name().ok_or_else(|| Failure::command("This cluster has no leader"))?;
    let told = match given.text(&LEADER) {
        Some(name) => name.to_owned(),
        None if given.flag(&FORCE) => current.to_string(),
        None => {
            let question = if named.mode().standby_cluster { "Standby Leader" } else { "Primary" };
            tool.console.ask_or(question, current.as_str()).await?
        }
    };
    if told != current.as_str() {
        return Err(Failure::Command(format!("Member {told} is not the leader of cluster {}", named.scope)));
    }
    Ok(current.clone())
}

async fn settle_candidate(
    tool: &mut Tool,
    given: &Given,
    named: &NamedCluster,
    act: Act,
) -> Result<Option<MemberName>, Failure> {
    let candidates = candidates(&named.cluster);
    if candidates.is_empty() {
        return Err(Failure::Command(format!("No candidates found to {} to", act.name())));
    }
    let told = match given.text(&CANDIDATE) {
        Some(name) => name.to_owned(),
        None if given.flag(&FORCE) => String::new(),
        None => {
            let quoted: Vec<String> = candidates.iter().map(|name| format!("'{name}'")).collect();
            tool.console.ask_or(&format!("Candidate [{}]", quoted.join(", ")), "").await?
        }
    };
    if told.is_empty() {
        return match act {
            Act::Switchover => Ok(None),
            Act::Failover => Err(Failure::command("Failover could be performed only to a specific candidate")),
        };
    }
    let candidate = MemberName::new(&told);
    check_candidate(named, &candidate, &candidates)?;
    if act == Act::Failover && is_asynchronous(named, &candidate) {
        let question = format!("Are you sure you want to failover to the asynchronous node {candidate}?");
        selection::confirm(tool, given, &question, "Aborting failover").await?;
    }
    Ok(Some(candidate))
}

/// Everybody else who may become leader.
fn candidates(cluster: &Cluster) -> Vec<MemberName> {
    let able = cluster
        .members
        .iter()
        .filter(|(name, member)| cluster.leader_name() != Some(*name) && !member.tags.nofailover());
    able.map(|(name, _)| name.clone()).collect()
}

fn check_candidate(named: &NamedCluster, candidate: &MemberName, able: &[MemberName]) -> Result<(), Failure> {
    let scope = &named.scope;
    if named.cluster.leader_name() == Some(candidate) {
        return Err(Failure::Command(format!("Member {candidate} is already the leader of cluster {scope}")));
    }
    if !able.contains(candidate) {
        return Err(Failure::Command(format!(
            "Member {candidate} does not exist in cluster {scope} or is tagged as nofailover"
        )));
    }
    Ok(())
}

/// Might lack commits that synchronous replication has promised to keep.
fn is_asynchronous(named: &NamedCluster, candidate: &MemberName) -> bool {
    let sync = named.cluster.sync.as_ref().map(|sync| &sync.value).filter(|sync| sync.leader.is_some());
    let listed = |name: &MemberName| name.as_str().eq_ignore_ascii_case(candidate.as_str());
    named.mode().synchronous && sync.is_some_and(|sync| !sync.leader.iter().chain(&sync.standbys).any(listed))
}

async fn settle_time(tool: &mut Tool, given: &Given, named: &NamedCluster) -> Result<When, Failure> {
    let when = match given.text(&SCHEDULED) {
        Some(text) => When::parse(text)?,
        None if given.flag(&FORCE) => When::Now,
        None => {
            let question = format!("When should the switchover take place (e.g. {} ) ", clock::in_an_hour());
            When::parse(&tool.console.ask_or(&question, "now").await?)?
        }
    };
    if when != When::Now && named.mode().pause {
        return Err(Failure::command("Can't schedule switchover in the paused state"));
    }
    Ok(when)
}

async fn confirm(tool: &mut Tool, given: &Given, named: &NamedCluster, wish: &Wish) -> Result<(), Failure> {
    let act = wish.act.name();
    let demoting = named.cluster.leader_name().map(|leader| format!(", demoting current leader {leader}"));
    let demoting = demoting.unwrap_or_default();
    let scope = &named.scope;
    let (question, refusal) = match wish.when.iso() {
        None => (format!("Are you sure you want to {act} cluster {scope}{demoting}?"), format!("Aborting {act}")),
        Some(at) => (
            format!("Are you sure you want to schedule {act} of cluster {scope} at {at}{demoting}?"),
            format!("Aborting scheduled {act}"),
        ),
    };
    selection::confirm(tool, given, &question, &refusal).await
}

async fn carry_out(tool: &mut Tool, named: &NamedCluster, wish: &Wish) -> Result<(), Failure> {
    tool.console.flush();
    match request(tool, named, wish).await {
        Ok(heard) if heard.status == 200 || heard.status == 202 => {
            tool.console.say(format_args!("{} {}", clock::fine_stamp(), heard.text()));
        }
        Ok(heard) => {
            say_refused(tool, wish.act, &heard);
            return Ok(());
        }
        Err(error) => fall_back(tool, named, wish, &error).await?,
    }
    let now = tool.read_again(named).await?;
    members::show(&mut tool.console, &now, Format::Pretty, Columns::AsNeeded);
    Ok(())
}

fn say_refused(tool: &mut Tool, act: Act, heard: &Heard) {
    let body = heard.text();
    let fate = if body.contains("status unknown") { "result unknown" } else { "failed" };
    tool.console.say(format_args!("{} {fate}, details: {}, {body}", act.title(), heard.status));
}

async fn request(tool: &Tool, named: &NamedCluster, wish: &Wish) -> Result<Heard, CallError> {
    let cluster = &named.cluster;
    let asked = if cluster.leader.is_some() { cluster.leader_name() } else { wish.candidate.as_ref() };
    let member = asked.and_then(|name| cluster.members.get(name));
    let member = member.ok_or_else(|| CallError::Impossible("the member to ask has no key".to_owned()))?;
    let body = body(wish);
    // The member itself waits twice ten seconds or loop_wait for the outcome (rest-api.md 8.2).
    let within = Duration::from_secs(2 * loop_wait(named).max(10) + 20);
    let call = |path| Request { method: Method::POST, path, body: Some(&body), within };
    let heard = tool.call(member, call(wish.act.path())).await?;
    // Members of old versions know only one of the two.
    let unsupported = heard.status == 501 && heard.text().contains("Server does not support this operation");
    if unsupported && wish.act == Act::Switchover {
        return tool.call(member, call("/failover")).await;
    }
    Ok(heard)
}

fn body(wish: &Wish) -> Value {
    let name = |name: &Option<MemberName>| Value::from(name.as_ref().map(MemberName::as_str));
    let mut body = Map::new();
    body.insert("candidate".into(), name(&wish.candidate));
    if wish.act == Act::Switchover {
        body.insert("leader".into(), name(&wish.leader));
    }
    if let Some(at) = wish.when.iso() {
        body.insert("scheduled_at".into(), at.into());
    }
    Value::Object(body)
}

async fn fall_back(tool: &mut Tool, named: &NamedCluster, wish: &Wish, error: &CallError) -> Result<(), Failure> {
    tool.console.warn(format_args!("No member could be asked: {error}"));
    tool.console.warn("Failing over to DCS");
    let act = wish.act.name();
    tool.console.say(format_args!("{} Could not {act} using Patroni api, falling back to DCS", clock::fine_stamp()));
    let scheduled_at = match &wish.when {
        When::Now => None,
        When::At(moment) => Some(moment.schedule()),
    };
    let request = FailoverRequest { leader: wish.leader.clone(), candidate: wish.candidate.clone(), scheduled_at };
    let written =
        tool.write(named, |store, within| Box::pin(async move { store.set_failover(&request, None, within).await }));
    must_be_done(written.await?, wish.act.title())
}
