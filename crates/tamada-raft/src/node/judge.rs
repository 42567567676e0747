//! When a lease has run out: the consensus leader says so, by its own clock, and the log makes it true everywhere.
//!
//! The instants come from `consensus::Leases`, which tells why none of them is too early. A judgement names the renewal
//! it is about, so that one which was on its way when the lease ran out still saves it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Node;
use super::standing::Lead;
use crate::{Command, clock};

/// Timers stand still while the host sleeps, leases do not: never sleep longer than this.
const NAP: Duration = Duration::from_secs(1);
/// After a judgement that did not get into the log.
const AGAIN: Duration = Duration::from_millis(50);

pub(super) async fn judge(node: Arc<Node>) {
    let mut applied = node.machine.applied();
    loop {
        if node.lead() != Lead::Me {
            node.another_leads(&node.lead()).await;
            continue;
        }
        let due = node.machine.ran_out(clock::now());
        if due.is_empty() {
            let next = node.machine.next_end().map_or(NAP, |end| end.saturating_sub(clock::now()).min(NAP));
            tokio::select! {
                () = sleep(next) => {}
                _ = applied.changed() => {}
            }
            continue;
        }
        if node.proposer.propose(Command::Expire(due)).await.is_err() {
            sleep(AGAIN).await;
        }
    }
}
