//! The handle everybody else holds: [`Postgres`], and what it remembers between two looks.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tamada_model::{
    Control, Origin, PendingRestart, PgMajor, PgVersion, PostgresConfig, Role, Slot, State, SyncNames, SystemId,
    Timeline, WalReceiver,
};
use tokio::sync::watch;

use crate::address::Addresses;
use crate::callbacks::{Callback, Callbacks};
use crate::client::Client;
use crate::configure::upstream::RecoveryCache;
use crate::configure::validate::Knowledge;
use crate::disk::Disk;
use crate::markers::Places;
use crate::process::postmaster::Postmaster;
use crate::process::watched::Watched;
use crate::tools::Tools;

/// One supervised PostgreSQL. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Postgres(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub tools: Tools,
    pub program_version: PgVersion,
    pub notes: Places,
    pub disk: Disk,
    pub callbacks: Callbacks,
    pub knowledge: Knowledge,
    /// The running postmaster, if we know one; whoever waits for its end listens here.
    pub postmaster: watch::Sender<Option<Arc<Postmaster>>>,
    /// The kept connection of the monitoring query, and the postmaster it belongs to. Empty while it is in use or out
    /// of order.
    pub heartbeat: Mutex<Option<(i32, Client)>>,
    /// Jobs at work; while there is one, looks leave role and state alone.
    pub jobs: AtomicUsize,
    config: RwLock<Arc<PostgresConfig>>,
    /// The connections of synchronous standbys, as the last look saw them.
    pub senders: watch::Sender<Vec<Arc<Watched>>>,
    /// Held by whoever writes the configuration of a running server: what is written last was worked out last.
    pub configuring: tokio::sync::Mutex<()>,
    memory: Mutex<Memory>,
}

/// What outlives a look. Each line: who sets it, who clears it, what breaks if it is stale.
pub(crate) struct Memory {
    /// Set by jobs and by the core; shown to everybody. Stale: the wrong callbacks fire.
    pub role: Role,
    /// Set by jobs and when a start-up is seen to have ended.
    pub state: State,
    /// Set at start and at each reload.
    pub pending_restart: PendingRestart,
    /// Set by the first callback event, never cleared (ha-loop.md 24.2).
    pub callback_called: bool,
    /// Between winning the initialize race and the end of post_bootstrap: no callbacks (24.3).
    pub bootstrapping: bool,
    /// A custom bootstrap runs; set when its method is done, cleared at the end of post_bootstrap or when abandoned.
    pub custom_bootstrap: Option<CustomBootstrap>,
    /// What to tell when a started server is ready (postgres.md 9.3). Cleared when told.
    pub pending_callback: Option<Callback>,
    /// From pg_control; cleared when the directory is emptied or copied. Stale: a wrong identity is published.
    pub system_id: Option<SystemId>,
    /// The last account of pg_control; renewed whenever no postmaster runs.
    pub control: Option<Control>,
    /// By IDENTIFY_SYSTEM; cleared when the postmaster changes. Stale: see `standby_timeline`.
    pub timeline: Option<Timeline>,
    /// Of the timeline that the server is on; cleared together with that. Stale: our data is taken for another's, or
    /// another's for ours.
    pub origin: Option<Origin>,
    /// Where the running server listens; set at start and at adoption.
    pub addresses: Addresses,
    /// The parameters last put into force; compared at reload.
    pub parameters: BTreeMap<String, String>,
    /// `synchronous_standby_names`, where the core decides about it. `None`: not decided since we began; what stands in
    /// the file holds. Stale: commits wait for the wrong ones until the next look.
    pub sync_names: Option<SyncNames>,
    /// The recovery parameters last wanted; written with every postgresql.conf.
    pub recovery: BTreeMap<String, String>,
    pub recovery_cache: RecoveryCache,
    /// The WAL receiver as the last look saw it; cleared when its upstream is changed.
    pub receiver: Option<WalReceiver>,
    /// The slots as the last look saw them; cleared when they are changed or the postmaster is. Stale: at worst one
    /// needless or refused statement.
    pub slots: Option<Vec<Slot>>,
    /// Whether `pg_rewind --help` works; asked once.
    pub rewind_works: Option<bool>,
    /// The server of this version is running, as it said itself.
    pub server_version: Option<PgVersion>,
    /// Major version of the data directory.
    pub major: Option<PgMajor>,
}

/// What a custom bootstrap asks of the starts that belong to it (postgres.md 4.4, 5.7).
#[derive(Clone, Copy, Debug)]
pub(crate) struct CustomBootstrap {
    pub keeps_recovery: bool,
    pub without_hot_standby: bool,
}

impl Postgres {
    pub(crate) fn assemble(config: PostgresConfig, program_version: PgVersion) -> Self {
        let memory = Memory {
            role: Role::Uninitialized,
            state: State::Stopped,
            pending_restart: PendingRestart::new(),
            callback_called: false,
            bootstrapping: false,
            custom_bootstrap: None,
            pending_callback: None,
            system_id: None,
            control: None,
            timeline: None,
            origin: None,
            addresses: Addresses::new(&config, sockets(&config)),
            parameters: BTreeMap::new(),
            sync_names: None,
            recovery: BTreeMap::new(),
            recovery_cache: RecoveryCache::default(),
            receiver: None,
            slots: None,
            rewind_works: None,
            server_version: None,
            major: None,
        };
        Self(Arc::new(Inner {
            tools: Tools::new(&config),
            program_version,
            notes: Places::new(&config.data_dir, &config.pgpass),
            disk: Disk::default(),
            callbacks: Callbacks::default(),
            knowledge: Knowledge::default(),
            postmaster: watch::Sender::new(None),
            heartbeat: Mutex::new(None),
            jobs: AtomicUsize::new(0),
            config: RwLock::new(Arc::new(config)),
            senders: watch::Sender::new(Vec::new()),
            configuring: tokio::sync::Mutex::new(()),
            memory: Mutex::new(memory),
        }))
    }

    pub(crate) fn config(&self) -> Arc<PostgresConfig> {
        self.0.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn replace_config(&self, config: PostgresConfig) {
        *self.0.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Held for a few assignments, never across a wait.
    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tools(&self) -> &Tools {
        &self.0.tools
    }

    /// The major version that counts: the data directory's, else the programs'.
    pub(crate) fn major(&self) -> PgMajor {
        self.memory().major.unwrap_or_else(|| self.0.program_version.major())
    }

    /// The running postmaster, if we know of one that lives.
    pub(crate) fn postmaster(&self) -> Option<Arc<Postmaster>> {
        self.0.postmaster.borrow().clone().filter(|postmaster| postmaster.is_alive())
    }

    pub(crate) fn set_postmaster(&self, postmaster: Option<Arc<Postmaster>>) {
        let pid = |postmaster: &Option<Arc<Postmaster>>| postmaster.as_ref().map(|postmaster| postmaster.pid);
        if pid(&self.0.postmaster.borrow()) == pid(&postmaster) {
            return;
        }
        let mut memory = self.memory();
        memory.timeline = None;
        memory.origin = None;
        memory.server_version = None;
        memory.slots = None;
        drop(memory);
        self.0.postmaster.send_replace(postmaster);
    }

    /// Resolves when the running postmaster exits, whoever started it; pends for ever if none runs.
    pub async fn postmaster_exit(&self) {
        let mut changes = self.0.postmaster.subscribe();
        loop {
            let current = changes.borrow_and_update().clone();
            let exited = async {
                match &current {
                    Some(postmaster) => postmaster.exited().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = exited => break,
                // The sender lives in ourselves, so this cannot fail.
                _ = changes.changed() => {}
            }
        }
        self.set_postmaster(None);
    }

    pub fn role(&self) -> Role {
        self.memory().role
    }

    pub fn set_role(&self, role: Role) {
        self.memory().role = role;
    }

    pub fn state(&self) -> State {
        self.memory().state
    }

    pub fn set_state(&self, state: State) {
        self.memory().state = state;
    }

    /// Reads and writes of a few files in or near the data directory, off the async thread.
    pub(crate) async fn files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&PostgresConfig) -> Result<T, crate::PgError> + Send + 'static,
    ) -> Result<T, crate::PgError> {
        self.files_within(FILES, work).await
    }

    /// The same for work that a pass waits for.
    pub(crate) async fn files_soon<T: Send + 'static>(
        &self,
        work: impl FnOnce(&PostgresConfig) -> Result<T, crate::PgError> + Send + 'static,
    ) -> Result<T, crate::PgError> {
        self.files_within(SOON, work).await
    }

    async fn files_within<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce(&PostgresConfig) -> Result<T, crate::PgError> + Send + 'static,
    ) -> Result<T, crate::PgError> {
        let config = self.config();
        self.0.disk.work(within, move || work(&config)).await?
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.0.jobs.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn data_dir(&self) -> std::path::PathBuf {
        self.config().data_dir.clone()
    }
}

/// A job's work on files; it may have to write megabytes to a busy disk, or delete a directory of many files.
const FILES: Duration = Duration::from_secs(600);

/// A few small files; a disk that takes longer hangs.
const SOON: Duration = Duration::from_secs(2);

pub(crate) fn sockets(config: &PostgresConfig) -> Option<&str> {
    config.parameters.get("unix_socket_directories").and_then(serde_json::Value::as_str)
}

pub(crate) fn conf_path(config: &PostgresConfig) -> std::path::PathBuf {
    config.config_dir.join(format!("{}.conf", config.config_base_name))
}

pub(crate) fn is_inside(path: &Path, directory: &Path) -> bool {
    path.starts_with(directory)
}
