//! `edit-config`: changes the dynamic configuration, by options, from files, or in an editor (ctl.md 6.1).
//!
//! The result replaces exactly the value that was read: if somebody else changes it meanwhile, nothing is written.

mod change;
mod diff;
mod editor;
mod pager;

use serde_json::Value;
use tamada_config::yaml;
use tamada_dcs::Written;
use tamada_model::{Document, document};

use crate::cli::{APPLY, FORCE, Given, PG, QUIET, REPLACE, SET};
use crate::console::Consent;
use crate::failure::Failure;
use crate::members::NamedCluster;
use crate::tool::{Tool, must_be_done};

pub async fn run(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    let group = tool.group_or_own(given);
    let scope = tool.scope(given.argument(0))?;
    let named = tool.read(&scope, group).await?;
    let Some(before) = named.cluster.config.as_ref() else {
        return Err(Failure::Command(format!("The config key does not exist in the cluster {scope}")));
    };
    let after = changed(tool, given, &scope, &before.value).await?;
    if after == before.value {
        if !given.flag(&QUIET) {
            tool.console.say("Not changed");
        }
        return Ok(());
    }
    if !given.flag(&QUIET) {
        show_difference(tool, &before.value, &after).await?;
    }
    if agreed(tool, given).await? == Consent::Refused {
        return Ok(());
    }
    write(tool, &named, &after).await
}

/// Replaced, then merged, then single settings; or, if none is given, what comes back from the editor.
async fn changed(tool: &mut Tool, given: &Given, scope: &str, before: &Document) -> Result<Document, Failure> {
    let settings = change::settings(&given.texts(&SET), &given.texts(&PG))?;
    if settings.is_empty() && given.text(&APPLY).is_none() && given.text(&REPLACE).is_none() {
        return editor::edit(tool, scope, before).await;
    }
    let mut after = before.clone();
    if let Some(file) = given.text(&REPLACE) {
        let document = read(tool, file).await?;
        after = Document::new();
        document::patch(&mut after, &document);
    }
    if let Some(file) = given.text(&APPLY) {
        let document = read(tool, file).await?;
        document::patch(&mut after, &document);
    }
    for setting in settings {
        setting.apply(&mut after);
    }
    Ok(after)
}

/// A YAML mapping from a file, or from standard input for `-`.
async fn read(tool: &mut Tool, file: &str) -> Result<Document, Failure> {
    let shown = if file == "-" { "standard input" } else { file };
    let unreadable = |error| Failure::Command(format!("{shown} cannot be read: {error}"));
    let text = match file {
        "-" => tool.console.read_all().await.map_err(unreadable)?,
        file => std::fs::read_to_string(file).map_err(unreadable)?,
    };
    mapping(&text).map_err(|problem| Failure::Command(format!("{shown}: {problem}")))
}

/// Configuration is a mapping; a text of anything else is a slip of somebody's.
fn mapping(text: &str) -> Result<Document, String> {
    match yaml::parse(text).map_err(|error| error.to_string())? {
        Value::Object(document) => Ok(document),
        Value::Null => Err("it is empty, and the configuration must be a mapping (`key: value`)".to_owned()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err("the configuration must be a mapping (`key: value`)".to_owned())
        }
    }
}

async fn show_difference(tool: &mut Tool, before: &Document, after: &Document) -> Result<(), Failure> {
    let text = |document: &Document| yaml::dump(&Value::Object(document.clone()));
    let (before, after) = (text(before), text(after));
    if tool.console.is_terminal() {
        return pager::show(tool, &diff::coloured(&before, &after)).await;
    }
    tool.console.say(diff::unified(&before, &after));
    Ok(())
}

/// Who feeds us through standard input cannot answer questions as well.
async fn agreed(tool: &mut Tool, given: &Given) -> Result<Consent, Failure> {
    if given.flag(&FORCE) {
        return Ok(Consent::Given);
    }
    if [&APPLY, &REPLACE].into_iter().any(|option| given.text(option) == Some("-")) {
        tool.console.say("Use --force option to apply changes");
        return Ok(Consent::Refused);
    }
    tool.console.confirm("Apply these changes?").await
}

async fn write(tool: &mut Tool, named: &NamedCluster, after: &Document) -> Result<(), Failure> {
    let judged = named.cluster.config.as_ref().map(|config| config.stamp.clone());
    let after = after.clone();
    let write = tool
        .write(named, |store, within| Box::pin(async move { store.set_config(&after, judged.as_ref(), within).await }));
    match write.await? {
        Written::Beaten => Err(Failure::command("Config modification aborted due to concurrent changes")),
        written => {
            must_be_done(written, "Changing the configuration")?;
            tool.console.say("Configuration changed");
            Ok(())
        }
    }
}
