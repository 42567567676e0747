//! `tamada-sim`: years of failures in minutes, and any of them again from its seed.

use std::process::ExitCode;

mod command;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match command::Command::read(&words) {
        Ok(command) => command.run(),
        Err(wrong) => {
            eprintln!("{wrong}\n\n{}", command::HELP);
            ExitCode::from(2)
        }
    }
}
