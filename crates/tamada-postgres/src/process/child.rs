//! Programs we run and wait for: short questions with a deadline, and long work that can be cancelled.
//!
//! Long work (initdb, pg_basebackup, scripts) must not go on when the agent dies: its successor would start the same
//! work in the same place. Every such program leads a process group, so that its helpers end with it, and asks the
//! kernel to be killed when we are.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use super::table;
use crate::PgError;
use crate::job::CancelToken;

/// How long a cancelled program may take to clean up (ha-loop.md 28.5).
const GRACE: Duration = Duration::from_secs(10);

/// What a program said.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// The exit code, or minus the signal that ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn ok(&self) -> bool {
        self.code == 0
    }
}

pub(crate) fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| -status.signal().unwrap_or_default())
}

/// A program that speaks English and reads nothing.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("LANG", "C").env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a short program and collects what it says; it is killed at the deadline.
pub(crate) async fn ask(mut command: Command, within: Duration) -> Result<Output, PgError> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let name = name(&command);
    match tokio::time::timeout(within, command.output()).await {
        Err(_) => Err(PgError::TimedOut(within)),
        Ok(Err(source)) => Err(PgError::NotRun { tool: name, source }),
        Ok(Ok(output)) => Ok(Output {
            code: code(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
    }
}

fn name(command: &Command) -> String {
    command.as_std().get_program().to_string_lossy().into_owned()
}

/// Runs long work to its end or until cancelled; its output goes where ours goes. Tells the exit code.
pub(crate) async fn run(command: Command, cancel: &CancelToken) -> Result<i32, PgError> {
    run_told(command, cancel, |_| {}).await
}

/// As [`run`]; `started` hears of the process group before anything else happens.
pub(crate) async fn run_told(
    mut command: Command,
    cancel: &CancelToken,
    started: impl FnOnce(i32),
) -> Result<i32, PgError> {
    if cancel.is_cancelled() {
        return Err(PgError::Cancelled);
    }
    die_with_us(&mut command);
    let tool = name(&command);
    let mut child = command.spawn().map_err(|source| PgError::NotRun { tool: tool.clone(), source })?;
    let group = child.id().and_then(|pid| Pid::from_raw(pid as i32));
    started(group.map_or(0, |pid| pid.as_raw_nonzero().get()));
    tokio::select! {
        status = child.wait() => status.map(code).map_err(|source| PgError::NotRun { tool, source }),
        () = cancel.cancelled() => {
            terminate(&mut child, group, &tool).await;
            Err(PgError::Cancelled)
        }
    }
}

/// As [`run_told`], with the output collected; for programs whose words we need (pg_rewind).
pub(crate) async fn run_collecting(
    mut command: Command,
    cancel: &CancelToken,
    started: impl FnOnce(i32),
) -> Result<Output, PgError> {
    if cancel.is_cancelled() {
        return Err(PgError::Cancelled);
    }
    die_with_us(&mut command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let tool = name(&command);
    let mut child = command.spawn().map_err(|source| PgError::NotRun { tool: tool.clone(), source })?;
    let group = child.id().and_then(|pid| Pid::from_raw(pid as i32));
    started(group.map_or(0, |pid| pid.as_raw_nonzero().get()));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let everything = async { tokio::join!(child.wait(), read(stdout), read(stderr)) };
    tokio::select! {
        (status, stdout, stderr) = everything => {
            let code = status.map(code).map_err(|source| PgError::NotRun { tool, source })?;
            Ok(Output { code, stdout, stderr })
        }
        () = cancel.cancelled() => {
            terminate(&mut child, group, &tool).await;
            Err(PgError::Cancelled)
        }
    }
}

async fn read(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    use tokio::io::AsyncReadExt as _;
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // What could be read before an error is all there is to show.
        let _ = stream.read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn die_with_us(command: &mut Command) {
    command.process_group(0);
    // SAFETY: prctl between fork and exec is a plain system call.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

async fn terminate(child: &mut Child, group: Option<Pid>, tool: &str) {
    tracing::info!("Terminating {tool}");
    let Some(group) = group else { return };
    // The group may have ended by itself.
    let _ = kill_process_group(group, Signal::TERM);
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        let family = table::descendants(group.as_raw_nonzero().get());
        let _ = kill_process_group(group, Signal::KILL);
        kill_all(&family);
        let _ = child.wait().await;
    }
}

/// SIGKILL to each; those already gone do not matter.
pub(crate) fn kill_all(pids: &[i32]) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Adds words to a command line; makes call sites read as a list.
pub(crate) fn with<S: AsRef<OsStr>>(mut command: Command, words: impl IntoIterator<Item = S>) -> Command {
    command.args(words);
    command
}
