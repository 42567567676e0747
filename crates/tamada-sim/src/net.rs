//! What lies between the places of the world: messages arrive, late, twice or never, each direction by itself.

use std::time::Duration;

use crate::{Chance, Host};

/// Where a message comes from or goes to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    Host(Host),
    Store,
    Clients,
}

/// What kind of traffic: a firewall may know the difference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Road {
    Rest,
    Postgres,
    Store,
}

/// What is wrong with a direction, for as long as it is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    Cut,
    /// Each message takes this much longer, at the most; so they overtake each other.
    Slow(Duration),
    /// So many of a hundred are lost.
    Lossy(u64),
    /// So many of a hundred arrive a second time, up to a minute later.
    Twice(u64),
}

/// `None`: any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    pub from: Option<Place>,
    pub to: Option<Place>,
    pub road: Option<Road>,
    pub trouble: Trouble,
}

impl Rule {
    fn concerns(&self, from: Place, to: Place, road: Road) -> bool {
        self.from.is_none_or(|place| place == from)
            && self.to.is_none_or(|place| place == to)
            && self.road.is_none_or(|wanted| wanted == road)
    }
}

/// What becomes of one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passage {
    Lost,
    After(Duration),
    Twice(Duration, Duration),
}

#[derive(Clone, Debug)]
pub struct Network {
    chance: Chance,
    /// By the number of the fault that made them.
    rules: Vec<(usize, Rule)>,
}

/// A healthy message takes so long.
const USUAL: (Duration, Duration) = (Duration::from_micros(100), Duration::from_micros(1500));
const LATEST_SECOND: Duration = Duration::from_secs(60);

impl Network {
    pub fn new(chance: Chance) -> Self {
        Self { chance, rules: Vec::new() }
    }

    pub fn disturb(&mut self, fault: usize, rule: Rule) {
        self.rules.push((fault, rule));
    }

    pub fn mend(&mut self, fault: usize) {
        self.rules.retain(|(by, _)| *by != fault);
    }

    pub fn send(&mut self, from: Place, to: Place, road: Road) -> Passage {
        let mut takes = self.chance.between(USUAL.0, USUAL.1);
        if from == to || self.rules.is_empty() {
            return Passage::After(takes);
        }
        let mut twice = false;
        for (_, rule) in &self.rules {
            if !rule.concerns(from, to, road) {
                continue;
            }
            match rule.trouble {
                Trouble::Cut => return Passage::Lost,
                Trouble::Slow(most) => takes += self.chance.between(Duration::ZERO, most),
                Trouble::Lossy(percent) if self.chance.happens(percent, 100) => return Passage::Lost,
                Trouble::Twice(percent) if self.chance.happens(percent, 100) => twice = true,
                Trouble::Lossy(_) | Trouble::Twice(_) => {}
            }
        }
        match twice {
            true => Passage::Twice(takes, takes + self.chance.between(Duration::ZERO, LATEST_SECOND)),
            false => Passage::After(takes),
        }
    }

    /// There and back; `None` if either way is lost.
    pub fn round_trip(&mut self, from: Place, to: Place, road: Road) -> Option<Duration> {
        let there = self.one_way(from, to, road)?;
        Some(there + self.one_way(to, from, road)?)
    }

    pub fn one_way(&mut self, from: Place, to: Place, road: Road) -> Option<Duration> {
        match self.send(from, to, road) {
            Passage::Lost => None,
            Passage::After(takes) | Passage::Twice(takes, _) => Some(takes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Place = Place::Host(Host(0));
    const B: Place = Place::Host(Host(1));

    #[test]
    fn a_cut_direction_lets_nothing_through_and_the_other_does() {
        let mut net = Network::new(Chance::new(1));
        net.disturb(7, Rule { from: Some(A), to: Some(B), road: Some(Road::Rest), trouble: Trouble::Cut });
        assert_eq!(net.send(A, B, Road::Rest), Passage::Lost);
        assert!(net.one_way(B, A, Road::Rest).is_some());
        assert!(net.one_way(A, B, Road::Postgres).is_some());
        assert_eq!(net.round_trip(B, A, Road::Rest), None);
        net.mend(7);
        assert!(net.round_trip(A, B, Road::Rest).is_some());
    }

    #[test]
    fn some_of_many_messages_are_lost_and_some_arrive_twice() {
        let mut net = Network::new(Chance::new(1));
        let every = |trouble| Rule { from: None, to: None, road: None, trouble };
        net.disturb(1, every(Trouble::Lossy(30)));
        net.disturb(2, every(Trouble::Twice(30)));
        let passages: Vec<_> = (0..200).map(|_| net.send(A, Place::Store, Road::Store)).collect();
        assert!(passages.contains(&Passage::Lost));
        assert!(passages.iter().any(|passage| matches!(passage, Passage::Twice(first, second) if first <= second)));
        assert!(passages.iter().any(|passage| matches!(passage, Passage::After(_))));
    }
}
