//! `pause` and `resume`: automatic failover off and on (ctl.md 6.2).

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tamada_api::client::Heard;
use tamada_model::MemberName;
use tokio::time::sleep;

use crate::cli::{Given, WAIT};
use crate::clock::Deadline;
use crate::commands::flush::leader_first;
use crate::commands::reload::loop_wait;
use crate::failure::Failure;
use crate::members::NamedCluster;
use crate::selection::listed;
use crate::tool::{Request, Tool};

/// Writing the configuration is one write to the store for the member that is asked.
const PATIENCE: Duration = Duration::from_secs(15);
const POLL_PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Pause,
    Resume,
}

impl Turn {
    fn verb(self) -> &'static str {
        match self {
            Turn::Pause => "pause",
            Turn::Resume => "resume",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Turn::Pause => "paused",
            Turn::Resume => "resumed",
        }
    }

    fn pauses(self) -> bool {
        match self {
            Turn::Pause => true,
            Turn::Resume => false,
        }
    }

    fn body(self) -> Value {
        match self {
            Turn::Pause => json!({"pause": true}),
            Turn::Resume => json!({"pause": null}),
        }
    }
}

pub async fn run(tool: &mut Tool, given: &Given, turn: Turn) -> Result<(), Failure> {
    let group = tool.group_or_own(given);
    let scope = tool.scope(given.argument(0))?;
    let named = tool.read(&scope, group).await?;
    match (named.mode().pause, turn) {
        (true, Turn::Pause) => return Err(Failure::command("Cluster is already paused")),
        (false, Turn::Resume) => return Err(Failure::command("Cluster is not paused")),
        (false, Turn::Pause) | (true, Turn::Resume) => {}
    }
    let body = turn.body();
    for (name, member) in leader_first(&named) {
        let request = Request { method: Method::PATCH, path: "/config", body: Some(&body), within: PATIENCE };
        match tool.call(member, request).await {
            Err(error) => tool.console.warn(format_args!("Member {name} is not accessible: {error}")),
            Ok(heard) => return tell(tool, given, &named, turn, &heard).await,
        }
    }
    Err(Failure::command("Can not find accessible cluster member"))
}

/// One member's answer speaks for all.
async fn tell(tool: &mut Tool, given: &Given, named: &NamedCluster, turn: Turn, heard: &Heard) -> Result<(), Failure> {
    match (heard.status, heard.text()) {
        (200, _) if given.flag(&WAIT) => wait_for_all(tool, named, turn).await?,
        (200, _) => succeed(tool, turn),
        (status, body) => {
            let verb = turn.verb();
            tool.console.say(format_args!("Failed: {verb} cluster management status code={status}, ({body})"));
        }
    }
    Ok(())
}

fn succeed(tool: &mut Tool, turn: Turn) {
    tool.console.say(format_args!("Success: cluster management is {}", turn.done()));
}

/// Until every member that was there before shows it in its key, for little more than `loop_wait`.
async fn wait_for_all(tool: &mut Tool, before: &NamedCluster, turn: Turn) -> Result<(), Failure> {
    let verb = turn.verb();
    tool.console.say(format_args!("'{verb}' request sent, waiting until it is recognized by all nodes"));
    tool.console.flush();
    let loop_wait = loop_wait(before);
    let deadline = Deadline::after(Duration::from_secs(loop_wait) + POLL_PAUSE);
    let slow = loop {
        let now = tool.read_again(before).await?;
        let behind = behind(before, &now, turn);
        if behind.is_empty() || deadline.left() < POLL_PAUSE {
            // A member whose key never changed meanwhile is gone rather than slow.
            break behind.into_iter().filter(|name| changed(before, &now, name)).collect::<Vec<_>>();
        }
        sleep(POLL_PAUSE).await;
    };
    if slow.is_empty() {
        succeed(tool, turn);
    } else {
        let slow = listed(&slow);
        tool.console.say(format_args!("{slow} members didn't recognized pause state after {loop_wait} seconds"));
    }
    Ok(())
}

/// Members of before that do not show the new state yet.
fn behind(before: &NamedCluster, now: &NamedCluster, turn: Turn) -> Vec<MemberName> {
    let was_there = |name| before.cluster.members.get(name).is_some_and(|member| member.api_url.is_some());
    let members = now.cluster.members.iter().filter(|(name, member)| was_there(*name) && member.pause != turn.pauses());
    members.map(|(name, _)| name.clone()).collect()
}

fn changed(before: &NamedCluster, now: &NamedCluster, name: &MemberName) -> bool {
    before.cluster.members.get(name) != now.cluster.members.get(name)
}
