//! `dsn`: where to connect (ctl.md 3).

use tamada_model::{Member, MemberName};

use crate::cli::{Given, MEMBER};
use crate::failure::Failure;
use crate::roles::{self, Wanted};
use crate::tool::Tool;

pub async fn run(tool: &mut Tool, given: &Given) -> Result<(), Failure> {
    let wanted = Wanted::given(given);
    let name = given.text(&MEMBER).map(MemberName::new);
    if wanted.is_some() && name.is_some() {
        return Err(Failure::command("--role and --member are mutually exclusive options"));
    }
    let group = tool.group(given)?;
    let scope = tool.scope(given.argument(0))?;
    let cluster = tool.read(&scope, group).await?.cluster;
    let candidates = match name {
        Some(name) => vec![name],
        None => roles::members_with(&cluster, wanted.unwrap_or(Wanted::Leader)),
    };
    let address = candidates.iter().filter_map(|name| cluster.member(name)).find_map(Member::address);
    let (host, port) = address.ok_or_else(|| Failure::command("Can not find a suitable member"))?;
    tool.console.say(format_args!("host={host} port={port}"));
    Ok(())
}
