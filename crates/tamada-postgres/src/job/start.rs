//! Starting the server (postgres.md 7.3, 7.4).
//!
//! Nothing is written before we know that a start can succeed: a taken port, a directory of another version, or half a
//! rewind end the job with a sentence and an untouched directory. Then the configuration is written, the shared memory
//! of a dead predecessor is waited for, and the postmaster is launched. Its own pid file tells when it is ready, so no
//! connection is attempted before, and its log stays clean.

use std::net::{TcpListener, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use tamada_model::{PendingRestart, PostgresConfig, Role, State, SyncNames};

use super::{JobHand, Outcome};
use crate::callbacks::Callback;
use crate::clock::Deadline;
use crate::configure::parameters::{Parameters, raise_to_minimums};
use crate::configure::{controlled, files};
use crate::inspect::data_dir;
use crate::markers::Underway;
use crate::process::launch::{self, Launch};
use crate::process::pid_file::{self, PidFile, Status};
use crate::process::postmaster::Postmaster;
use crate::process::{orphans, table};
use crate::tools::Tool;
use crate::{PgError, Postgres};

/// How a start ended that did not fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Started {
    Ready,
    /// The limit was reached; the server works on.
    StillStarting,
}

/// What a start shall be.
pub(crate) struct Start {
    pub role: Role,
    /// `None`: `pg_ctl_timeout`.
    pub limit: Option<Duration>,
    /// What to tell when the server is ready; `None`: what was already pending, or nothing.
    pub callback: Option<Callback>,
    pub state: State,
}

impl Postgres {
    /// ha-loop.md 8.4: as it is, in the hope that it comes back as the primary it was.
    pub(super) async fn start_primary(&self, timeout: Duration, hand: &JobHand) -> Outcome {
        let limit = Some(timeout).filter(|timeout| !timeout.is_zero());
        let start = Start { role: Role::Primary, limit, callback: Some(Callback::OnStart), state: State::Starting };
        self.start(start, hand).await.map(Into::into)
    }

    pub(super) async fn start(&self, start: Start, hand: &JobHand) -> Result<Started, PgError> {
        self.close_connections();
        if self.discover().await?.is_some() {
            tracing::error!("Cannot start PostgreSQL because one is already running.");
            self.enter(State::Starting, hand);
            return Ok(Started::StillStarting);
        }
        if let Err(error) = self.check_startable().await {
            self.enter(State::StartFailed, hand);
            return Err(error);
        }
        let config = self.config();
        let limit = start.limit.unwrap_or(if config.pg_ctl_timeout.is_zero() { MINUTE } else { config.pg_ctl_timeout });
        let deadline = Deadline::after(limit);
        self.begin(&start, hand);
        let parameters = self.prepare(&config, start.role).await?;
        let begun = self.launch(&parameters, deadline, hand).await;
        let ended = match begun {
            Ok(postmaster) => self.await_ready(&postmaster, deadline, hand).await,
            Err(error) => Err(error),
        };
        self.conclude(ended, hand).await
    }

    fn begin(&self, start: &Start, hand: &JobHand) {
        let mut memory = self.memory();
        memory.role = start.role;
        memory.pending_restart = PendingRestart::new();
        memory.pending_callback = start.callback.or(memory.pending_callback);
        drop(memory);
        self.enter(start.state, hand);
    }

    /// Whatever makes a start hopeless or harmful, found before anything is written.
    async fn check_startable(&self) -> Result<(), PgError> {
        let (notes, programs) = (self.0.notes.clone(), self.0.program_version.major());
        let major = self.files(move |config| {
            if notes.find(Underway::Rewind).is_some() {
                return Err(PgError::Misconfigured(format!(
                    "pg_rewind was interrupted in {:?} and may have left a mixture of files: it has to be rewound or \
                     reinitialized before PostgreSQL can run there",
                    config.data_dir
                )));
            }
            check_port(config)?;
            Ok(data_dir::major(&config.data_dir))
        });
        let major = major.await?.ok_or_else(|| {
            PgError::Misconfigured("the data directory has no readable PG_VERSION: reinitialize this member".to_owned())
        })?;
        self.memory().major = Some(major);
        if major != programs {
            return Err(PgError::Misconfigured(format!(
                "the data directory was created by PostgreSQL {major}, but the programs in {} are version {programs}: set \
                 postgresql.bin_dir to version {major}'s programs",
                self.tools().place()
            )));
        }
        Ok(())
    }

    /// Parameters, files and directories for the start.
    async fn prepare(&self, config: &Arc<PostgresConfig>, role: Role) -> Result<Parameters, PgError> {
        if !role.is_primary() {
            // 16.12: nobody commits here.
            self.memory().sync_names = Some(SyncNames::off());
        }
        let mut parameters = self.wanted_parameters(config, role).await;
        let wanted = parameters.clone();
        if !role.is_primary() {
            self.refresh_control(Deadline::after(MINUTE)).await;
            let major = self.major();
            let account = self.memory().control.clone();
            if let Some(account) = account {
                let pending = raise_to_minimums(&mut parameters, &account, major);
                self.memory().pending_restart = pending;
            }
        }
        let (recovery, custom) = {
            let memory = self.memory();
            (memory.recovery.clone(), memory.custom_bootstrap)
        };
        if custom.is_some_and(|custom| custom.without_hot_standby) {
            parameters.insert("hot_standby".into(), "off".into());
        }
        let written = parameters.clone();
        self.files(move |config| {
            files::check_directories(config, &written)?;
            files::write_conf(config, &written, &recovery)?;
            match custom {
                Some(custom) => files::write_trust(config, custom.keeps_recovery),
                None => {
                    files::clean_auto_conf(config).and_then(|()| files::write_access(config, &written, role)).map(drop)
                }
            }
        })
        .await?;
        let addresses =
            crate::address::Addresses::new(config, parameters.get("unix_socket_directories").map(String::as_str));
        let mut memory = self.memory();
        memory.addresses = addresses;
        memory.parameters = wanted;
        Ok(parameters)
    }

    async fn launch(
        &self,
        parameters: &Parameters,
        deadline: Deadline,
        hand: &JobHand,
    ) -> Result<Arc<Postmaster>, PgError> {
        let left = self.files(|config| Ok(pid_file::read(&config.data_dir).map(PidFile::resolved))).await?;
        if !orphans::wait_gone(left, deadline.left()).await {
            return Err(PgError::Misconfigured(
                "processes of the previous server still hold its shared memory: end them".to_owned(),
            ));
        }
        if !hand.cancel.commit() {
            tracing::info!("PostgreSQL start cancelled.");
            return Err(PgError::Cancelled);
        }
        let launch = self.launch_words(parameters).await?;
        let program = launch.program.display().to_string();
        let pid = launch::launch(&launch).map_err(|source| PgError::NotRun { tool: program, source })?;
        tracing::info!("postmaster pid={pid}");
        let started = table::stat(pid).and_then(|stat| table::created_at(&stat)).unwrap_or_default();
        let started = tamada_model::Wall::from_micros(started * 1_000_000);
        let postmaster = Postmaster::watch(pid, started, None).map(Arc::new).ok_or_else(|| self.died_at_once())?;
        self.set_postmaster(Some(Arc::clone(&postmaster)));
        Ok(postmaster)
    }

    async fn launch_words(&self, parameters: &Parameters) -> Result<Launch, PgError> {
        let data_dir = self.data_dir();
        let mut words = vec!["-D".to_owned(), data_dir.display().to_string()];
        words.push(format!("--config-file={}", self.conf_path().display()));
        words.extend(controlled::command_line(parameters));
        let program = self.tools().file_name(Tool::Postgres).to_owned();
        let stranger = self.files(move |config| Ok(pid_file::left_behind(&config.data_dir, &program))).await?;
        if let Some(pid) = stranger {
            tracing::info!("Telling pg_ctl that it is safe to ignore postmaster.pid for process {pid}");
        }
        Ok(Launch { program: self.tools().path(Tool::Postgres), words, ignore_pid: stranger })
    }

    fn died_at_once(&self) -> PgError {
        PgError::Misconfigured("PostgreSQL ended right after it was launched; its log says why".to_owned())
    }

    /// Waits until the server accepts connections, or its pid file says it never will as things are.
    async fn await_ready(
        &self,
        postmaster: &Arc<Postmaster>,
        deadline: Deadline,
        hand: &JobHand,
    ) -> Result<Started, PgError> {
        let mut pause = FIRST_LOOK;
        loop {
            if self.says_ready(postmaster.pid).await {
                return Ok(Started::Ready);
            }
            if deadline.has_passed() {
                return Ok(Started::StillStarting);
            }
            tokio::select! {
                () = postmaster.exited() => {
                    tracing::error!("postmaster is not running");
                    return Err(self.died_at_once());
                }
                () = hand.cancel.cancelled() => return Err(PgError::Cancelled),
                () = tokio::time::sleep(pause) => pause = (pause * 3 / 2).min(LAST_LOOK),
            }
        }
    }

    async fn says_ready(&self, pid: i32) -> bool {
        let data_dir = self.data_dir();
        let file = self.0.disk.work(MINUTE, move || pid_file::read(&data_dir)).await;
        let Some(file) = file.ok().flatten().filter(|file| file.pid == pid) else { return false };
        self.recognise(Some(&file));
        file.status == Status::Ready
    }

    async fn conclude(&self, ended: Result<Started, PgError>, hand: &JobHand) -> Result<Started, PgError> {
        match &ended {
            Ok(Started::Ready) => {
                self.started().await;
                hand.tell(super::JobProgress::Working(State::Running));
            }
            Ok(Started::StillStarting) => tracing::warn!("Timed out waiting for PostgreSQL to start"),
            Err(PgError::Cancelled) if self.postmaster().is_some() => {}
            Err(_) => {
                self.enter(State::StartFailed, hand);
                self.save_backups().await;
            }
        }
        ended
    }

    /// The server accepts connections: tell whoever wants to know, and keep copies of its configuration (7.4, 4.6).
    pub(crate) async fn started(&self) {
        let (pending, role) = {
            let mut memory = self.memory();
            memory.state = State::Running;
            (memory.pending_callback.take(), memory.role)
        };
        if let Some(callback) = pending {
            self.fire(callback, role);
        }
        self.save_backups().await;
    }

    /// Not of the makeshift configuration of a custom bootstrap (4.6).
    pub(super) async fn save_backups(&self) {
        if self.memory().custom_bootstrap.is_some() {
            return;
        }
        let saved = self.files(|config| {
            files::save_backups(config);
            Ok(())
        });
        if let Err(error) = saved.await {
            tracing::warn!("Could not keep copies of the configuration: {}", error.in_words());
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// A server with little to recover is ready within some tens of milliseconds.
const FIRST_LOOK: Duration = Duration::from_millis(5);
/// One with much to recover does not notice us asking this often.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// Whether somebody else listens on our port. Only when every address is taken: PostgreSQL itself is content with one.
fn check_port(config: &PostgresConfig) -> Result<(), PgError> {
    let mut taken = 0;
    let mut addresses = 0;
    for host in config.listen_addresses.split(',').map(str::trim).filter(|host| !host.is_empty()) {
        let host = if host == "*" { "0.0.0.0" } else { host };
        for address in (host, config.port).to_socket_addrs().into_iter().flatten() {
            addresses += 1;
            let bound = TcpListener::bind(address);
            taken += usize::from(bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse));
        }
    }
    if addresses > 0 && taken == addresses {
        return Err(PgError::Misconfigured(format!(
            "port {} on {} is taken by another program: stop it or change postgresql.listen",
            config.port, config.listen_addresses
        )));
    }
    Ok(())
}
