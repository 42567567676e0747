//! `store recover`: the way back when the majority of the voters is lost for good.
//!
//! The node goes on alone with what it has. What the lost voters had confirmed and this one had not received is gone;
//! and if they are not lost, there are two stores, and with them two primaries. Nobody must come here by accident, so we
//! ask the others first, and then the operator, twice.

use tamada_model::{RaftConfig, RaftVoter};
use tamada_raft::StoreStatus;
use tamada_raft::link::Security;

use crate::cli::Given;
use crate::failure::Failure;
use crate::store::Accounts;
use crate::tool::Tool;

const AWARE: &str = "Yes I am aware";

pub async fn recover(tool: &mut Tool, _: &Given) -> Result<(), Failure> {
    let (raft, security) = tool.embedded_store()?;
    let voter = raft.voter.clone().ok_or_else(|| {
        Failure::command(
            "There is no voter to recover here: run this on the host of a voter that still has its data, with that \
             voter's configuration (raft.self_addr and raft.data_dir)",
        )
    })?;
    let silent = nobody_else_is_there(&raft, security).await?;
    explain(tool, &voter, &silent);
    make_sure(tool, &voter).await?;
    let RaftVoter { data_dir, self_addr, .. } = voter;
    let recovered = tokio::task::spawn_blocking(move || tamada_raft::recover(&data_dir, &self_addr)).await;
    let told = recovered.map_err(|error| Failure::Command(error.to_string()))?;
    tool.console.say(told.map_err(Failure::Command)?);
    Ok(())
}

/// A node without a store has nothing to lose: it waits to be let in again. Everybody else has a say, and so has one
/// that does not want to talk to us. Answers with why each of the others counts as gone.
async fn nobody_else_is_there(raft: &RaftConfig, security: Security) -> Result<Vec<String>, Failure> {
    let accounts = Accounts::gather(raft.voters(), security).await;
    if let Some(why) = accounts.refusal() {
        return Err(Failure::Command(format!("{why}. That does not show that the majority is gone: mend it first")));
    }
    if let Some(status) = accounts.of_majority() {
        let leader = status.leader.as_deref().unwrap_or_default();
        return Err(Failure::Command(format!(
            "{} answers, and follows {leader}: the majority is not lost. Take nodes out with `store remove`",
            status.address
        )));
    }
    let own = |status: &&StoreStatus| Some(&status.address) == raft.voter.as_ref().map(|voter| &voter.self_addr);
    if accounts.told().any(|status| own(&status)) {
        return Err(Failure::command("This node runs: stop its agent or voter first"));
    }
    match accounts.told().find(|status| status.cluster != 0) {
        None => Ok(accounts.silent()),
        Some(other) => Err(Failure::Command(format!(
            "{} answers, and has the store too, at revision {}. It says that it follows {} and hears {} majority. Of \
             all nodes that are left, one is recovered and the others join it anew: choose the one with the highest \
             revision, and stop the others first",
            other.address,
            other.revision,
            other.leader.as_deref().unwrap_or("nobody"),
            if other.quorum { "a" } else { "no" },
        ))),
    }
}

fn explain(tool: &mut Tool, voter: &RaftVoter, silent: &[String]) {
    let (address, data_dir) = (&voter.self_addr, voter.data_dir.display());
    tool.console.say(format_args!(
        "\
This makes {address} the only voter of the store, with what it has in
{data_dir}.

Do this only if most of the voters are lost for good: if enough of them come
back, they are another store, and two members may lead at once. What they had
confirmed and this node had not received is lost: that may be the last changes
of who leads, and of the dynamic configuration.

No answer, this node included:
  {}
",
        silent.join("\n  ")
    ));
}

async fn make_sure(tool: &mut Tool, voter: &RaftVoter) -> Result<(), Failure> {
    let (what, expected) = match tool.configured_scope() {
        Some(scope) => ("cluster name", scope),
        None => ("address of this node", voter.self_addr.clone()),
    };
    if tool.console.ask(&format!("Please confirm the {what}")).await? != expected {
        return Err(Failure::Command(format!("That is not the {what}")));
    }
    if tool.console.ask(&format!("To go on, please type: \"{AWARE}\"")).await? != AWARE {
        return Err(Failure::Command(format!("You did not exactly type \"{AWARE}\"")));
    }
    Ok(())
}
