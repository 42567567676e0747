//! `version`: ours, and what each member runs (ctl.md 3).

use std::time::Duration;

use hyper::Method;
use serde_json::Value;
use tamada_model::document::scalar_text;
use tamada_model::{Member, PgVersion};

use crate::cli::Given;
use crate::failure::Failure;
use crate::tool::{Request, Tool};

/// A member answers this at once or is in trouble.
const PATIENCE: Duration = Duration::from_secs(5);

pub async fn run(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    // `tamada ctl` is the same tool by another road.
    let name = if tool.prog == "patronictl" { "patronictl" } else { "tamadactl" };
    tool.console.say(format_args!("{name} version {}", env!("CARGO_PKG_VERSION")));
    let Some(scope) = given.argument(0) else { return Ok(()) };
    let group = tool.group(given)?;
    tool.console.say("");
    let cluster = tool.read(scope, group).await?.cluster;
    let wanted = given.arguments(1);
    for (name, member) in &cluster.members {
        if member.api_url.is_none() || !(wanted.is_empty() || wanted.iter().any(|wanted| wanted == name.as_str())) {
            continue;
        }
        match ask(tool, member).await {
            Ok(versions) => tool.console.say(format_args!("{name}: {versions}")),
            Err(why) => tool.console.say(format_args!("{name}: failed to get version: {why}")),
        }
    }
    Ok(())
}

async fn ask(tool: &Tool, member: &Member) -> Result<String, String> {
    let request = Request { method: Method::GET, path: "/patroni", body: None, within: PATIENCE };
    let heard = tool.call(member, request).await.map_err(|error| error.to_string())?;
    let status: Value =
        serde_json::from_slice(&heard.body).map_err(|_| format!("no JSON in answer {}", heard.status))?;
    let agent = status.get("patroni").and_then(|patroni| patroni.get("version")).map_or("None".into(), scalar_text);
    let server = status.get("server_version").and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    let server = server.map(|number| format!(" PostgreSQL {}", PgVersion::from_number(number))).unwrap_or_default();
    Ok(format!("Patroni {agent}{server}"))
}
