//! `tamada voter`: a voter of the embedded store without PostgreSQL. Two members and such a witness survive the loss of
//! any one of them; two members alone do not.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tamada_config::{Environment, Local, VoterChecked, check_for_voter, lines};
use tamada_core::Leave;

use crate::life::{self, Refusal};
use crate::signals::{Signals, Told};
use crate::store::Part;
use crate::{init, log};

/// What it was told, and what that means.
struct Configured {
    local: Local,
    checked: VoterChecked,
}

pub fn run(path: Option<PathBuf>) -> ExitCode {
    match Configured::load(path.as_deref()) {
        Ok(configured) => {
            let config = configured.checked.log.clone();
            life::live(&config, |log| vote(configured, log))
        }
        Err(complaints) => {
            eprintln!("{complaints}");
            ExitCode::FAILURE
        }
    }
}

async fn vote(mut configured: Configured, log: log::Handle) -> Result<Leave, Refusal> {
    for line in &configured.checked.adjustments {
        tracing::warn!("{line}");
    }
    let mut signals = Signals::new().map_err(Refusal::because)?;
    let part = Part::begin(&configured.checked.raft).await.map_err(Refusal)?;
    tracing::info!("voting in the embedded store as {}", configured.checked.voter.self_addr);
    init::notify_ready();
    loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::Stop => break,
                Told::Reload => configured.reload(&log),
            },
            why = part.failure() => return Err(Refusal(why)),
        }
    }
    init::notify_stopping();
    part.end().await;
    Ok(Leave::AsAsked)
}

impl Configured {
    fn load(path: Option<&Path>) -> Result<Self, String> {
        let (environment, _) = Environment::take_from_process();
        Self::of(tamada_config::load(path, environment).map_err(|failure| failure.to_string())?)
    }

    fn of(local: Local) -> Result<Self, String> {
        let checked = check_for_voter(&local).map_err(|complaints| lines(&complaints))?;
        Ok(Self { local, checked })
    }

    /// The log is all that can change under a voter that runs. A file that cannot be used changes nothing.
    fn reload(&mut self, log: &log::Handle) {
        init::notify_reloading();
        let read = self.local.reload().unwrap_or_else(|| Ok(self.local.clone()));
        match read.map_err(|failure| failure.to_string()).and_then(Self::of) {
            Ok(fresh) => self.follow(fresh, log),
            Err(why) => tracing::error!("the configuration cannot be used, the one in force stays: {why}"),
        }
        init::notify_ready();
    }

    fn follow(&mut self, fresh: Self, log: &log::Handle) {
        if fresh.checked.raft != self.checked.raft {
            tracing::warn!("what changed in the section `raft` is in force when this voter is started again");
        }
        // A rotated log file is opened anew, changed or not.
        if let Err(error) = log.apply(&fresh.checked.log) {
            tracing::error!("the log configuration could not be applied: {error}");
        }
        *self = fresh;
    }
}
