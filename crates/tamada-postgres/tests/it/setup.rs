//! What is wrong from the beginning is said in one sentence, and nothing is touched.

use std::os::unix::fs::PermissionsExt as _;

use tamada_model::*;
use tamada_postgres::{Postgres, SetupError};

use crate::node::{LIMIT, Node, config, fast_stop};

async fn refused(change: impl FnOnce(&mut PostgresConfig)) -> SetupError {
    let (mut config, dir) = config("a");
    change(&mut config);
    let error = Postgres::open(config).await.err().expect("this set-up is wrong");
    std::fs::remove_dir_all(dir).unwrap();
    error
}

#[tokio::test]
async fn missing_programs() {
    let error = refused(|config| config.bin_dir = "/nowhere".into()).await;
    assert!(error.to_string().contains("pg_ctl") && error.to_string().contains("/nowhere"), "{error}");
}

#[tokio::test]
async fn a_directory_of_another_version() {
    let error = refused(|config| {
        std::fs::create_dir(&config.data_dir).unwrap();
        std::fs::set_permissions(&config.data_dir, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::write(config.data_dir.join("PG_VERSION"), "9.6\n").unwrap();
    })
    .await;
    assert!(matches!(error, SetupError::WrongVersion { .. }), "{error}");
    assert!(error.to_string().contains("PostgreSQL 9.6"), "{error}");
}

#[tokio::test]
async fn a_directory_with_wrong_permissions() {
    let error = refused(|config| {
        std::fs::create_dir(&config.data_dir).unwrap();
        std::fs::set_permissions(&config.data_dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(config.data_dir.join("PG_VERSION"), "15\n").unwrap();
    })
    .await;
    assert!(error.to_string().contains("mode 0755") && error.to_string().contains("chmod 0700"), "{error}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made() {
    let error = refused(|config| config.data_dir = "/proc/data".into()).await;
    assert!(matches!(error, SetupError::CannotCreate { .. }), "{error}");
    let error = refused(|config| config.data_dir = "/etc/passwd".into()).await;
    assert!(matches!(error, SetupError::NotADirectory(_)), "{error}");
}

#[tokio::test]
async fn a_port_that_is_taken() {
    let node = Node::primary("a").await;
    node.run(Job::Stop(fast_stop())).await;
    let before = node.read("postgresql.conf");
    let _other = std::net::TcpListener::bind(("127.0.0.1", node.config.port)).unwrap();
    let end = node.run(Job::StartPrimary { timeout: LIMIT }).await;
    assert!(matches!(&end, JobEnd::Failed(why) if why.contains("is taken by another program")), "{end:?}");
    assert_eq!(node.look().await.state, State::StartFailed);
    assert_eq!(node.read("postgresql.conf"), before);
}
