//! The frame of a program that runs until it is told to stop: its log, its runtime, and the exit code that service
//! managers go by.

use std::process::ExitCode;

use tamada_core::Leave;
use tamada_model::LogConfig;

use crate::log;

/// Why the program could not start, or cannot go on. One sentence that says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl Refusal {
    pub fn because(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Lives on a runtime of this thread. What was logged is written before this returns, unless nobody takes it.
pub fn live<F>(log: &LogConfig, life: impl FnOnce(log::Handle) -> F) -> ExitCode
where
    F: Future<Output = Result<Leave, Refusal>>,
{
    let log = match log::install(log) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .thread_stack_size(256 * 1024)
        .build()
        .map_err(Refusal::because)
        .and_then(|runtime| {
            let ended = runtime.block_on(life(log.clone()));
            runtime.shutdown_background();
            ended
        });
    let code = match ended {
        Ok(Leave::AsAsked) => ExitCode::SUCCESS,
        Ok(Leave::Refusing) => ExitCode::FAILURE,
        Err(refusal) => {
            tracing::error!(critical = true, "{refusal}");
            ExitCode::FAILURE
        }
    };
    match log.drain() {
        log::Drained::Completely => code,
        // The log's destination hangs (configuration.md 8).
        log::Drained::Stuck(_) => ExitCode::from(5),
    }
}
