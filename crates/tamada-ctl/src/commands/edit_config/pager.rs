//! Long texts on a terminal, page by page.

use tokio::process::Command;

use crate::failure::Failure;
use crate::tool::Tool;

/// Through `$PAGER`, else `less`, else `more`.
pub async fn show(tool: &mut Tool, text: &str) -> Result<(), Failure> {
    let configured = tool.surroundings.get("PAGER");
    let pager = configured.into_iter().chain(["less", "more"]).find_map(|name| tool.surroundings.find_program(name));
    let pager = pager.ok_or_else(|| {
        Failure::command(
            "No pager could be found. Either set PAGER environment variable with your pager or install either \"less\" \
             or \"more\" in the host.",
        )
    })?;
    let mut command = Command::new(&pager);
    if pager.file_name().is_some_and(|name| name == "less") {
        // Colours as they are, no paging for what fits the screen, and it stays there.
        command.args(["-F", "-R", "-X"]);
    }
    let ended = tool.give_terminal_to(&mut command, Some(text)).await;
    ended.map(|_| ()).map_err(|error| Failure::Command(format!("{}: {error}", pager.display())))
}
