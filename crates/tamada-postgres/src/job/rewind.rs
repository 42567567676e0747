//! pg_rewind: taking back what this member wrote and the cluster never had (ha-loop.md 23.6–23.9).
//!
//! It overwrites files in place. If the machine dies meanwhile, what is left is of two histories at once and must not
//! be started; a note beside the directory says so until pg_rewind has ended well.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tamada_model::{CheckpointFirst, ControlState, JobEnd, PgMajor, State, Stop, StopMode, Timeline, Upstream, begun};

use super::stop::Tell;
use super::{JobHand, Outcome};
use crate::clock::Deadline;
use crate::configure::{files, validate};
use crate::connect::rewind_credentials;
use crate::dsn;
use crate::markers::Underway;
use crate::options::{For, options};
use crate::pgpass;
use crate::process::child::{self, Output};
use crate::process::pid_file;
use crate::supervisor::{conf_path, is_inside};
use crate::tools::Tool;
use crate::wal;
use crate::{PgError, Postgres};

/// The server whose history we take over.
struct From {
    name: String,
    host: String,
    port: u16,
}

/// How the data to be rewound came to its end.
enum Ended {
    Cleanly,
    /// In a crash, on a timeline of its own: pg_rewind may end it in single-user mode, which writes a checkpoint.
    AsPrimary,
    /// In a crash, on a timeline that is another's. Nothing may be written there.
    AsStandby,
}

impl Postgres {
    pub(super) async fn rewind(&self, upstream: &Upstream, trusted: bool, hand: &JobHand) -> Outcome {
        let Some(from) = source(upstream) else {
            return Ok(JobEnd::NotNow("there is no server with an address to rewind from".to_owned()));
        };
        if self.discover().await?.is_some() {
            let fast = Stop {
                mode: StopMode::Fast,
                checkpoint: CheckpointFirst::No,
                timeout: None,
                report_shutdown: false,
                purpose: "rewind".to_owned(),
            };
            if let Err(error) = self.stop(&fast, Tell::Yes, hand).await {
                tracing::warn!("Can not run pg_rewind because postgres is still running");
                return Err(error);
            }
        }
        self.archive_ready(hand).await;
        if let Err(why) = self.check_source(&from, trusted).await {
            tracing::warn!("Can not use {} for rewind: {why}", from.name);
            return Ok(JobEnd::NotNow(why));
        }
        self.enter(State::Stopped, hand);
        let way = match self.way_of(upstream).await {
            Ok(way) => way,
            Err(why) => return Ok(JobEnd::NotNow(format!("{} cannot be asked: {why}", from.name))),
        };
        match self.ended().await {
            Ended::Cleanly => {}
            Ended::AsPrimary => self.files(files::remove_recovery).await?,
            Ended::AsStandby => {
                let why = "PostgreSQL crashed as a standby: it must be started and stopped before a rewind";
                return Ok(JobEnd::Failed(why.to_owned()));
            }
        }
        let done = self.run_rewind(&from, &way, hand).await?;
        self.memory().control = None;
        if !done {
            return Ok(self.not_rewound(&from).await);
        }
        self.erase_rewind_note().await?;
        Ok(JobEnd::Done)
    }

    /// The timelines that led to the source, each with its beginning; the last one first.
    async fn way_of(&self, source: &Upstream) -> Result<Vec<String>, String> {
        let leader = self.leader_position(source, Timeline::FIRST).await?;
        let history = leader.history.ok_or("its timeline history could not be read")?;
        let later = begun(&history, leader.timeline).map(|begun| format!("{} {}", begun.timeline, begun.from.1));
        let mut way: Vec<String> = std::iter::once(Timeline::FIRST.to_string()).chain(later).collect();
        way.reverse();
        Ok(way)
    }

    /// 1. A standby on timeline 1 crashes just as it is stopped for a rewind. A checkpoint is written behind its WAL.
    /// 2. pg_rewind fails, and the member is started as what it was. Its timeline 1 ends with a record that no other
    ///    has. No history shows that, and nobody looks: there is only one timeline 1.
    /// 3. Another leads from there. The two are mixed.
    ///
    /// PostgreSQL refuses such a run as long as `standby.signal` is there, but not in what was copied or rewound and not
    /// started since.
    async fn ended(&self) -> Ended {
        self.refresh_control(Deadline::after(CONTROL)).await;
        let state = self.memory().control.as_ref().map(|control| control.state);
        let copied = self.files(|config| Ok(config.data_dir.join("backup_label").exists())).await;
        match state {
            Some(ControlState::ShutDown | ControlState::ShutDownInRecovery) => Ended::Cleanly,
            Some(state) if state.is_dirty_primary() && copied.is_ok_and(|copied| !copied) => Ended::AsPrimary,
            Some(_) | None => Ended::AsStandby,
        }
    }

    /// Writes down that the files are being changed; tells whether that was written there already, by one who was cut
    /// short and has touched the files whatever we do.
    ///
    /// 1. A rewind from c is cut short: some blocks are c's.
    /// 2. b leads, and our WAL parts from b's later than it did from c's. pg_rewind does not look at those blocks.
    ///
    /// Therefore what was cut short goes on only with a source that came the same way.
    async fn note_rewind(&self, way: &[String]) -> Result<bool, PgError> {
        let (notes, way) = (self.0.notes.clone(), way.to_vec());
        self.files(move |config| {
            let failed = || PgError::file("noting the rewind beside", &config.data_dir);
            let before = notes.find(Underway::Rewind).is_some();
            let from = notes.find(Underway::RewindSource).and_then(|path| std::fs::read_to_string(path).ok());
            if before && !from.is_some_and(|from| way.contains(&from)) {
                let why = "an earlier pg_rewind was cut short, and was from another history: a new copy is needed";
                return Err(PgError::Misconfigured(why.to_owned()));
            }
            if let Some(last) = way.first().filter(|_| !before) {
                notes.write_text(Underway::RewindSource, last).map_err(failed())?;
            }
            notes.write(Underway::Rewind).map_err(failed())?;
            Ok(before)
        })
        .await
    }

    async fn erase_rewind_note(&self) -> Result<(), PgError> {
        let notes = self.0.notes.clone();
        self.files(move |_| {
            notes.erase(Underway::Rewind);
            notes.erase(Underway::RewindSource);
            Ok(())
        })
        .await
    }

    /// 23.8: with a leader that is gone it may work next time; with a healthy one it never will.
    async fn not_rewound(&self, from: &From) -> JobEnd {
        if self.check_source(from, true).await.is_err() {
            tracing::warn!("Failed to rewind because primary {} become unreachable", from.name);
            return JobEnd::NotNow(format!("primary {} became unreachable during pg_rewind", from.name));
        }
        tracing::error!("Failed to rewind from healthy primary: {}", from.name);
        JobEnd::Failed(format!("pg_rewind from the healthy primary {} failed", from.name))
    }

    /// The server must be a primary that has made its first checkpoint (23.6). The text says what is missing.
    async fn check_source(&self, from: &From, trusted: bool) -> Result<(), String> {
        let inaccessible = |error: PgError| format!("not accessible or not healthy: {}", error.in_words());
        let asked = async {
            let mut client = self.connect_to(&from.host, from.port).await?;
            if client.ask_row("SELECT pg_is_in_recovery()").await?.truth(0) {
                return Ok(Err("is_in_recovery=true".to_owned()));
            }
            if trusted {
                return Ok(Ok(()));
            }
            self.make_sure_of_checkpoint(&mut client).await
        };
        tokio::time::timeout(CHECK, asked).await.unwrap_or(Err(PgError::TimedOut(CHECK))).map_err(inaccessible)?
    }

    /// A primary that was just promoted shows its new timeline in pg_control only after a checkpoint; before, pg_rewind
    /// would take the old one for true and do nothing.
    async fn make_sure_of_checkpoint(&self, client: &mut crate::client::Client) -> Result<Result<(), String>, PgError> {
        let config = self.config();
        if rewind_credentials(&config).username == config.superuser.username {
            client.limit = None;
            client.ask("SET statement_timeout = 0").await?;
            client.ask("CHECKPOINT").await?;
            return Ok(Ok(()));
        }
        let sql = "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int = timeline_id \
                   FROM pg_control_checkpoint()";
        let checkpointed = client.ask_row(sql).await?.truth(0);
        Ok(if checkpointed { Ok(()) } else { Err("leader has not run a checkpoint yet".to_owned()) })
    }

    /// Runs it, as often as it can be helped with a missing WAL segment; tells whether it ended well.
    async fn run_rewind(&self, from: &From, way: &[String], hand: &JobHand) -> Result<bool, PgError> {
        let cut_short_before = self.note_rewind(way).await?;
        let restore_command = self.setting_after_restart("restore_command").await.filter(|command| !command.is_empty());
        let restores_itself = restore_command.is_some() && self.rewind_restores();
        loop {
            let output = self.run_once(from, restores_itself, hand).await?;
            tracing::info!("pg_rewind exit code={}", output.code);
            tracing::info!(" stdout={}", output.stdout.trim());
            tracing::info!(" stderr={}", output.stderr.trim());
            if output.ok() {
                return Ok(true);
            }
            let missing = wal::missing_segment(&output.stderr).or_else(|| wal::missing_segment(&output.stdout));
            let fetched = match (&restore_command, missing) {
                (Some(command), Some(segment)) if !restores_itself => self.fetch(command, &segment, hand).await?,
                (_, _) => false,
            };
            if !fetched {
                if !cut_short_before && left_untouched(&output) {
                    self.erase_rewind_note().await?;
                }
                return Ok(false);
            }
        }
    }

    async fn run_once(&self, from: &From, restores_itself: bool, hand: &JobHand) -> Result<Output, PgError> {
        let config = self.config();
        let credentials = rewind_credentials(&config);
        let mut dsn = dsn::to_server(&from.host, from.port, credentials);
        dsn.set("dbname", &config.database);
        dsn.set("target_session_attrs", "read-write");
        let dsn = dsn.text(self.0.program_version.major());
        tracing::info!("running pg_rewind from {dsn}");
        let mut command = child::command(&self.tools().path(Tool::PgRewind));
        command.env("PGOPTIONS", "-c statement_timeout=0");
        let lines = pgpass::lines(&pgpass::Server { host: &from.host, port: from.port }, credentials);
        let program = self.tools().file_name(Tool::Postgres).to_owned();
        let (has_password, left_behind) = self
            .files(move |config| {
                let written = pgpass::write(&config.pgpass, &lines);
                let written = written.map_err(PgError::file("writing the password file", &config.pgpass))?;
                Ok((written, pid_file::left_behind(&config.data_dir, &program)))
            })
            .await?;
        command.envs(has_password.then_some(("PGPASSFILE", &config.pgpass)));
        // It may have to run a server by itself to end a crash cleanly.
        command.envs(left_behind.map(|pid| ("PG_GRANDPARENT_PID", pid.to_string())));
        command.arg("-D").arg(&config.data_dir).args(["--source-server", &dsn]);
        if restores_itself {
            command.arg("--restore-target-wal");
            command.args(self.config_file_option().map(|path| format!("--config-file={}", path.display())));
        }
        let user = options(&config.rewind_options, For::Rewind);
        user.complaints.iter().for_each(|complaint| tracing::error!("{complaint}"));
        command.args(user.words);
        child::run_collecting(command, &hand.cancel, |group| self.0.notes.name_group(Underway::Rewind, group)).await
    }

    /// From 15 always, before only with the configuration inside the data directory.
    fn rewind_restores(&self) -> bool {
        let config = self.config();
        let major = self.major();
        major >= PgMajor::of(15) || (major >= PgMajor::of(13) && is_inside(&config.config_dir, &config.data_dir))
    }

    fn config_file_option(&self) -> Option<PathBuf> {
        let config = self.config();
        let outside = !is_inside(&config.config_dir, &config.data_dir);
        (outside && self.major() >= PgMajor::of(15)).then(|| conf_path(&config))
    }

    /// A segment that pg_rewind misses, brought back from the archive; tells whether that worked.
    async fn fetch(&self, restore_command: &str, segment: &str, hand: &JobHand) -> Result<bool, PgError> {
        let path = Path::new("pg_wal").join(segment);
        let line = wal::expand(restore_command, &path.to_string_lossy(), segment);
        let Some((program, words)) = crate::words::split(&line).and_then(|w| Some((w.first()?.clone(), w))) else {
            return Ok(false);
        };
        tracing::info!("Trying to fetch the missing wal: {line}");
        let mut command = child::with(tokio::process::Command::new(program), &words[1..]);
        command.current_dir(self.data_dir());
        match child::run(command, &hand.cancel).await {
            Ok(0) => Ok(true),
            Err(PgError::Cancelled) => Err(PgError::Cancelled),
            Ok(_) | Err(_) => {
                tracing::info!("Failed to fetch WAL segment {segment} required for pg_rewind");
                Ok(false)
            }
        }
    }

    /// Segments that were not archived yet would be lost by what follows (23.9).
    pub(super) async fn archive_ready(&self, hand: &JobHand) {
        let mode = self.setting_after_restart("archive_mode").await;
        let command = self.setting_after_restart("archive_command").await;
        let (Some("on" | "always"), Some(command)) = (mode.as_deref(), command.filter(|line| !line.is_empty())) else {
            return;
        };
        let ready = self.files(|config| Ok(wal::ready_segments(&config.data_dir))).await.unwrap_or_default();
        for segment in ready {
            let path = Path::new("pg_wal").join(&segment);
            let line = wal::expand(&command, &path.to_string_lossy(), &segment);
            tracing::info!("Trying to archive {segment}: {line}");
            let mut shell = tokio::process::Command::new("/bin/sh");
            shell.arg("-c").arg(&line).current_dir(self.data_dir());
            if !matches!(child::run(shell, &hand.cancel).await, Ok(0)) {
                tracing::info!("Failed to archive WAL segment {segment}");
                return;
            }
            // If the note cannot be changed, the segment is archived a second time, which archives must bear.
            let _ = self.files(move |config| Ok(wal::mark_done(&config.data_dir, &segment))).await;
        }
    }

    /// What the files say a parameter will be, whether or not a server runs.
    pub(crate) async fn setting_after_restart(&self, name: &str) -> Option<String> {
        let config = self.config();
        let words = [format!("--config-file={}", conf_path(&config).display())];
        validate::value_after_restart(self.tools(), &config.data_dir, &words, name).await
    }
}

/// Connecting, asking, and a checkpoint that may have to write much.
const CHECK: Duration = Duration::from_secs(300);

/// pg_controldata reads one small file.
const CONTROL: Duration = Duration::from_secs(10);

/// Whether pg_rewind failed before it wrote anything: while connecting, while comparing the histories, or because it
/// could not read all of the WAL. Then the directory is as good as before.
fn left_untouched(output: &Output) -> bool {
    let said = |text: &str| output.stderr.contains(text) || output.stdout.contains(text);
    let wal_missing = wal::missing_segment(&output.stderr).or_else(|| wal::missing_segment(&output.stdout)).is_some();
    !said("rewinding from last common checkpoint") || wal_missing
}

fn source(upstream: &Upstream) -> Option<From> {
    match upstream {
        Upstream::Nobody => None,
        Upstream::Member(member) => {
            Some(From { name: member.name.to_string(), host: member.host.clone(), port: member.port })
        }
        Upstream::Remote(remote) => Some(From {
            name: "remote member".to_owned(),
            host: remote.host.clone()?,
            port: remote.port.unwrap_or(5432),
        }),
    }
}
