//! `store recover`: for the operator who has lost the majority of the voters for good.

use std::path::Path;

use crate::consensus::{self, Alone};
use crate::disk::Disk;

/// Lets the stopped node of this folder go on alone, as a new store with what it has of the old one. Answers with what
/// was done and what to do next; the error is a sentence for the operator.
pub fn recover(data_dir: &Path, self_addr: &str) -> Result<String, String> {
    if !data_dir.is_dir() {
        return Err(format!("{} does not exist: there is nothing to recover", data_dir.display()));
    }
    let disk = Disk::open(data_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| format!("no runtime can be started: {error}"))?;
    let alone = runtime.block_on(async {
        let alone = consensus::go_on_alone(&disk, self_addr).await;
        disk.close().await;
        alone
    });
    let alone = alone.map_err(|why| format!("{}: {why}", data_dir.display()))?;
    Ok(told(self_addr, &alone))
}

fn told(self_addr: &str, Alone { cluster, revision, others }: &Alone) -> String {
    let alone = format!(
        "{self_addr} is the only voter of a new store now, {cluster:016x}, with what it had up to revision {revision}."
    );
    if others.is_empty() {
        return format!("{alone} Start it.");
    }
    format!(
        "{alone} Start it. Then, on {}: make sure that the old node is stopped, move its raft.data_dir away, start it; when \
         it has joined, `store promote` gives it a vote. Nodes of the old store are refused as long as they have its data.",
        others.join(", ")
    )
}
