//! What happens on a good day: a cluster is made, steered, restarted and shut down.

use crate::town::{Town, wait};

over_each_store! {
    three_members_started_at_once_make_one_cluster_and_an_operator_steers_it: 3,
    members_stopped_and_started_in_any_order_converge: 3,
}

fn three_members_started_at_once_make_one_cluster_and_an_operator_steers_it(mut town: Town) {
    town.start_all();
    let leader = town.wait_for_cluster(2);
    town.sql(leader, "create table t (n int); insert into t values (1)").expect("the primary is writable");

    let candidate = (leader + 1) % 3;
    let (from, to) = (town.members[leader].name.clone(), town.members[candidate].name.clone());
    let (code, body) =
        town.post(leader, "/switchover", &format!("{{\"leader\":\"{from}\",\"candidate\":\"{to}\"}}")).unwrap();
    assert_eq!((code, body.as_str()), (200, format!("Successfully switched over to \"{to}\"").as_str()));
    assert_eq!(town.wait_for_cluster(2), candidate);
    assert_eq!(town.sql(candidate, "insert into t values (2) returning n").as_deref(), Ok("2"));
    wait("the old primary follows", || (town.sql(leader, "select count(*) from t").ok()? == "2").then_some(()));

    // The members tell the store with their next pass; that both stream is then in the table.
    wait("the table shows a leader and two streaming replicas", || {
        let (table, code) = town.ctl(0, &["list"]);
        assert_eq!(code, Some(0), "{table}");
        (table.contains("Leader") && table.matches("streaming").count() == 2).then_some(())
    });

    let (code, body) = town.post(leader, "/restart", "{}").unwrap();
    assert_eq!((code, body.as_str()), (200, "restarted successfully"));
    let (code, body) = town.post(candidate, "/restart", "{}").unwrap();
    assert_eq!((code, body.as_str()), (200, "restarted successfully"));
    assert_eq!(town.wait_for_cluster(2), candidate);

    let (code, body) = town.post(leader, "/reinitialize", "{}").unwrap();
    assert_eq!((code, body.as_str()), (200, "reinitialize started"));
    wait("the copy streams", || (town.status(leader)?["replication_state"] == "streaming").then_some(()));
    let (code, body) = town.post(candidate, "/reinitialize", "{}").unwrap();
    assert_eq!((code, body.as_str()), (503, "I am the leader, can not reinitialize"));

    let (said, code) = town.ctl(0, &["pause", "--wait"]);
    assert_eq!(code, Some(0), "{said}");
    let (said, code) = town.ctl(0, &["resume", "--wait"]);
    assert_eq!(code, Some(0), "{said}");
}

fn members_stopped_and_started_in_any_order_converge(mut town: Town) {
    // One that is stopped just after its promotion leaves a timeline that nobody has heard of, and whose number another
    // takes: it can only be copied anew, which needs this leave (docs/decisions/0007-timelines-of-one-number.md).
    (0..3).for_each(|at| town.write_configuration(at, "  remove_data_directory_on_diverged_timelines: true"));
    town.start_all();
    let leader = town.wait_for_cluster(2);
    town.sql(leader, "create table t (n int); insert into t values (1)").expect("the primary is writable");
    // The leader first: another takes over, then they go too.
    assert_eq!(town.stop(leader), Some(0));
    for at in 0..3 {
        town.stop(at);
    }
    // And back, the one that stopped first at the front.
    town.start(leader);
    for at in (0..3).filter(|at| *at != leader) {
        town.start(at);
    }
    let now = town.wait_for_cluster(2);
    assert_eq!(town.sql(now, "select n from t").as_deref(), Ok("1"));
}
