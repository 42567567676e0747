//! Long texts on a terminal, page by page.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
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
    tool.console.flush();
    let mut command = Command::new(&pager);
    if pager.file_name().is_some_and(|name| name == "less") {
        // Colours as they are, no paging for what fits the screen, and it stays there.
        command.args(["-F", "-R", "-X"]);
    }
    tool.hide_secrets(&mut command);
    let failed = |error: std::io::Error| Failure::Command(format!("{}: {error}", pager.display()));
    let mut child = command.stdin(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // Who leaves the pager early has seen enough.
        let _ = input.write_all(text.as_bytes()).await;
    }
    child.wait().await.map(|_| ()).map_err(failed)
}
