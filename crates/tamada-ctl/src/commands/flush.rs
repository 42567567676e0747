//! `flush`: drops what is scheduled (ctl.md 4.4).

use std::time::Duration;

use hyper::Method;
use tamada_model::{FailoverRequest, Member, MemberName};

use crate::cli::Given;
use crate::clock;
use crate::failure::Failure;
use crate::members::NamedCluster;
use crate::outcome::Outcomes;
use crate::selection::{self, Chosen, choose_by_role, listed};
use crate::tool::{Request, Tool, must_be_done};

const PATIENCE: Duration = Duration::from_secs(10);

pub async fn run(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    // The grammar knows two targets.
    match given.argument(2) {
        Some("restart") => flush_restarts(tool, given).await,
        Some(_) | None => flush_switchover(tool, given).await,
    }
}

async fn flush_restarts(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    let Chosen { named, members } = choose_by_role(tool, given).await?;
    let question = format!("Are you sure you want to flush members {}?", listed(&members));
    selection::confirm(tool, given, &question, "Aborted flush").await?;
    let mut outcomes = Outcomes::of("flush scheduled restart");
    for name in &members {
        let member = selection::record(&named.cluster, name)?;
        if member.scheduled_restart.is_none() {
            tool.console.say(format_args!("No scheduled restart for member {name}"));
            continue;
        }
        let request = Request { method: Method::DELETE, path: "/restart", body: None, within: PATIENCE };
        let answer = tool.call(member, request).await;
        let Some(heard) = outcomes.note(&mut tool.console, name, answer) else { continue };
        match heard.status {
            200 => tool.console.say(format_args!("Success: flush scheduled restart for member {name}")),
            _ => outcomes.say_failed(&mut tool.console, name, &heard),
        }
    }
    outcomes.end()
}

async fn flush_switchover(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    let group = tool.group(given)?;
    let scope = tool.scope(given.argument(0))?;
    let named = tool.read(&scope, group).await?;
    let pending = named.cluster.failover.as_ref().filter(|request| request.value.scheduled_at.is_some());
    if pending.is_none() {
        tool.console.say("No pending scheduled switchover");
        return Ok(());
    }
    for (name, member) in leader_first(&named) {
        let request = Request { method: Method::DELETE, path: "/switchover", body: None, within: PATIENCE };
        match tool.call(member, request).await {
            Err(error) => tool.console.warn(format_args!("Member {name} is not accessible: {error}")),
            Ok(heard) => match (heard.status, heard.text()) {
                (status @ (200 | 404), body) => {
                    let outcome = if status == 200 { "Success" } else { "Failed" };
                    tool.console.say(format_args!("{outcome}: {body}"));
                    return Ok(());
                }
                (status, body) => {
                    tool.console.say(format_args!("Failed: member={name}, status_code={status}, ({body})"));
                }
            },
        }
    }
    clear_in_store(tool, &named).await
}

/// Members that can be asked; whoever leads knows best.
pub fn leader_first(named: &NamedCluster) -> impl Iterator<Item = (&MemberName, &Member)> {
    let leader = named.cluster.leader_name();
    let (first, others): (Vec<_>, Vec<_>) = named.cluster.members.iter().partition(|(name, _)| Some(*name) == leader);
    let ordered = first.into_iter().chain(others).map(|(name, member)| (name, member.as_ref()));
    ordered.filter(|(_, member)| member.api_url.is_some())
}

async fn clear_in_store(tool: &mut Tool, named: &NamedCluster) -> Result<(), Failure> {
    tool.console.warn("Failing over to DCS");
    let stamp = clock::fine_stamp();
    tool.console.say(format_args!("{stamp} Could not find any accessible member of cluster {}", named.scope));
    let judged = named.cluster.failover.as_ref().map(|request| request.stamp.clone());
    let cleared = FailoverRequest::default();
    let written = tool.write(named, |store, within| {
        Box::pin(async move { store.set_failover(&cleared, judged.as_ref(), within).await })
    });
    must_be_done(written.await?, "Dropping the scheduled switchover")
}
