//! The configuration in the operator's editor.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tamada_config::yaml;
use tamada_model::Document;
use tokio::process::Command;

use super::mapping;
use crate::failure::Failure;
use crate::tool::Tool;

/// What the operator made of it. Text that cannot be read stays on disk: it was work.
pub async fn edit(tool: &mut Tool, scope: &str, before: &Document) -> Result<Document, Failure> {
    let editor = find(tool)?;
    let text = yaml::dump(&Value::Object(before.clone()));
    let file = write_out(&tool.surroundings.directory_for_files(), scope, &text)
        .map_err(|error| Failure::Command(format!("No file to edit in: {error}")))?;
    let edited = run(tool, &editor, &file).await;
    let edited = edited.inspect_err(|_| remove(&file))?;
    let document = mapping(&edited).map_err(|problem| {
        let file = file.display();
        Failure::Command(format!("{file}: {problem}. The file is kept: correct it and apply it with --replace {file}"))
    })?;
    remove(&file);
    Ok(document)
}

/// `$EDITOR`, else `editor`, else `vi`.
fn find(tool: &Tool) -> Result<PathBuf, Failure> {
    if let Some(editor) = tool.surroundings.get("EDITOR") {
        let missing =
            || Failure::Command(format!("The editor {editor} does not exist. Check the EDITOR environment variable"));
        return tool.surroundings.find_program(editor).ok_or_else(missing);
    }
    ["editor", "vi"]
        .into_iter()
        .find_map(|name| tool.surroundings.find_program(name))
        .ok_or_else(|| Failure::command("EDITOR environment variable is not set. editor or vi are not available"))
}

/// `<cluster>-config-<number>.yaml`, for our eyes only.
fn write_out(directory: &Path, scope: &str, text: &str) -> io::Result<PathBuf> {
    let scope: String = scope.chars().map(|c| if c == '/' { '_' } else { c }).collect();
    let mut number = 1;
    loop {
        let path = directory.join(format!("{scope}-config-{number}.yaml"));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => return file.write_all(text.as_bytes()).map(|()| path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

async fn run(tool: &mut Tool, editor: &Path, file: &Path) -> Result<String, Failure> {
    let status = tool.give_terminal_to(Command::new(editor).arg(file), None).await;
    let status =
        status.map_err(|error| Failure::Command(format!("{} cannot be started: {error}", editor.display())))?;
    if !status.success() {
        let code = status.code().map_or_else(|| status.to_string(), |code| code.to_string());
        return Err(Failure::Command(format!("Editor exited with return code {code}")));
    }
    fs::read_to_string(file).map_err(|error| Failure::Command(format!("{} cannot be read: {error}", file.display())))
}

/// Nothing depends on it: a file left over in the temporary directory is only untidy.
fn remove(file: &Path) {
    let _ = fs::remove_file(file);
}
