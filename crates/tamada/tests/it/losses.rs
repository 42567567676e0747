//! What is lost comes back: a primary, its host, an agent, the store.

use crate::town::{Town, wait};

over_each_store! {
    a_lost_primary_is_replaced_and_rejoins_by_itself: 3,
    a_bootstrap_killed_half_way_begins_anew: 1,
    an_agent_killed_and_restarted_finds_its_primary_running: 2,
    a_primary_that_a_killed_agent_left_is_stopped_while_its_successor_waits_for_the_store: 2,
    a_primary_without_store_stops_before_its_lease_ends_and_comes_back_with_the_store: 2,
}

fn a_lost_primary_is_replaced_and_rejoins_by_itself(mut town: Town) {
    town.start_all();
    let first = town.wait_for_cluster(2);
    town.sql(first, "create table t (n int); insert into t values (1)").expect("the primary is writable");

    // The postmaster alone: the same member goes on.
    let before = town.postmaster(first).expect("it runs");
    town.kill_postgres(first);
    wait("the postmaster is a new one", || town.postmaster(first).filter(|pid| *pid != before));
    wait("it is writable again", || town.sql(first, "insert into t values (2)").ok());
    assert_eq!(town.wait_for_cluster(2), first);

    // The whole host: another member leads. What nobody else had would be lost with it.
    for at in 0..3 {
        wait("everybody has everything", || (town.sql(at, "select count(*) from t").ok()? == "2").then_some(()));
    }
    town.kill_host(first);
    let second = wait("another member leads", || town.leader().filter(|at| *at != first));
    wait("it is writable", || town.sql(second, "insert into t values (3)").ok());

    // The host is back: it rejoins without help.
    town.start(first);
    assert_eq!(town.wait_for_cluster(2), second);
    assert_eq!(town.sql(second, "select count(*) from t").as_deref(), Ok("3"));
    wait("the old primary has everything", || (town.sql(first, "select count(*) from t").ok()? == "3").then_some(()));
}

fn a_bootstrap_killed_half_way_begins_anew(mut town: Town) {
    town.start(0);
    wait("initdb is at work", || town.base.join("pg-a/base").exists().then_some(()));
    town.kill_agent(0);
    town.start(0);
    assert_eq!(town.wait_for_cluster(0), 0);
    assert_eq!(town.sql(0, "select count(*) from pg_roles where rolname = 'replicator'").as_deref(), Ok("1"));
}

fn an_agent_killed_and_restarted_finds_its_primary_running(mut town: Town) {
    town.start_all();
    let leader = town.wait_for_cluster(1);
    let postmaster = town.postmaster(leader);
    town.kill_agent(leader);
    town.start(leader);
    assert_eq!(town.wait_for_cluster(1), leader);
    assert_eq!(town.postmaster(leader), postmaster);
}

fn a_primary_that_a_killed_agent_left_is_stopped_while_its_successor_waits_for_the_store(mut town: Town) {
    town.start_all();
    let leader = town.wait_for_cluster(1);
    town.kill_agent(leader);
    town.freeze_store_for(leader);
    town.start(leader);
    wait("nobody can write here any more", || town.sql(leader, "select 1").is_err().then_some(()));
    town.thaw_store_for(leader);
    let leader = town.wait_for_cluster(1);
    town.sql(leader, "create table t (n int)").expect("writable again");
}

fn a_primary_without_store_stops_before_its_lease_ends_and_comes_back_with_the_store(mut town: Town) {
    town.start_all();
    let leader = town.wait_for_cluster(1);
    town.freeze_store_for(leader);
    wait("the primary is read-only", || {
        let state = town.sql(leader, "select pg_is_in_recovery()");
        (town.get(leader, "/primary")?.0 == 503 && state.ok()? == "t").then_some(())
    });
    town.thaw_store_for(leader);
    let leader = town.wait_for_cluster(1);
    town.sql(leader, "create table t (n int)").expect("writable again");
}
