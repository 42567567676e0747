//! What is due, in order. At one moment, what was put in first comes out first: there is no other order in the world.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::Moment;

/// The heap moves its entries about all the time; so they are small, and what is due lies still beside it.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Reverse<Entry>>,
    places: Vec<Option<T>>,
    free: Vec<u32>,
    put: u32,
}

/// Its moment, then the number under which it was put in, which no other has, then its place: in one number, because
/// nothing is done more often than to compare two of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Entry(u128);

impl Entry {
    fn new(at: Moment, number: u32, place: u32) -> Self {
        Self(u128::from(at.nanos()) << 64 | u128::from(number) << 32 | u128::from(place))
    }

    fn at(self) -> Moment {
        Moment::from_nanos((self.0 >> 64) as u64)
    }

    fn place(self) -> u32 {
        self.0 as u32
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), places: Vec::new(), free: Vec::new(), put: 0 }
    }
}

impl<T> Queue<T> {
    pub fn put(&mut self, at: Moment, what: T) {
        self.put += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() as u32 - 1
        });
        self.places[place as usize] = Some(what);
        self.heap.push(Reverse(Entry::new(at, self.put, place)));
    }

    pub fn next(&mut self) -> Option<(Moment, T)> {
        let Reverse(entry) = self.heap.pop()?;
        self.free.push(entry.place());
        let what = self.places[entry.place() as usize].take().expect("each entry has a place of its own");
        Some((entry.at(), what))
    }

    pub fn len(&self) -> usize {
        self.heap.len()
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
