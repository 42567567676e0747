//! `restart`: PostgreSQL of some members, now or later, under conditions (ctl.md 4.2).

use std::time::Duration;

use hyper::Method;
use serde_json::{Map, Value};
use tamada_model::{MemberName, units};

use crate::cli::{ANY, FORCE, Given, PENDING, PG_VERSION, SCHEDULED, TIMEOUT};
use crate::clock::{self, When};
use crate::failure::Failure;
use crate::members::NamedCluster;
use crate::outcome::Outcomes;
use crate::selection::{self, Chosen, choose_by_role, listed};
use crate::tool::{Request, Tool};

/// Dropping a schedule is only a note for the member.
const PATIENCE_FLUSH: Duration = Duration::from_secs(10);
/// Stopping may take long: a checkpoint of much memory to slow disks. This comes on top of the start's own limit.
const PATIENCE_STOP: Duration = Duration::from_secs(900);
const START_TIMEOUT: Duration = Duration::from_secs(300);

pub async fn run(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    let Chosen { named, members: mut chosen } = choose_by_role(tool, given).await?;
    if given.flag(&ANY) {
        chosen = pick_one(chosen);
    }
    let when = ask_when(tool, given).await?;
    if when == When::Now && given.flag(&PENDING) {
        chosen.retain(|name| named.cluster.members.get(name).is_some_and(|member| member.pending_restart));
    }
    confirm(tool, given, &chosen, &when).await?;
    let version = ask_version(tool, given).await?;
    if when != When::Now && named.mode().pause {
        return Err(Failure::command("Can't schedule restart in the paused state"));
    }
    let body = body(given, &when, version);
    restart_each(tool, given, &named, &chosen, &body).await
}

/// Any one will do, so the microseconds of the clock are chance enough.
fn pick_one(mut members: Vec<MemberName>) -> Vec<MemberName> {
    let chance = std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.subsec_micros()) as usize;
    let at = chance % members.len().max(1);
    members.drain(..).skip(at).take(1).collect()
}

async fn ask_when(tool: &mut Tool, given: &Given) -> Result<When, Failure> {
    match given.text(&SCHEDULED) {
        Some(text) => When::parse(text),
        None if given.flag(&FORCE) => Ok(When::Now),
        None => {
            let question = format!("When should the restart take place (e.g. {}) ", clock::in_an_hour());
            When::parse(&tool.console.ask_or(&question, "now").await?)
        }
    }
}

async fn confirm(tool: &mut Tool, given: &Given, chosen: &[MemberName], when: &When) -> Result<(), Failure> {
    let members = listed(chosen);
    let (question, refusal) = match when {
        When::Now => (format!("Are you sure you want to restart members {members}?"), "Aborted restart"),
        When::At(_) if given.flag(&PENDING) => (
            "The nodes needing a restart will be identified at the scheduled time, and might be different from the ones \
             showing pending restart right now. Is this fine?"
                .to_owned(),
            "Aborted scheduled restart",
        ),
        When::At(moment) => {
            let at = moment.iso().replacen('T', " ", 1);
            let question = format!("Are you sure you want to schedule restart of members {members} at {at}?");
            (question, "Aborted scheduled restart")
        }
    };
    selection::confirm(tool, given, &question, refusal).await
}

/// Empty: whatever version runs.
async fn ask_version(tool: &mut Tool, given: &Given) -> Result<String, Failure> {
    let version = match given.text(&PG_VERSION) {
        Some(version) => version.to_owned(),
        None if given.flag(&FORCE) => String::new(),
        None => {
            let question = "Restart if the PostgreSQL version is less than provided (e.g. 9.5.2) ";
            tool.console.ask_or(question, "").await?
        }
    };
    check_version(&version).map(|()| version)
}

/// As REST checks it (rest-api.md 7).
fn check_version(version: &str) -> Result<(), Failure> {
    if version.is_empty() {
        return Ok(());
    }
    let parts: Option<Vec<i64>> = version.split('.').map(|part| part.trim().parse().ok()).collect();
    match parts.as_deref() {
        None => Err(Failure::Command(format!("Invalid PostgreSQL version: {version}"))),
        Some([_, _, _]) => Ok(()),
        Some([major, _]) if *major >= 10 => Ok(()),
        Some(_) => {
            Err(Failure::Command(format!("Invalid PostgreSQL version format: X.Y or X.Y.Z is accepted: {version}")))
        }
    }
}

fn body(given: &Given, when: &When, version: String) -> Value {
    let mut body = Map::new();
    if given.flag(&PENDING) {
        body.insert("restart_pending".into(), true.into());
    }
    if !version.is_empty() {
        body.insert("postgres_version".into(), version.into());
    }
    if let Some(at) = when.iso() {
        body.insert("schedule".into(), at.into());
    }
    if let Some(timeout) = given.text(&TIMEOUT) {
        body.insert("timeout".into(), timeout.into());
    }
    Value::Object(body)
}

async fn restart_each(
    tool: &mut Tool,
    given: &Given,
    named: &NamedCluster,
    chosen: &[MemberName],
    body: &Value,
) -> Result<(), Failure> {
    let mut outcomes = Outcomes::of("restart");
    for name in chosen {
        let member = selection::record(&named.cluster, name)?;
        if given.flag(&FORCE) && body.get("schedule").is_some() && member.scheduled_restart.is_some() {
            drop_schedule(tool, named, name).await?;
        }
        let within = patience(given, named);
        let request = Request { method: Method::POST, path: "/restart", body: Some(body), within };
        let answer = tool.call(member, request).await;
        let Some(heard) = outcomes.note(&mut tool.console, name, answer) else { continue };
        match heard.status {
            200 => tool.console.say(format_args!("Success: restart on member {name}")),
            202 => tool.console.say(format_args!("Success: restart scheduled on member {name}")),
            409 => tool.console.say(format_args!("Failed: another restart is already scheduled on member {name}")),
            _ => outcomes.say_failed(&mut tool.console, name, &heard),
        }
        tool.console.flush();
    }
    outcomes.end()
}

/// A new schedule replaces the old one; only trouble is worth a line.
async fn drop_schedule(tool: &mut Tool, named: &NamedCluster, name: &MemberName) -> Result<(), Failure> {
    let mut outcomes = Outcomes::of("flush scheduled restart");
    let request = Request { method: Method::DELETE, path: "/restart", body: None, within: PATIENCE_FLUSH };
    let answer = tool.call(selection::record(&named.cluster, name)?, request).await;
    match outcomes.note(&mut tool.console, name, answer) {
        Some(heard) if heard.status != 200 => outcomes.say_failed(&mut tool.console, name, &heard),
        Some(_) | None => {}
    }
    Ok(())
}

/// The member answers when it is up again, or has given up.
fn patience(given: &Given, named: &NamedCluster) -> Duration {
    let config = named.cluster.config.as_ref().map(|config| &config.value);
    let configured = || config.and_then(|config| config.get("primary_start_timeout")).and_then(Value::as_u64);
    let wanted = given.text(&TIMEOUT).and_then(|text| units::integer(text, Some("s")));
    let wanted = wanted.and_then(|seconds| u64::try_from(seconds).ok()).or_else(configured);
    wanted.map_or(START_TIMEOUT, Duration::from_secs).saturating_add(PATIENCE_STOP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_two_parts_since_ten_and_three_before() {
        for fine in ["", "16.4", " 16.4 ", "9.6.24", "10.1.2"] {
            assert!(check_version(fine).is_ok(), "{fine}");
        }
        for bad in ["sixteen", "16", "9.6", "16.", "16.4beta", "9.6.24.1", "-1.2"] {
            assert!(check_version(bad).is_err(), "{bad}");
        }
    }
}
