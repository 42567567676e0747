//! `pause` and `resume`: automatic failover off and on (ctl.md 6.2).

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::cli::{Given, WAIT};
use crate::commands::flush::leader_first;
use crate::commands::reload::loop_wait;
use crate::failure::Failure;
use crate::members::NamedCluster;
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
            Err(error) => {
                tool.console.warn(error);
                tool.console.warn(format_args!("Member {name} is not accessible"));
            }
            Ok(heard) if heard.status == 200 && given.flag(&WAIT) => return wait_for_all(tool, &named, turn).await,
            Ok(heard) if heard.status == 200 => return Ok(succeed(tool, turn)),
            Ok(heard) => {
                let (verb, status, body) = (turn.verb(), heard.status, heard.text());
                return Ok(tool
                    .console
                    .say(format_args!("Failed: {verb} cluster management status code={status}, ({body})")));
            }
        }
    }
    Err(Failure::command("Can not find accessible cluster member"))
}

fn succeed(tool: &mut Tool, turn: Turn) {
    tool.console.say(format_args!("Success: cluster management is {}", turn.done()));
}

/// Until every member that was there before shows it in its key.
async fn wait_for_all(tool: &mut Tool, before: &NamedCluster, turn: Turn) -> Result<(), Failure> {
    let verb = turn.verb();
    tool.console.say(format_args!("'{verb}' request sent, waiting until it is recognized by all nodes"));
    tool.console.flush();
    let loop_wait = loop_wait(before);
    let give_up = Instant::now() + Duration::from_secs(loop_wait + 1);
    let now = loop {
        let next = Instant::now() + POLL_PAUSE;
        let now = tool.read_again(before).await?;
        if behind(before, &now, turn).is_empty() {
            return Ok(succeed(tool, turn));
        }
        if next >= give_up {
            break now;
        }
        sleep_until(next).await;
    };
    // A member whose key never changed meanwhile is gone rather than slow.
    let mut slow = behind(before, &now, turn);
    slow.retain(|name| {
        before.cluster.members.iter().any(|(n, m)| n.as_str() == *name && now.cluster.members.get(n) != Some(m))
    });
    if slow.is_empty() {
        return Ok(succeed(tool, turn));
    }
    tool.console
        .say(format_args!("{} members didn't recognized pause state after {loop_wait} seconds", slow.join(", ")));
    Ok(())
}

/// Members of before that do not show the new state yet.
fn behind<'n>(before: &NamedCluster, now: &'n NamedCluster, turn: Turn) -> Vec<&'n str> {
    let was_there = |name| before.cluster.members.get(name).is_some_and(|member| member.api_url.is_some());
    let members = now.cluster.members.iter().filter(|(name, member)| was_there(*name) && member.pause != turn.pauses());
    members.map(|(name, _)| name.as_str()).collect()
}
