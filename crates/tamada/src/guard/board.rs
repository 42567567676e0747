//! The page that agent and guard share: what the agent orders, and what the guard answers.
//!
//! ```text
//! word 0  magic, version         the same in every version, so that each can tell who is in office under another
//!      2  office                 which guard obeys this page
//!      8  order, even numbers    ┐ written in turn, so that while one is being written
//!     16  order, odd numbers     ┘ the one before it is whole
//!     24  answer                 the last order that was heard, and the last that was carried out
//! ```
//!
//! Either side may be killed between two stores. Each record therefore ends with a checksum over its other words: one
//! that is not whole does not count, and then the one before it is in force. Both sides only load and store; nobody
//! ever waits for the other.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

use rustix::mm::{MapFlags, ProtFlags, mmap};
use tamada_model::Mono;

use super::process::Process;

const MAGIC: u64 = u64::from_le_bytes(*b"tamada-g");
/// To be changed with anything from the order on.
pub const VERSION: u64 = 1;
pub const BYTES: usize = WORDS * 8;
const WORDS: usize = 512;

type Page = [AtomicU64; WORDS];

const OFFICE: usize = 2;
const ORDERS: [usize; 2] = [8, 16];
const ANSWER: usize = 24;

/// What a guard is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Duty {
    Rest,
    /// Stop PostgreSQL at `at`; at `ends_at` at the latest nothing of it may be left.
    Fence {
        at: Mono,
        ends_at: Mono,
    },
    /// End, although the agent lives: no guard is wanted.
    Go,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// Each is one higher than the one before.
    pub number: u64,
    pub duty: Duty,
    /// Who gave it.
    pub agent: Process,
}

/// What a guard tells about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// The last order it goes by.
    pub heard: u64,
    /// The last order for which it stopped PostgreSQL.
    pub fenced: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Board {
    page: &'static Page,
    /// This boot of the machine: on a disk a page survives it, and means nothing afterwards.
    boot: u64,
}

/// Whose page it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Ours,
    /// Fresh, or never a page.
    Blank,
    OtherVersion(u64),
}

impl Board {
    /// The file is at least [`BYTES`] long. The page stays mapped as long as the process lives.
    pub fn map(file: &File, boot: u64) -> io::Result<Self> {
        // SAFETY: a fresh mapping that nobody unmaps; atomics may be shared with another process, and any content is
        // a valid one.
        let page = unsafe {
            let protection = ProtFlags::READ | ProtFlags::WRITE;
            let start = mmap(std::ptr::null_mut(), BYTES, protection, MapFlags::SHARED, file, 0)?;
            &*start.cast::<Page>()
        };
        Ok(Self { page, boot })
    }

    pub fn kind(&self) -> Kind {
        match (self.word(0), self.word(1)) {
            (MAGIC, VERSION) => Kind::Ours,
            (MAGIC, other) => Kind::OtherVersion(other),
            (_, _) => Kind::Blank,
        }
    }

    /// Makes a blank page ours.
    pub fn begin(&self) {
        self.begin_as(VERSION);
    }

    pub fn begin_as(&self, version: u64) {
        self.page[1].store(version, Ordering::Relaxed);
        self.page[0].store(MAGIC, Ordering::Release);
    }

    /// The order in force. `None`: nobody has ordered anything since the machine was started.
    pub fn order(&self) -> Option<Order> {
        ORDERS.into_iter().filter_map(|at| self.order_at(at)).max_by_key(|order| order.number)
    }

    fn order_at(&self, at: usize) -> Option<Order> {
        let [number, kind, pid, started, fence_at, ends_at, boot] = self.read(at)?;
        let duty = match kind {
            0 => Duty::Rest,
            1 => Duty::Fence { at: instant(fence_at), ends_at: instant(ends_at) },
            2 => Duty::Go,
            _ => return None,
        };
        let agent = Process { pid: i32::try_from(pid).ok()?, started };
        (boot == self.boot).then_some(Order { number, duty, agent })
    }

    /// Over the older of the two: whoever reads meanwhile finds the newer one.
    pub fn write_order(&self, order: &Order) {
        let (kind, fence_at, ends_at) = match order.duty {
            Duty::Rest => (0, Mono::default(), Mono::default()),
            Duty::Fence { at, ends_at } => (1, at, ends_at),
            Duty::Go => (2, Mono::default(), Mono::default()),
        };
        let Process { pid, started } = order.agent;
        let words = [order.number, kind, pid as u64, started, nanos(fence_at), nanos(ends_at), self.boot];
        self.write(ORDERS[(order.number % 2) as usize], words);
    }

    /// Who obeys this page, if that can be read.
    pub fn office(&self) -> Option<Process> {
        let [pid, started, boot] = self.read(OFFICE)?;
        let pid = i32::try_from(pid).ok()?;
        (boot == self.boot).then_some(Process { pid, started })
    }

    pub fn take_office(&self, me: Process) {
        self.write(OFFICE, [me.pid as u64, me.started, self.boot]);
    }

    /// Of the guard in office, which has just begun if there is none.
    pub fn answer(&self) -> Answer {
        match self.read(ANSWER) {
            Some([heard, fenced, boot]) if boot == self.boot => Answer { heard, fenced },
            Some(_) | None => Answer::default(),
        }
    }

    pub fn write_answer(&self, answer: Answer) {
        self.write(ANSWER, [answer.heard, answer.fenced, self.boot]);
    }

    fn word(&self, at: usize) -> u64 {
        self.page[at].load(Ordering::Acquire)
    }

    /// `None`: it was cut short, or is being written now.
    fn read<const N: usize>(&self, at: usize) -> Option<[u64; N]> {
        let words = std::array::from_fn(|i| self.page[at + i].load(Ordering::Acquire));
        (self.word(at + N) == checksum(at, &words)).then_some(words)
    }

    fn write<const N: usize>(&self, at: usize, words: [u64; N]) {
        for (word, value) in self.page[at..].iter().zip(words) {
            word.store(value, Ordering::Release);
        }
        self.page[at + N].store(checksum(at, &words), Ordering::Release);
        // Whoever is told to look does not look at the page of before.
        fence(Ordering::SeqCst);
    }
}

/// Of the place as well, so that no record is taken for another.
fn checksum(at: usize, words: &[u64]) -> u64 {
    let mut sum = crc32fast::Hasher::new_with_initial(at as u32);
    words.iter().for_each(|word| sum.update(&word.to_le_bytes()));
    // So that a page of zeros has no valid record whatever the sum of zeros is.
    u64::from(sum.finalize()) | 1 << 32
}

fn nanos(at: Mono) -> u64 {
    u64::try_from(at.since_boot().as_nanos()).unwrap_or(u64::MAX)
}

fn instant(nanos: u64) -> Mono {
    Mono::new(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> &'static Page {
        Box::leak(Box::new(std::array::from_fn(|_| AtomicU64::new(0))))
    }

    fn board() -> Board {
        let board = Board { page: page(), boot: 7 };
        board.begin();
        board
    }

    fn order(number: u64) -> Order {
        let at = Mono::new(Duration::from_nanos(1_000_000_007 * number));
        let duty = Duty::Fence { at, ends_at: at + Duration::from_millis(100) };
        Order { number, duty, agent: Process { pid: 42, started: 4711 } }
    }

    #[test]
    fn what_was_written_is_read() {
        let board = board();
        assert_eq!((board.order(), board.office(), board.answer()), (None, None, Answer::default()));
        for number in 1..=5 {
            board.write_order(&order(number));
            assert_eq!(board.order(), Some(order(number)));
        }
        for duty in [Duty::Rest, Duty::Go] {
            let order = Order { duty, ..order(6) };
            board.write_order(&order);
            assert_eq!(board.order(), Some(order));
        }
        board.take_office(Process { pid: 5, started: 6 });
        assert_eq!(board.office(), Some(Process { pid: 5, started: 6 }));
        board.write_answer(Answer { heard: 6, fenced: 2 });
        assert_eq!(board.answer(), Answer { heard: 6, fenced: 2 });
        assert_eq!(board.kind(), Kind::Ours);
    }

    #[test]
    fn a_writer_that_dies_half_way_leaves_the_order_before_it_in_force() {
        for cut in 0..8 {
            let (torn, whole) = (board(), board());
            whole.write_order(&order(3));
            torn.write_order(&order(1));
            torn.write_order(&order(2));
            // The first words of the third are there.
            for at in ORDERS[1]..ORDERS[1] + cut {
                torn.page[at].store(whole.page[at].load(Ordering::Relaxed), Ordering::Relaxed);
            }
            assert_eq!(torn.order(), Some(order(2)), "after {cut} words");
        }
    }

    #[test]
    fn no_damaged_record_is_believed_whichever_bit_it_is() {
        let board = board();
        board.write_order(&order(1));
        board.write_order(&order(2));
        board.take_office(Process { pid: 5, started: 6 });
        for (at, words) in [(ORDERS[0], 8), (OFFICE, 4)] {
            for word in at..at + words {
                for bit in 0..64 {
                    board.page[word].fetch_xor(1 << bit, Ordering::Relaxed);
                    assert_eq!(board.order(), Some(order(if at == OFFICE { 2 } else { 1 })));
                    assert_eq!(board.office().is_none(), at == OFFICE, "word {word} bit {bit}");
                    board.page[word].fetch_xor(1 << bit, Ordering::Relaxed);
                }
            }
        }
        assert_eq!(board.order(), Some(order(2)));
    }

    #[test]
    fn a_page_of_another_boot_orders_nothing() {
        let board = board();
        board.write_order(&order(1));
        board.take_office(Process { pid: 5, started: 6 });
        board.write_answer(Answer { heard: 1, fenced: 1 });
        let later = Board { boot: 8, ..board };
        assert_eq!((later.order(), later.office(), later.answer()), (None, None, Answer::default()));
    }

    #[test]
    fn pages_of_other_versions_and_no_pages_are_told_apart() {
        let board = Board { page: page(), boot: 7 };
        assert_eq!(board.kind(), Kind::Blank);
        board.begin_as(9);
        assert_eq!(board.kind(), Kind::OtherVersion(9));
    }
}
