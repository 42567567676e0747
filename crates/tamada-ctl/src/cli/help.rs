//! Usage lines and help pages, laid out for eighty columns.

use super::grammar::{CommandSpec, Group};

/// Usable columns.
const WIDTH: usize = 78;
/// A first column wider than this goes on a line of its own.
const FIRST_COLUMN_MAX: usize = 30;
const GAP: usize = 2;

/// `Usage: tamadactl list [OPTIONS] [CLUSTER_NAMES]...`
pub fn usage(prog: &str, command: &CommandSpec) -> String {
    let arguments = command.arguments.iter().map(|argument| argument.usage());
    let words: Vec<String> = ["[OPTIONS]".to_owned()].into_iter().chain(arguments).collect();
    let head = format!("Usage: {} ", path(prog, command));
    let lines = wrap(&words, WIDTH.saturating_sub(head.len()).max(20));
    format!("{head}{}", lines.join(&format!("\n{}", " ".repeat(head.len()))))
}

/// `tamadactl list`
pub fn path(prog: &str, command: &CommandSpec) -> String {
    if command.name.is_empty() { prog.to_owned() } else { format!("{prog} {}", command.name) }
}

/// The help page of one command.
pub fn page(prog: &str, command: &CommandSpec) -> String {
    let options: Vec<(String, &str)> = command.options.iter().map(|option| (option.usage(), option.help)).collect();
    let about = wrap_text(command.about, WIDTH - GAP).join("\n  ");
    format!("{}\n\n  {about}\n\nOptions:\n{}", usage(prog, command), two_columns(&options))
}

/// The help page of the tool itself, or of a command that is followed by another.
pub fn overview(prog: &str, group: &Group) -> String {
    let row = |command: &CommandSpec| (group.name_of(command).to_owned(), command.about);
    let commands: Vec<(String, &str)> = group.commands.iter().map(row).collect();
    format!("{}\n\nCommands:\n{}", page(prog, group.itself), two_columns(&commands))
}

fn two_columns(rows: &[(String, &str)]) -> String {
    let widest = rows.iter().map(|(first, _)| first.len()).max().unwrap_or(0);
    let first_width = widest.min(FIRST_COLUMN_MAX) + GAP;
    let indent = " ".repeat(GAP + first_width);
    let row = |(first, second): &(String, &str)| {
        let text = wrap_text(second, WIDTH - indent.len()).join(&format!("\n{indent}"));
        match first.len() {
            length if length <= first_width - GAP => format!("  {first:<first_width$}{text}"),
            _ => format!("  {first}\n{indent}{text}"),
        }
    };
    rows.iter().map(row).collect::<Vec<_>>().join("\n")
}

fn wrap_text(text: &str, width: usize) -> Vec<String> {
    wrap(&text.split(' ').map(str::to_owned).collect::<Vec<_>>(), width)
}

/// As many words to a line as fit.
fn wrap(words: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.clone()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::{ALL, COMMANDS, OF_THE_STORE};

    #[test]
    fn a_page_fits_eighty_columns() {
        for page in [&ALL, &OF_THE_STORE].into_iter().flat_map(pages) {
            assert!(page.lines().all(|line| line.len() <= WIDTH), "{page}");
        }
    }

    fn pages(group: &Group) -> Vec<String> {
        let pages = group.commands.iter().map(|command| page("patronictl", command));
        pages.chain([overview("patronictl", group)]).collect()
    }

    #[test]
    fn long_usage_lines_go_on_below() {
        let flush = COMMANDS.iter().find(|command| command.name == "flush").expect("flush is a command");
        assert_eq!(
            usage("patronictl", flush),
            "Usage: patronictl flush [OPTIONS] CLUSTER_NAME [MEMBER_NAMES]...\n                        {restart|switchover}"
        );
    }
}
