//! Two questions only pg_waldump can answer about the end of a stopped primary's WAL (postgres.md 6.5, ha-loop.md
//! 23.5.6).

use std::path::Path;
use std::time::Duration;

use tamada_model::{Control, ControlState, Lsn, ShutdownPosition, Timeline, WalBytes};

use crate::PgError;
use crate::process::child::{self, Output};
use crate::tools::{Tool, Tools};

/// Reading one or two records; longer means a hanging disk.
const LIMIT: Duration = Duration::from_secs(5);

/// `XLogLongPHD`, the header of a segment's first page.
const SEGMENT_HEADER: u64 = 40;
/// `XLogPageHeaderData`, that of the others.
const PAGE_HEADER: u64 = 24;

/// One line of pg_waldump's output.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    manager: String,
    length: u64,
    lsn: Lsn,
    previous: Option<Lsn>,
    description: String,
}

impl Record {
    /// It may go on behind the header of the next page.
    pub(crate) fn end(&self, page: u64) -> Lsn {
        let fits = self.lsn.bytes() % page + self.length <= page;
        self.lsn + WalBytes::new(self.length + if fits { 0 } else { PAGE_HEADER })
    }
}

/// The shutdown checkpoint and what to publish as the last position. `None` unless pg_control says "shut down".
pub(crate) async fn shutdown_position(tools: &Tools, data_dir: &Path, control: &Control) -> Option<ShutdownPosition> {
    let timeline = control.checkpoint_timeline.filter(|_| control.state == ControlState::ShutDown)?;
    let checkpoint = control.checkpoint;
    let before = switch_before(tools, data_dir, timeline, checkpoint).await;
    Some(ShutdownPosition { checkpoint, publish: before.unwrap_or(checkpoint) })
}

/// With archiving PostgreSQL switches to a new segment just before the shutdown checkpoint.
async fn switch_before(tools: &Tools, data_dir: &Path, timeline: Timeline, checkpoint: Lsn) -> Option<Lsn> {
    let record = record(tools, data_dir, timeline, checkpoint).await?;
    let description = record.description.to_lowercase();
    if record.manager != "XLOG" || !description.starts_with("checkpoint") || !description.ends_with("shutdown") {
        return None;
    }
    let previous = self::record(tools, data_dir, timeline, record.previous?).await?;
    let is_switch = previous.description == "SWITCH" || previous.description == "xlog switch";
    is_switch.then_some(previous.lsn)
}

/// The first record of a timeline that began there, if our WAL has the whole of it.
pub(crate) async fn first_record(tools: &Tools, data_dir: &Path, timeline: Timeline, begun: Lsn) -> Option<Record> {
    let output = dump(tools, data_dir, timeline, begun, 1).await.ok()?;
    // A page that begins there begins with its header.
    let nearby = begun.bytes()..=begun.bytes() + SEGMENT_HEADER;
    output.stdout.lines().find_map(parse).filter(|record| nearby.contains(&record.lsn.bytes()))
}

/// The record that begins exactly at `lsn`.
async fn record(tools: &Tools, data_dir: &Path, timeline: Timeline, lsn: Lsn) -> Option<Record> {
    let output = dump(tools, data_dir, timeline, lsn, 1).await.ok()?;
    output.stdout.lines().next().and_then(parse).filter(|record| record.lsn == lsn)
}

/// Where the shutdown checkpoint's record ends, which is where a successor's history may have left ours. The reader
/// complains about the place after the last record and thereby names it.
pub(crate) async fn checkpoint_end(tools: &Tools, data_dir: &Path, timeline: Timeline, lsn: Lsn) -> Option<Lsn> {
    let output = dump(tools, data_dir, timeline, lsn, 2).await.ok()?;
    let records: Vec<Record> = output.stdout.lines().filter_map(parse).collect();
    let end = match records.as_slice() {
        [only] if only.lsn == lsn => end_in(&output.stderr, lsn),
        _ => None,
    };
    if end.is_none() {
        tracing::error!("Failed to parse pg_waldump output: stdout={} stderr={}", output.stdout, output.stderr);
    }
    end
}

/// `error in WAL record at A: invalid record length at B: …` → B, if A is ours.
fn end_in(complaint: &str, lsn: Lsn) -> Option<Lsn> {
    complaint.lines().find_map(|line| {
        let (_, tail) = line.split_once("error in WAL record at ")?;
        let (at, tail) = tail.split_once(": invalid record length at ")?;
        let end: String = tail.chars().take_while(|c| c.is_ascii_hexdigit() || *c == '/').collect();
        (Lsn::parse(at)? == lsn).then(|| Lsn::parse(&end)).flatten()
    })
}

async fn dump(tools: &Tools, data_dir: &Path, timeline: Timeline, lsn: Lsn, count: u8) -> Result<Output, PgError> {
    let mut command = child::command(&tools.path(Tool::PgWaldump));
    command.env("PGDATA", data_dir).arg("-p").arg(data_dir.join("pg_wal"));
    command.args(["-t", &timeline.to_string(), "-s", &lsn.to_string(), "-n", &count.to_string()]);
    child::ask(command, LIMIT).await
}

/// `rmgr: XLOG  len (rec/tot): 114/ 114, tx: 0, lsn: 0/03000060, prev 0/03000028, desc: CHECKPOINT_SHUTDOWN redo …`
fn parse(line: &str) -> Option<Record> {
    let manager = line.strip_prefix("rmgr: ")?.split_whitespace().next()?.to_owned();
    let (head, tail) = line.split_once(", lsn: ")?;
    let (_, lengths) = head.split_once("len (rec/tot):")?;
    let (total, _) = lengths.split_once('/')?.1.split_once(',')?;
    let (lsn, tail) = tail.split_once(", prev ")?;
    let (previous, description) = tail.split_once(", desc: ")?;
    Some(Record {
        manager,
        length: total.trim().parse().ok()?,
        lsn: Lsn::parse(lsn)?,
        previous: Lsn::parse(previous),
        description: description.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKPOINT: &str = "rmgr: XLOG        len (rec/tot):    114/   114, tx:          0, lsn: 0/03000060, \
        prev 0/03000028, desc: CHECKPOINT_SHUTDOWN redo 0/3000060; tli 1; prev tli 1; oldest running xid 0; shutdown";

    #[test]
    fn records_are_read() {
        let record = parse(CHECKPOINT).unwrap();
        assert_eq!(record.manager, "XLOG");
        assert_eq!(record.end(8192), Lsn::parse("0/30000D2").unwrap());
        assert_eq!(record.lsn, Lsn::parse("0/3000060").unwrap());
        assert_eq!(record.previous, Lsn::parse("0/3000028"));
        assert!(record.description.ends_with("shutdown"));
        // Of which the last 18 bytes lie behind the next page's header.
        let split = Record { lsn: Lsn::parse("0/3001FA0").unwrap(), ..record };
        assert_eq!(split.end(8192), Lsn::parse("0/300202A").unwrap());
    }

    #[test]
    fn the_complaint_names_the_end() {
        let at = Lsn::parse("0/3000060").unwrap();
        let text = "pg_waldump: error: error in WAL record at 0/3000060: invalid record length at 0/30000D8: \
            wanted 24, got 0\n";
        assert_eq!(end_in(text, at), Lsn::parse("0/30000D8"));
        assert_eq!(end_in(text, Lsn::new(1)), None);
    }
}
