//! A primary that our predecessor left running, while the store cannot be read.
//!
//! 1. The agent of a primary is killed and started again; PostgreSQL runs on.
//! 2. The store cannot be reached from here. The predecessor's lease ends, and another member is promoted.
//! 3. We wait for the store, and clients still write here.
//!
//! Therefore it is stopped before a whole lease has passed since we began to wait, as a leader would stop it that cannot
//! renew. How much of the lease was left we do not know; the predecessor's guard does, and comes first. Without one, two
//! may be writable until then.

use std::time::Duration;

use tamada_model::{CheckpointFirst, Job, Role, State, Stop, StopMode};
use tamada_postgres::{JobHand, Look, Postgres};

/// Longer than a healthy server needs to answer, short enough to be done within the lease.
const LOOK: Duration = Duration::from_secs(2);

/// Whether there is one.
pub async fn runs(postgres: &Postgres) -> bool {
    postgres.look(Look { leader_timeline: None, within: LOOK }).await.may_be_writable()
}

pub async fn stop(postgres: &Postgres, within: Duration) {
    if !runs(postgres).await {
        return;
    }
    tracing::info!("demoting self because DCS is not accessible and I was a leader");
    postgres.set_role(Role::Primary);
    let stop = Stop {
        mode: StopMode::Fast,
        checkpoint: CheckpointFirst::No,
        timeout: Some(within),
        report_shutdown: false,
        purpose: "demotion".into(),
    };
    // What is still there afterwards is seen, and stopped again, in the next round.
    postgres.run(Job::Stop(stop), JobHand::new(State::Stopping)).await;
}
