//! Which members an action is about, and whether it is really wanted (ctl.md 4).

use tamada_model::{Cluster, Member, MemberName};

use crate::cli::{FORCE, Given, ROLE};
use crate::console::Consent;
use crate::failure::Failure;
use crate::format::Format;
use crate::members::{self, Columns, NamedCluster};
use crate::roles::{self, Wanted};
use crate::tool::Tool;

/// Members that an action is about, of a cluster that was shown to the operator.
pub struct Chosen {
    pub named: NamedCluster,
    pub members: Vec<MemberName>,
}

/// Reads the cluster of the first argument, shows it, and picks those members of the second that have the role; all
/// with the role if none is named. `role_shown` is how a complaint calls it.
pub async fn choose(tool: &mut Tool, given: &Given, wanted: Wanted, role_shown: &str) -> Result<Chosen, Failure> {
    let group = tool.group(given)?;
    let scope = tool.scope(given.argument(0))?;
    let named = tool.read(&scope, group).await?;
    let mut members = roles::members_with(&named.cluster, wanted);
    if members.is_empty() {
        return Err(Failure::Command(format!("{scope} cluster doesn't have any members")));
    }
    members::show(&mut tool.console, &named, Format::Pretty, Columns::AsNeeded);
    let names = given.arguments(1);
    if !names.is_empty() {
        members.retain(|member| names.iter().any(|name| name == member.as_str()));
        if members.is_empty() {
            return Err(Failure::Command(format!("No {role_shown} among provided members")));
        }
    }
    Ok(Chosen { named, members })
}

/// By `--role`, anybody without it.
pub async fn choose_by_role(tool: &mut Tool, given: &Given) -> Result<Chosen, Failure> {
    let shown = format!("'{}'", given.text(&ROLE).unwrap_or("any"));
    choose(tool, given, Wanted::given(given).unwrap_or(Wanted::Any), &shown).await
}

/// `a, b`
pub fn listed(names: &[MemberName]) -> String {
    names.iter().map(MemberName::as_str).collect::<Vec<_>>().join(", ")
}

/// With `--force` nothing is asked.
pub async fn confirm(tool: &mut Tool, given: &Given, question: &str, refusal: &str) -> Result<(), Failure> {
    if given.flag(&FORCE) {
        return Ok(());
    }
    match tool.console.confirm(question).await? {
        Consent::Given => Ok(()),
        Consent::Refused => Err(Failure::command(refusal)),
    }
}

pub fn record<'c>(cluster: &'c Cluster, name: &MemberName) -> Result<&'c Member, Failure> {
    cluster.member(name).ok_or_else(|| Failure::Command(format!("Member {name} has left the cluster")))
}
