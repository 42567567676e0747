//! Users, passwords and tokens.

use std::path::PathBuf;
use std::time::Duration;

use tamada_dcs::{Freshness, Renewal, StoreError};
use tamada_model::{Etcd3Config, Secret};

use crate::admin::{self, AddRole, AddUser, EnableAuth, GrantPermission, GrantRole, Permission};
use crate::server::{Plan, Server, debians, newest};
use crate::support::{SOON, done, open_a, record, rung};

/// A server where user `patroni` may touch `/service/` and user `guest` nothing.
async fn guarded(binary: PathBuf) -> Server {
    let server = Plan::new(binary).with(&["--auth-token-ttl", "1"]).start();
    server.answers().await;
    let port = server.plan.port;
    for name in ["root", "patroni", "guest"] {
        admin::ask(port, AddUser { name: name.into(), password: format!("{name}-secret") }).await;
        admin::ask(port, AddRole { name: name.into() }).await;
        admin::ask(port, GrantRole { user: name.into(), role: name.into() }).await;
    }
    let permission = Some(Permission { kind: 2, key: b"/service/".to_vec(), range_end: b"/service0".to_vec() });
    admin::ask(port, GrantPermission { role: "patroni".into(), permission }).await;
    admin::ask(port, EnableAuth {}).await;
    server
}

fn as_user(server: &Server, user: &str, password: &str) -> Etcd3Config {
    Etcd3Config { username: Some(user.into()), password: Some(Secret::new(password)), ..server.config() }
}

async fn refusal(config: &Etcd3Config) -> String {
    match open_a(config, "auth").read(Freshness::Linearizable, SOON).await {
        Err(StoreError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

async fn outlives_its_tokens(binary: PathBuf) {
    let server = guarded(binary).await;
    let store = open_a(&as_user(&server, "patroni", "patroni-secret"), "auth");
    done(store.acquire_leader(SOON).await);
    done(store.touch_member(&record(1), SOON).await);
    let mut bell = store.changed();
    rung(&mut bell).await;
    // Tokens that nobody uses end after a second; etcd looks every second.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    done(store.renew_leader(Renewal::default(), SOON).await);
    store.read(Freshness::Monotonic, SOON).await.expect("reading goes on");
    let other = open_a(&as_user(&server, "patroni", "patroni-secret"), "auth");
    done(other.delete_member(SOON).await);
    rung(&mut bell).await;
}

#[tokio::test]
async fn a_store_outlives_its_tokens() {
    outlives_its_tokens(newest()).await;
}

#[tokio::test]
async fn a_store_outlives_its_tokens_on_etcd_3_4() {
    outlives_its_tokens(debians()).await;
}

#[tokio::test]
async fn refused_credentials_are_told_in_one_sentence() {
    let server = guarded(newest()).await;
    let wrong = refusal(&as_user(&server, "patroni", "guess")).await;
    assert!(wrong.contains("user \"patroni\"") && wrong.contains("etcd3.password"), "{wrong}");
    assert!(!wrong.contains("guess"), "{wrong}");
    let nobody = refusal(&server.config()).await;
    assert!(nobody.contains("etcd3.username"), "{nobody}");
    let powerless = refusal(&as_user(&server, "guest", "guest-secret")).await;
    assert!(powerless.contains("permission denied"), "{powerless}");
}

#[tokio::test]
async fn a_password_does_no_harm_where_none_is_needed() {
    let server = Server::alone(newest()).await;
    let store = open_a(&as_user(&server, "patroni", "patroni-secret"), "auth");
    done(store.acquire_leader(SOON).await);
    // From now on it is needed, and the next call finds out.
    let port = server.plan.port;
    for name in ["root", "patroni"] {
        admin::ask(port, AddUser { name: name.into(), password: format!("{name}-secret") }).await;
        admin::ask(port, AddRole { name: name.into() }).await;
        admin::ask(port, GrantRole { user: name.into(), role: name.into() }).await;
    }
    let permission = Some(Permission { kind: 2, key: b"/service/".to_vec(), range_end: b"/service0".to_vec() });
    admin::ask(port, GrantPermission { role: "patroni".into(), permission }).await;
    admin::ask(port, EnableAuth {}).await;
    done(store.renew_leader(Renewal::default(), SOON).await);
}
