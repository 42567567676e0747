//! `list` and `topology`: the members of clusters, once or again and again (ctl.md 3).

use std::time::Duration;

use crate::cli::{EXTENDED, Given, TIMESTAMP, WATCH, WATCH_TWO};
use crate::clock;
use crate::failure::Failure;
use crate::format::Format;
use crate::members::{self, Columns};
use crate::tool::Tool;

pub async fn list(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    let columns = if given.flag(&EXTENDED) { Columns::All } else { Columns::AsNeeded };
    show_clusters(tool, given, Format::given(given), columns).await
}

pub async fn topology(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    show_clusters(tool, given, Format::Topology, Columns::AsNeeded).await
}

async fn show_clusters(tool: &mut Tool, given: &Given, format: Format, columns: Columns) -> Result<(), Failure> {
    let scopes = match given.arguments(0) {
        [] => tool.configured_scope().into_iter().collect::<Vec<_>>(),
        named => named.to_vec(),
    };
    if scopes.is_empty() {
        tool.console.warn("Listing members: No cluster names were provided");
        return Ok(());
    }
    let group = tool.group(given)?;
    loop {
        if given.flag(&TIMESTAMP) {
            tool.console.say(clock::stamp());
        }
        for scope in &scopes {
            let named = tool.read(scope, group).await?;
            members::show(&mut tool.console, &named, format, columns);
        }
        tool.console.flush();
        let Some(interval) = interval(given).filter(|_| !tool.console.is_broken()) else { return Ok(()) };
        tokio::time::sleep(interval).await;
        tool.console.clear_screen();
    }
}

/// `None`: show once.
pub fn interval(given: &Given) -> Option<Duration> {
    match given.float(&WATCH) {
        Some(seconds) if seconds > 0.0 => Duration::try_from_secs_f64(seconds).ok(),
        Some(_) | None => given.flag(&WATCH_TWO).then_some(Duration::from_secs(2)),
    }
}
