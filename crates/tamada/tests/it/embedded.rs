//! Clusters that need no store besides: what is particular to voters inside the agents.

use std::fs;
use std::net::TcpListener;

use crate::store::Kind;
use crate::town::{Town, wait};

#[test]
fn the_host_that_carries_both_leaders_is_lost_and_comes_back() {
    let mut town = Town::new(Kind::Embedded { witnesses: 0 }, 3);
    town.start_all();
    town.wait_for_cluster(2);
    let both = wait("one host carries both leaders", || carry_both(&town));
    town.sql(both, "create table t (n int); insert into t values (1)").expect("the primary is writable");
    wait_for_rows(&town, &[0, 1, 2]);

    town.kill_host(both);
    let next = wait("another member leads", || town.leader().filter(|at| *at != both));
    wait("it is writable", || town.sql(next, "insert into t values (2)").ok());
    let (told, code) = town.tell_store(&["status"]);
    let lost = town.voters().address(both);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains(&format!("no answer: {lost}")), "{told}");

    town.start(both);
    assert_eq!(town.wait_for_cluster(2), next);
    assert_eq!(town.sql(next, "select count(*) from t").as_deref(), Ok("2"));
    town.wait_for_nodes(&[0, 1, 2], &[]);
}

/// What nobody else had would be lost with the host.
fn wait_for_rows(town: &Town, members: &[usize]) {
    for at in members {
        wait("everybody has the row", || (town.sql(*at, "select count(*) from t").ok()? == "1").then_some(()));
    }
}

/// Moves PostgreSQL's leader to where the store's leader is.
fn carry_both(town: &Town) -> Option<usize> {
    let (leader, store_leader) = (town.leader()?, town.store_leader()?);
    if leader == store_leader {
        return Some(leader);
    }
    let candidate = &town.members[store_leader].name;
    town.ctl_with(&town.tool(), &["switchover", "--force", "--candidate", candidate], "");
    None
}

/// Its agent is gone and its PostgreSQL runs on, so somebody has to be there for it: without its own voter then.
#[test]
fn an_agent_whose_store_is_damaged_comes_back_to_its_primary() {
    let mut town = Town::new(Kind::Embedded { witnesses: 0 }, 3);
    town.start_all();
    let leader = town.wait_for_cluster(2);
    town.kill_agent(leader);
    town.damage_store_of(leader);
    town.start(leader);
    wait("it says what is wrong, and goes on", || {
        let log = town.log(leader);
        (log.contains("store.redb") && log.contains("the other voters are asked")).then_some(())
    });
    town.wait_for_cluster(2);
    let writable = |at: &usize| town.sql(*at, "select pg_is_in_recovery()").as_deref() == Ok("f");
    assert_eq!((0..3).filter(writable).count(), 1);
}

/// Nobody is asked instead of its own voter, but others may vote that its file does not name.
#[test]
fn a_primary_whose_only_known_voter_is_damaged_is_stopped_unless_paused() {
    let mut town = Town::new(Kind::Embedded { witnesses: 0 }, 1);
    town.start(0);
    town.wait_for_cluster(0);
    pause(&town, 0);
    town.kill_agent(0);
    let whole = fs::read(town.store_file_of(0)).expect("it has a store");
    town.damage_store_of(0);
    town.start(0);
    assert_eq!(town.wait_for_exit(0), Some(1));
    town.sql(0, "create table t (n int)").expect("in pause nobody stops it");

    fs::write(town.store_file_of(0), whole).expect("the directory is ours");
    town.start(0);
    town.wait_for_cluster(0);
    resume(&town, 0);
    town.kill_agent(0);
    town.damage_store_of(0);
    town.start(0);
    assert_eq!(town.wait_for_exit(0), Some(1));
    assert_eq!(town.postmaster(0), None);
    assert!(town.log(0).lines().last().is_some_and(|line| line.contains("store.redb")), "{}", town.log(0));
}

#[test]
fn a_primary_whose_new_agent_the_store_refuses_is_stopped_unless_paused() {
    let mut town = Town::new(Kind::Embedded { witnesses: 1 }, 2);
    town.start_all();
    let first = town.wait_for_cluster(1);
    let other = 1 - first;
    pause(&town, other);
    town.kill_agent(first);
    let right = fs::read_to_string(town.config(first)).expect("it was written");
    fs::write(town.config(first), stranger(&right)).expect("the directory is ours");
    town.start(first);
    assert_eq!(town.wait_for_exit(first), Some(1));
    town.sql(first, "create table t (n int)").expect("in pause nobody stops it");

    fs::write(town.config(first), right).expect("the directory is ours");
    town.start(first);
    assert_eq!(town.wait_for_cluster(1), first);
    resume(&town, other);
    town.kill_agent(first);
    let right = fs::read_to_string(town.config(first)).expect("it was written");
    fs::write(town.config(first), stranger(&right)).expect("the directory is ours");
    town.start(first);
    assert_eq!(town.wait_for_exit(first), Some(1));
    assert_eq!(town.postmaster(first), None);
    assert!(town.log(first).contains("raft.password"), "{}", town.log(first));
    wait("the other member leads", || town.leader().filter(|at| *at == other));
}

/// Without a voter of its own, and with a password that nobody knows.
fn stranger(config: &str) -> String {
    let (head, rest) = config.split_once(", self_addr: ").expect("it has a voter");
    let (_, rest) = rest.split_once(", password: word").expect("it has a password");
    format!("{head}, password: another{rest}")
}

fn pause(town: &Town, at: usize) {
    let (told, code) = town.ctl(at, &["pause", "--wait"]);
    assert_eq!(code, Some(0), "{told}");
}

fn resume(town: &Town, at: usize) {
    let (told, code) = town.ctl(at, &["resume", "--wait"]);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn an_agent_whose_etcd_address_is_taken_votes_all_the_same() {
    let mut town = Town::new(Kind::Embedded { witnesses: 0 }, 3);
    let etcd = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = etcd.local_addr().expect("it is bound");
    for at in 0..3 {
        let config = fs::read_to_string(town.config(at)).expect("it was written");
        let config = config.replace("password: word", &format!("password: word, etcd_addr: '{address}'"));
        fs::write(town.config(at), config).expect("the directory is ours");
    }
    town.start_all();
    town.wait_for_cluster(2);
    town.wait_for_nodes(&[0, 1, 2], &[]);
    let log = town.log(0);
    assert!(log.contains("raft.etcd_addr: ") && log.contains("without answering etcd's protocol"), "{log}");
}

#[test]
fn two_members_and_a_witness_survive_the_loss_of_any_one() {
    let mut town = Town::new(Kind::Embedded { witnesses: 1 }, 2);
    town.start_all();
    let first = town.wait_for_cluster(1);
    town.sql(first, "create table t (n int); insert into t values (1)").expect("the primary is writable");
    wait_for_rows(&town, &[0, 1]);

    town.kill_host(first);
    let second = wait("the other member leads", || town.leader().filter(|at| *at != first));
    wait("it is writable", || town.sql(second, "insert into t values (2)").ok());
    town.start(first);
    assert_eq!(town.wait_for_cluster(1), second);

    assert_eq!(town.stop_witness(0), Some(0));
    town.sql(second, "insert into t values (3)").expect("two of three are a majority");
    town.start_witness(0);
    town.wait_for_nodes(&[0, 1, 2], &[]);
    an_operator_elsewhere_needs_the_addresses_only(&town, second);
}

fn an_operator_elsewhere_needs_the_addresses_only(town: &Town, leader: usize) {
    let tool = town.tool();
    let told = |words: &[&str]| {
        let (told, code) = town.ctl_with(&tool, words, "");
        assert_eq!(code, Some(0), "{words:?}: {told}");
        told
    };
    wait("the table shows a leader and a streaming replica", || {
        let table = told(&["list"]);
        (table.contains("Leader") && table.contains("streaming")).then_some(())
    });
    told(&["edit-config", "--force", "-s", "postgresql.parameters.work_mem=5MB"]);
    assert!(told(&["show-config"]).contains("work_mem: 5MB"));
    assert!(told(&["history"]).contains("New Leader"));
    told(&["pause", "--wait"]);
    told(&["resume", "--wait"]);
    told(&["switchover", "--force"]);
    assert_ne!(town.wait_for_cluster(1), leader);
}
