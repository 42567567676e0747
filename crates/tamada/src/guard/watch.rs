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
use super::servers::{Servers, Whom};
use crate::clock;

/// An instant that passed without a new word stays in force: what is started later, perhaps by an agent that was frozen
/// while it did so, is stopped too.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Between two rounds of killing; what does not die at once waits for a disk.
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
}

impl Agent {
    fn follow(&mut self, agent: Process) {
        if self.who != Some(agent) {
            *self = Self { who: Some(agent), held: agent.hold() };
        }
    }

    fn is_gone(&self) -> bool {
        match &self.held {
            Some(held) => is_ready(held.as_fd()),
            None => true,
        }
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
    /// Nothing of PostgreSQL is left.
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
        if done && self.agent.is_gone() {
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
            stopped += told.count;
            if let Some(postmaster) = told.first {
                wait_for(&[postmaster.as_fd()], clock::now().mono.until(kill_at));
            }
        }
        loop {
            let killed = self.servers.tell(Whom::Everybody, Signal::KILL).count;
            if killed == 0 {
                break;
            }
            stopped += killed;
            self.tell_fenced(order);
            if self.board.order().is_some_and(|newer| newer.number != order.number) {
                return Fenced::Countermanded;
            }
            wait_for(&[], ROUND);
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
        // Once gone it would always be ready.
        if let Some(agent) = self.agent.held.as_ref().filter(|agent| !is_ready(agent.as_fd())) {
            fds[2] = PollFd::new(agent, PollFlags::IN);
        }
        let _ = poll(&mut fds, None);
        let mut heard = [0; 256];
        // Neither blocks.
        let _ = rustix::io::read(&self.timer, &mut heard[..]);
        let _ = rustix::io::read(&self.bell, &mut heard[..]);
    }
}

fn is_ready(fd: BorrowedFd<'_>) -> bool {
    wait_for(&[fd], Duration::ZERO)
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
