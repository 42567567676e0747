//! Writes whose answer is lost: what happened is said as far as it can be known, and never guessed.

use std::time::Duration;

use tamada_dcs::{Freshness, Store, Written};
use tamada_model::{Document, Initialize};

use crate::proxy::{Proxy, Way};
use crate::server::{Server, newest};
use crate::support::{SOON, done, fixed, open, open_a, record};
use std::sync::Arc;

const BRIEF: Duration = Duration::from_secs(2);
/// Half of it is spent on an answer that will not come, the other half on a second try.
const TWICE: Duration = Duration::from_secs(10);

/// A store behind a proxy, with a living lease, and one that sees what is really there.
struct Scene {
    _server: Server,
    proxy: Proxy,
    store: Arc<dyn Store>,
    witness: Arc<dyn Store>,
}

async fn scene() -> Scene {
    let server = Server::alone(newest()).await;
    let proxy = Proxy::to(server.plan.port).await;
    let store = open_a(&fixed(&[proxy.port]), "unclear");
    done(store.touch_member(&record(1), SOON).await);
    let witness = open(&server.config(), "unclear", "witness", Duration::from_secs(30));
    Scene { _server: server, proxy, store, witness }
}

impl Scene {
    async fn leader(&self) -> Option<String> {
        let cluster = self.witness.read(Freshness::Linearizable, SOON).await.expect("the witness reads");
        cluster.leader_name().map(ToString::to_string)
    }
}

#[tokio::test]
async fn an_acquisition_whose_answer_was_lost_is_recognised_as_ours() {
    let scene = scene().await;
    scene.proxy.set_present(Way::SwallowAnswerTo("unclear/leader"));
    let stamp = done(scene.store.acquire_leader(TWICE).await);
    let cluster = scene.witness.read(Freshness::Linearizable, SOON).await.expect("the witness reads");
    assert_eq!(cluster.leader.map(|leader| leader.stamp), Some(stamp));
}

#[tokio::test]
async fn an_acquisition_that_is_never_answered_is_unclear() {
    let scene = scene().await;
    scene.proxy.set(Way::SwallowAnswerTo("unclear/leader"));
    let answer = scene.store.acquire_leader(BRIEF).await;
    assert!(matches!(answer, Written::Unclear(_)), "{answer:?}");
    assert_eq!(scene.leader().await.as_deref(), Some("a"));
    scene.proxy.set(Way::Open);
    done(scene.store.acquire_leader(SOON).await);
}

#[tokio::test]
async fn an_acquisition_lost_to_another_is_beaten_even_when_unclear_before() {
    let scene = scene().await;
    done(scene.witness.acquire_leader(SOON).await);
    scene.proxy.set_present(Way::SwallowAnswerTo("unclear/leader"));
    assert_eq!(scene.store.acquire_leader(TWICE).await, Written::Beaten);
}

#[tokio::test]
async fn a_release_whose_answer_was_lost_is_done() {
    let scene = scene().await;
    done(scene.store.acquire_leader(SOON).await);
    scene.proxy.set_present(Way::SwallowAnswerTo("unclear/leader"));
    done(scene.store.release_leader(None, TWICE).await);
    assert_eq!(scene.leader().await, None);
}

#[tokio::test]
async fn a_swap_whose_answer_was_lost_is_done() {
    let scene = scene().await;
    let first = done(scene.witness.set_config(&Document::new(), None, SOON).await);
    scene.proxy.set_present(Way::SwallowAnswerTo("unclear/config"));
    let document: Document = [("ttl".to_owned(), 30.into())].into_iter().collect();
    let stamp = done(scene.store.set_config(&document, Some(&first), TWICE).await);
    let config = scene.witness.read(Freshness::Linearizable, SOON).await.expect("the witness reads").config;
    assert_eq!(config.map(|read| (read.value, read.stamp)), Some((document, stamp)));
}

/// The value is the same whoever writes it: nobody can say whose it is.
#[tokio::test]
async fn a_bootstrap_whose_answer_was_lost_stays_unclear() {
    let scene = scene().await;
    scene.proxy.set_present(Way::SwallowAnswerTo("unclear/initialize"));
    let answer = scene.store.begin_bootstrap(TWICE).await;
    assert!(matches!(answer, Written::Unclear(_)), "{answer:?}");
    let cluster = scene.witness.read(Freshness::Linearizable, SOON).await.expect("the witness reads");
    assert_eq!(cluster.initialize, Initialize::Underway);
}
