//! Commits that wait for standbys: whom, since when, and who may lead without losing any.

use serde_json::Value;

use crate::store::Kind;
use crate::town::{Town, wait};

over_each_store! {
    one_standby_is_synchronous_and_its_loss_holds_commits_up_only_for_a_moment: 3,
    by_quorum_whoever_leads_next_has_every_commit: 3,
}

/// Who is, by what balancers are told.
fn listed(town: &Town, path: &str) -> Vec<usize> {
    (0..town.members.len()).filter(|at| town.get(*at, path).is_some_and(|(code, _)| code == 200)).collect()
}

fn switch_on(town: &Town, mode: &Value) {
    let leader = town.leader().expect("somebody leads");
    let (code, body) = town.patch(leader, "/config", &mode.to_string()).expect("it answers");
    assert_eq!(code, 200, "{body}");
}

fn names_in_force(town: &Town, at: usize) -> Option<String> {
    town.sql(at, "select current_setting('synchronous_standby_names')").ok()
}

fn one_standby_is_synchronous_and_its_loss_holds_commits_up_only_for_a_moment(mut town: Town) {
    town.start_all();
    let leader = town.wait_for_cluster(2);
    switch_on(&town, &serde_json::json!({"synchronous_mode": true}));
    let first = wait("one standby is synchronous", || match listed(&town, "/sync")[..] {
        [only] => Some(only),
        _ => None,
    });
    assert_ne!(first, leader);
    assert_eq!(names_in_force(&town, leader).as_deref(), Some(town.members[first].name.as_str()));
    town.sql(leader, "create table t (n int); insert into t values (1)").expect("commits are acknowledged");

    town.kill_host(first);
    town.sql(leader, "insert into t values (2)").expect("commits are acknowledged again");
    let second = wait("the other is synchronous", || match listed(&town, "/sync")[..] {
        [only] if only != first => Some(only),
        _ => None,
    });
    town.sql(leader, "insert into t values (3)").expect("commits are acknowledged");

    // Nobody else may lead, and it has everything.
    town.kill_host(leader);
    town.start(first);
    wait("the synchronous standby leads", || town.leader().filter(|at| *at == second));
    wait("it is writable", || town.sql(second, "insert into t values (4)").ok());
    assert_eq!(town.sql(second, "select count(*) from t").as_deref(), Ok("4"));

    switch_on(&town, &serde_json::json!({"synchronous_mode": false}));
    wait("commits wait for nobody", || names_in_force(&town, second).filter(String::is_empty));
    wait("nobody is synchronous", || listed(&town, "/sync").is_empty().then_some(()));
}

fn by_quorum_whoever_leads_next_has_every_commit(mut town: Town) {
    town.start_all();
    let leader = town.wait_for_cluster(2);
    switch_on(&town, &serde_json::json!({"synchronous_mode": "quorum"}));
    wait("both standbys vote", || (listed(&town, "/quorum").len() == 2).then_some(()));
    town.sql(leader, "create table t (n int)").expect("commits are acknowledged");
    for n in 0..50 {
        town.sql(leader, &format!("insert into t values ({n})")).expect("commits are acknowledged");
    }
    town.kill_host(leader);
    let next = wait("another leads", || town.leader().filter(|at| *at != leader));
    wait("it is writable", || town.sql(next, "insert into t values (50)").ok());
    assert_eq!(town.sql(next, "select count(*) from t").as_deref(), Ok("51"));

    town.start(leader);
    assert_eq!(town.wait_for_cluster(2), next);
    wait("both others vote", || (listed(&town, "/quorum").len() == 2).then_some(()));
}

#[test]
fn a_restart_of_agent_and_primary_leaves_nobody_unprotected() {
    let mut town = Town::new(Kind::Etcd, 2);
    town.start_all();
    let leader = town.wait_for_cluster(1);
    switch_on(&town, &serde_json::json!({"synchronous_mode": "quorum", "synchronous_mode_strict": true}));
    let other = 1 - leader;
    wait("the standby votes", || (listed(&town, "/quorum") == [other]).then_some(()));
    let names = names_in_force(&town, leader);

    // Its standby is gone, and so is the agent: whatever runs goes on to wait for it.
    town.kill_host(other);
    town.kill_agent(leader);
    town.start(leader);
    assert_eq!(town.wait_for_cluster(0), leader);
    assert_eq!(names_in_force(&town, leader), names);
    town.kill_postgres(leader);
    wait("it runs again", || names_in_force(&town, leader));
    assert_eq!(names_in_force(&town, leader), names);

    town.start(other);
    town.wait_for_cluster(1);
    wait("commits are acknowledged", || town.sql(leader, "create table t (n int)").ok());
}
