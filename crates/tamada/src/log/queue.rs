//! The letter box between those who log and the one who writes. Bounded; nobody who logs ever waits.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tamada_model::LogLevel;

use super::record::Record;
use super::writer::Setup;
use crate::clock;

/// In the original 0 means without bound. Everything here has one: this is about as much as a day says.
const UNBOUNDED: usize = 100_000;
/// Room that is kept when the queue is empty; a burst's is given back.
const KEPT: usize = 32;

pub struct Queue {
    inside: Mutex<Inside>,
    something_to_do: Condvar,
    nothing_to_do: Condvar,
}

struct Inside {
    records: VecDeque<Record>,
    limit: usize,
    /// Records that did not fit since that was last written to the log.
    lost: u64,
    /// A changed configuration on its way to the writer; a newer one replaces it.
    setup: Option<Setup>,
    /// Somebody wants everything to be written, also what is held back.
    closing: bool,
    /// The writer has something in its hands.
    busy: bool,
}

/// What the writer does next.
pub enum Work {
    Write(Record),
    SetUp(Setup),
    LetGo,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backlog {
    pub waiting: usize,
    pub lost: u64,
}

impl Queue {
    pub fn new(max_queue_size: usize) -> Self {
        let inside = Inside {
            records: VecDeque::new(),
            limit: limit(max_queue_size),
            lost: 0,
            setup: None,
            closing: false,
            busy: false,
        };
        Self { inside: Mutex::new(inside), something_to_do: Condvar::new(), nothing_to_do: Condvar::new() }
    }

    pub fn push(&self, record: Record) {
        let mut inside = self.lock();
        if inside.records.len() + 1 < inside.limit
            && let Some(report) = inside.report_lost()
        {
            inside.records.push_back(report);
        }
        if inside.records.len() < inside.limit {
            inside.records.push_back(record);
        } else {
            inside.lost += 1;
        }
        drop(inside);
        self.something_to_do.notify_one();
    }

    pub fn set_up(&self, setup: Setup, max_queue_size: usize) {
        let mut inside = self.lock();
        inside.limit = limit(max_queue_size);
        inside.setup = Some(setup);
        drop(inside);
        self.something_to_do.notify_one();
    }

    /// For the writer: waits until there is something to do.
    pub fn next(&self) -> Work {
        let mut inside = self.lock();
        loop {
            inside.busy = true;
            if let Some(work) = inside.work() {
                return work;
            }
            inside.busy = false;
            inside.records.shrink_to(KEPT);
            self.nothing_to_do.notify_all();
            inside = self.something_to_do.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether everything was written in time.
    pub fn drain(&self, within: Duration) -> bool {
        let mut inside = self.lock();
        inside.closing = true;
        self.something_to_do.notify_one();
        let unfinished = |inside: &mut Inside| inside.busy || inside.has_work();
        let waited = self.nothing_to_do.wait_timeout_while(inside, within, unfinished);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    pub fn backlog(&self) -> Backlog {
        let inside = self.lock();
        Backlog { waiting: inside.records.len(), lost: inside.lost }
    }

    /// Nothing in here panics half way, so what a poisoned lock guards is whole.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn work(&mut self) -> Option<Work> {
        if let Some(setup) = self.setup.take() {
            return Some(Work::SetUp(setup));
        }
        if let Some(record) = self.records.pop_front().or_else(|| self.report_lost()) {
            return Some(Work::Write(record));
        }
        std::mem::take(&mut self.closing).then_some(Work::LetGo)
    }

    fn has_work(&self) -> bool {
        self.setup.is_some() || !self.records.is_empty() || self.lost > 0 || self.closing
    }

    /// log-lines.md 15.
    fn report_lost(&mut self) -> Option<Record> {
        let lost = std::mem::take(&mut self.lost);
        let text = || format!("QueueHandler has lost {lost} log records");
        (lost > 0).then(|| Record::own(LogLevel::Warning, text(), clock::now().wall))
    }
}

fn limit(max_queue_size: usize) -> usize {
    if max_queue_size == 0 { UNBOUNDED } else { max_queue_size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::layout::Home;
    use crate::log::testing::said;
    use tamada_model::LogConfig;

    fn next(queue: &Queue) -> String {
        match queue.next() {
            Work::Write(record) => record.message,
            Work::SetUp(_) => "set up".into(),
            Work::LetGo => "let go".into(),
        }
    }

    fn all(queue: &Queue) -> Vec<String> {
        queue.lock().closing = true;
        std::iter::from_fn(|| Some(next(queue)).filter(|work| work != "let go")).collect()
    }

    #[test]
    fn first_in_first_out() {
        let queue = Queue::new(3);
        ["a", "b", "c"].into_iter().for_each(|text| queue.push(said(text)));
        assert_eq!(queue.backlog(), Backlog { waiting: 3, lost: 0 });
        assert_eq!(all(&queue), ["a", "b", "c"]);
        assert_eq!(queue.backlog(), Backlog { waiting: 0, lost: 0 });
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told() {
        let queue = Queue::new(2);
        ["a", "b", "c", "d", "e"].into_iter().for_each(|text| queue.push(said(text)));
        assert_eq!(queue.backlog(), Backlog { waiting: 2, lost: 3 });
        assert_eq!(all(&queue), ["a", "b", "QueueHandler has lost 3 log records"]);
    }

    #[test]
    fn the_gap_is_told_where_it_was() {
        let queue = Queue::new(2);
        ["a", "b", "lost"].into_iter().for_each(|text| queue.push(said(text)));
        assert_eq!((next(&queue), next(&queue)), ("a".into(), "b".into()));
        queue.push(said("c"));
        assert_eq!(all(&queue), ["QueueHandler has lost 1 log records", "c"]);
    }

    #[test]
    fn a_new_configuration_goes_first_and_changes_the_limit() {
        let queue = Queue::new(0);
        ["a", "b"].into_iter().for_each(|text| queue.push(said(text)));
        queue.set_up(Setup::new(&LogConfig::default(), &Home::find()).expect("it is the default"), 1);
        queue.push(said("c"));
        assert_eq!(all(&queue), ["set up", "a", "b", "QueueHandler has lost 1 log records"]);
    }
}
