//! `show-config`: the dynamic configuration as YAML (ctl.md 3).

use serde_json::Value;
use tamada_config::yaml;

use crate::cli::Given;
use crate::failure::Failure;
use crate::tool::Tool;

pub async fn run(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    let group = tool.group_or_own(given);
    let scope = tool.scope(given.argument(0))?;
    let cluster = tool.read(&scope, group).await?.cluster;
    if let Some(config) = cluster.config {
        tool.console.say(yaml::dump(&Value::Object(config.value)));
    }
    Ok(())
}
