//! `reload`: members read their configuration again (ctl.md 4.1).

use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use crate::cli::Given;
use crate::failure::Failure;
use crate::members::NamedCluster;
use crate::outcome::Outcomes;
use crate::selection::{self, Chosen, choose_by_role, listed};
use crate::tool::{Request, Tool};

/// The member only notes the request.
const PATIENCE: Duration = Duration::from_secs(10);

pub async fn run(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    let Chosen { named, members } = choose_by_role(tool, given).await?;
    let question = format!("Are you sure you want to reload members {}?", listed(&members));
    selection::confirm(tool, given, &question, "Aborted reload").await?;
    let mut outcomes = Outcomes::of("reload");
    for name in &members {
        let request = Request { method: Method::POST, path: "/reload", body: None, within: PATIENCE };
        let answer = tool.call(selection::record(&named.cluster, name)?, request).await;
        let Some(heard) = outcomes.note(&mut tool.console, name, answer) else { continue };
        match heard.status {
            200 => tool.console.say(format_args!("No changes to apply on member {name}")),
            202 => tool.console.say(format_args!(
                "Reload request received for member {name} and will be processed within {} seconds",
                loop_wait(&named)
            )),
            _ => outcomes.say_failed(&mut tool.console, name, &heard),
        }
    }
    outcomes.end()
}

/// As the dynamic configuration has it.
pub fn loop_wait(named: &NamedCluster) -> u64 {
    let configured = named.cluster.config.as_ref().and_then(|config| config.value.get("loop_wait"));
    configured.and_then(Value::as_u64).unwrap_or(10)
}
