//! What a guard does all day: sleep until the instant that its page names, read the page again, and stop PostgreSQL if
//! nobody has moved the instant on.
//!
//! ```text
//!  fence_at            half way          ends_at
//!     │── SIGQUIT, wait ───│── SIGKILL to all ──│
//! ```
//!
//! PostgreSQL that is told to quit at once is gone within milliseconds. If the postmaster is frozen, or the instant was
//! slept through (the whole machine was), there is no time to be polite. Crash recovery follows in either case.
//!
//! Nothing here allocates, and nothing touches a disk.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use rustix::time::{Itimerspec, TimerfdTimerFlags, timerfd_settime};
use tamada_model::Mono;

use super::board::{Answer, Board, Duty, Order};
use super::place;
use super::process::Process;
use super::servers::{Left, Servers, Whom};
use crate::clock;

/// An instant that passed without a new word stays in force: what is started later, perhaps by an agent that was frozen
/// while it did so, is stopped too.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Between the first two rounds of killing; what does not die at once waits for a disk.
const ROUND: Duration = Duration::from_millis(5);

pub struct Watch {
    pub board: Board,
    pub me: Process,
    pub servers: Servers,
    pub timer: OwnedFd,
    /// A signal says that there is a new order.
    pub bell: OwnedFd,
    /// The page's file, and under which name it is removed.
    pub file: std::fs::File,
    pub path: PathBuf,
    pub data_dir: PathBuf,
    pub agent: Agent,
}

/// Whoever gave the last order.
#[derive(Default)]
pub struct Agent {
    who: Option<Process>,
    held: Option<OwnedFd>,
    /// As it was looked at last.
    gone: bool,
}

impl Agent {
    fn follow(&mut self, agent: Process) {
        if self.who != Some(agent) {
            *self = Self { who: Some(agent), held: agent.hold(), gone: false };
        }
        self.gone = match &self.held {
            Some(held) => wait_for(&[held.as_fd()], Duration::ZERO),
            None => true,
        };
    }
}

/// What comes after an order was obeyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    Wait,
    /// Nobody needs this guard any more.
    Go,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fenced {
    /// Nothing of PostgreSQL is left: all processes were looked at.
    Yes,
    /// There is a new order.
    Countermanded,
}

impl Watch {
    /// Goes by the order in force; then the page may say that this guard is in office.
    pub fn take_over(&mut self) -> Option<Order> {
        let order = self.board.order()?;
        self.agent.follow(order.agent);
        self.set_alarm(&order);
        self.acknowledge(&order);
        Some(order)
    }

    pub fn stay(mut self, mut order: Order) {
        while self.obey(&order) == Then::Wait {
            self.wait();
            // If neither record is whole, the last that was is in force.
            order = self.board.order().unwrap_or(order);
        }
        place::remove_unless_used(&self.file, &self.path);
    }

    fn obey(&mut self, order: &Order) -> Then {
        self.agent.follow(order.agent);
        self.acknowledge(order);
        let done = match order.duty {
            Duty::Go => return Then::Go,
            Duty::Rest => true,
            Duty::Fence { at, ends_at } => clock::now().mono >= at && self.fence(order, at, ends_at) == Fenced::Yes,
        };
        if done && self.agent.gone {
            return Then::Go;
        }
        self.set_alarm(order);
        Then::Wait
    }

    fn acknowledge(&self, order: &Order) {
        let before = self.board.answer();
        if before.heard != order.number {
            self.board.write_answer(Answer { heard: order.number, ..before });
        }
    }

    fn fence(&mut self, order: &Order, at: Mono, ends_at: Mono) -> Fenced {
        let kill_at = at + at.until(ends_at) / 2;
        let mut stopped = 0;
        if clock::now().mono < kill_at {
            let told = self.servers.tell(Whom::Postmasters, Signal::QUIT);
            stopped += told.reached;
            if let Some(postmaster) = told.first {
                wait_for(&[postmaster.as_fd()], clock::now().mono.until(kill_at));
            }
        }
        let mut round = ROUND;
        loop {
            let told = self.servers.tell(Whom::Everybody, Signal::KILL);
            match told.left() {
                Left::Nothing => break,
                Left::Perhaps => stopped += told.reached,
            }
            if stopped > 0 {
                self.tell_fenced(order);
            }
            if self.board.order().is_some_and(|newer| newer.number != order.number) {
                return Fenced::Countermanded;
            }
            wait_for(&[], round);
            round = (round * 2).min(LOOK_AGAIN);
        }
        if stopped > 0 {
            self.tell_fenced(order);
            self.say_fenced();
        }
        Fenced::Yes
    }

    fn tell_fenced(&self, order: &Order) {
        self.board.write_answer(Answer { heard: order.number, fenced: order.number });
    }

    /// To whoever reads what the agent wrote there; only if that takes no time.
    fn say_fenced(&self) {
        let mut line = [0; 512];
        let mut rest = &mut line[..];
        // What is too long is cut.
        let _ = rest.write_all(b"tamada guard: the lease ended and nobody had renewed it: stopped PostgreSQL in ");
        let _ = rest.write_all(self.data_dir.as_os_str().as_encoded_bytes());
        let _ = rest.write_all(b"\n");
        let left = rest.len();
        let output = rustix::stdio::stderr();
        let mut ready = [PollFd::new(&output, PollFlags::OUT)];
        if poll(&mut ready, Some(&Timespec::default())).is_ok_and(|ready| ready > 0) {
            let _ = rustix::io::write(output, &line[..line.len() - left]);
        }
    }

    fn set_alarm(&self, order: &Order) {
        let now = clock::now().mono;
        let at = match order.duty {
            Duty::Rest | Duty::Go => Duration::ZERO,
            Duty::Fence { at, .. } if now < at => at.since_boot(),
            Duty::Fence { .. } => (now + LOOK_AGAIN).since_boot(),
        };
        let nothing = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        let it_value = rustix::time::Timespec {
            tv_sec: at.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: at.subsec_nanos().into(),
        };
        // Refused only for a descriptor that is no timer.
        let _ =
            timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval: nothing, it_value });
    }

    /// Until the alarm, a new order, or the end of the agent.
    fn wait(&self) {
        let mut fds = [
            PollFd::new(&self.timer, PollFlags::IN),
            PollFd::new(&self.bell, PollFlags::IN),
            PollFd::new(&self.timer, PollFlags::empty()),
        ];
        // One whose end is known would always be ready. One that has ended since is heard.
        if let Some(agent) = self.agent.held.as_ref().filter(|_| !self.agent.gone) {
            fds[2] = PollFd::new(agent, PollFlags::IN);
        }
        let _ = poll(&mut fds, None);
        let mut heard = [0; 256];
        // Neither blocks.
        let _ = rustix::io::read(&self.timer, &mut heard[..]);
        let _ = rustix::io::read(&self.bell, &mut heard[..]);
    }
}

/// For one of them (there is one at the most), or as long.
fn wait_for(fds: &[BorrowedFd<'_>], within: Duration) -> bool {
    let within = Timespec { tv_sec: within.as_secs().cast_signed(), tv_nsec: within.subsec_nanos().into() };
    match fds.first() {
        Some(fd) => {
            poll(&mut [PollFd::from_borrowed_fd(*fd, PollFlags::IN)], Some(&within)).is_ok_and(|ready| ready > 0)
        }
        None => poll(&mut [], Some(&within)).is_ok_and(|ready| ready > 0),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

    use super::*;
    use crate::guard::counting;
    use crate::guard::process::{boot, stat};

    struct Scene {
        watch: Watch,
        server: Child,
        agent: Child,
    }

    fn process(child: &Child) -> Process {
        let pid = child.id().cast_signed();
        Process { pid, started: stat(pid).expect("it is not collected").started }
    }

    fn waiter(program: &std::path::Path, directory: &std::path::Path) -> Child {
        Command::new(program).arg("600").current_dir(directory).stdin(Stdio::null()).spawn().expect("it can be run")
    }

    impl Scene {
        fn new(name: &str) -> Self {
            let base = std::env::temp_dir().join(format!("tamada-watch-{name}-{}", std::process::id()));
            std::fs::create_dir_all(base.join("data")).unwrap();
            let (data_dir, program) = (base.canonicalize().unwrap().join("data"), base.join("postgres"));
            assert!(Command::new("cp").arg("/bin/sleep").arg(&program).status().unwrap().success());
            let page = place::open(&data_dir).unwrap();
            let board = Board::map(&page.file, boot()).unwrap();
            let timer = || timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK).unwrap();
            let mut watch = Watch {
                board,
                me: Process::me(),
                servers: Servers::new(&data_dir, "postgres".as_ref()).unwrap(),
                timer: timer(),
                bell: timer(),
                file: page.file,
                path: page.path,
                agent: Agent::default(),
                data_dir: data_dir.clone(),
            };
            let (server, agent) = (waiter(&program, &data_dir), waiter("/bin/sleep".as_ref(), &base));
            // Between fork and exec it is still us.
            while watch.servers.count() == 0 {
                std::thread::yield_now();
            }
            Self { watch, server, agent }
        }

        fn obey(&mut self, number: u64, duty: Duty) -> Then {
            let order = Order { number, duty, agent: process(&self.agent) };
            self.watch.board.write_order(&order);
            let before = counting::allocations();
            let then = self.watch.obey(&order);
            assert_eq!(counting::allocations(), before, "a guard allocates nothing");
            then
        }

        fn end(mut self) {
            for child in [&mut self.server, &mut self.agent] {
                let _ = child.kill();
                child.wait().unwrap();
            }
            place::remove_unless_used(&self.watch.file, &self.watch.path);
            std::fs::remove_dir_all(self.watch.data_dir.parent().unwrap()).unwrap();
        }
    }

    fn from_now(seconds: u64) -> Duty {
        let at = clock::now().mono + Duration::from_secs(seconds);
        Duty::Fence { at, ends_at: at + Duration::from_secs(20) }
    }

    #[test]
    fn only_an_instant_that_has_come_stops_postgresql_politely_if_there_is_time() {
        let mut scene = Scene::new("polite");
        assert_eq!(scene.obey(1, Duty::Rest), Then::Wait);
        assert_eq!(scene.obey(2, from_now(600)), Then::Wait);
        assert_eq!(scene.watch.board.answer(), Answer { heard: 2, fenced: 0 });
        assert!(scene.server.try_wait().unwrap().is_none());

        assert_eq!(scene.obey(3, from_now(0)), Then::Wait);
        assert_eq!(scene.server.wait().unwrap().signal(), Some(libc::SIGQUIT));
        assert_eq!(scene.watch.board.answer(), Answer { heard: 3, fenced: 3 });
        scene.end();
    }

    #[test]
    fn an_instant_that_was_slept_through_kills_at_once() {
        let mut scene = Scene::new("late");
        let past = Mono::new(Duration::from_millis(1));
        assert_eq!(scene.obey(1, Duty::Fence { at: past, ends_at: past }), Then::Wait);
        assert_eq!(scene.server.wait().unwrap().signal(), Some(libc::SIGKILL));
        scene.end();
    }

    #[test]
    fn without_a_look_at_the_processes_it_does_not_say_that_nothing_is_left() {
        let mut scene = Scene::new("blind");
        let past = Mono::new(Duration::from_millis(1));
        let order = Order { number: 1, duty: Duty::Fence { at: past, ends_at: past }, agent: process(&scene.agent) };
        // Nothing but another order ends its trying.
        scene.watch.board.write_order(&Order { number: 2, ..order });
        scene.watch.servers.blind();
        scene.agent.kill().unwrap();
        scene.agent.wait().unwrap();
        assert_eq!(scene.watch.obey(&order), Then::Wait, "though the agent is gone");
        assert!(scene.watch.agent.gone);
        assert_eq!(scene.watch.board.answer(), Answer { heard: 1, fenced: 0 });
        scene.end();
    }

    #[test]
    fn it_stays_as_long_as_there_is_an_agent_or_something_to_stop() {
        let mut scene = Scene::new("needed");
        assert_eq!(scene.obey(1, Duty::Rest), Then::Wait);
        assert_eq!(scene.obey(2, Duty::Go), Then::Go, "unless it is told to go");
        scene.agent.kill().unwrap();
        while !scene.watch.agent.gone {
            scene.obey(3, from_now(600));
        }
        assert_eq!(scene.obey(4, from_now(600)), Then::Wait);
        assert_eq!(scene.obey(5, Duty::Rest), Then::Go);
        assert!(scene.server.try_wait().unwrap().is_none());
        scene.end();
    }
}
