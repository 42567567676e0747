//! From the macro to the file.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

use tamada_model::{LogConfig, LogLevel};
use tracing::{debug, error, info, trace, warn};

use super::testing::Folder;
use super::*;

fn into(folder: &Folder) -> LogConfig {
    LogConfig {
        dir: Some(folder.path().to_owned()),
        format: "%(levelname)s: %(message)s".into(),
        ..LogConfig::default()
    }
}

/// What is written when `events` are logged under this configuration.
fn written(config: &LogConfig, events: impl FnOnce(&Handle)) -> Vec<String> {
    let (collector, handle) = begin(config).expect("the configuration is usable");
    tracing::subscriber::with_default(collector, || events(&handle));
    assert_eq!(handle.drain(), Drained::Completely);
    let file = config.dir.as_ref().expect("tests log to files").join("patroni.log");
    std::fs::read_to_string(file).expect("it was opened").lines().map(str::to_owned).collect()
}

#[test]
fn levels_and_fields() {
    let folder = Folder::new("levels");
    let lines = written(&into(&folder), |_| {
        trace!("never");
        debug!("not at this level");
        info!("plain {}", 1);
        warn!(attempt = 2, by = "b", why = %std::fmt::Error, "with fields");
        error!("over\ntwo lines");
        error!(critical = true, "and out");
        info!(target: "h2::codec", "what libraries say");
        warn!(target: "h2::codec", "unless it matters");
        let _inside = tracing::info_span!("span", hidden = true).entered();
        info!("inside a span");
    });
    assert_eq!(
        lines,
        [
            "INFO: plain 1",
            "WARNING: with fields attempt=2 by=b why=an error occurred when formatting an argument",
            "ERROR: over",
            "two lines",
            "CRITICAL: and out",
            "WARNING: unless it matters",
            "INFO: inside a span",
        ]
    );
}

#[test]
fn an_error_tells_what_caused_it() {
    let folder = Folder::new("chain");
    let lines = written(&into(&folder), |_| {
        let cause = std::io::Error::other("no room");
        let error = LogError::File { path: "/x".into(), source: cause };
        error!(error = &error as &dyn std::error::Error, "failed");
    });
    assert_eq!(lines, ["ERROR: failed error=log.dir: cannot write to /x: no room: no room"]);
}

#[test]
fn where_it_was_said() {
    let folder = Folder::new("place");
    let config = LogConfig { format: "%(name)s %(module)s %(filename)s %(threadName)s".into(), ..into(&folder) };
    let test = std::thread::current();
    let name = test.name().expect("tests have names");
    assert_eq!(written(&config, |_| info!("")), [format!("tamada.log.tests tests tests.rs {name}")]);
}

#[test]
fn only_the_parts_that_are_listened_to() {
    let folder = Folder::new("loggers");
    let loggers = [("patroni.postgresql.callback_executor", LogLevel::Debug), ("tamada_dcs", LogLevel::Critical)];
    let loggers = loggers.into_iter().map(|(name, level)| (name.to_owned(), level)).collect();
    let lines = written(&LogConfig { loggers, ..into(&folder) }, |_| {
        debug!(target: "patroni.postgresql.callback_executor", "CallbackExecutor.call(['x'])");
        debug!(target: "tamada_postgres::slots", "no");
        error!(target: "tamada_dcs::etcd", "no");
        error!(target: "tamada_dcs::etcd", critical = true, "yes");
    });
    assert_eq!(lines, ["DEBUG: CallbackExecutor.call(['x'])", "CRITICAL: yes"]);
}

#[test]
fn a_healthy_cycle_is_one_line() {
    let folder = Folder::new("cycle");
    let lines = written(&into(&folder), |_| {
        for _ in 0..2 {
            info!("Lock owner: a; I am b");
            info!("no action. I am (b), a secondary, and following a leader (a)");
        }
        info!("Lock owner: None; I am b");
        info!("promoted self to leader by acquiring session lock");
        info!("Lock owner: b; I am b");
    });
    assert_eq!(
        lines,
        [
            "INFO: no action. I am (b), a secondary, and following a leader (a)",
            "INFO: no action. I am (b), a secondary, and following a leader (a)",
            "INFO: Lock owner: None; I am b",
            "INFO: promoted self to leader by acquiring session lock",
            "INFO: Lock owner: b; I am b",
        ]
    );
}

#[test]
fn a_changed_configuration_is_taken_over() {
    let (before, after) = (Folder::new("before"), Folder::new("after"));
    let changed = LogConfig { level: LogLevel::Debug, format: "%(message)s".into(), ..into(&after) };
    let lines = written(&into(&before), |log| {
        let say = |text: &str| debug!("{text}");
        say("not yet");
        info!("one");
        assert_eq!(log.drain(), Drained::Completely);
        log.apply(&changed).expect("it is usable");
        say("two");
    });
    assert_eq!(lines, ["INFO: one"]);
    assert_eq!(after.read("patroni.log"), "two\n");
}

#[test]
fn a_change_that_can_not_be_made_is_said_and_the_log_goes_on() {
    let folder = Folder::new("refused");
    let lines = written(&into(&folder), |log| {
        let no_pattern = LogConfig { format: "%(oops)s".into(), ..into(&folder) };
        let error = log.apply(&no_pattern).expect_err("no such attribute");
        assert!(error.to_string().starts_with("log.format: %(oops) is not known; known are name, "), "{error}");
        log.apply(&LogConfig { dir: Some("/nowhere".into()), ..into(&folder) }).expect("found out by the writer");
        info!("still here");
    });
    assert_eq!(
        lines,
        [
            "ERROR: log.dir: cannot write to /nowhere/patroni.log: No such file or directory (os error 2); \
             the log stays where it is",
            "INFO: still here",
        ]
    );
}

#[test]
fn the_first_configuration_must_be_usable() {
    let folder = Folder::new("first");
    let refusal = |config: &LogConfig| begin(config).err().expect("it is not usable").to_string();
    assert!(refusal(&LogConfig { dir: Some("/nowhere".into()), ..into(&folder) }).contains("/nowhere/patroni.log"));
    assert!(refusal(&LogConfig { format: "%(message)q".into(), ..into(&folder) }).contains("%(message)q"));
}

/// Instead of a file there is a pipe, full to the brim, that nobody reads.
#[test]
fn whoever_logs_never_waits() {
    const SAID: usize = 1000;
    const WAIT: usize = 10;
    let folder = Folder::new("stuck");
    let reader = full_pipe(&folder);
    let config = LogConfig { max_queue_size: WAIT, ..into(&folder) };
    let (collector, handle) = begin(&config).expect("a pipe can be opened");
    tracing::subscriber::with_default(collector, || (0..SAID).for_each(|_| info!("said")));
    let lost = handle.backlog().lost;
    // The writer may have taken one into its hands.
    assert!((SAID - WAIT - 1..=SAID - WAIT).contains(&(lost as usize)), "{lost}");
    assert!(matches!(handle.drain(), Drained::Stuck(Backlog { lost: still, .. }) if still == lost));

    let lines = BufReader::new(reader).lines().map(|line| line.expect("text"));
    let ours: Vec<String> = lines.skip_while(|line| line == FILLER).take(SAID - lost as usize + 1).collect();
    let (report, said) = ours.split_last().expect("as many as were taken");
    assert_eq!(*report, format!("WARNING: QueueHandler has lost {lost} log records"));
    assert!(said.iter().all(|line| line == "INFO: said"));
    assert_eq!(handle.drain(), Drained::Completely);
}

const FILLER: &str = "filler";

/// The end that is read. Opened for both, so that it neither waits for a writer nor ends without one.
fn full_pipe(folder: &Folder) -> File {
    let path = folder.path().join("patroni.log");
    let name = CString::new(path.as_os_str().as_bytes()).expect("no zeros in it");
    // SAFETY: a string that ends with zero, and a number.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let reader = OpenOptions::new().read(true).write(true).open(&path).expect("we made it");
    let filling = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path).expect("it is read");
    while writeln!(&filling, "{FILLER}").is_ok() {}
    reader
}

#[test]
fn there_is_one_log() {
    let folder = Folder::new("install");
    let config = LogConfig { loggers: [("patroni.nobody".to_owned(), LogLevel::Error)].into(), ..into(&folder) };
    let log = install(&config).expect("nobody else in this program installs one");
    assert_eq!(log.drain(), Drained::Completely);
    assert!(folder.read("patroni.log").contains("log.loggers.patroni.nobody: nothing here has a counterpart"));
    assert!(matches!(install(&config), Err(LogError::Installed)));
}
