//! What a killed postmaster leaves behind.
//!
//! 1. The postmaster is killed; its backends notice, each at its next wait.
//! 2. Until the last of them is gone they share its memory, and PostgreSQL rightly refuses to start beside them.
//! 3. One that computes without waiting may hold out for minutes, and meanwhile nobody can write.
//!
//! Therefore we wait for them as long as they need to notice, then tell them what their postmaster would have told
//! them, to quit at once, and in the end kill them. Crash recovery follows in any case, so nothing can be lost by it.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::pid_file::PidFile;
use super::table;
use crate::clock::now;

/// Idle backends notice within milliseconds.
const NOTICE: Duration = Duration::from_millis(150);
/// Quitting at once takes a backend little longer than that.
const QUIT: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// `left`: the dead server's pid file, with its directory resolved. Returns when nobody uses the dead server's shared memory any more; `false` if that did not come about `within`.
pub(crate) async fn wait_gone(left: Option<PidFile>, within: Duration) -> bool {
    let Some(file) = left else { return true };
    let Some(segment) = file.shared_memory else { return true };
    let begin = now();
    let mut told = Told::Nothing;
    while attached(segment) > 0 {
        let waited = now().since(begin);
        if waited > within {
            return false;
        }
        told = tell(told, waited, &file);
        tokio::time::sleep(LOOK_EVERY).await;
    }
    true
}

#[derive(Clone, Copy, PartialEq)]
enum Told {
    Nothing,
    Quit,
    Kill,
}

fn tell(told: Told, waited: Duration, file: &PidFile) -> Told {
    match told {
        Told::Nothing if waited > NOTICE => {
            signal_orphans(file, Signal::QUIT);
            Told::Quit
        }
        Told::Quit if waited > NOTICE + QUIT => {
            signal_orphans(file, Signal::KILL);
            Told::Kill
        }
        Told::Nothing | Told::Quit | Told::Kill => told,
    }
}

/// Processes of this server that are left: they work in its data directory, and their postmaster is gone.
fn signal_orphans(file: &PidFile, signal: Signal) {
    for stat in table::all().into_iter().filter(|stat| !stat.zombie) {
        let ours = table::working_directory(stat.pid).is_some_and(|directory| directory == file.data_dir)
            && table::title(stat.pid).starts_with("postgres: ")
            && stat.parent != file.pid;
        if let Some(pid) = Pid::from_raw(stat.pid).filter(|_| ours) {
            tracing::warn!("Process {} outlived its postmaster {}, sending it {signal:?}", stat.pid, file.pid);
            // It may be gone by now, which is all we want.
            let _ = kill_process(pid, signal);
        }
    }
}

/// How many processes use the segment; none if it is gone or not ours to ask about.
fn attached(segment: i32) -> u64 {
    // SAFETY: shmctl with IPC_STAT fills the structure we own and touches nothing else.
    unsafe {
        let mut about: libc::shmid_ds = std::mem::zeroed();
        if libc::shmctl(segment, libc::IPC_STAT, &mut about) == -1 { 0 } else { about.shm_nattch as u64 }
    }
}
