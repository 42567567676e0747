//! What all tests need: stores, and waiting for what must come.

use std::sync::Arc;
use std::time::Duration;

use tamada_dcs::{Store, Written};
use tamada_model::{Etcd3Config, EtcdEndpoints, Member, MemberName, Stamp, State, StoreConfig, StoreScope};
use tokio::sync::watch::Receiver;

/// Longer than anything may take on a busy machine.
pub const GENEROUS: Duration = Duration::from_secs(60);
/// Longer than one operation on a living store may take there.
pub const SOON: Duration = Duration::from_secs(20);
/// What a busy machine may add to a deadline.
pub const LATE: Duration = Duration::from_secs(20);

pub fn config(ports: &[u16]) -> Etcd3Config {
    let hosts = ports.iter().map(|port| ("127.0.0.1".to_owned(), *port)).collect();
    Etcd3Config { endpoints: EtcdEndpoints { srv: None, hosts }, ..Etcd3Config::default() }
}

/// Talks to the given ports only.
pub fn fixed(ports: &[u16]) -> Etcd3Config {
    Etcd3Config { fixed_endpoints: true, ..config(ports) }
}

pub fn open(config: &Etcd3Config, scope: &str, member: &str, ttl: Duration) -> Arc<dyn Store> {
    tamada_dcs::open(&StoreConfig::Etcd3(config.clone()), self::scope(scope, member, ttl))
        .expect("opening needs no server")
}

pub fn scope(scope: &str, member: &str, ttl: Duration) -> StoreScope {
    StoreScope {
        base: format!("/service/{scope}"),
        name: MemberName::from(member),
        ttl,
        loop_wait: ttl / 4,
        retry_timeout: ttl / 3,
    }
}

/// A store of member `a` under a ttl in which nothing expires.
pub fn open_a(config: &Etcd3Config, scope: &str) -> Arc<dyn Store> {
    open(config, scope, "a", Duration::from_secs(30))
}

pub fn done(written: Written) -> Stamp {
    match written {
        Written::Done(stamp) => stamp,
        other @ (Written::Beaten | Written::Unclear(_) | Written::Failed(_)) => panic!("not done: {other:?}"),
    }
}

pub fn record(position: u64) -> Member {
    Member {
        state: Some(State::Running.text().into()),
        xlog_location: Some(tamada_model::Lsn::new(position)),
        ..Member::default()
    }
}

/// Waits for the bell, and quiets it.
pub async fn rung(bell: &mut Receiver<u64>) {
    tokio::time::timeout(GENEROUS, bell.changed()).await.expect("the bell rings").expect("the bell is there");
}
