//! `history`: the past promotions (ctl.md 3).

use serde_json::Value;
use tamada_wire::rest::history_document;

use crate::cli::Given;
use crate::failure::Failure;
use crate::format::{EmptyCells, Format, Sheet};
use crate::tool::Tool;

const COLUMNS: [&str; 5] = ["TL", "LSN", "Reason", "Timestamp", "New Leader"];

pub async fn run(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    let group = tool.group_or_own(given);
    let scope = tool.scope(given.argument(0))?;
    let cluster = tool.read(&scope, group).await?.cluster;
    let entries = cluster.history.map(|history| history.value).unwrap_or_default();
    let document = history_document(&entries);
    let rows =
        document.as_array().into_iter().flatten().filter_map(Value::as_array).map(|entry| padded(entry)).collect();
    let sheet = Sheet { title: None, columns: COLUMNS.to_vec(), rows, empty: EmptyCells::Kept };
    sheet.print(&mut tool.console, Format::given(given));
    Ok(())
}

/// Entries of promotions that the cluster has not seen are short.
fn padded(entry: &[Value]) -> Vec<Value> {
    (0..COLUMNS.len()).map(|i| entry.get(i).cloned().unwrap_or_else(|| Value::String(String::new()))).collect()
}
