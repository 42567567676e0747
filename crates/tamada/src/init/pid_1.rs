//! The first process of a container (configuration.md 8).
//!
//! The kernel hands every orphan to process 1 and expects it to collect what they leave; and it does not deliver to
//! process 1 any signal that it has no handler for. An agent is no good at either. So when we are started as process 1
//! we fork: the child is the agent, and the parent does nothing but collect, pass signals on, and end as the agent ends.
//!
//! The signals are blocked from before the fork and waited for one by one. Thus none is lost, however early it comes,
//! and no code ever runs inside a signal handler.

use std::io;
use std::process::ExitCode;

use rustix::process::{WaitOptions, WaitStatus, wait};

/// Whoever stops or reloads a container means the agent.
const PASSED_ON: [i32; 7] =
    [libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2, libc::SIGINT, libc::SIGABRT, libc::SIGTERM];

/// `None`: go on as the agent. Otherwise the agent has run in a child, and this is how it ended.
///
/// To be called before any thread or runtime exists: only the calling thread survives a fork.
pub fn as_pid_1() -> Option<ExitCode> {
    if std::process::id() == 1 { stand_in().map(ExitCode::from) } else { None }
}

fn stand_in() -> Option<u8> {
    let signals = Signals::block();
    // SAFETY: this is the only thread, so the child's copy of the process is complete.
    match unsafe { libc::fork() } {
        0 => {
            signals.unblock();
            None
        }
        agent if agent > 0 => Some(look_after(agent, &signals)),
        _ => {
            eprintln!("could not start the agent: {}", io::Error::last_os_error());
            Some(1)
        }
    }
}

fn look_after(agent: libc::pid_t, signals: &Signals) -> u8 {
    loop {
        match signals.next() {
            libc::SIGCHLD => {
                if let Some(end) = collect(agent) {
                    return end;
                }
            }
            // SAFETY: takes two numbers. The agent is not yet collected, so its id is still its own.
            signal => unsafe {
                libc::kill(agent, signal);
            },
        }
    }
}

/// Collects whoever has ended; the agent's status if it was among them. Several ends may come as one signal.
fn collect(agent: libc::pid_t) -> Option<u8> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid.as_raw_pid() == agent => return Some(exit_code(status)),
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

/// As a shell would tell it: 128 and the signal's number for one that was killed.
fn exit_code(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    u8::try_from(code).unwrap_or(1)
}

/// What process 1 listens to, and what was blocked before it began to.
struct Signals {
    ours: libc::sigset_t,
    before: libc::sigset_t,
}

impl Signals {
    fn block() -> Self {
        // SAFETY: both sets are initialised by `sigemptyset` before anybody reads them; the numbers are valid signals.
        unsafe {
            let mut ours = std::mem::zeroed();
            let mut before = std::mem::zeroed();
            libc::sigemptyset(&mut ours);
            libc::sigemptyset(&mut before);
            for signal in PASSED_ON.into_iter().chain([libc::SIGCHLD]) {
                libc::sigaddset(&mut ours, signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &ours, &mut before);
            Self { ours, before }
        }
    }

    fn unblock(&self) {
        // SAFETY: `before` was filled in when we blocked.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }

    fn next(&self) -> i32 {
        let mut signal = 0;
        // SAFETY: waits for a signal of an initialised set; it can only fail for an invalid set.
        unsafe { libc::sigwait(&self.ours, &mut signal) };
        signal
    }
}

/// A test must not fork: it has threads. So each scene runs in a process of its own, which is this test program again
/// with only the test `stage`. As a subreaper it gets orphans as process 1 would.
#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Lines};
    use std::os::unix::process::CommandExt;
    use std::process::{Child, ChildStdout, Command, Stdio};

    use super::*;

    const SCENE: &str = "TAMADA_PID_1_SCENE";
    /// The test harness writes to the same output.
    const SAYS: &str = "the agent says ";
    /// After so many seconds a scene that hangs is ended, and its test fails.
    const LIMIT: u32 = 30;

    struct Scene {
        process: Child,
        output: Lines<BufReader<ChildStdout>>,
    }

    impl Scene {
        fn begin(scene: &str) -> Self {
            let mut this = Command::new(std::env::current_exe().expect("we run"));
            this.args(["--exact", "init::pid_1::tests::stage", "--nocapture", "--quiet"]);
            this.env(SCENE, scene).stdout(Stdio::piped());
            // The harness has a second thread, which must not take signals either.
            // SAFETY: only sets the signal mask, which is allowed between fork and exec.
            unsafe {
                this.pre_exec(|| {
                    Signals::block();
                    Ok(())
                })
            };
            let mut process = this.spawn().expect("this program can be run again");
            let output = BufReader::new(process.stdout.take().expect("asked for")).lines();
            Self { process, output }
        }

        fn next_word(&mut self) -> String {
            let mut lines = self.output.by_ref().map(|line| line.expect("text"));
            let line = lines.find_map(|line| line.split_once(SAYS).map(|(_, word)| word.to_owned()));
            line.expect("the agent ended early")
        }

        fn send(&self, signal: i32) {
            let pid = i32::try_from(self.process.id()).expect("a process id");
            // SAFETY: takes two numbers; the process is ours and not yet collected.
            assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
        }

        fn end(mut self) -> Option<i32> {
            self.output.by_ref().for_each(drop);
            self.process.wait().expect("it is our child").code()
        }
    }

    #[test]
    fn stage() {
        let Ok(scene) = std::env::var(SCENE) else { return };
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("Linux");
        if let Some(code) = stand_in() {
            std::process::exit(code.into());
        }
        // SAFETY: takes a number.
        unsafe { libc::alarm(LIMIT) };
        std::process::exit(match scene.as_str() {
            "ends" => 7,
            // SAFETY: takes a number.
            "is killed" => unsafe { libc::raise(libc::SIGKILL) },
            "leaves orphans" => leave_an_orphan(),
            "hears signals" => hear_signals(),
            other => panic!("no scene {other}"),
        });
    }

    /// Returns when nobody has the orphan's id any more: a process that was not collected keeps it.
    fn leave_an_orphan() -> i32 {
        let shell = Command::new("sh").args(["-c", "true & echo $!"]).output().expect("there is a shell");
        let orphan: i32 = String::from_utf8_lossy(&shell.stdout).trim().parse().expect("a process id");
        // SAFETY: takes two numbers; 0 only asks.
        while unsafe { libc::kill(orphan, 0) } == 0 {
            std::thread::yield_now();
        }
        0
    }

    fn hear_signals() -> i32 {
        let signals = Signals::block();
        println!("{SAYS}ready");
        loop {
            let signal = signals.next();
            println!("{SAYS}{signal}");
            if signal == libc::SIGTERM {
                return 42;
            }
        }
    }

    #[test]
    fn the_end_of_the_agent_is_our_end() {
        assert_eq!(Scene::begin("ends").end(), Some(7));
        assert_eq!(Scene::begin("is killed").end(), Some(128 + libc::SIGKILL));
    }

    #[test]
    fn orphans_are_collected() {
        assert_eq!(Scene::begin("leaves orphans").end(), Some(0));
    }

    #[test]
    fn signals_reach_the_agent() {
        let mut scene = Scene::begin("hears signals");
        assert_eq!(scene.next_word(), "ready");
        for signal in PASSED_ON {
            scene.send(signal);
            assert_eq!(scene.next_word(), signal.to_string());
        }
        assert_eq!(scene.end(), Some(42));
    }
}
