//! Which parameters PostgreSQL would accept, asked of PostgreSQL itself.
//!
//! A parameter with a wrong name or value keeps the server from starting, and then one typing mistake in the cluster's
//! configuration stops every node at its next restart. So what cannot be right is left out or brought into range, with
//! a warning (postgres.md 5.9, 5.10). The original ships a table of rules per version for that; the installed programs
//! know the same and are never out of date: `postgres --describe-config` lists names, types and ranges, and for what
//! it does not tell (words of enumerations, hidden parameters) `postgres -C` tries the value and says yes or no.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use super::units::{self, Unit};
use crate::process::child;
use crate::tools::{Tool, Tools};

/// The program only reads its own tables; more means the disk with the programs hangs.
const LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Bool,
    Integer { min: f64, max: f64 },
    Real { min: f64, max: f64 },
    Enum,
    String,
}

/// What the installed programs told us; asked once.
#[derive(Default)]
pub(crate) struct Knowledge {
    described: OnceCell<BTreeMap<String, Kind>>,
    /// (name, value) → accepted.
    tried: Mutex<BTreeMap<(String, String), bool>>,
    warned: Mutex<BTreeSet<String>>,
}

/// What becomes of one parameter.
#[derive(Debug, PartialEq)]
enum Verdict {
    Keep,
    Replace(String, String),
    Remove(String),
}

impl Knowledge {
    /// Leaves in `parameters` what PostgreSQL will accept. Each warning is given once.
    pub async fn sift(&self, tools: &Tools, parameters: &mut BTreeMap<String, String>) {
        let described = self.described.get_or_init(|| describe(tools)).await;
        // Without an answer from the programs nothing can be judged; the start will show.
        if described.is_empty() {
            return;
        }
        let mut doubtful = Vec::new();
        let mut warnings = Vec::new();
        parameters.retain(|name, value| match judge(described.get(name).copied(), name, value) {
            None => {
                doubtful.push((name.clone(), value.clone()));
                true
            }
            Some(Verdict::Keep) => true,
            Some(Verdict::Replace(new, warning)) => {
                *value = new;
                warnings.push(warning);
                true
            }
            Some(Verdict::Remove(warning)) => {
                warnings.push(warning);
                false
            }
        });
        for (name, value) in doubtful {
            if !self.accepts(tools, &name, &value).await {
                warnings.push(refusal(described.get(&name).copied(), &name, &value));
                parameters.remove(&name);
            }
        }
        self.warn(warnings);
    }

    async fn accepts(&self, tools: &Tools, name: &str, value: &str) -> bool {
        let key = (name.to_owned(), value.to_owned());
        let known = self.tried.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some(known) = known {
            return known;
        }
        let Some(accepted) = try_value(tools, name, value).await else { return true };
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).insert(key, accepted);
        accepted
    }

    /// The same mistake is found at every start and reload; saying it once is enough.
    pub fn warn(&self, warnings: Vec<String>) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        for warning in warnings {
            if !warned.contains(&warning) {
                tracing::warn!("{warning}");
                warned.insert(warning);
            }
        }
    }
}

/// `None`: only PostgreSQL itself can say.
fn judge(kind: Option<Kind>, name: &str, value: &str) -> Option<Verdict> {
    let unit = units::of_parameter(name);
    Some(match kind {
        // A name of an extension's; its rules are known only when it is loaded.
        None if name.contains('.') => Verdict::Keep,
        None | Some(Kind::Enum) => return None,
        Some(Kind::String) => Verdict::Keep,
        Some(Kind::Bool) => match value.to_lowercase().as_str() {
            "on" | "off" | "true" | "false" | "yes" | "no" | "1" | "0" => Verdict::Keep,
            _ => Verdict::Remove(refusal(kind, name, value)),
        },
        Some(Kind::Integer { min, max } | Kind::Real { min, max }) => match units::number(value, unit) {
            Some(number) => in_range(name, value, Range { number, min, max }, unit),
            None if unit.is_none() && units::number(value.trim_end_matches(char::is_alphabetic), None).is_some() => {
                // A number in a unit we know nothing about.
                return None;
            }
            None => Verdict::Remove(refusal(kind, name, value)),
        },
    })
}

struct Range {
    number: f64,
    min: f64,
    max: f64,
}

fn in_range(name: &str, value: &str, range: Range, unit: Option<Unit>) -> Verdict {
    let Range { number, min, max } = range;
    let shown = |limit: f64| unit.map_or_else(|| limit.to_string(), |unit| unit.show(limit));
    if number < min {
        let warning = format!("Value={value} of parameter={name} is too low, increasing to {}", shown(min));
        Verdict::Replace(min.to_string(), warning)
    } else if number > max {
        let warning = format!("Value={value} of parameter={name} is too big, decreasing to {}", shown(max));
        Verdict::Replace(max.to_string(), warning)
    } else {
        Verdict::Keep
    }
}

fn refusal(kind: Option<Kind>, name: &str, value: &str) -> String {
    let kind = match kind {
        None => return format!("Removing unexpected parameter={name} value={value} from the config"),
        Some(Kind::Bool) => "bool",
        Some(Kind::Integer { .. }) => "integer",
        Some(Kind::Real { .. }) => "real",
        Some(Kind::Enum) => "enum",
        Some(Kind::String) => "string",
    };
    format!("Removing {kind} parameter={name} from the config due to the invalid value={value}")
}

async fn describe(tools: &Tools) -> BTreeMap<String, Kind> {
    let command = child::with(child::command(&tools.path(Tool::Postgres)), ["--describe-config"]);
    match child::ask(command, LIMIT).await {
        Ok(output) if output.ok() => output.stdout.lines().filter_map(description).collect(),
        Ok(_) | Err(_) => BTreeMap::new(),
    }
}

/// name, context, group, type, default, min, max, …
fn description(line: &str) -> Option<(String, Kind)> {
    let fields: Vec<&str> = line.split('\t').collect();
    let range = || Some((fields.get(5)?.parse().ok()?, fields.get(6)?.parse().ok()?));
    let kind = match *fields.get(3)? {
        "BOOLEAN" => Kind::Bool,
        "INTEGER" => range().map(|(min, max)| Kind::Integer { min, max })?,
        "REAL" => range().map(|(min, max)| Kind::Real { min, max })?,
        "ENUM" => Kind::Enum,
        _ => Kind::String,
    };
    Some(((*fields.first()?).to_owned(), kind))
}

/// Lets the program read the value and print it; `None` if it could not be run.
async fn try_value(tools: &Tools, name: &str, value: &str) -> Option<bool> {
    let mut command = child::command(&tools.path(Tool::Postgres));
    // Any directory will do: nothing is read from it but the file we name.
    command.args(["-C", name, "-D", "/", "--config-file=/dev/null"]).arg(format!("--{name}={value}"));
    child::ask(command, LIMIT).await.ok().map(|output| output.ok())
}

/// The value that would be in force after a restart, as `postgres -C` computes it from the files.
pub(crate) async fn value_after_restart(
    tools: &Tools,
    data_dir: &std::path::Path,
    words: &[String],
    name: &str,
) -> Option<String> {
    let mut command = child::command(&tools.path(Tool::Postgres));
    command.arg("-D").arg(data_dir).args(["-C", name]).args(words);
    let output = child::ask(command, LIMIT).await.ok()?;
    output.ok().then(|| output.stdout.trim_end_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_read() {
        let line = "archive_timeout\tsighup\tGroup\tINTEGER\t0\t0\t1073741823\tSets.\t";
        assert_eq!(
            description(line),
            Some(("archive_timeout".into(), Kind::Integer { min: 0.0, max: 1_073_741_823.0 }))
        );
        assert!(description("nonsense").is_none());
    }

    #[test]
    fn numbers_are_brought_into_range() {
        let kind = Some(Kind::Integer { min: 16.0, max: 100.0 });
        assert_eq!(judge(kind, "shared_buffers", "256kB"), Some(Verdict::Keep));
        let Some(Verdict::Replace(value, warning)) = judge(kind, "shared_buffers", "64kB") else { panic!() };
        assert_eq!(value, "16");
        assert_eq!(warning, "Value=64kB of parameter=shared_buffers is too low, increasing to 128kB");
        assert!(matches!(judge(kind, "shared_buffers", "many"), Some(Verdict::Remove(_))));
    }

    #[test]
    fn words_are_left_to_postgresql() {
        assert_eq!(judge(Some(Kind::Enum), "archive_mode", "always"), None);
        assert_eq!(judge(None, "allow_in_place_tablespaces", "on"), None);
        assert_eq!(judge(None, "pg_stat_statements.max", "many"), Some(Verdict::Keep));
        assert!(matches!(judge(Some(Kind::Bool), "autovacuum", "perhaps"), Some(Verdict::Remove(_))));
    }
}
