//! A copy by the operator's own program (postgres.md 13.4).

use serde_json::Value;
use tamada_model::Document;
use tamada_model::document::{scalar_text, truthy};
use tokio::process::Command;

use super::JobHand;
use super::bootstrap::Emptied;
use super::clone::Source;
use crate::process::child;
use crate::words;
use crate::{PgError, Postgres};

impl Postgres {
    pub(super) async fn custom_method(
        &self,
        name: &str,
        section: &Document,
        source: &Source,
        hand: &JobHand,
    ) -> Result<(), PgError> {
        let line = section.get("command").map_or(name.to_owned(), scalar_text);
        let words = words::split(&line).unwrap_or_default();
        let Some((program, first)) = words.split_first() else {
            return Err(PgError::Misconfigured(format!("the command of replica method {name} cannot be understood")));
        };
        let mut command = child::with(Command::new(program), first);
        command.args(self.arguments(section, source));
        command.envs(source.passfile.as_ref().map(|file| ("PGPASSFILE", file)));
        let keep = section.get("keep_data").is_some_and(truthy);
        let emptied = if keep { Emptied::Not } else { Emptied::First };
        let ended = self.fill_directory(command, emptied, hand).await;
        if keep && !matches!(ended, Ok(0)) {
            tracing::info!("Leaving data directory uncleaned");
        }
        match ended? {
            0 => Ok(()),
            code => Err(PgError::Exited {
                tool: line,
                code: code.to_string(),
                complaint: "its messages are in our log".to_owned(),
            }),
        }
    }

    /// `--key=value` for every key, and the four standard ones unless `no_params`.
    fn arguments(&self, section: &Document, source: &Source) -> Vec<String> {
        let config = self.config();
        let no_params = section.get("no_params").is_some_and(truthy);
        let ours = ["no_params", "no_leader", "keep_data"];
        let given = |key: &str| key != "command" && !(no_params && ours.contains(&key));
        let mut arguments: Vec<(String, String)> = section
            .iter()
            .filter(|(key, value)| given(key) && !matches!(value, Value::Null))
            .map(|(key, value)| (key.clone(), scalar_text(value)))
            .collect();
        if !no_params {
            let standard = [
                ("scope", config.scope.clone()),
                ("role", "replica".to_owned()),
                ("datadir", config.data_dir.display().to_string()),
                ("connstring", source.dsn.clone()),
            ];
            arguments.extend(standard.map(|(key, value)| (key.to_owned(), value)));
        }
        arguments.into_iter().map(|(key, value)| format!("--{key}={value}")).collect()
    }
}
