//! What is due, in order. At one moment, what was put in first comes out first: there is no other order in the world.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::Moment;

#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    put: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Moment,
    number: u64,
    what: T,
}

impl<T> Entry<T> {
    fn rank(&self) -> (Moment, u64) {
        (self.at, self.number)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), put: 0 }
    }
}

impl<T> Queue<T> {
    pub fn put(&mut self, at: Moment, what: T) {
        self.put += 1;
        self.heap.push(Reverse(Entry { at, number: self.put, what }));
    }

    pub fn next(&mut self) -> Option<(Moment, T)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.what))
    }

    pub fn len(&self) -> usize {
        self.heap.len()
    }

    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_due_first_comes_first_and_at_one_moment_in_the_order_it_was_put_in() {
        let mut queue = Queue::default();
        let at = |seconds| Moment::new(Duration::from_secs(seconds));
        for (when, what) in [(at(2), "c"), (at(1), "a"), (at(2), "d"), (at(1), "b")] {
            queue.put(when, what);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.next()).map(|(_, what)| what).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
    }
}
