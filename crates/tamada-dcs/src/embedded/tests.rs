//! Writes that are carried out late, on a real voter: made when it is time, sent when it is not any more.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tamada_model::{MemberName, StoreScope};
use tamada_raft::link::Security;
use tamada_raft::{Client, KeyValue, Outcome, Refusal, Submitted, Txn, Voter, VoterConfig};
use tamada_testing::free_port;

use super::ops::{put, range, txn};
use super::store::Embedded;
use crate::clock::Deadline;
use crate::ours::News;
use crate::tree::{Keyed, Lock, Tree};
use crate::{Renewal, Written};

/// Guards against hanging, and says nothing about how long anything should take.
const LIMIT: Duration = Duration::from_secs(60);
/// Longer than any test takes.
const TTL: Duration = Duration::from_secs(300);

struct Scene {
    voter: Option<Voter>,
    folder: PathBuf,
}

impl Scene {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("tamada-dcs-late-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        let config = VoterConfig {
            data_dir: folder.clone(),
            self_addr: format!("127.0.0.1:{}", free_port()),
            bind_addr: None,
            partner_addrs: Vec::new(),
            security: Security::default(),
        };
        Self { voter: Some(Voter::start(config).expect("a voter that starts")), folder }
    }

    fn client(&self) -> Client {
        self.voter.as_ref().expect("it runs until the end").client()
    }

    fn member(&self, name: &str) -> Embedded {
        let (loop_wait, retry_timeout) = (TTL / 4, TTL / 3);
        let base = "/service/batman".to_owned();
        Embedded::new(
            self.client(),
            StoreScope { base, name: MemberName::from(name), ttl: TTL, loop_wait, retry_timeout },
        )
    }

    async fn carry_out(&self, late: Txn) -> Outcome {
        match self.client().submit(late, LIMIT).await {
            Submitted::Done(outcome) => outcome,
            other @ (Submitted::Unclear(_) | Submitted::Failed(_)) => panic!("no answer: {other:?}"),
        }
    }

    async fn key(&self, path: &str) -> Option<KeyValue> {
        let key = format!("/service/batman/{path}").into_bytes();
        let found = self.member("nobody").look_one(range(key), soon()).await.expect("an answer");
        found.kvs.into_iter().next()
    }

    async fn leader(&self) -> Option<String> {
        self.key("leader").await.map(|kv| String::from_utf8_lossy(&kv.value).into_owned())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(self.voter.take());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn soon() -> Deadline {
    Deadline::after(LIMIT)
}

fn done(written: Written) {
    assert!(matches!(written, Written::Done(_)), "{written:?}");
}

/// What we do next, after a write that was not answered.
async fn goes_on(member: &Embedded) {
    done(member.touch("{}".to_owned(), soon()).await);
}

#[tokio::test]
async fn an_acquisition_that_we_gave_up_is_not_carried_out() {
    let scene = Scene::new();
    let a = scene.member("a");
    let lease = a.ensure_lease(soon()).await.expect("a lease");
    for late in [a.acquiring(lease), a.seizing(lease, 0, &News::default())] {
        a.lease.doubt();
        goes_on(&a).await;
        assert_eq!(scene.carry_out(late).await.result, Err(Refusal::LeaseNotFound));
        assert_eq!(scene.leader().await, None);
    }
}

#[tokio::test]
async fn a_release_ends_what_was_asked_before() {
    let scene = Scene::new();
    let a = scene.member("a");
    let lease = a.ensure_lease(soon()).await.expect("a lease");
    let late = a.acquiring(lease);
    done(a.acquire(soon()).await);
    a.lease.doubt();
    done(a.release(None, soon()).await);
    assert_eq!(scene.carry_out(late).await.result, Err(Refusal::LeaseNotFound));
    assert_eq!(scene.leader().await, None);
}

#[tokio::test]
async fn an_acquisition_that_was_carried_out_unheard_comes_along() {
    let scene = Scene::new();
    let a = scene.member("a");
    let lease = a.ensure_lease(soon()).await.expect("a lease");
    scene.carry_out(a.acquiring(lease)).await.result.expect("the lease is there");
    a.lease.doubt();
    goes_on(&a).await;
    assert_eq!(scene.leader().await.as_deref(), Some("a"));
    done(a.renew(Renewal::default(), soon()).await);
    assert_eq!(scene.client().lease(lease, LIMIT).await.expect("an answer"), None, "it was left");
}

#[tokio::test]
async fn taking_the_lock_late_spares_whoever_has_it_since() {
    let scene = Scene::new();
    let (a, b) = (scene.member("a"), scene.member("b"));
    let lease = a.ensure_lease(soon()).await.expect("a lease");
    let late = a.seizing(lease, 0, &News::default());
    done(b.acquire(soon()).await);
    assert!(!scene.carry_out(late).await.result.expect("not refused").held);
    assert_eq!(scene.leader().await.as_deref(), Some("b"));
}

#[tokio::test]
async fn a_late_release_spares_the_next_reign() {
    let scene = Scene::new();
    let a = scene.member("a");
    done(a.acquire(soon()).await);
    let since = scene.key("leader").await.expect("the lock is taken").created;
    let late = a.releasing(Some(since), Some(put(b"/service/batman/status".to_vec(), "100")));
    done(a.release(None, soon()).await);
    done(a.acquire(soon()).await);
    assert!(!scene.carry_out(late).await.result.expect("not refused").held);
    assert_eq!(scene.leader().await.as_deref(), Some("a"));
    assert_eq!(scene.key("status").await, None);
}

/// Nobody sees a member go and come, or the lock free.
#[tokio::test]
async fn a_new_ttl_takes_the_keys_along() {
    let scene = Scene::new();
    let a = scene.member("a");
    goes_on(&a).await;
    done(a.acquire(soon()).await);
    let old = scene.key("leader").await.expect("the lock is taken");
    a.set_times(TTL * 2, TTL / 3);
    done(a.renew(Renewal::default(), soon()).await);
    let (leader, member) = (scene.key("leader").await, scene.key("members/a").await);
    let (leader, member) = (leader.expect("still ours"), member.expect("still there"));
    assert_eq!((leader.created, member.version), (old.created, 2));
    assert_eq!(leader.lease, member.lease);
    assert_ne!(leader.lease, old.lease);
    let lease = scene.client().lease(leader.lease, LIMIT).await.expect("an answer").expect("it is there");
    assert_eq!(lease.ttl, TTL * 2);
    goes_on(&a).await;
    assert_eq!(scene.key("members/a").await, Some(member), "nothing was to be written");
}

#[tokio::test]
async fn a_lease_that_ended_is_replaced() {
    let scene = Scene::new();
    let a = scene.member("a");
    let lease = a.ensure_lease(soon()).await.expect("a lease");
    scene.carry_out(txn([], [tamada_raft::Op::Revoke(lease)], [])).await.result.expect("it is there");
    a.lease.doubt();
    done(a.acquire(soon()).await);
    assert_ne!(a.ensure_lease(soon()).await.expect("a lease"), lease);
}
