//! One file per command.

mod dsn;
mod edit_config;
mod flush;
mod handover;
mod history;
mod list;
mod pause;
mod reinit;
mod reload;
mod remove;
mod restart;
mod show_config;
mod store;
mod version;

use crate::cli::{CommandSpec, Given};
use crate::failure::Failure;
use crate::tool::Tool;

/// Runs the command that the grammar has recognised.
pub async fn run(tool: &mut Tool, command: &CommandSpec, given: &Given) -> Result<(), Failure> {
    match command.name {
        "dsn" => dsn::run(tool, given).await,
        "edit-config" => edit_config::run(tool, given).await,
        "failover" => handover::run(tool, given, handover::Act::Failover).await,
        "flush" => flush::run(tool, given).await,
        "history" => history::run(tool, given).await,
        "list" => list::list(tool, given).await,
        "pause" => pause::run(tool, given, pause::Turn::Pause).await,
        "reinit" => reinit::run(tool, given).await,
        "reload" => reload::run(tool, given).await,
        "remove" => remove::run(tool, given).await,
        "restart" => restart::run(tool, given).await,
        "resume" => pause::run(tool, given, pause::Turn::Resume).await,
        "show-config" => show_config::run(tool, given).await,
        "store add" => store::add(tool, given).await,
        "store promote" => store::promote(tool, given).await,
        "store recover" => store::recover(tool, given).await,
        "store remove" => store::remove(tool, given).await,
        "store status" => store::status(tool, given).await,
        "switchover" => handover::run(tool, given, handover::Act::Switchover).await,
        "topology" => list::topology(tool, given).await,
        "version" => version::run(tool, given).await,
        // The table in `cli` is the only source of names.
        unknown => Err(Failure::Command(format!("{unknown} is not available"))),
    }
}
