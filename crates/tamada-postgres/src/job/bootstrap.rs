//! A new cluster: initdb or the operator's own method, then the first start (postgres.md 12.1–12.4).

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tamada_model::document::{boolean, scalar_text, truthy};
use tamada_model::{Document, PostgresConfig, Role, Secret, State};
use tokio::sync::oneshot;

use super::remove::immediately;
use super::start::Start;
use super::stop::Tell;
use super::{JobHand, Outcome};
use crate::callbacks::Callback;
use crate::configure::{files, recovery};
use crate::inspect::data_dir::{self, Files};
use crate::markers::Underway;
use crate::options::{For, options};
use crate::process::child;
use crate::supervisor::CustomBootstrap;
use crate::tools::Tool;
use crate::words;
use crate::{PgError, Postgres};

impl Postgres {
    pub(super) async fn bootstrap(&self, hand: &JobHand) -> Outcome {
        self.check_empty(hand).await?;
        self.memory().bootstrapping = true;
        let config = self.config();
        let state = match &config.bootstrap.method {
            Some((_, section)) => self.custom_bootstrap(section, hand).await?,
            None => self.initdb(hand).await?,
        };
        self.files(files::prepare_first_start).await?;
        let role = if self.recovery_configured().await? { Role::Replica } else { Role::Primary };
        let start = Start { role, limit: None, callback: Some(Callback::OnStart), state };
        self.start(start, hand).await.map(Into::into)
    }

    /// Whoever asks to fill the directory believes it empty; if that is wrong, nothing may be lost by it.
    /// A server whose directory was taken away from under it has nothing to lose either.
    pub(super) async fn check_empty(&self, hand: &JobHand) -> Result<(), PgError> {
        let notes = self.0.notes.clone();
        self.files(move |config| match data_dir::look(&config.data_dir, &notes) {
            Files::Empty => Ok(()),
            Files::Unreadable(why) => Err(PgError::Misconfigured(format!("{:?}: {why}", config.data_dir))),
            Files::Present(_) => {
                Err(PgError::Misconfigured(format!("data directory {:?} is not empty", config.data_dir)))
            }
        })
        .await?;
        if self.postmaster().is_some() {
            self.stop(&immediately(Some(self.config().retry_timeout)), Tell::No, hand).await?;
        }
        Ok(())
    }

    async fn recovery_configured(&self) -> Result<bool, PgError> {
        self.files(|config| Ok(data_dir::recovery_configured(&config.data_dir))).await
    }

    /// Runs what fills the directory, with a note beside it as long as it is not done.
    async fn initdb(&self, hand: &JobHand) -> Result<State, PgError> {
        self.enter(State::InitDb, hand);
        let done = self.run_initdb(hand).await;
        if done.is_err() {
            self.enter(State::InitDbFailed, hand);
        }
        done?;
        self.reread_version().await?;
        Ok(State::Starting)
    }

    async fn run_initdb(&self, hand: &JobHand) -> Result<(), PgError> {
        let config = self.config();
        let user = options(&config.bootstrap.initdb, For::InitDb);
        if !user.complaints.is_empty() {
            return Err(PgError::Misconfigured(user.complaints.join("; ")));
        }
        let mut command = child::command(&self.tools().path(Tool::InitDb));
        // The locale of the new cluster is the operator's, not the one in which we read messages.
        command.env_remove("LC_ALL").env_remove("LANG");
        for name in ["LC_ALL", "LANG"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.args(&user.words);
        if let Some(name) = &config.superuser.username {
            command.arg(format!("--username={name}"));
        }
        let password = match &config.superuser.password {
            Some(secret) if !secret.is_empty() => Some(PasswordFile::write(secret)?),
            Some(_) | None => None,
        };
        command.args(password.as_ref().map(|file| format!("--pwfile={}", file.0.display())));
        command.arg("-D").arg(&config.data_dir);
        match self.fill_directory(command, Emptied::First, hand).await? {
            0 => Ok(()),
            code => Err(PgError::Exited {
                tool: "initdb".to_owned(),
                code: code.to_string(),
                complaint: "its messages are in our log".to_owned(),
            }),
        }
    }

    /// The operator's method (12.3).
    async fn custom_bootstrap(&self, section: &Document, hand: &JobHand) -> Result<State, PgError> {
        self.enter(State::CustomBootstrap, hand);
        let done = self.run_custom_bootstrap(section, hand).await;
        if done.is_err() {
            self.enter(State::CustomBootstrapFailed, hand);
        }
        done?;
        self.files(|config| {
            files::restore_backups(config)?;
            files::remove_trigger(config)
        })
        .await?;
        self.reread_version().await?;
        self.configure_target(section).await?;
        self.memory().custom_bootstrap = Some(custom(section));
        Ok(State::BootstrapStarting)
    }

    async fn run_custom_bootstrap(&self, section: &Document, hand: &JobHand) -> Result<(), PgError> {
        let config = self.config();
        let line = section.get("command").map(scalar_text).unwrap_or_default();
        let words = words::split(&line).unwrap_or_default();
        let Some((program, first)) = words.split_first() else {
            return Err(PgError::Misconfigured(format!("the bootstrap command `{line}` cannot be understood")));
        };
        let words: Vec<String> = first.iter().cloned().chain(custom_words(&config, section)).collect();
        tracing::info!("Running custom bootstrap script: {program} {}", words.join(" "));
        let command = child::with(tokio::process::Command::new(program), &words);
        match self.fill_directory(command, Emptied::First, hand).await? {
            0 => Ok(()),
            code => Err(PgError::Exited {
                tool: line,
                code: code.to_string(),
                complaint: "the custom bootstrap failed".to_owned(),
            }),
        }
    }

    /// Recovery to a target, what the method left, or none at all (12.3).
    async fn configure_target(&self, section: &Document) -> Result<(), PgError> {
        if let Some(conf) = section.get("recovery_conf").and_then(Value::as_object) {
            let wanted = recovery::to_target(&self.config(), conf, self.major());
            let written = wanted.clone();
            self.files(move |config| files::write_recovery(config, &written)).await?;
            self.memory().recovery = wanted.parameters;
            return Ok(());
        }
        let keep = section.get("keep_existing_recovery_conf").is_some_and(truthy);
        if keep { Ok(()) } else { self.files(files::remove_recovery).await }
    }

    /// Runs a program that fills the data directory; tells its exit code. Whatever ends this half way leaves a note.
    pub(super) async fn fill_directory(
        &self,
        command: tokio::process::Command,
        emptied: Emptied,
        hand: &JobHand,
    ) -> Result<i32, PgError> {
        let notes = self.0.notes.clone();
        self.files(move |config| {
            notes.end_leftover_work(Underway::Copy);
            if let Err(error) = notes.write(Underway::Copy) {
                tracing::warn!("No note of this copy could be written ({error}); if it is cut short, clean up by hand");
            }
            match emptied {
                Emptied::First => super::remove::clear(&config.data_dir)?,
                Emptied::Not => {}
            }
            files::create_data_dir(config)
        })
        .await?;
        let notes = self.0.notes.clone();
        let run = child::run_told(command, &hand.cancel, |group| notes.name_group(Underway::Copy, group));
        let code = match emptied {
            Emptied::First => self.marked_inside(run).await,
            // What was there before is no garbage.
            Emptied::Not => run.await,
        }?;
        if code == 0 {
            let notes = self.0.notes.clone();
            self.files(move |config| {
                crate::markers::unmark_inside(&config.data_dir)
                    .map_err(PgError::file("removing the note in", &config.data_dir))?;
                notes.erase(Underway::Copy);
                Ok(())
            })
            .await?;
        }
        Ok(code)
    }

    /// Keeps the inner note alive while `run` writes.
    async fn marked_inside<T>(&self, run: impl Future<Output = T>) -> T {
        let (at_work, ended) = oneshot::channel();
        let run = async {
            let done = run.await;
            drop(at_work);
            done
        };
        tokio::join!(run, self.keep_marking(ended)).0
    }

    /// Ends with no note on its way: one that was written after the copy had been found complete would stay for ever.
    async fn keep_marking(&self, mut ended: oneshot::Receiver<Infallible>) {
        loop {
            tokio::select! {
                _ = &mut ended => return,
                () = tokio::time::sleep(MARK_EVERY) => {}
            }
            let data_dir = self.data_dir();
            // A disk that hangs holds up the program as well.
            let _ = self.0.disk.work(MARK_WITHIN, move || crate::markers::mark_inside(&data_dir)).await;
        }
    }

    pub(super) async fn reread_version(&self) -> Result<(), PgError> {
        self.forget_data();
        let major = self.files(|config| Ok(data_dir::major(&config.data_dir))).await?;
        self.memory().major = major;
        Ok(())
    }
}

const MARK_EVERY: Duration = Duration::from_millis(20);
const MARK_WITHIN: Duration = Duration::from_secs(60);

/// 5.7: a recovery that ends by itself must not stop at a parameter that was raised meanwhile.
fn custom(section: &Document) -> CustomBootstrap {
    let keeps_recovery = section.get("keep_existing_recovery_conf").is_some_and(truthy);
    let conf = section.get("recovery_conf").and_then(Value::as_object);
    let says = |key: &str| conf.and_then(|conf| conf.get(key));
    let promotes = says("recovery_target_action").is_some_and(|action| scalar_text(action) == "promote")
        || says("pause_at_recovery_target").and_then(boolean) == Some(false);
    CustomBootstrap { keeps_recovery, without_hot_standby: keeps_recovery || promotes }
}

/// Whether what lies in the directory is removed before it is filled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Emptied {
    First,
    /// The method makes use of what is there (`keep_data`).
    Not,
}

/// 12.3: scope and directory, then every key that is not ours.
fn custom_words(config: &PostgresConfig, section: &Document) -> Vec<String> {
    let no_params = section.get("no_params").is_some_and(truthy);
    let standard = [format!("--scope={}", config.scope), format!("--datadir={}", config.data_dir.display())].map(Some);
    let ours = ["command", "no_params", "keep_existing_recovery_conf", "recovery_conf", "scope", "datadir"];
    let others = section
        .iter()
        .filter(|(key, _)| !ours.contains(&key.as_str()))
        .map(|(key, value)| format!("--{key}={}", scalar_text(value)));
    standard.into_iter().flatten().filter(|_| !no_params).chain(others).collect()
}

/// A password on its way to initdb; removed when dropped.
struct PasswordFile(PathBuf);

impl PasswordFile {
    fn write(secret: &Secret) -> Result<Self, PgError> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let name = format!("tamada-{}-{}", std::process::id(), crate::clock::now().since_boot().as_nanos());
        let file = Self(std::env::temp_dir().join(name));
        let failed = |error| PgError::file("writing the password for initdb to", &file.0)(error);
        let mut open = std::fs::OpenOptions::new();
        let mut to = open.write(true).create_new(true).mode(0o600).open(&file.0).map_err(failed)?;
        to.write_all(secret.expose().as_bytes()).map_err(failed)?;
        Ok(file)
    }
}

impl Drop for PasswordFile {
    fn drop(&mut self) {
        remove_quietly(&self.0);
    }
}

fn remove_quietly(path: &Path) {
    // It lies in a directory for temporary files, readable by us alone.
    let _ = std::fs::remove_file(path);
}
