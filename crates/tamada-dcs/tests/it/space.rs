//! An etcd without space: who leads keeps leading, and what cannot be written is told with its remedy.

use std::time::Duration;

use tamada_dcs::{Freshness, Renewal, StoreError, Written};
use tamada_etcd::messages::PutRequest;
use tamada_model::{Document, Lsn, Status};

use crate::admin;
use crate::server::{Plan, newest};
use crate::support::{SOON, done, open, open_a};

#[tokio::test]
async fn a_leader_outlives_a_full_store() {
    let server = Plan::new(newest()).with(&["--quota-backend-bytes", "2097152"]).start();
    server.answers().await;
    let store = open_a(&server.config(), "space");
    done(store.acquire_leader(SOON).await);

    let filling = PutRequest { key: b"/filling".to_vec(), value: vec![b'x'; 1_000_000], ..PutRequest::default() };
    while admin::try_ask(server.plan.port, filling.clone()).await.is_ok() {}

    let status = Some(Status { optime: Lsn::new(1), ..Status::default() });
    done(store.renew_leader(Renewal { status, failsafe: None }, SOON).await);
    let cluster = store.read(Freshness::Linearizable, SOON).await.expect("reading goes on");
    assert_eq!((cluster.leader.is_some(), cluster.status.optime), (true, Lsn::ZERO));
    let told = |written| match written {
        Written::Failed(StoreError::Refused(why)) => assert!(why.contains("NOSPACE"), "{why}"),
        other => panic!("{other:?}"),
    };
    told(store.set_config(&Document::new(), None, SOON).await);
    told(open(&server.config(), "space", "b", Duration::from_secs(30)).acquire_leader(SOON).await);
}
