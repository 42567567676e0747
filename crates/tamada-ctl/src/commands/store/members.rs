//! `store add`, `promote` and `remove`: who belongs to the store. The store itself judges what is asked.

use std::time::Duration;

use tamada_raft::MemberChange;

use crate::cli::{FORCE, Given};
use crate::failure::Failure;
use crate::format::Format;
use crate::store::Accounts;
use crate::tool::Tool;

use super::status::show;

/// A change is done in two steps, each of which a majority has to confirm; another change may be under way.
const CHANGE: Duration = Duration::from_secs(30);

pub async fn add(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    let accounts = tool.store_with_majority().await?;
    change(tool, &accounts, MemberChange::Add { address: address(given) }).await
}

pub async fn promote(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    let accounts = tool.store_with_majority().await?;
    change(tool, &accounts, MemberChange::Promote { address: address(given) }).await
}

/// Shows the nodes and asks, because the store survives fewer losses afterwards.
pub async fn remove(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    let accounts = tool.store_with_majority().await?;
    let address = address(given);
    if !given.flag(&FORCE) {
        show(tool, &accounts, Format::Pretty);
        let question = format!("Please type the address to confirm that {address} leaves the store");
        if tool.console.ask(&question).await? != address {
            return Err(Failure::command("The addresses do not match"));
        }
    }
    change(tool, &accounts, MemberChange::Remove { address }).await
}

async fn change(tool: &mut Tool, accounts: &Accounts, change: MemberChange) -> Result<(), Failure> {
    let client = accounts.client().ok_or_else(|| Failure::Command(accounts.why_no_majority()))?;
    let done = client.change(change, CHANGE).await.map_err(|trouble| Failure::Command(trouble.to_string()))?;
    tool.console.say(done);
    Ok(())
}

/// Host names are the same in any case.
fn address(given: &Given) -> String {
    given.argument(0).unwrap_or_default().trim().to_lowercase()
}
