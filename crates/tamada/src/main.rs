//! One binary, several names: `tamada` with subcommands, `tamadactl` and `patronictl` for the operator's commands,
//! `patroni` for the agent and `patroni_raft_controller` for a voter with the original's command lines.

mod alarm;
mod claim;
mod clock;
mod configuration;
mod daemon;
mod desk;
mod drive;
mod execute;
mod gather;
mod guard;
mod init;
mod life;
mod log;
mod orders;
mod orphan;
mod signals;
mod store;
mod voter;
mod watchdog;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use tamada_config::{Environment, ListenPorts};

const USAGE: &str = "\
Usage: tamada run [CONFIG]        keep PostgreSQL available on this machine
       tamada CONFIG              the same
       tamada voter [CONFIG]      vote in the embedded store, without PostgreSQL
       tamada ctl COMMAND …       see and steer clusters (also: tamadactl)
       tamada --validate-config [-i] [-p] [CONFIG]
       tamada --generate-sample-config [FILE]
       tamada --version
Without CONFIG the configuration is taken from PATRONI_* environment variables.";

fn main() -> ExitCode {
    init::slim_memory();
    let mut words = std::env::args_os();
    let program = words.next().map(PathBuf::from).unwrap_or_default();
    let name = program.file_name().and_then(|name| name.to_str()).unwrap_or("tamada").to_owned();
    let words: Vec<OsString> = words.collect();
    match name.as_str() {
        "tamadactl" | "patronictl" => tamada_ctl::main(words, &name),
        "patroni_raft_controller" => controller(words, &name),
        _ => obey(words, &name),
    }
}

fn obey(mut words: Vec<OsString>, name: &str) -> ExitCode {
    let first = words.first().and_then(|word| word.to_str()).map(str::to_owned);
    match first.as_deref() {
        Some("ctl") => {
            words.remove(0);
            tamada_ctl::main(words, &format!("{name} ctl"))
        }
        Some("run") => {
            words.remove(0);
            stay(words, daemon::run)
        }
        Some("voter") => {
            words.remove(0);
            stay(words, voter::run)
        }
        // Started by the agent, and for nobody else.
        Some("guard") => {
            words.remove(0);
            guard::run(words)
        }
        Some("--version" | "-V") => say_version(name),
        Some("--help" | "-h") => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Some("--validate-config") => validate(&words[1..]),
        Some("--generate-sample-config") => sample(&words[1..]),
        Some(option) if option.starts_with('-') => wrong_usage(&format!("unknown option {option}")),
        Some(_) | None => stay(words, daemon::run),
    }
}

/// The original's voter: `patroni_raft_controller [--version] [CONFIG]`.
fn controller(words: Vec<OsString>, name: &str) -> ExitCode {
    match words.first().and_then(|word| word.to_str()) {
        Some("--version" | "-V") => say_version(name),
        Some(_) | None => stay(words, voter::run),
    }
}

fn say_version(name: &str) -> ExitCode {
    println!("{name} {}", env!("CARGO_PKG_VERSION"));
    ExitCode::SUCCESS
}

fn wrong_usage(problem: &str) -> ExitCode {
    eprintln!("{USAGE}\n\nError: {problem}");
    ExitCode::from(2)
}

/// Runs what stays until it is told to end, with one configuration at the most.
fn stay(words: Vec<OsString>, run: fn(Option<PathBuf>) -> ExitCode) -> ExitCode {
    if words.iter().any(|word| word == "--help" || word == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if let Some(option) = words.iter().find(|word| word.to_string_lossy().starts_with('-')) {
        return wrong_usage(&format!("unknown option {}", option.to_string_lossy()));
    }
    if words.len() > 1 {
        return wrong_usage("one configuration file or directory at the most");
    }
    if let Some(status) = init::as_pid_1() {
        return status;
    }
    run(words.into_iter().next().map(PathBuf::from))
}

fn validate(words: &[OsString]) -> ExitCode {
    let has = |flags: [&str; 2]| words.iter().any(|word| flags.iter().any(|flag| word == flag));
    let file = words.iter().find(|word| !word.to_string_lossy().starts_with('-')).map(PathBuf::from);
    let (environment, _) = Environment::take_from_process();
    let local = match tamada_config::load(file.as_deref(), environment) {
        Ok(local) => local,
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::FAILURE;
        }
    };
    let ports = if has(["-i", "--ignore-listen-port"]) { ListenPorts::MayBeTaken } else { ListenPorts::MustBeFree };
    let problems = tamada_config::validate(&local, ports);
    if !problems.is_empty() {
        eprintln!("{}", problems.join("\n"));
        return ExitCode::FAILURE;
    }
    if has(["-p", "--print"]) {
        print!("{}", local.to_yaml());
    }
    ExitCode::SUCCESS
}

fn sample(words: &[OsString]) -> ExitCode {
    let (environment, _) = Environment::take_from_process();
    let text = tamada_config::sample(&environment);
    let Some(file) = words.first().map(PathBuf::from) else {
        print!("{text}");
        return ExitCode::SUCCESS;
    };
    match tamada_config::write_sample(&text, &file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            ExitCode::FAILURE
        }
    }
}
