//! Quorum commit: in which order the parameter and the key change (postgres.md 17).
//!
//! A commit is acknowledged when `count` of the `sync` names have it. Whoever wants to lead must find `quorum` of the
//! voters not ahead of it. Nothing is lost as long as those who can acknowledge and those who can elect always have a
//! member in common. Two things are written, one after the other, and any write may be the last: so each of them must
//! keep that, and the next one is worked out anew from what is there.

use std::collections::BTreeSet;
use std::fmt;

use tamada_model::MemberName;

pub type Names = BTreeSet<MemberName>;

/// Both places as they are, and what they shall become.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quorum {
    /// Who wrote the key last; we who lead now.
    pub leader: MemberName,
    pub we: MemberName,
    /// The key.
    pub quorum: usize,
    pub voters: Names,
    /// The parameter.
    pub count: usize,
    pub sync: Names,
    /// How many of `active` have everything that was acknowledged before they were listed.
    pub confirmed: usize,
    /// Who can be synchronous now.
    pub active: Names,
    pub wanted: usize,
}

/// One write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    Key {
        leader: MemberName,
        quorum: usize,
        voters: Names,
    },
    Parameter {
        count: usize,
        sync: Names,
    },
    /// Nobody may be noted in the key before it has caught up.
    AwaitStandbys,
}

/// The places contradict each other in a way from which no safe order of writes leads out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inconsistent {
    Key { quorum: usize, voters: usize },
    Parameter { count: usize, names: usize },
    // So many members in all; with `count` to acknowledge and `quorum` to elect, the two need not meet.
    NoOverlap { together: usize, quorum: usize, count: usize },
    // Neither of the two lists contains the other.
    Apart,
}

impl fmt::Display for Inconsistent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Inconsistent::Key { quorum, voters } => write!(f, "quorum {quorum} with {voters} voters"),
            Inconsistent::Parameter { count, names } => write!(f, "{count} of {names} synchronous standbys"),
            Inconsistent::NoOverlap { together, quorum, count } => {
                write!(f, "of {together} members {count} acknowledge and {quorum} elect, which need not meet")
            }
            Inconsistent::Apart => f.write_str("voters and synchronous standbys differ in both directions"),
        }
    }
}

/// Whether more voters are asked for as long as too few standbys have caught up (17.8).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Adjust {
    Yes,
    No,
}

impl Adjust {
    fn iff(condition: bool) -> Self {
        if condition { Adjust::Yes } else { Adjust::No }
    }
}

/// What is to be written, in order; of consecutive writes of one place only the last. `doubts`: what was wrong with the
/// places as they were found, if the writes mend it.
pub fn changes(state: &Quorum) -> Result<(Vec<Change>, Option<Inconsistent>), Inconsistent> {
    let mut planner = Planner { state: state.clone(), changes: Vec::new() };
    let doubts = planner.plan()?;
    Ok((merged(planner.changes), doubts))
}

fn merged(changes: Vec<Change>) -> Vec<Change> {
    let mut merged: Vec<Change> = Vec::new();
    for change in changes {
        let repeats = merged.last().is_some_and(|last| std::mem::discriminant(last) == std::mem::discriminant(&change));
        if repeats {
            merged.pop();
        }
        let ends = change == Change::AwaitStandbys;
        merged.push(change);
        if ends {
            break;
        }
    }
    merged
}

struct Planner {
    state: Quorum,
    changes: Vec<Change>,
}

/// Goes on or is through.
#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    Enough,
}

impl Planner {
    /// 17.6, step by step: each finds the places as the one before has left them.
    fn plan(&mut self) -> Result<Option<Inconsistent>, Inconsistent> {
        let doubts = match self.take_over() {
            Ok(Next::GoOn) => None,
            Ok(Next::Enough) => return Ok(None),
            Err(doubts) => {
                let quorum = self.state.sync.len().checked_sub(self.state.count);
                self.key(quorum, self.state.sync.clone(), Adjust::Yes)?;
                Some(doubts)
            }
        };
        self.believe_connected();
        self.finish_interrupted()?;
        self.settle_quorum()?;
        self.remove_gone()?;
        self.add_new()?;
        self.change_count()?;
        Ok(doubts)
    }

    /// We lead since a moment ago: those who elected us, and who led before, become ours.
    fn take_over(&mut self) -> Result<Next, Inconsistent> {
        let Quorum { leader, we, quorum, .. } = self.state.clone();
        if leader == we {
            self.state.check()?;
            return Ok(Next::GoOn);
        }
        let mut voters = self.state.voters.clone();
        voters.remove(&we);
        voters.insert(leader);
        if self.state.sync.is_empty() {
            self.parameter(voters.len().checked_sub(quorum), voters.clone())?;
        }
        self.write_key(we, quorum, voters)?;
        let connected = !self.state.sync.is_disjoint(&self.state.active);
        Ok(if connected { Next::GoOn } else { Next::Enough })
    }

    fn believe_connected(&mut self) {
        let state = &mut self.state;
        let connected = state.sync.intersection(&state.active).count();
        if state.confirmed == 0 && connected > 0 {
            state.confirmed = connected.min(state.voters.len().saturating_sub(state.quorum));
        }
    }

    fn finish_interrupted(&mut self) -> Result<(), Inconsistent> {
        let Quorum { voters, sync, active, count, .. } = self.state.clone();
        if sync.len() < voters.len() && sync.is_subset(&voters) {
            let gone: Names =
                voters.iter().filter(|name| !sync.contains(*name) && !active.contains(*name)).cloned().collect();
            if !gone.is_empty() {
                let quorum = (voters.len() - gone.len()).checked_sub(count);
                self.key(quorum, &voters - &gone, Adjust::iff(sync.is_subset(&active)))?;
            }
            let missing = &(&self.state.voters & &active) - &sync;
            if !missing.is_empty() {
                self.parameter(Some(count), &sync | &missing)?;
            }
        } else if voters.len() < sync.len() && voters.is_subset(&sync) {
            self.finish_growth()?;
        }
        Ok(())
    }

    /// The parameter names more than the key.
    fn finish_growth(&mut self) -> Result<(), Inconsistent> {
        let Quorum { voters, sync, active, count, .. } = self.state.clone();
        let (gone, here) = (&sync - &active, &sync & &active);
        let noted = voters.is_empty() || !here.is_disjoint(&voters);
        if !gone.is_empty() && !here.is_empty() && noted {
            self.parameter(Some(count.min(here.len())), here)?;
        }
        let unnoted = &(&self.state.sync - &self.state.voters) & &active;
        if !unnoted.is_empty() {
            let voters = &self.state.voters | &unnoted;
            self.key(voters.len().checked_sub(self.state.count), voters, Adjust::Yes)?;
        }
        let rest = &self.state.sync - &self.state.voters;
        if !rest.is_empty() {
            let sync = &self.state.sync - &rest;
            self.parameter(Some(self.state.count.min(sync.len())), sync)?;
        }
        Ok(())
    }

    /// More can acknowledge than when the quorum was chosen, or fewer.
    fn settle_quorum(&mut self) -> Result<(), Inconsistent> {
        let Quorum { voters, sync, quorum, count, confirmed, wanted, .. } = self.state.clone();
        if quorum + count.min(confirmed) > voters.len() {
            return match count > wanted {
                true => self.parameter(Some(wanted.max(voters.len().saturating_sub(quorum))), sync),
                false => self.key(sync.len().checked_sub(count), voters, Adjust::Yes),
            };
        }
        match count == wanted && count > confirmed && quorum + count > voters.len() {
            true => self.key(sync.len().checked_sub(count), voters, Adjust::Yes),
            false => Ok(()),
        }
    }

    fn remove_gone(&mut self) -> Result<(), Inconsistent> {
        let gone = &self.state.sync - &self.state.active;
        if gone.is_empty() {
            return Ok(());
        }
        if gone == self.state.sync {
            self.key(Some(0), Names::new(), Adjust::No)?;
            return self.parameter(Some(0), Names::new());
        }
        let gone = if self.state.quorum > 0 { self.remove_from_quorum(gone)? } else { gone };
        if gone.is_empty() { Ok(()) } else { self.remove_from_count(&gone) }
    }

    /// So many can go at the price of a smaller quorum. The others are left.
    fn remove_from_quorum(&mut self, gone: Names) -> Result<Names, Inconsistent> {
        let Quorum { sync, count, wanted, quorum, .. } = self.state.clone();
        let first: Names = gone.iter().rev().take(quorum).cloned().collect();
        let left = &sync - &first;
        self.parameter(Some(wanted.max(count).min(left.len())), left)?;
        let voters = &self.state.voters - &first;
        let gone = &gone & &self.state.sync;
        self.key(voters.len().checked_sub(self.state.count), voters, Adjust::iff(gone.is_empty()))?;
        Ok(gone)
    }

    /// Every voter's word counts already: commits have to wait for fewer.
    fn remove_from_count(&mut self, gone: &Names) -> Result<(), Inconsistent> {
        let Quorum { sync, voters, count, wanted, .. } = self.state.clone();
        let (left, electing) = (&sync - gone, &voters - gone);
        let fewer = count.checked_sub(gone.len());
        let spare = fewer.map(|fewer| fewer as i64 - wanted.min(left.len()) as i64);
        let quorum = match spare {
            Some(0) => Some(0),
            Some(spare) => usize::try_from(spare.min(electing.len() as i64 - 1)).ok(),
            None => None,
        };
        self.key(quorum, electing, Adjust::No)?;
        self.parameter(fewer, left)
    }

    fn add_new(&mut self) -> Result<(), Inconsistent> {
        let Quorum { sync, voters, active, count, wanted, confirmed, .. } = self.state.clone();
        let mut new = &active - &sync;
        if new.is_empty() {
            return Ok(());
        }
        let later = wanted.min((&sync | &new).len());
        if later > count {
            let add: Names = match sync.is_empty() {
                true => new.clone(),
                false => new.iter().take(later - count).cloned().collect(),
            };
            let more = if sync.is_empty() { later - count } else { add.len() };
            self.parameter(Some(count + more), &sync | &add)?;
            // Not `later`: with fewer new ones than that, the rest of the count follows below. (The original fails here.)
            let noted = &voters | &add;
            self.key(noted.len().checked_sub(self.state.count), noted, Adjust::Yes)?;
            new = &new - &self.state.sync;
        }
        if new.is_empty() {
            return Ok(());
        }
        let noted = &self.state.voters | &new;
        self.key(noted.len().checked_sub(later), noted, Adjust::iff(later > confirmed))?;
        self.parameter(Some(later), &self.state.sync | &new)
    }

    fn change_count(&mut self) -> Result<(), Inconsistent> {
        let Quorum { sync, voters, count, wanted, quorum, confirmed, .. } = self.state.clone();
        let later = wanted.min(sync.len());
        if later > count {
            self.parameter(Some(later), sync)?;
            return self.key(voters.len().checked_sub(later), voters, Adjust::Yes);
        }
        if later < count {
            if quorum + (count - later) < voters.len() {
                self.key(voters.len().checked_sub(later), voters, Adjust::iff(wanted > confirmed))?;
            }
            return self.parameter(Some(later), sync);
        }
        Ok(())
    }

    /// `None`: fewer than none.
    fn key(&mut self, quorum: Option<usize>, voters: Names, adjust: Adjust) -> Result<(), Inconsistent> {
        let quorum = fits(quorum, &voters)?;
        let state = &self.state;
        let missing = state.count.saturating_sub(state.confirmed);
        let (quorum, voters) = match (state.confirmed, state.voters.is_empty(), adjust) {
            (0, true, _) => (0, Names::new()),
            (_, _, Adjust::Yes) => (quorum + missing, voters),
            (_, _, Adjust::No) => (quorum, voters),
        };
        self.assign_key(state.leader.clone(), quorum, voters)
    }

    fn write_key(&mut self, leader: MemberName, quorum: usize, voters: Names) -> Result<(), Inconsistent> {
        let quorum = fits(Some(quorum), &voters)?;
        self.assign_key(leader, quorum, voters)
    }

    fn assign_key(&mut self, leader: MemberName, quorum: usize, voters: Names) -> Result<(), Inconsistent> {
        let state = &mut self.state;
        if (&leader, quorum, &voters) == (&state.leader, state.quorum, &state.voters) {
            if voters.is_empty() {
                self.changes.push(Change::AwaitStandbys);
            }
            return Ok(());
        }
        (state.leader, state.quorum, state.voters) = (leader.clone(), quorum, voters.clone());
        state.check()?;
        self.changes.push(Change::Key { leader, quorum, voters });
        Ok(())
    }

    fn parameter(&mut self, count: Option<usize>, sync: Names) -> Result<(), Inconsistent> {
        let count = count.filter(|count| *count <= sync.len());
        let names = sync.len();
        let count = count.ok_or(Inconsistent::Parameter { count: self.state.count, names })?;
        (self.state.count, self.state.sync) = (count, sync.clone());
        self.state.check()?;
        self.changes.push(Change::Parameter { count, sync });
        Ok(())
    }
}

fn fits(quorum: Option<usize>, voters: &Names) -> Result<usize, Inconsistent> {
    quorum
        .filter(|quorum| *quorum == 0 || *quorum < voters.len())
        .ok_or(Inconsistent::Key { quorum: quorum.unwrap_or_default(), voters: voters.len() })
}

impl Quorum {
    /// Whether somebody could be elected afterwards that could not before.
    pub fn is_relaxed_by(&self, change: &Change) -> bool {
        match change {
            Change::Parameter { .. } | Change::AwaitStandbys => false,
            Change::Key { leader, quorum, voters } => {
                let before = &self.voters | &Names::from([self.leader.clone()]);
                let after = voters | &Names::from([leader.clone()]);
                !before.is_subset(&after) || *quorum + before.len() < self.quorum + after.len()
            }
        }
    }

    /// 17.1: every set that can acknowledge overlaps every set that can elect.
    pub fn check(&self) -> Result<(), Inconsistent> {
        let electing = &self.voters | &Names::from([self.leader.clone()]);
        let acknowledging = &self.sync | &Names::from([self.we.clone()]);
        let together = (&electing | &acknowledging).len();
        if !self.voters.is_empty() && together > self.quorum + self.count + 1 {
            return Err(Inconsistent::NoOverlap { together, quorum: self.quorum, count: self.count });
        }
        match electing.is_subset(&acknowledging) || acknowledging.is_subset(&electing) {
            true => Ok(()),
            false => Err(Inconsistent::Apart),
        }
    }
}

#[cfg(test)]
#[path = "quorum_tests.rs"]
mod tests;
