//! How the postmaster is started so that it outlives us.
//!
//! It must not be our child: an agent that is replaced or killed leaves PostgreSQL running, and whoever reaps processes
//! afterwards is not us. So we fork twice, as daemons do: the intermediate process makes a session of its own, leaves
//! the postmaster in it and is gone before we go on.
//!
//! ```text
//!   agent ──fork──▶ intermediate ── setsid ──fork──▶ postmaster (exec)
//!     ▲                  │ pid through a pipe, _exit
//!     └──────────────────┘
//! ```
//!
//! Forking a process that has threads allows only async-signal-safe calls until exec. `Command` does the first fork
//! and the exec; our part in between is setsid, a raw clone, a write and `_exit`, nothing that allocates or locks.

use std::io::{self, PipeReader, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What to run and with which words.
pub(crate) struct Launch {
    pub program: PathBuf,
    pub words: Vec<String>,
    /// A stranger's process whose pid stands in `postmaster.pid`: PostgreSQL is told to take no notice of it.
    pub ignore_pid: Option<i32>,
}

/// Starts it and tells its pid. Fails if the program cannot be executed.
pub(crate) fn launch(launch: &Launch) -> io::Result<i32> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(&launch.program);
    command.args(&launch.words).stdin(Stdio::null());
    environment(&mut command, launch.ignore_pid);
    let fd = writer.as_raw_fd();
    // SAFETY: the closure runs between fork and exec and makes only async-signal-safe system calls on its own stack.
    unsafe { command.pre_exec(move || detach(fd)) };
    let mut intermediate = command.spawn()?;
    drop(writer);
    intermediate.wait()?;
    read_pid(reader)
}

/// postgres.md 1.7
fn environment(command: &mut Command, ignore_pid: Option<i32>) {
    for (name, value) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        if text.starts_with("PATRONI_") || text.starts_with("KUBERNETES_") || text == "NOTIFY_SOCKET" {
            command.env_remove(&name);
        }
        if text == "PG_MALLOC_ARENA_MAX" {
            command.env("MALLOC_ARENA_MAX", value);
        }
    }
    match ignore_pid {
        Some(pid) => command.env("PG_GRANDPARENT_PID", pid.to_string()),
        None => command.env_remove("PG_GRANDPARENT_PID"),
    };
}

/// In the forked process: the parent of the two reports and vanishes, the child returns to be exec'ed.
fn detach(pipe: i32) -> io::Result<()> {
    // SAFETY: plain system calls without memory shared with anybody; the raw clone is fork without the handlers that
    // libraries may have registered for it.
    unsafe {
        if libc::setsid() == -1 {
            return Err(io::Error::last_os_error());
        }
        match libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as i32 {
            -1 => Err(io::Error::last_os_error()),
            0 => Ok(()),
            pid => {
                let bytes = pid.to_ne_bytes();
                libc::write(pipe, bytes.as_ptr().cast(), bytes.len());
                libc::_exit(0)
            }
        }
    }
}

fn read_pid(mut reader: PipeReader) -> io::Result<i32> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    Ok(i32::from_ne_bytes(bytes))
}
