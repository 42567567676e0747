//! `reinit`: replicas throw their data away and copy it anew (ctl.md 4.3).

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tamada_model::{MemberName, State};
use tokio::time::sleep;

use crate::cli::{FORCE, FROM_LEADER, Given, WAIT};
use crate::console::Consent;
use crate::failure::Failure;
use crate::members::NamedCluster;
use crate::outcome::Outcomes;
use crate::roles::Wanted;
use crate::selection::{self, Chosen, choose, listed};
use crate::tool::{Request, Tool};

/// The member starts the copy and answers; with force it cancels what runs first.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL_PAUSE: Duration = Duration::from_secs(2);
const POLL_PATIENCE: Duration = Duration::from_secs(5);
/// A member that does not answer this often in a row is not waited for any longer. A copy itself may take days.
const SILENT_POLLS_MAX: u32 = 30;

pub async fn run(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    let Chosen { named, members } = choose(tool, given, Wanted::Replica, "replica").await?;
    let chosen = match given.arguments(1) {
        [] if given.flag(&FORCE) => Vec::new(),
        [] => vec![ask_member(tool, members).await?],
        _ => members,
    };
    if !chosen.is_empty() {
        let question = format!("Are you sure you want to reinitialize members {}?", listed(&chosen));
        selection::confirm(tool, given, &question, "Aborted reinitialize").await?;
    }
    let mut outcomes = Outcomes::of("reinitialize");
    let mut started = Vec::new();
    for name in &chosen {
        if reinitialize(tool, given, &named, name, &mut outcomes).await? == Begun::Yes {
            started.push(name.clone());
        }
    }
    if given.flag(&WAIT) {
        wait_for(tool, &named, started).await?;
    }
    outcomes.end()
}

async fn ask_member(tool: &mut Tool, replicas: Vec<MemberName>) -> Result<MemberName, Failure> {
    let question = format!("Which member do you want to reinitialize [{}]?", listed(&replicas));
    let answer = tool.console.ask_or(&question, "").await?;
    match replicas.into_iter().find(|name| name.as_str() == answer) {
        Some(name) => Ok(name),
        None => Err(Failure::Command(format!("{answer} is not a member of cluster"))),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    Yes,
    No,
}

/// A member busy with something else may be told to drop that.
async fn reinitialize(
    tool: &mut Tool,
    given: &Given,
    named: &NamedCluster,
    name: &MemberName,
    outcomes: &mut Outcomes,
) -> Result<Begun, Failure> {
    let mut force = given.flag(&FORCE);
    loop {
        let body = json!({"force": force, "from_leader": given.flag(&FROM_LEADER)});
        let request = Request { method: Method::POST, path: "/reinitialize", body: Some(&body), within: PATIENCE };
        let answer = tool.call(selection::record(&named.cluster, name)?, request).await;
        let Some(heard) = outcomes.note(&mut tool.console, name, answer) else { return Ok(Begun::No) };
        if heard.status == 200 {
            tool.console.say(format_args!("Success: reinitialize for member {name}"));
            return Ok(Begun::Yes);
        }
        outcomes.say_failed(&mut tool.console, name, &heard);
        if given.flag(&FORCE) || !heard.text().ends_with(" already in progress") {
            return Ok(Begun::No);
        }
        match tool.console.confirm("Do you want to cancel it and reinitialize anyway?").await? {
            Consent::Given => force = true,
            Consent::Refused => return Ok(Begun::No),
        }
    }
}

/// Asks the members until none is copying any more.
async fn wait_for(tool: &mut Tool, named: &NamedCluster, mut copying: Vec<MemberName>) -> Result<(), Failure> {
    let mut silent_polls = 0;
    let mut told = 0;
    while let Some(name) = copying.first().cloned() {
        if told != copying.len() {
            tool.console.say(format_args!("Waiting for reinitialize to complete on: {}", listed(&copying)));
            tool.console.flush();
            told = copying.len();
        }
        sleep(POLL_PAUSE).await;
        let mut ended = None;
        for name in &copying {
            match state(tool, named, name).await? {
                Some(state) if state != State::CreatingReplica.text() => {
                    ended = Some(name.clone());
                    break;
                }
                Some(_) => silent_polls = 0,
                None => silent_polls += 1,
            }
        }
        if let Some(ended) = ended {
            tool.console.say(format_args!("Reinitialize is completed on: {ended}"));
            copying.retain(|name| *name != ended);
            silent_polls = 0;
        } else if silent_polls > SILENT_POLLS_MAX {
            return Err(Failure::Command(format!("Member {name} does not answer any more, gave up waiting for it")));
        }
    }
    Ok(())
}

/// `None`: no usable answer.
async fn state(tool: &Tool, named: &NamedCluster, name: &MemberName) -> Result<Option<String>, Failure> {
    let request = Request { method: Method::GET, path: "/patroni", body: None, within: POLL_PATIENCE };
    let answer = tool.call(selection::record(&named.cluster, name)?, request).await;
    let status: Option<Value> = answer.ok().and_then(|heard| serde_json::from_slice(&heard.body).ok());
    Ok(status.and_then(|status| status.get("state")?.as_str().map(str::to_owned)))
}
