//! What a decision may look at: the world as observed in this pass, our settings, what we remember, and the time.
//! Made once per pass, never mended; what a decision lacks it asks for ([`crate::Step::Ask`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tamada_model::{
    Answers, Cluster, DataDir, Divergence, Document, HistoryFile, Job, Live, Lsn, Me, MemberName, Mono, Now, Origin,
    PeerAnswer, PostgresFacts, Present, RecoveryMatch, Role, Settings, ShutdownPosition, State, SystemId, Timeline,
    Upstream,
};

use crate::Memory;

/// Something that was looked at, or could not be. Not seeing is a fact too.
#[derive(Clone, PartialEq, Debug)]
pub enum Seen<T> {
    /// `at`: when we began to look.
    Fresh {
        at: Mono,
        fact: T,
    },
    Dark {
        since: Mono,
        because: String,
    },
}

/// The world in this pass.
#[derive(Clone, PartialEq, Debug)]
pub struct Observation {
    pub cluster: Seen<Arc<Cluster>>,
    pub postgres: Arc<PostgresFacts>,
    pub job: JobView,
    pub asked: Asked,
}

/// The long action, as this pass sees it.
#[derive(Clone, PartialEq, Debug)]
pub enum JobView {
    Idle,
    Running {
        job: Job,
        since: Mono,
        /// What the job says PostgreSQL is doing.
        state: Option<State>,
        /// A stop reported that pg_control says "shut down" although the postmaster still lives.
        shut_down: Option<ShutdownPosition>,
    },
}

/// Facts gathered on request. `None`: not asked in this pass.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Asked {
    pub peers: Option<BTreeMap<MemberName, PeerAnswer>>,
    pub recovery_match: Option<(Upstream, RecoveryMatch)>,
    pub divergence: Option<Divergence>,
    /// The inner `None`: there is no such file.
    pub history_file: Option<Option<HistoryFile>>,
    /// The inner `None`: its first record is not here.
    pub origin: Option<Option<Origin>>,
    /// How our renewal in this pass ended.
    pub renewal: Option<crate::WriteOutcome>,
}

/// One member to be asked for its status, and how long an answer is worth waiting for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PeerQuestion {
    pub name: MemberName,
    pub api_url: String,
    pub patience: Duration,
}

#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub me: &'a Me,
    pub settings: &'a Settings,
    /// The dynamic configuration in force, for repairing a lost `/config`.
    pub dynamic: &'a Document,
    pub seen: &'a Observation,
    pub memory: &'a Memory,
    pub now: Now,
}

impl<'a> View<'a> {
    /// The cluster as read in this pass; `None` while the store is dark.
    pub fn cluster(&self) -> Option<&'a Arc<Cluster>> {
        match &self.seen.cluster {
            Seen::Fresh { fact, .. } => Some(fact),
            Seen::Dark { .. } => None,
        }
    }

    pub fn postgres(&self) -> &'a PostgresFacts {
        &self.seen.postgres
    }

    pub fn live(&self) -> Option<&'a Live> {
        self.postgres().answers.live()
    }

    pub fn present(&self) -> Option<&'a Present> {
        match &self.postgres().data {
            DataDir::Present(present) => Some(present),
            DataDir::Empty | DataDir::Unreadable(_) => None,
        }
    }

    pub fn is_running(&self) -> bool {
        self.postgres().process.is_running()
    }

    /// Whether PostgreSQL is writable, as far as can be known: by its own word, else by process and role (postgres.md
    /// 3.4), so that a slow primary is not demoted for a monitoring failure.
    pub fn is_primary(&self) -> bool {
        match &self.postgres().answers {
            Answers::Live(live) => live.is_primary(),
            Answers::Unasked | Answers::Rejecting | Answers::Silent { .. } => {
                self.is_running() && self.postgres().role.is_primary()
            }
        }
    }

    /// PostgreSQL was told to promote itself and has not done so yet. It will, whatever becomes of our lock: only its end
    /// takes the wish back.
    pub fn promotes(&self) -> bool {
        self.is_running() && !self.is_primary() && self.role() == Role::Promoted
    }

    pub fn role(&self) -> Role {
        self.postgres().role
    }

    pub fn system_id(&self) -> Option<SystemId> {
        self.present().and_then(|present| present.system_id)
    }

    pub fn wal_position(&self) -> Option<Lsn> {
        self.live().map(Live::wal_position).filter(|lsn| !lsn.is_zero())
    }

    /// Our own timeline: a primary's current one, a standby's by IDENTIFY_SYSTEM, else its receiver's.
    pub fn timeline(&self) -> Option<Timeline> {
        let live = self.live()?;
        match &live.standing {
            tamada_model::Standing::Primary { timeline, .. } => Some(*timeline),
            tamada_model::Standing::Standby(standby) => {
                standby.timeline.or_else(|| standby.receiver.as_ref().and_then(|receiver| receiver.timeline))
            }
        }
    }

    pub fn has_lock(&self) -> bool {
        self.cluster().and_then(|cluster| cluster.leader_name()) == Some(&self.me.name)
    }

    /// A pg_rewind was cut short here: the files may be a mixture.
    pub fn has_unfinished_rewind(&self) -> bool {
        self.present().is_some_and(|present| present.unfinished_rewind)
    }
}
