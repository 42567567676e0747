//! When a leader shows that it is there, and when somebody else should lead.
//!
//! The library would do both, but not as we need it. Told as stories, and what we do instead:
//!
//! 1. A node is cut off. It hears no leader, votes for itself in term after term, and comes back with a term higher than
//!    anybody's. Whoever hears of it steps down, the healthy leader first: the network was mended, and the store stops.
//! 2. Therefore nobody campaigns before it has asked the others, without a vote: *would* you elect me? They would not while
//!    they hear a leader themselves, nor if they know more than the candidate.
//!
//! 1. A follower's disk takes a second to sync. Its consensus waits for the disk, and the leader's messages wait in line.
//! 2. When the disk is done, the timer is looked at first: a second of silence. It campaigns against a leader whose word
//!    is the next in the line.
//! 3. Therefore a leader is heard when its message *arrives* ([`Pulse::heard`]), before it gets in line.
//!
//! 1. Somebody else takes the processor for a second, or the host is suspended. When we run again, the timers have run
//!    out, and what came meanwhile is not read yet.
//! 2. Therefore silence is counted in steps, and each counts for little, however long it took.
//!
//! 1. A leader's disk takes half a second to sync. The library's leader says nothing meanwhile.
//! 2. The others elect a new one. Its disk is as slow as the old one's, and so it goes on.
//! 3. Therefore a leader that waits for its disk shows past the consensus that it is there ([`Means::show`]); but not for
//!    ever: a disk that does not come back is a reason for another leader.
//!
//! 1. A follower's disk takes half a second. As long as the leader's entries are on their way to it, the library sends it
//!    nothing else; and who waits for votes that are being written sends nothing at all.
//! 2. Therefore the leader shows itself to whoever has not confirmed its last entries, a candidate to all while its disk
//!    writes; and who waits for its own disk counts no silence: whatever it wanted would have to wait in the same line.
//!
//! 1. Of five nodes, the leader hears only one, which hears all; the others hear only that one. Nothing can be decided.
//! 2. Without the one in the middle nobody is elected. It hears a leader, and so it neither stands nor helps.
//! 3. Therefore a leader that has not been answered by a majority for long does not show itself any more; and what it
//!    sends all the same, because somebody wants to write or to read, says so ([`Backing`]). It is obeyed, but it does not
//!    count as a leader who is there.
//!
//! And a follower is the more patient the more elections have come to nothing.
//!
//! How it is used: [`Pulse::beat`] runs beside the consensus; whoever takes the others' messages in calls
//! [`Pulse::heard`] and [`Pulse::heard_candidate`], and answers a [`Canvass`] with [`Pulse::would_elect`].

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use openraft::{LogId, LogIdOptionExt, ServerState, Vote};
use tokio::time::sleep;

use super::config::TURNED_AWAY;
use super::{Membership, Place, Raft};
use crate::clock;
use crate::disk::Disk;

/// How often we look, and a leader shows that it is there.
const STEP: Duration = Duration::from_millis(75);
/// A step may be late by a third. What is beyond that we have slept through.
const STEP_COUNTS_AT_MOST: Duration = Duration::from_millis(100);
/// A leader that has heard no majority for so long does not show itself any more: the library's would for ever, and those
/// who are cut off together with it would believe that all is well.
const ALONE: Duration = Duration::from_secs(3);
/// So long a leader is waited for that waits for its disk.
const DISK_MAY_TAKE: Duration = Duration::from_secs(2);

/// A follower looks for a new leader after at least so long without one: longer than the others turn candidates away. And
/// after at most this spread more, so that two seldom stand at once.
const PATIENCE: Duration = Duration::from_millis(350);
const SPREAD: Duration = Duration::from_millis(200);
/// Each election that came to nothing doubles the patience, so often at most: with disks that take half a second each, an
/// election takes two seconds.
const DOUBLED_AT_MOST: u32 = 2;

/// Would you elect me, with a log up to here?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Canvass {
    pub last: Option<LogId<u64>>,
}

/// Whether a leader is answered by a majority, as it says itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Backing {
    Majority,
    Lost,
}

/// The backing of this node while it leads, for those who send its messages. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct OwnBacking {
    lost: Arc<AtomicBool>,
}

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Pulse {
    raft: Raft,
    me: u64,
    disk: Disk,
    backing: OwnBacking,
    quiet: Arc<Mutex<Quiet>>,
}

/// How a pulse reaches the other voters.
pub(crate) trait Means {
    /// Puts the question to another voter, and returns whether it would; false if it does not answer soon.
    fn ask(&self, voter: u64, place: Place, canvass: Canvass) -> impl Future<Output = bool> + Send;
    /// Shows it that the leader who was elected by this vote is there. Does not wait.
    fn show(&self, voter: u64, place: &Place, vote: Vote<u64>);
}

/// The silence since a leader was heard; for a leader that nobody has answered yet, since it leads.
struct Quiet {
    lasting: Duration,
    /// Elections that were begun meanwhile, by us or by others.
    elections: u32,
    /// How long it may last.
    patience: Duration,
}

/// What there is to do for us.
enum Part {
    Leader,
    /// Has asked for votes, and does not know yet.
    Candidate(Membership),
    Follower(Membership),
    /// The only voter.
    Alone,
    /// No voter.
    Bystander,
}

impl Quiet {
    fn after(elections: u32) -> Self {
        let drawn = PATIENCE + SPREAD.mul_f32(fastrand::f32());
        Self { lasting: Duration::ZERO, elections, patience: drawn * 2u32.pow(elections.min(DOUBLED_AT_MOST)) }
    }

    fn is_too_long(&self) -> bool {
        self.lasting >= self.patience
    }
}

impl OwnBacking {
    pub(crate) fn get(&self) -> Backing {
        if self.lost.load(Ordering::Relaxed) { Backing::Lost } else { Backing::Majority }
    }

    fn set(&self, backing: Backing) {
        self.lost.store(backing == Backing::Lost, Ordering::Relaxed);
    }
}

impl Pulse {
    pub(crate) fn new(raft: Raft, me: u64, disk: Disk, backing: OwnBacking) -> Self {
        Self { raft, me, disk, backing, quiet: Arc::new(Mutex::new(Quiet::after(0))) }
    }

    /// A message of the leader that was elected by this vote has arrived. One that has a successor does not count, nor one
    /// that cannot decide anything.
    pub(crate) fn heard(&self, vote: &Vote<u64>, backing: Backing) {
        if backing == Backing::Majority && *vote >= self.raft.server_metrics().borrow().vote {
            *self.locked() = Quiet::after(0);
        }
    }

    /// How long no leader has been heard.
    pub(crate) fn silence(&self) -> Duration {
        self.locked().lasting
    }

    /// Somebody asks for our vote: it is given time to win.
    pub(crate) fn heard_candidate(&self) {
        let mut quiet = self.locked();
        *quiet = Quiet::after(quiet.elections + 1);
    }

    /// Whether we would elect whoever asks.
    pub(crate) fn would_elect(&self, canvass: &Canvass) -> bool {
        let has_lasted = match self.part() {
            // A majority is heard when its disks answer, and that may take as long as they do.
            Part::Leader => self.silence_of_majority() > DISK_MAY_TAKE,
            Part::Candidate(_) | Part::Follower(_) | Part::Alone | Part::Bystander => self.silence() > TURNED_AWAY,
        };
        has_lasted && canvass.last >= self.raft.data_metrics().borrow().last_log
    }

    /// Beats for as long as the consensus runs.
    pub(crate) async fn beat(self, means: impl Means) {
        let mut last = clock::now();
        while self.raft.metrics().borrow().running_state.is_ok() {
            sleep(STEP).await;
            let now = clock::now();
            let step = now.saturating_sub(last).min(STEP_COUNTS_AT_MOST);
            last = now;
            self.step(step, &means).await;
        }
    }

    async fn step(&self, step: Duration, means: &impl Means) {
        match self.part() {
            Part::Leader => {
                let backing = self.count_answers(step);
                self.backing.set(backing);
                if backing == Backing::Majority {
                    // An error says that the consensus has stopped.
                    let _ = self.raft.trigger().heartbeat().await;
                    self.show(means);
                }
            }
            Part::Bystander => drop(self.waited(step)),
            Part::Alone => {
                if self.waited(step) || self.locked().elections == 0 {
                    self.campaign().await;
                }
            }
            Part::Candidate(_) if self.waits_for_disk() => self.show(means),
            Part::Follower(_) if self.waits_for_disk() => {}
            Part::Candidate(membership) | Part::Follower(membership) => {
                if self.waited(step) && self.would_win(&membership, means).await && self.locked().is_too_long() {
                    self.campaign().await;
                }
            }
        }
    }

    /// Of a leader.
    fn count_answers(&self, step: Duration) -> Backing {
        let is_answered = self.raft.data_metrics().borrow().millis_since_quorum_ack.is_some();
        let mut quiet = self.locked();
        let lasting = if is_answered { Duration::ZERO } else { quiet.lasting + step };
        *quiet = Quiet { lasting, ..Quiet::after(0) };
        drop(quiet);
        if self.silence_of_majority() > ALONE { Backing::Lost } else { Backing::Majority }
    }

    /// Since a majority last confirmed that we lead, or since we lead.
    fn silence_of_majority(&self) -> Duration {
        let silence = self.raft.data_metrics().borrow().millis_since_quorum_ack;
        silence.map_or_else(|| self.locked().lasting, Duration::from_millis)
    }

    fn part(&self) -> Part {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        match metrics.state {
            ServerState::Leader => Part::Leader,
            _ if !voters.contains(&self.me) => Part::Bystander,
            _ if voters.len() == 1 => Part::Alone,
            ServerState::Candidate => Part::Candidate(membership.clone()),
            ServerState::Learner | ServerState::Follower | ServerState::Shutdown => Part::Follower(membership.clone()),
        }
    }

    fn waits_for_disk(&self) -> bool {
        self.disk.busy_for() >= STEP
    }

    /// True: long enough.
    fn waited(&self, step: Duration) -> bool {
        let mut quiet = self.locked();
        quiet.lasting += step;
        quiet.is_too_long()
    }

    /// To the other voters that the library may be silent to. Nobody should wait for a disk that does not come back.
    fn show(&self, means: &impl Means) {
        if self.disk.busy_for() >= DISK_MAY_TAKE {
            return;
        }
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let membership = metrics.membership_config.membership();
        let confirmed = |voter: &u64| metrics.replication.as_ref().and_then(|of| *of.get(voter)?).index();
        let is_waiting = |voter: &u64| self.waits_for_disk() || confirmed(voter) < metrics.last_log_index;
        for voter in membership.voter_ids().filter(|voter| *voter != self.me && is_waiting(voter)) {
            if let Some(place) = membership.get_node(&voter) {
                means.show(voter, place, metrics.vote);
            }
        }
    }

    async fn would_win(&self, membership: &Membership, means: &impl Means) -> bool {
        let canvass = Canvass { last: self.raft.data_metrics().borrow().last_log };
        let others: BTreeSet<u64> = membership.voter_ids().filter(|voter| *voter != self.me).collect();
        let places = others.into_iter().filter_map(|voter| Some((voter, membership.get_node(&voter)?.clone())));
        let mut asked: FuturesUnordered<_> =
            places.map(|(voter, place)| async move { (voter, means.ask(voter, place, canvass).await) }).collect();
        let mut friends = BTreeSet::from([self.me]);
        while let Some((voter, would)) = asked.next().await {
            if would {
                friends.insert(voter);
            }
            if is_majority(membership, &friends) {
                return true;
            }
        }
        false
    }

    async fn campaign(&self) {
        tracing::info!("no leader of the store is heard: this node stands for election");
        self.heard_candidate();
        // An error says that the consensus has stopped.
        let _ = self.raft.trigger().elect().await;
    }

    fn locked(&self) -> MutexGuard<'_, Quiet> {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While the voters change, of the old ones and of the new ones.
fn is_majority(membership: &Membership, friends: &BTreeSet<u64>) -> bool {
    membership.get_joint_config().iter().all(|voters| voters.intersection(friends).count() * 2 > voters.len())
}
