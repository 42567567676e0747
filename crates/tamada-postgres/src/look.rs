//! One look at everything: files, process, and what the server says, in bounded time (architecture.md 6).
//!
//! A look never waits longer than it may. What did not answer in time is a fact of its own: a volume that hangs is
//! `Unreadable`, a server that hangs is `Silent`.

use std::time::Duration;

use tamada_model::{Answers, DataDir, Live, Origin, PostgresFacts, Present, Process, Standing, State, Timeline};

use crate::clock::{Deadline, now};
use crate::inspect::data_dir::{self, Files, Seen};
use crate::inspect::{control, history, monitor, origin, standby_timeline};
use crate::process::pid_file::Status;
use crate::process::postmaster::Postmaster;
use crate::tools::Tool;
use crate::{PgError, Postgres};

/// Two small files.
const ORIGIN_PATIENCE: Duration = Duration::from_secs(1);

/// What is asked of a look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The leader's timeline; a standby's cached one is asked anew if it differs, or if nobody leads (postgres.md 3.7).
    pub leader_timeline: Option<Timeline>,
    /// The look takes no longer than this.
    pub within: Duration,
}

impl Postgres {
    /// What is true now, as far as it could be learnt in time.
    pub async fn look(&self, look: Look) -> PostgresFacts {
        let deadline = Deadline::after(look.within);
        let (config, notes) = (self.config(), self.0.notes.clone());
        // Half of the time at most, so that a hanging volume leaves some for the server.
        let files = self.0.disk.look(look.within / 2, move || data_dir::look(&config.data_dir, &notes)).await;
        let (data, process, status) = match files {
            Ok(Files::Present(seen)) => self.look_at_present(*seen, deadline).await,
            Ok(Files::Empty) => {
                self.forget_data();
                (DataDir::Empty, self.known_process(), Status::Unsaid)
            }
            Ok(Files::Unreadable(why)) => (DataDir::Unreadable(why), self.known_process(), Status::Unsaid),
            Err(error) => (DataDir::Unreadable(error.to_string()), self.known_process(), Status::Unsaid),
        };
        let answers = self.ask_server(status, look.leader_timeline, deadline).await;
        self.settle(&answers).await;
        let data = self.with_origin(data, &answers, deadline).await;
        let can_rewind = self.can_rewind(deadline).await;
        let memory = self.memory();
        PostgresFacts {
            seen_at: now(),
            data,
            process,
            answers,
            state: memory.state,
            role: memory.role,
            pending_restart: memory.pending_restart.clone(),
            callback_called: memory.callback_called,
            can_rewind,
        }
    }

    async fn look_at_present(&self, seen: Seen, deadline: Deadline) -> (DataDir, Process, Status) {
        self.memory().major = seen.major;
        let postmaster = self.recognise(seen.pid_file.as_ref());
        let fresh = postmaster.is_none();
        if fresh || self.memory().control.is_none() {
            self.refresh_control(deadline).await;
        }
        let status = seen.pid_file.as_ref().map_or(Status::Unsaid, |file| file.status);
        let newest_timeline = self.newest_in_files(deadline).await;
        let memory = self.memory();
        let present = Present {
            major: seen.major,
            system_id: memory.system_id,
            control: memory.control.clone(),
            backup_label: seen.backup_label,
            recovery_configured: seen.recovery_configured,
            unfinished_rewind: seen.unfinished_rewind,
            newest_timeline,
            origin: None,
        };
        drop(memory);
        (DataDir::Present(Box::new(present)), self.known_process(), status)
    }

    async fn newest_in_files(&self, deadline: Deadline) -> Option<Timeline> {
        let from = self.memory().control.as_ref()?.timeline()?;
        let data_dir = self.data_dir();
        self.0.disk.look(deadline.left() / 2, move || history::newest(&data_dir, from)).await.ok()
    }

    /// Read once for each timeline: the file may be gone one day.
    async fn with_origin(&self, mut data: DataDir, answers: &Answers, deadline: Deadline) -> DataDir {
        let timeline = answers.live().and_then(|live| match &live.standing {
            Standing::Primary { timeline, .. } => Some(*timeline),
            Standing::Standby(standby) => standby.timeline,
        });
        let (DataDir::Present(present), Some(timeline)) = (&mut data, timeline) else { return data };
        let known = self.memory().origin.filter(|origin| origin.timeline == timeline);
        present.origin = match (known, present.control.as_ref().and_then(control::segment_size)) {
            (None, Some(segment_size)) if timeline != Timeline::FIRST => {
                self.read_origin(timeline, segment_size, deadline.left() / 2).await
            }
            (known, _) => known,
        };
        self.memory().origin = present.origin;
        data
    }

    async fn read_origin(&self, timeline: Timeline, segment_size: u64, within: Duration) -> Option<Origin> {
        let data_dir = self.data_dir();
        self.0.disk.look(within, move || origin::read(&data_dir, timeline, segment_size)).await.ok().flatten()
    }

    /// Of a timeline that our data came through; `None` where its first record is not here any more.
    pub async fn origin(&self, timeline: Timeline) -> Option<Origin> {
        let segment_size = self.memory().control.as_ref().and_then(control::segment_size)?;
        self.read_origin(timeline, segment_size, ORIGIN_PATIENCE).await
    }

    /// What was known of a directory that is gone, or about to be replaced.
    pub(crate) fn forget_data(&self) {
        let mut memory = self.memory();
        memory.system_id = None;
        memory.control = None;
        memory.major = None;
        memory.timeline = None;
        memory.origin = None;
    }

    /// Runs pg_controldata and remembers what it said. Not while a copy is being made (postgres.md 6.1).
    pub(crate) async fn refresh_control(&self, deadline: Deadline) {
        if self.state() == State::CreatingReplica {
            return;
        }
        let within = deadline.left();
        match control::ask(self.tools(), &self.data_dir(), within).await {
            Ok(account) => {
                let mut memory = self.memory();
                memory.system_id = account.system_id;
                memory.control = Some(account.control);
            }
            Err(error) => {
                tracing::error!("Error when calling pg_controldata: {}", error.in_words());
                self.memory().control = None;
            }
        }
    }

    fn known_process(&self) -> Process {
        match self.postmaster() {
            Some(postmaster) => Process::Running { pid: postmaster.pid as u32, started: postmaster.started },
            None => Process::Absent,
        }
    }

    async fn ask_server(&self, status: Status, leader: Option<Timeline>, deadline: Deadline) -> Answers {
        let Some(postmaster) = self.postmaster() else { return Answers::Unasked };
        match self.state() {
            State::Stopping => return Answers::Unasked,
            // It says so itself; a connection would only add a complaint to its log.
            State::Starting | State::BootstrapStarting | State::Restarting
                if status == Status::Starting || status == Status::Unsaid =>
            {
                return Answers::Rejecting;
            }
            State::InitDb
            | State::InitDbFailed
            | State::CustomBootstrap
            | State::CustomBootstrapFailed
            | State::CreatingReplica
            | State::Running
            | State::Starting
            | State::BootstrapStarting
            | State::StartFailed
            | State::Restarting
            | State::RestartFailed
            | State::Stopped
            | State::StopFailed
            | State::Crashed => {}
        }
        let asked = deadline.bound(self.ask_twice(&postmaster)).await;
        let mut answers = asked.unwrap_or_else(|| Answers::Silent { because: "no answer in time".to_owned() });
        if let Answers::Live(live) = &mut answers
            && let Standing::Standby(standby) = &mut live.standing
        {
            // A postmaster that hangs takes no new connections, while the kept one still answers.
            let asked = deadline.bound(self.standby_timeline(leader)).await;
            standby.timeline = asked.unwrap_or_else(|| self.memory().timeline);
        }
        answers
    }

    /// The monitoring query is tried at most twice: a connection may have been closed since the last look (2.5).
    async fn ask_twice(&self, postmaster: &Postmaster) -> Answers {
        let mut because = String::new();
        for _ in 0..2 {
            match self.ask_once(postmaster).await {
                Ok(live) => return Answers::Live(Box::new(live)),
                Err(PgError::Rejecting { .. }) => return Answers::Rejecting,
                Err(error @ PgError::Refused { .. }) => return Answers::Silent { because: error.in_words() },
                Err(error) => because = error.in_words(),
            }
        }
        Answers::Silent { because }
    }

    pub(crate) async fn ask_once(&self, postmaster: &Postmaster) -> Result<Live, PgError> {
        let mut client = self.heartbeat(postmaster.pid).await?;
        let live = monitor::ask(&mut client).await?;
        self.keep_heartbeat(postmaster.pid, client);
        let mut memory = self.memory();
        memory.server_version = Some(live.server_version);
        memory.slots = Some(live.slots.clone());
        memory.receiver = live.standby().and_then(|standby| standby.receiver.clone());
        drop(memory);
        self.watch_senders(&live);
        Ok(live)
    }

    /// 1. a is promoted, writes, and is lost at once. b received all of it while its agent could not read the store.
    /// 2. b is back, and nobody leads. It says that it is on the timeline that was a's before, as it last heard.
    /// 3. c, which has less, asks b. By its timeline b has no say: c leads without what a wrote.
    ///
    /// Therefore the cached one is believed only as long as it is the leader's; else it is asked on a replication
    /// connection (postgres.md 3.7). The original keeps it while nobody leads.
    pub(crate) async fn standby_timeline(&self, leader: Option<Timeline>) -> Option<Timeline> {
        let cached = self.memory().timeline;
        if cached.is_some() && cached == leader {
            return cached;
        }
        let asked = async { standby_timeline::identify(&mut self.replicate_locally().await?).await };
        match asked.await {
            Ok(identity) => self.memory().timeline = Some(identity.timeline),
            Err(error) => tracing::warn!("Could not ask our own timeline: {}", error.in_words()),
        }
        self.memory().timeline
    }

    /// A start-up that was left to itself may have ended meanwhile, either way (postgres.md 7.4, 3.3).
    async fn settle(&self, answers: &Answers) {
        if self.is_busy() {
            // The job at work judges that itself.
            return;
        }
        let starting = self.state().is_starting();
        match answers {
            Answers::Live(_) if starting => self.started().await,
            Answers::Unasked if starting => self.set_state(State::StartFailed),
            Answers::Rejecting if self.state() == State::Running => self.set_state(State::Starting),
            Answers::Live(_) | Answers::Unasked | Answers::Rejecting | Answers::Silent { .. } => {}
        }
    }

    /// ha-loop.md 23.1
    async fn can_rewind(&self, deadline: Deadline) -> bool {
        if !self.config().use_pg_rewind {
            return false;
        }
        let suited = self.memory().control.as_ref().is_some_and(|control| control.wal_log_hints || control.checksums);
        suited && self.rewind_works(deadline).await
    }

    async fn rewind_works(&self, deadline: Deadline) -> bool {
        if let Some(known) = self.memory().rewind_works {
            return known;
        }
        let within = deadline.left();
        let command = crate::process::child::command(&self.tools().path(Tool::PgRewind));
        let asked = crate::process::child::ask(crate::process::child::with(command, ["--help"]), within).await;
        if matches!(asked, Err(PgError::TimedOut(_))) {
            // A busy machine, or a look that came late to this: no answer for ever.
            return false;
        }
        let works = asked.is_ok_and(|output| output.ok());
        self.memory().rewind_works = Some(works);
        works
    }
}
