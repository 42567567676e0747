//! `remove`: deletes what the store knows of a cluster, after three questions (ctl.md 6.3).

use crate::cli::{GROUP, Given};
use crate::failure::Failure;
use crate::format::Format;
use crate::members::{self, Columns, NamedCluster};
use crate::tool::{Tool, must_be_done};

const AWARE: &str = "Yes I am aware";

pub async fn run(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    let group = tool.group(given)?.or(given.integer(&GROUP));
    let scope = tool.scope(given.argument(0))?;
    let named = tool.read(&scope, group).await?;
    members::show(&mut tool.console, &named, Format::given(given), Columns::AsNeeded);
    make_sure(tool, &named).await?;
    let written = tool.write(&named, |store, within| store.delete_cluster(within)).await?;
    must_be_done(written, "Removing the cluster")
}

async fn make_sure(tool: &mut Tool, named: &NamedCluster) -> Result<(), Failure> {
    let scope = &named.scope;
    if tool.console.ask("Please confirm the cluster name to remove").await? != *scope {
        return Err(Failure::command("Cluster names specified do not match"));
    }
    let question = format!("You are about to remove all information in DCS for {scope}, please type: \"{AWARE}\"");
    if tool.console.ask(&question).await? != AWARE {
        return Err(Failure::Command(format!("You did not exactly type \"{AWARE}\"")));
    }
    if let Some(leader) = named.cluster.leader_name() {
        let question = "This cluster currently is healthy. Please specify the leader name to continue";
        if tool.console.ask(question).await? != leader.as_str() {
            return Err(Failure::command("You did not specify the current leader of the cluster"));
        }
    }
    Ok(())
}
