//! `reload`: members read their configuration again (ctl.md 4.1).

use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use crate::cli::{Given, ROLE};
use crate::failure::Failure;
use crate::members::NamedCluster;
use crate::outcome::{self, Unasked};
use crate::roles::Wanted;
use crate::selection::{self, choose, listed, read_and_show};
use crate::tool::{Request, Tool};

/// The member only notes the request.
const PATIENCE: Duration = Duration::from_secs(10);

pub async fn run(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    let named = read_and_show(tool, given).await?;
    let role = format!("'{}'", given.text(&ROLE).unwrap_or("any"));
    let chosen = choose(&named, Wanted::given(given).unwrap_or(Wanted::Any), given.arguments(1), &role)?;
    let question = format!("Are you sure you want to reload members {}?", listed(&chosen));
    selection::confirm(tool, given, &question, "Aborted reload").await?;
    let mut unasked = Unasked::default();
    for name in &chosen {
        let request = Request { method: Method::POST, path: "/reload", body: None, within: PATIENCE };
        let answer = tool.call(selection::record(&named.cluster, name)?, request).await;
        let Some(heard) = unasked.note(name, answer) else { continue };
        match heard.status {
            200 => tool.console.say(format_args!("No changes to apply on member {name}")),
            202 => tool.console.say(format_args!(
                "Reload request received for member {name} and will be processed within {} seconds",
                loop_wait(&named)
            )),
            _ => outcome::say_failed(&mut tool.console, "reload", name, &heard),
        }
    }
    unasked.end("Reload")
}

/// As the dynamic configuration has it.
pub fn loop_wait(named: &NamedCluster) -> u64 {
    let configured = named.cluster.config.as_ref().and_then(|config| config.value.get("loop_wait"));
    configured.and_then(Value::as_u64).unwrap_or(10)
}
