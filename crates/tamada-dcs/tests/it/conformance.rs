//! The conformance suite on every version of etcd.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tamada_dcs::clock::mono;
use tamada_dcs::conformance::{Bench, CHECKS};
use tamada_dcs::{Answer, Store};

use crate::admin::{self, Revoke};
use crate::server::{self, Server};
use crate::support::open;

struct Etcd {
    server: Server,
}

impl Bench for Etcd {
    fn open(&self, scope: &str, member: &str, ttl: Duration) -> Arc<dyn Store> {
        open(&self.server.config(), scope, member, ttl)
    }

    /// etcd can keep two seconds; on a busy machine as much may pass between two of our calls.
    fn shortest_ttl(&self) -> Duration {
        Duration::from_secs(4)
    }

    /// etcd looks for expired leases twice a second and revokes them through its log; the machine may be busy.
    fn late_by(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn pass(&self, time: Duration) -> Answer<'_, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn now(&self) -> Duration {
        mono().since_boot()
    }

    fn end_session(&self, session: &str) -> Answer<'_, ()> {
        let id = session.parse().expect("a lease id");
        Box::pin(async move {
            admin::ask(self.server.plan.port, Revoke { id }).await;
        })
    }
}

async fn etcd_conforms(binary: PathBuf) {
    conforms(Arc::new(Etcd { server: Server::alone(binary).await })).await;
}

async fn conforms<B: Bench + 'static>(bench: Arc<B>) {
    let running: Vec<_> = CHECKS.iter().map(|check| (check.name, tokio::spawn(check.run(bench.clone())))).collect();
    let mut broken = Vec::new();
    for (name, check) in running {
        match check.await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => broken.push(format!("{name}: {why}")),
            Err(panic) => broken.push(format!("{name}: {panic}")),
        }
    }
    assert!(broken.is_empty(), "{} of {} checks failed:\n{}", broken.len(), CHECKS.len(), broken.join("\n"));
}

#[tokio::test]
async fn etcd_3_4_conforms() {
    etcd_conforms(server::debians()).await;
}

#[tokio::test]
async fn etcd_3_5_conforms() {
    etcd_conforms(server::of_version("3.5")).await;
}

#[tokio::test]
async fn etcd_3_6_conforms() {
    etcd_conforms(server::of_version("3.6")).await;
}

#[tokio::test]
async fn etcd_3_7_conforms() {
    etcd_conforms(server::newest()).await;
}
