//! What an operator gets wrong, and the sentence that tells him.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use tamada_raft::link::{Password, Security};
use tamada_raft::{Client, Trouble};

use super::voters::{Setup, Voters};

#[test]
fn two_voters_with_one_address() {
    let mut voters = Voters::here("twins", 3);
    // Before there is a store, nobody founds one. All three know of the mistake.
    let second = voters.setup(1);
    voters.configure(2, &Setup { own: second.own, partners: vec![voters.address(0).to_owned()], ..voters.setup(2) });
    voters.all().for_each(|at| voters.start(at));
    voters.wait_for_line(0, &["calls itself", voters.address(1), "raft.self_addr"]);
    assert_eq!(voters.leader_of(0), None);
    voters.kill(2);
    voters.configure(2, &voters.setup(2));
    voters.start(2);
    voters.wait_for_whole();

    // Later, the second of the name is turned away.
    voters.kill(2);
    voters.lose_disk(2);
    let first = voters.setup(0);
    voters.configure(2, &Setup { own: first.own, partners: first.partners, ..voters.setup(2) });
    voters.start(2);
    voters.wait_for_line(2, &["two nodes call themselves", voters.address(0), "another raft.self_addr"]);
}

#[test]
fn a_wrong_password() {
    let mut voters = Voters::here("password", 3);
    voters.start_all();
    voters.kill(2);
    voters.configure(2, &Setup { password: "let me in", ..voters.setup(2) });
    voters.start(2);
    voters.wait_for_line(0, &["refused", "wrong raft.password"]);
    voters.wait_for_line(2, &["raft.password differs"]);

    let stranger = Security { password: Some(Password::new("let me in")), tls: None };
    let client = Client::remote(vec![voters.address(0).to_owned()], stranger);
    let status = voters.outside.ask(async move { client.status(Duration::from_secs(30)).await });
    let why = status.expect_err("the password is wrong");
    assert!(matches!(&why, Trouble::Refused(why) if why.contains("raft.password differs")), "{why:?}");

    voters.kill(2);
    voters.configure(2, &voters.setup(2));
    voters.start(2);
    voters.wait_for_whole();
}

#[test]
fn a_stranger() {
    let mut voters = Voters::here("stranger", 4);
    for at in 0..3 {
        let partners = voters.partners(at).into_iter().filter(|partner| partner != voters.address(3)).collect();
        voters.configure(at, &Setup { partners, ..voters.setup(at) });
        voters.start(at);
    }
    voters.wait_for_leader(&[0, 1, 2]);
    voters.start(3);
    voters.wait_for_line(3, &[voters.address(3), "is no member of this store", "tamadactl store add"]);
    assert_eq!(voters.status(0).expect("it runs").members.len(), 3);
}

#[test]
fn a_partner_that_never_answers() {
    let mut voters = Voters::here("silent", 3);
    let silent = TcpListener::bind(voters.address(2)).expect("the port is free");
    voters.start(0);
    voters.start(1);
    voters.wait_for_line(0, &["waiting for", voters.address(2), "all of raft.partner_addrs"]);
    let warnings = voters.status(0).expect("it answers").warnings;
    assert!(warnings.iter().any(|warning| warning.contains(voters.address(2))), "{warnings:?}");
    drop(silent);
    voters.start(2);
    voters.wait_for_whole();
}

#[test]
fn a_data_directory_of_another_store() {
    let mut others = Voters::here("foreign", 3);
    others.start_all();
    others.all().for_each(|at| others.kill(at));
    let mut voters = Voters::here("own", 3);
    voters.start_all();
    voters.kill(2);
    voters.lose_disk(2);
    fs::rename(others.data_dir(2), voters.data_dir(2)).expect("both are ours");
    voters.start(2);
    voters.wait_for_line(2, &["belongs to the store", "move its raft.data_dir away"]);
    voters.kill(2);
    voters.lose_disk(2);
    voters.start(2);
    voters.wait_for_whole();
}

#[test]
fn an_even_number_of_voters() {
    let mut voters = Voters::here("even", 2);
    voters.start_all();
    let told = |at: usize| voters.log(at).contains("2 voters survive the loss of none");
    assert!(voters.all().any(told), "whoever founds the store says so");
    let warnings = voters.status(0).expect("it runs").warnings;
    assert!(warnings.iter().any(|warning| warning.contains("2 voters survive the loss of none")), "{warnings:?}");
}

#[test]
fn one_directory_for_two_voters() {
    let mut voters = Voters::here("shared", 1);
    voters.start_all();
    let before = voters.home(0);
    let mut second = Voters::here("sharing", 1);
    fs::remove_dir_all(second.home(0)).expect("ours");
    std::os::unix::fs::symlink(before, second.home(0)).expect("ours");
    second.start(0);
    assert_eq!(second.wait_for_exit(0), Some(1));
    second.wait_for_line(0, &["another process uses", "raft.data_dir of its own"]);
}
