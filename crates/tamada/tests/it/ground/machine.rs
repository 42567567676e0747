//! A machine of a test: a thread with a network and disks of its own.
//!
//! Linux gives every thread its own network and its own mounts, if the thread asks. The processes that it starts get the
//! same. None of this has a name that could clash with another test's, nobody else on the system sees it, and it is gone
//! when the thread is, however the test ends; so are the processes.

use std::fs::File;
use std::future::Future;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{UnshareFlags, gettid, unshare_unsafe};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What fills a disk.
const BALLAST: &str = "ballast";

pub struct Machine {
    thread: Option<std::thread::JoinHandle<()>>,
    thread_id: i32,
    /// Of the thread.
    runtime: Handle,
    end: Option<oneshot::Sender<()>>,
}

impl Machine {
    /// One with the network and the disks that the test has.
    pub fn here() -> Self {
        Self::prepared(|| Ok(())).expect("nothing is asked of the system but a thread")
    }

    /// One with a network in which there is nothing but itself, and disks that nobody else sees from now on. Needs the
    /// rights of root, if only in a user namespace.
    pub fn apart() -> io::Result<Self> {
        Self::prepared(|| {
            // SAFETY: the thread is new. It has no file descriptors of its own, and shares none of what is parted here.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::FS)? };
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
            ip("link set lo up");
            Ok(())
        })
    }

    fn prepared(prepare: fn() -> io::Result<()>) -> io::Result<Self> {
        let (tell, told) = mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        let live = move || match prepare().and_then(|()| Builder::new_current_thread().enable_all().build()) {
            Ok(runtime) => {
                let _ = tell.send(Ok((runtime.handle().clone(), gettid())));
                // Nothing is ever sent: it ends when the sender is dropped.
                let _ = runtime.block_on(ended);
                runtime.shutdown_background();
            }
            Err(error) => drop(tell.send(Err(error))),
        };
        let thread = std::thread::Builder::new().name("machine".to_owned()).spawn(live)?;
        let (runtime, thread_id) = told.recv().expect("the thread tells how it began")?;
        Ok(Self { thread: Some(thread), thread_id: thread_id.as_raw_nonzero().get(), runtime, end: Some(end) })
    }

    /// By this number the system knows the machine's network.
    pub fn thread_id(&self) -> i32 {
        self.thread_id
    }

    pub fn run<T: Send + 'static>(&self, what: impl FnOnce() -> T + Send + 'static) -> T {
        self.ask(async move { what() })
    }

    /// Like [`run`](Self::run), for what takes its time: whatever else was started here goes on meanwhile.
    pub fn work<T: Send + 'static>(&self, what: impl FnOnce() -> T + Send + 'static) -> T {
        // Begun by the machine's own thread, so that the one which does it has the same network and disks.
        self.ask(async { tokio::task::spawn_blocking(what).await.expect("it does not panic") })
    }

    pub fn ask<T: Send + 'static>(&self, what: impl Future<Output = T> + Send + 'static) -> T {
        let (tell, told) = mpsc::channel();
        self.start(async move {
            let _ = tell.send(what.await);
        });
        told.recv().expect("it does not panic")
    }

    /// Goes on with the test meanwhile.
    pub fn start(&self, what: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.runtime.spawn(what)
    }

    /// The process is killed when the machine ends.
    pub fn spawn(&self, mut command: Command) -> io::Result<Child> {
        let kill_with_us = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
        // SAFETY: between fork and exec, this makes one system call.
        unsafe { command.pre_exec(kill_with_us) };
        self.run(move || command.spawn())
    }

    pub fn ip(&self, commands: impl Into<String>) {
        let commands = commands.into();
        self.run(move || ip(&commands));
    }

    /// Puts an empty disk of this size in the directory's place.
    pub fn mount(&self, at: &Path, bytes: u64) {
        let at = at.to_owned();
        self.run(move || {
            let size = std::ffi::CString::new(format!("size={bytes}")).expect("no zero in it");
            mount("tmpfs", &at, "tmpfs", MountFlags::empty(), Some(&*size)).expect("the mounts are our own");
        });
    }

    /// Fills the disk to the last byte.
    pub fn fill(&self, disk: &Path) {
        let ballast = disk.join(BALLAST);
        self.run(move || {
            let mut file = File::create(&ballast).expect("there is room for a name");
            let mut piece = vec![1; 1 << 20];
            while !piece.is_empty() {
                match file.write(&piece) {
                    Ok(0) | Err(_) => piece.truncate(piece.len() / 2),
                    Ok(_) => {}
                }
            }
        });
    }

    /// A rewind may have made it already: pg_rewind removes what the other side has not.
    pub fn make_room(&self, disk: &Path) {
        let ballast = disk.join(BALLAST);
        self.run(move || match std::fs::remove_file(ballast) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("no room can be made: {error}"),
            Ok(()) | Err(_) => {}
        });
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic was told where it happened.
            let _ = thread.join();
        }
    }
}

/// Commands of ip(8), one a line, without `ip`, in the network of the thread that calls.
fn ip(commands: &str) {
    let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("ip is installed");
    ip.stdin.take().expect("piped").write_all(commands.as_bytes()).expect("ip reads it");
    let status = ip.wait().expect("it is our child");
    assert!(status.success(), "ip did not do this:\n{commands}");
}
