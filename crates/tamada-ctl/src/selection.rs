//! Which members an action is about, and whether it is really wanted (ctl.md 4).

use tamada_model::{Cluster, Member, MemberName};

use crate::cli::{FORCE, Given};
use crate::console::Consent;
use crate::failure::Failure;
use crate::format::Format;
use crate::members::{self, Columns, NamedCluster};
use crate::roles::{self, Wanted};
use crate::tool::Tool;

/// Reads the cluster of the first argument and shows its members.
pub async fn read_and_show(tool: &mut Tool, given: &Given) -> Result<NamedCluster, Failure> {
    let group = tool.group(given)?;
    let scope = tool.scope(given.argument(0))?;
    let named = tool.read(&scope, group).await?;
    members::show(&mut tool.console, &named, Format::Pretty, Columns::AsNeeded);
    Ok(named)
}

/// Everybody with the role; with names given, those among them. Unknown names are dropped.
pub fn choose(
    named: &NamedCluster,
    wanted: Wanted,
    names: &[String],
    role_shown: &str,
) -> Result<Vec<MemberName>, Failure> {
    let mut candidates = roles::members_with(&named.cluster, wanted);
    if candidates.is_empty() {
        return Err(Failure::Command(format!("{} cluster doesn't have any members", named.scope)));
    }
    if !names.is_empty() {
        candidates.retain(|candidate| names.iter().any(|name| name == candidate.as_str()));
        if candidates.is_empty() {
            return Err(Failure::Command(format!("No {role_shown} among provided members")));
        }
    }
    Ok(candidates)
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
    cluster.members.get(name).ok_or_else(|| Failure::Command(format!("Member {name} has left the cluster")))
}
