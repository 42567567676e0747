//! `store status`: the nodes, who leads, and what is wrong; once, or again and again.

use crate::cli::Given;
use crate::commands::list::interval;
use crate::failure::Failure;
use crate::format::Format;
use crate::store::Accounts;
use crate::tool::Tool;

pub async fn status(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    loop {
        let accounts = tool.store_accounts().await?;
        show(tool, &accounts, Format::given(given));
        tool.console.flush();
        let Some(interval) = interval(given).filter(|_| !tool.console.is_broken()) else { return verdict(&accounts) };
        tokio::time::sleep(interval).await;
        tool.console.clear_screen();
    }
}

pub fn show(tool: &mut Tool, accounts: &Accounts, format: Format) {
    if accounts.told().next().is_none() {
        return;
    }
    accounts.sheet(format).print(&mut tool.console, format);
    if format.is_table() {
        accounts.footer().iter().for_each(|line| tool.console.say(line));
    } else {
        accounts.warnings().iter().for_each(|warning| tool.console.warn(warning));
    }
}

fn verdict(accounts: &Accounts) -> Result<(), Failure> {
    match accounts.of_majority() {
        Some(_) => Ok(()),
        None => Err(Failure::Command(accounts.why_no_majority())),
    }
}
