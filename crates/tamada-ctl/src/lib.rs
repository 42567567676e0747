//! The operator's commands: `tamadactl`, `tamada ctl`, and `patronictl` by link (ctl.md).
//!
//! Reads clusters straight from the store, acts through the members' REST APIs, and writes to the store only where no
//! member could do it. Decides nothing about clusters: whatever is wanted is a request that members check themselves.

mod cli;
mod clock;
mod commands;
mod console;
mod failure;
mod format;
mod log;
mod members;
mod outcome;
mod roles;
mod selection;
mod setup;
mod store;
mod surroundings;
mod table;
mod tool;
mod topology;

use std::ffi::OsString;
use std::process::ExitCode;

pub use console::Console;
pub use surroundings::Surroundings;

use cli::Heard;
use failure::Failure;
use setup::Setup;
use tool::{HandsOff, Tool};

/// Does what the command line says. `args` are the words behind the program's name, `prog` is that name as usage lines
/// shall show it: `tamadactl`, `patronictl`, `tamada ctl`.
pub fn main(args: Vec<OsString>, prog: &str) -> ExitCode {
    let words: Vec<String> = args.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let surroundings = Surroundings::of_this_process();
    log::install(&surroundings);
    let code = run(&words, prog, surroundings, Console::of_this_process());
    ExitCode::from(code)
}

/// As [`main`], in surroundings and on a console of the caller's choice. Returns the exit code.
pub fn run(words: &[String], prog: &str, surroundings: Surroundings, mut console: Console) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            console.complain(&format!("Error: {error}"));
            return 1;
        }
    };
    let code = runtime.block_on(obey(words, prog, surroundings, console));
    // A thread may still wait for an answer that nobody will give.
    runtime.shutdown_background();
    code
}

async fn obey(words: &[String], prog: &str, surroundings: Surroundings, mut console: Console) -> u8 {
    let (tool, command, given) = match prepare(words, prog, &surroundings) {
        Ok(Heard::Said(said)) => said,
        Ok(Heard::Help(page)) => {
            console.say(page);
            return end(&mut console, Ok(()));
        }
        Err(failure) => return end(&mut console, Err(failure)),
    };
    let hands_off = HandsOff::default();
    let mut tool = Tool::new(prog, console, surroundings, tool, hands_off.clone());
    let outcome = tokio::select! {
        outcome = commands::run(&mut tool, command, &given) => outcome,
        () = interrupted(&hands_off) => Err(Failure::Aborted),
    };
    end(&mut tool.console, outcome)
}

/// Ends when the operator interrupts us, and not some program that we have given the terminal to.
async fn interrupted(hands_off: &HandsOff) {
    // Without a way to hear of interrupts they end this process as they end any other.
    while tokio::signal::ctrl_c().await.is_ok() {
        if !hands_off.is_on() {
            return;
        }
    }
    std::future::pending().await
}

type Said = (Setup, &'static cli::CommandSpec, cli::Given);

/// The command line and the configuration, in the order in which their mistakes are told.
fn prepare(words: &[String], prog: &str, surroundings: &Surroundings) -> Result<Heard<Said>, Failure> {
    let (global, command, rest) = match cli::global(prog, words)? {
        Heard::Said(said) => said,
        Heard::Help(page) => return Ok(Heard::Help(page)),
    };
    let setup = Setup::load(&global, surroundings)?;
    match cli::subcommand(prog, command, &rest)? {
        Heard::Said(given) => Ok(Heard::Said((setup, command, given))),
        Heard::Help(page) => Ok(Heard::Help(page)),
    }
}

fn end(console: &mut Console, outcome: Result<(), Failure>) -> u8 {
    console.flush();
    match outcome {
        Ok(()) => u8::from(console.is_broken()),
        Err(failure) => {
            failure.show(console);
            failure.exit_code()
        }
    }
}
