//! pg_rewind, and the single-user run that ends a crash cleanly.
//!
//! pg_rewind changes files in place. A note beside the directory says so from before the first change until it has
//! ended well; only a failure that certainly touched nothing takes the note back.

use tamada_model::{CheckpointFirst, ControlState, JobEnd, State, Stop, StopMode};

use super::{Doing, Task, Tell, Turn};
use crate::Host;
use crate::plant::Planted;
use crate::postgres::node::{Control, Data, Files};
use crate::postgres::{Fleet, Life, Net, News, Remover};
use crate::wal::BranchId;

/// After so many an agent leaves it to an operator.
const ATTEMPTS: u32 = 3;

/// What pg_rewind finds when it has compared the histories.
enum Compared {
    NothingToDo,
    /// Both are what they are; the files can be made equal.
    Forked,
    /// By their numbers they parted later than they did.
    Mistaken,
    Impossible(&'static str),
}

/// How the data to be rewound came to its end.
enum Ended {
    Cleanly,
    /// In a crash. pg_rewind ends it cleanly itself, in single-user mode.
    AsPrimary,
    /// In a crash. Single-user mode would write on a timeline that is another's: the agent refuses.
    AsStandby,
}

impl Fleet {
    pub(super) fn begin_rewind(&mut self, host: Host, from: Option<Host>, trusted: bool) -> Turn {
        let Some(from) = from.filter(|from| *from != host) else {
            return self.not_now(host, "there is no server with an address to rewind from");
        };
        if self.node(host).server.is_some() {
            let fast = Stop {
                mode: StopMode::Fast,
                checkpoint: CheckpointFirst::No,
                timeout: None,
                report_shutdown: false,
                purpose: "rewind".to_owned(),
            };
            let again = Task::Rewind { from: Some(from), trusted };
            self.first(host, [Task::Stop(fast, Tell::Yes), again].into_iter());
            return Turn::Next;
        }
        let takes = self.takes(host, 5, 50);
        self.works(host, takes, Doing::CheckingSource { from, trusted })
    }

    fn not_now(&mut self, host: Host, why: impl Into<String>) -> Turn {
        self.finish(host, JobEnd::NotNow(why.into()));
        Turn::Waits
    }

    /// The source must be a primary that has made its first checkpoint.
    fn check_source(&mut self, host: Host, from: Host, trusted: bool, net: &mut dyn Net) -> Result<(), &'static str> {
        if !self.can_be_asked(host, from, net) {
            return Err("not accessible or not healthy: it does not answer");
        }
        if !self.node(from).is_writable() {
            return Err("is_in_recovery=true");
        }
        if trusted || self.has_checkpoint(from) {
            return Ok(());
        }
        if !self.traits.rewind_may_checkpoint {
            return Err("leader has not run a checkpoint yet");
        }
        self.checkpoint_online(from, net);
        Ok(())
    }

    pub(super) fn source_checked(&mut self, host: Host, from: Host, trusted: bool, net: &mut dyn Net) -> Turn {
        if let Err(why) = self.check_source(host, from, trusted, net) {
            if self.traits.plants.has(Planted::RemovedBeforeCopy) {
                self.remove(host, Remover::Clone, Data::None);
            }
            return self.not_now(host, why);
        }
        self.enter(host, State::Stopped);
        let life = self.node(from).life;
        let (Some(files), Some(source)) = (self.node(host).files(), self.node(from).point()) else {
            return self.fails(host, "there is nothing to rewind");
        };
        let cut_before = files.unfinished_rewind;
        if cut_before.is_some_and(|before| self.wal.limit(before, source).is_none()) {
            // What was copied from that one, this one would not copy again.
            return self.fails(host, "an earlier pg_rewind was cut short, and was from another history");
        }
        if let Some(files) = self.node_mut(host).files_mut() {
            files.unfinished_rewind = Some(source.0);
        }
        if self.is_cancelled(host) {
            self.finish(host, JobEnd::Cancelled);
            return Turn::Waits;
        }
        let takes = self.takes(host, 300, 1500);
        self.works(host, takes, Doing::Comparing { from, life, cut_before })
    }

    pub(super) fn compared(
        &mut self,
        host: Host,
        from: Host,
        life: Life,
        cut_before: Option<BranchId>,
        net: &mut dyn Net,
    ) -> Turn {
        let connected = self.is_same_server(from, life) && self.can_be_asked(host, from, net);
        if !connected || self.node(host).faults.disk_full || self.fails_by_chance(host) {
            return self.left_untouched(host, from, cut_before, net);
        }
        match self.ended(host) {
            Ended::Cleanly => {}
            Ended::AsPrimary => self.recover_alone(host),
            Ended::AsStandby => {
                self.note(host, "target server must be shut down cleanly");
                return self.left_untouched(host, from, cut_before, net);
            }
        }
        match self.compare_histories(host, from) {
            Compared::NothingToDo => self.nothing_done(host, from),
            Compared::Impossible(why) => {
                self.note(host, why);
                self.left_untouched(host, from, cut_before, net)
            }
            Compared::Mistaken => {
                self.tell(News::Mixed { host, upstream: from });
                self.begin_rewriting(host, from, life)
            }
            Compared::Forked => self.begin_rewriting(host, from, life),
        }
    }

    fn ended(&self, host: Host) -> Ended {
        match self.node(host).files() {
            None => Ended::Cleanly,
            Some(files) if files.control.is_clean() => Ended::Cleanly,
            Some(files) if files.control.state.is_dirty_primary() && !files.backup_label => Ended::AsPrimary,
            Some(_) => Ended::AsStandby,
        }
    }

    /// Whether the agent will try, and the files will be equal then. On two timelines of one number no agent does: only
    /// while pg_control is behind would pg_rewind see that they are two.
    pub fn will_be_rewound(&self, host: Host, from: Host) -> bool {
        let number = |host| self.node(host).point().map(|(branch, _)| self.wal.timeline(branch));
        match self.compare_histories(host, from) {
            Compared::Forked => number(host) != number(from) && self.node(host).notes.failed_rewinds < ATTEMPTS,
            Compared::NothingToDo | Compared::Mistaken | Compared::Impossible(_) => false,
        }
    }

    fn fails_by_chance(&mut self, host: Host) -> bool {
        let early = self.chance.happens(1, 2);
        let faults = &mut self.node_mut(host).faults;
        let fails = early && faults.rewinds_fail > 0;
        faults.rewinds_fail -= u32::from(fails);
        fails
    }

    fn begin_rewriting(&mut self, host: Host, from: Host, life: Life) -> Turn {
        let takes = self.takes(host, 700, 3500);
        self.works(host, takes, Doing::Rewinding { from, life })
    }

    /// As pg_rewind does it: it sees timelines in pg_control and in history files, nothing else.
    fn compare_histories(&self, host: Host, from: Host) -> Compared {
        let (Some(target), Some(source)) = (self.node(host).files(), self.node(from).files()) else {
            return Compared::Impossible("there is nothing to compare");
        };
        if target.system_id != source.system_id {
            return Compared::Impossible("source and target clusters are from different systems");
        }
        if target.control.checkpoint_timeline == source.control.checkpoint_timeline {
            // "Source and target cluster are on the same timeline", or so they seem.
            return Compared::NothingToDo;
        }
        let fork = self.wal.fork(target.end, source.end);
        if fork.1 < target.wal_from {
            return Compared::Impossible("could not find previous WAL record");
        }
        if self.wal.is_ancestor(target.end, source.end) {
            return Compared::NothingToDo;
        }
        match self.wal.last_in_name(self.wal.canonical(target.end), source.end).map(|(_, left)| left) {
            Some(seen) if seen > fork.1 => Compared::Mistaken,
            Some(_) | None => Compared::Forked,
        }
    }

    /// It failed before it wrote anything, so that the files are as good as before.
    fn left_untouched(&mut self, host: Host, from: Host, cut_before: Option<BranchId>, net: &mut dyn Net) -> Turn {
        if let Some(files) = self.node_mut(host).files_mut() {
            files.unfinished_rewind = cut_before;
        }
        self.not_rewound(host, from, net)
    }

    /// With a leader that is gone it may work next time; with a healthy one it never will.
    fn not_rewound(&mut self, host: Host, from: Host, net: &mut dyn Net) -> Turn {
        if self.check_source(host, from, true, net).is_err() {
            return self.not_now(host, format!("primary {} became unreachable during pg_rewind", from.name()));
        }
        self.node_mut(host).notes.failed_rewinds += 1;
        self.fails(host, format!("pg_rewind from the healthy primary {} failed", from.name()))
    }

    pub(super) fn rewound(&mut self, host: Host, from: Host, life: Life, net: &mut dyn Net) -> Turn {
        let faults = &mut self.node_mut(host).faults;
        let fails = faults.rewinds_fail > 0;
        faults.rewinds_fail = faults.rewinds_fail.saturating_sub(1);
        let whole = self.is_same_server(from, life) && self.can_be_asked(host, from, net);
        let source = self.node(from).files().filter(|_| whole && !fails).cloned();
        let (Some(source), Some(files)) = (source, self.node(host).files()) else {
            return self.not_rewound(host, from, net);
        };
        let (before, to) = (files.end, source.end);
        let timeline = self.wal.timeline(to.0);
        self.tell(News::Rewound { host, from: before, to });
        if let Some(files) = self.node_mut(host).files_mut() {
            *files = Files {
                signal: false,
                upstream: None,
                backup_label: true,
                slots: Default::default(),
                control: Control {
                    state: ControlState::InArchiveRecovery,
                    min_recovery: Some((timeline, to.1)),
                    ..source.control
                },
                ..source
            };
        }
        self.rewind_done(host)
    }

    /// If it was needed nevertheless, the agent sees that, and does not try again.
    fn nothing_done(&mut self, host: Host, from: Host) -> Turn {
        let turn = self.rewind_done(host);
        let both = self.node(host).point().zip(self.node(from).point());
        if both.is_some_and(|(own, theirs)| !self.wal.is_ancestor(own, theirs)) {
            self.node_mut(host).notes.failed_rewinds = ATTEMPTS;
        }
        turn
    }

    fn rewind_done(&mut self, host: Host) -> Turn {
        let node = self.node_mut(host);
        node.notes.control = None;
        node.notes.failed_rewinds = 0;
        if let Some(files) = node.files_mut() {
            files.unfinished_rewind = None;
        }
        Turn::Next
    }

    // Alone.

    pub(super) fn begin_recovering_alone(&mut self, host: Host) -> Turn {
        if self.node(host).server.is_some() {
            return self.fails(host, "processes of the crashed server still hold its shared memory");
        }
        let Some(files) = self.node_mut(host).files_mut() else { return Turn::Next };
        files.signal = false;
        if !files.control.is_clean() {
            files.control.state = ControlState::InCrashRecovery;
        }
        if self.is_cancelled(host) {
            self.finish(host, JobEnd::Cancelled);
            return Turn::Waits;
        }
        let takes = self.takes(host, 500, 3000);
        self.works(host, takes, Doing::RecoveringAlone)
    }

    /// Only logged how it went: what pg_control says afterwards is what counts.
    pub(super) fn recovered_alone(&mut self, host: Host) -> Turn {
        let faults = &self.node(host).faults;
        if !faults.disk_full && self.node(host).files().is_some() {
            self.recover_alone(host);
        }
        self.node_mut(host).notes.control = None;
        Turn::Next
    }
}
