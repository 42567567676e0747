//! The bell.

use std::sync::Arc;
use std::time::Duration;

use tamada_model::{Document, FailoverRequest, Lsn, MemberName, Status, SyncState};
use tokio::sync::watch::Receiver;

use super::{Checked, SOON, Scene, done, record};
use crate::{Renewal, Store};

impl Scene {
    /// The bell of this store, after the ring with which its watch began.
    async fn bell(&self, of: &Arc<dyn Store>) -> Result<Receiver<u64>, String> {
        let mut bell = of.changed();
        self.rung("at its beginning", &mut bell).await?;
        Ok(bell)
    }

    async fn rung(&self, when: &str, bell: &mut Receiver<u64>) -> Checked {
        tokio::select! {
            rung = bell.changed() => rung.map_err(|_| "the bell is gone".to_owned()),
            () = self.bench.pass(SOON) => Err(format!("the bell did not ring {when}")),
        }
    }
}

pub async fn the_bell_rings_for_what_concerns_a_member(scene: Scene) -> Checked {
    let (a, b) = (scene.open("a"), scene.open("b"));
    let mut bell = scene.bell(&b).await?;
    done(a.touch_member(&record(1), SOON).await)?;
    scene.rung("for a coming member", &mut bell).await?;
    done(a.begin_bootstrap(SOON).await)?;
    scene.rung("for initialize", &mut bell).await?;
    done(a.acquire_leader(SOON).await)?;
    scene.rung("for a new leader", &mut bell).await?;
    done(a.set_config(&Document::new(), None, SOON).await)?;
    scene.rung("for config", &mut bell).await?;
    let request = FailoverRequest { candidate: Some(MemberName::from("b")), ..FailoverRequest::default() };
    done(a.set_failover(&request, None, SOON).await)?;
    scene.rung("for failover", &mut bell).await?;
    done(a.set_sync(&SyncState::default(), None, SOON).await)?;
    scene.rung("for sync", &mut bell).await?;
    let status = Some(Status { optime: Lsn::new(1), ..Status::default() });
    done(a.renew_leader(Renewal { status, failsafe: None }, SOON).await)?;
    scene.rung("for the leader's status", &mut bell).await?;
    done(a.delete_member(SOON).await)?;
    scene.rung("for a going member", &mut bell).await?;
    done(a.release_leader(None, SOON).await)?;
    scene.rung("for a released lock", &mut bell).await
}

pub async fn the_bell_is_silent_about_the_leaders_own_status(scene: Scene) -> Checked {
    let a = scene.open("a");
    done(a.acquire_leader(SOON).await)?;
    let mut bell = scene.bell(&a).await?;
    for position in 1..=3 {
        let status = Some(Status { optime: Lsn::new(position), ..Status::default() });
        done(a.renew_leader(Renewal { status, failsafe: None }, SOON).await)?;
    }
    tokio::select! {
        _ = bell.changed() => Err("the bell rang".to_owned()),
        () = scene.bench.pass(Duration::from_millis(300)) => Ok(()),
    }
}

pub async fn the_bell_rings_when_a_lock_expires(scene: Scene) -> Checked {
    let (a, b) = (scene.open_brief("a"), scene.open("b"));
    done(a.acquire_leader(SOON).await)?;
    let mut bell = scene.bell(&b).await?;
    drop(a);
    scene.rung("for an expired lock", &mut bell).await
}
