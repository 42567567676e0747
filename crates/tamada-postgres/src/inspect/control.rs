//! pg_control: the data directory's own account of itself (postgres.md 6.1–6.3).

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use tamada_model::{Control, ControlState, Lsn, SystemId, Timeline};

use crate::PgError;
use crate::process::child;
use crate::tools::{Tool, Tools};

/// pg_controldata reads one small file; when that takes longer the disk hangs.
const LIMIT: Duration = Duration::from_secs(5);

/// What pg_controldata said: the lines decisions use, and the identity.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Account {
    pub system_id: Option<SystemId>,
    pub control: Control,
}

pub(crate) async fn ask(tools: &Tools, data_dir: &Path, within: Duration) -> Result<Account, PgError> {
    let command = child::with(child::command(&tools.path(Tool::PgControldata)), [data_dir]);
    let output = child::ask(command, within.min(LIMIT)).await?;
    if !output.ok() {
        let complaint = output.stderr.trim().to_owned();
        return Err(PgError::Exited { tool: "pg_controldata".into(), code: output.code.to_string(), complaint });
    }
    if is_damaged(&output.stdout) || is_damaged(&output.stderr) {
        let complaint =
            format!("{} is damaged: its checksum does not match", data_dir.join("global/pg_control").display());
        return Err(PgError::Exited { tool: "pg_controldata".into(), code: output.code.to_string(), complaint });
    }
    Ok(read(&output.stdout))
}

/// It warns, prints the nonsense it found and ends well: to standard output until release 16, to standard error since.
fn is_damaged(text: &str) -> bool {
    text.to_ascii_lowercase().contains("calculated crc checksum does not match")
}

fn read(text: &str) -> Account {
    let lines = lines(text);
    let find = |key: &str| lines.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let lsn = |key| find(key).and_then(Lsn::parse).unwrap_or_default();
    let timeline = |key| find(key).and_then(|text| text.parse().ok()).and_then(Timeline::new);
    let control = Control {
        state: find("Database cluster state").map_or(ControlState::Unknown, ControlState::parse),
        checkpoint: lsn("Latest checkpoint location"),
        checkpoint_timeline: timeline("Latest checkpoint's TimeLineID"),
        min_recovery_end: lsn("Minimum recovery ending location"),
        min_recovery_end_timeline: timeline("Min recovery ending loc's timeline"),
        wal_log_hints: find("wal_log_hints setting") == Some("on"),
        checksums: find("Data page checksum version").is_some_and(|version| version != "0"),
        lines: Vec::new(),
    };
    let system_id = find("Database system identifier").and_then(SystemId::parse);
    Account { system_id, control: Control { lines, ..control } }
}

fn lines(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.replacen("Current ", "", 1), value.trim().to_owned()))
        .collect()
}

/// A value of the output by its key, as PostgreSQL prints it.
pub(crate) fn value<'a>(control: &'a Control, key: &str) -> Option<&'a str> {
    control.lines.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

pub(crate) fn segment_size(control: &Control) -> Option<u64> {
    value(control, "Bytes per WAL segment")?.parse().ok().filter(|size: &u64| size.is_power_of_two())
}

/// The cluster state straight from the file: cheap enough to be watched while a server stops. Only a hint; what counts
/// is pg_controldata, which checks the file. System identifier, two versions, then the state: that has been the
/// beginning of the file in every release.
pub(crate) fn peek(data_dir: &Path) -> io::Result<ControlState> {
    let mut head = [0; 20];
    File::open(data_dir.join("global/pg_control"))?.read_exact(&mut head)?;
    Ok(match u32::from_ne_bytes([head[16], head[17], head[18], head[19]]) {
        0 => ControlState::StartingUp,
        1 => ControlState::ShutDown,
        2 => ControlState::ShutDownInRecovery,
        3 => ControlState::ShuttingDown,
        4 => ControlState::InCrashRecovery,
        5 => ControlState::InArchiveRecovery,
        6 => ControlState::InProduction,
        _ => ControlState::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "\
pg_control version number:            1300
Database system identifier:           7277694203142172922
Database cluster state:               shut down in recovery
pg_control last modified:             Mon 23 Nov 2026 12:00:00 PM UTC
Latest checkpoint location:           0/3000060
Latest checkpoint's REDO WAL file:    000000010000000000000003
Latest checkpoint's TimeLineID:       2
Minimum recovery ending location:     0/30000D8
Min recovery ending loc's timeline:   2
wal_log_hints setting:                on
max_connections setting:              100
Current max_worker_processes setting: 8
Data page checksum version:           0
";

    #[test]
    fn the_lines_decisions_use_are_read() {
        let account = read(SAMPLE);
        assert_eq!(account.system_id, SystemId::parse("7277694203142172922"));
        let control = account.control;
        assert_eq!(control.state, ControlState::ShutDownInRecovery);
        assert_eq!(control.checkpoint, Lsn::parse("0/3000060").unwrap());
        assert_eq!(control.checkpoint_timeline, Timeline::new(2));
        assert_eq!(control.min_recovery_end, Lsn::parse("0/30000D8").unwrap());
        assert!(control.wal_log_hints && !control.checksums);
        assert_eq!(value(&control, "max_connections setting"), Some("100"));
        assert_eq!(value(&control, "max_worker_processes setting"), Some("8"));
        assert_eq!(control.lines.len(), 13);
    }

    #[test]
    fn a_wrong_checksum_is_noticed_in_both_spellings() {
        assert!(is_damaged("WARNING: Calculated CRC checksum does not match value stored in file.\n"));
        assert!(is_damaged(
            "pg_controldata: warning: calculated CRC checksum does not match value stored in control file"
        ));
        assert!(!is_damaged(SAMPLE));
    }

    #[test]
    fn nothing_is_made_up() {
        let account = read("nonsense without meaning\n");
        assert_eq!(account.system_id, None);
        assert_eq!(account.control.state, ControlState::Unknown);
        assert_eq!(account.control.checkpoint_timeline, None);
    }
}
