//! The store alone: voters without PostgreSQL, and what their operator does with them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;

use rustix::process::Signal;

use crate::store::Kind;
use crate::town::{Town, signal, wait};

fn three_voters() -> Town {
    let town = Town::new(Kind::Embedded { witnesses: 3 }, 0);
    town.wait_for_nodes(&[0, 1, 2], &[]);
    town
}

#[test]
fn a_store_tells_of_its_nodes_as_long_as_any_of_them_answers() {
    let mut town = three_voters();
    let address = |town: &Town, at: usize| town.voters().address(at);
    wait("all say that all is well", || {
        let (told, code) = town.tell_store(&["status"]);
        let is_well = told.contains("+ Store: ") && told.contains(" Leader: ") && !told.contains("Warning");
        (code == Some(0) && is_well).then_some(())
    });

    town.kill_witness(0);
    let (told, code) = town.tell_store(&["status"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains(&format!("Warning: no answer: {}", address(&town, 0))), "{told}");

    let silent = format!("{} has not been heard", address(&town, 0));
    wait("the leader's log tells of it", || (1..3).any(|at| town.witness_log(at).contains(&silent)).then_some(()));

    town.kill_witness(1);
    wait("the last one knows that it is alone", || town.nodes().is_none().then_some(()));
    wait("its log tells so", || town.witness_log(2).contains("hears no majority").then_some(()));
    let (told, code) = town.tell_store(&["status"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains(&address(&town, 2)) && told.contains("No majority of the store's voters is there"), "{told}");

    town.kill_witness(2);
    let (told, code) = town.tell_store(&["status"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("No node of the store answers"), "{told}");

    (0..3).for_each(|at| town.start_witness(at));
    town.wait_for_nodes(&[0, 1, 2], &[]);
    assert!(!town.witness_log(2).contains("RPCError"), "{}", town.witness_log(2));
}

#[test]
fn a_voter_that_lost_its_disk_comes_back() {
    let mut town = three_voters();
    for at in [1, 0] {
        town.kill_witness(at);
        town.lose_store_of(at);
        town.start_witness(at);
        let told = format!("{} has the store again", town.voters().address(at));
        wait("the leader gave it its place back", || {
            (0..3).any(|leader| town.witness_log(leader).contains(&told)).then_some(())
        });
        town.wait_for_nodes(&[0, 1, 2], &[]);
    }
}

#[test]
fn nodes_are_added_promoted_and_removed() {
    let mut town = three_voters();
    let fourth = town.new_witness();
    let (dead, newcomer) = (town.voters().address(0), town.voters().address(fourth));
    let done = |town: &Town, words: &[&str]| {
        let (told, code) = town.tell_store(words);
        assert_eq!(code, Some(0), "{words:?}: {told}");
    };
    done(&town, &["add", &newcomer]);
    assert_eq!(town.nodes().map(|nodes| nodes.contains(&(newcomer.clone(), "Invited".to_owned()))), Some(true));
    town.start_witness(fourth);
    town.wait_for_nodes(&[0, 1, 2], &[fourth]);
    done(&town, &["promote", &newcomer]);
    town.wait_for_nodes(&[0, 1, 2, fourth], &[]);

    town.kill_witness(0);
    let (told, code) = town.ctl_with(&town.tool(), &["store", "remove", &dead], "10.9.9.9:1\n");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("The addresses do not match"), "{told}");
    let (told, code) = town.ctl_with(&town.tool(), &["store", "remove", &dead], &format!("{dead}\n"));
    assert_eq!(code, Some(0), "{told}");
    town.wait_for_nodes(&[1, 2, fourth], &[]);

    // The one that was removed does not come back by itself.
    town.start_witness(0);
    wait("it is told so", || town.witness_log(0).contains("store add").then_some(()));
    town.wait_for_nodes(&[1, 2, fourth], &[]);

    // Without the majority that is left, nothing could be decided any more.
    town.kill_witness(1);
    let second = town.voters().address(2);
    let (told, code) = town.tell_store(&["remove", "--force", &second]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("could not decide"), "{told}");
}

#[test]
fn the_majority_is_lost_for_good_and_the_last_node_goes_on() {
    let mut town = three_voters();
    let recover = |town: &Town, typed: &str| town.ctl_with(&town.witness_config(0), &["store", "recover"], typed);
    let (told, code) = recover(&town, "town\nYes I am aware\n");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("the majority is not lost"), "{told}");

    // Who is refused has heard somebody.
    let text = fs::read_to_string(town.witness_config(0)).expect("it was written");
    let stranger = town.base.join("stranger.yml");
    fs::write(&stranger, text.replace("password: word", "password: another")).expect("the directory is ours");
    let (told, code) = town.ctl_with(&stranger, &["store", "recover"], "town\nYes I am aware\n");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("password differs. That does not show that the majority is gone"), "{told}");

    // And so has, perhaps, who cannot show the papers that it was told to show.
    fs::write(&stranger, text.replace("password: word", "password: word, cacert: nowhere.pem, cert: nowhere.pem"))
        .expect("it is ours");
    let (told, code) = town.ctl_with(&stranger, &["store", "recover"], "town\nYes I am aware\n");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("nowhere.pem") && !told.contains("Please confirm"), "{told}");

    for lost in [1, 2] {
        town.kill_witness(lost);
        town.lose_store_of(lost);
    }
    wait("the last one knows that it is alone", || town.nodes().is_none().then_some(()));
    let (told, code) = recover(&town, "town\nYes I am aware\n");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("This node runs: stop its agent or voter first"), "{told}");

    let (told, code) = town.ctl_with(&town.witness_config(1), &["store", "recover"], "town\nYes I am aware\n");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("hears no majority") && !told.contains("is not lost"), "{told}");

    assert_eq!(town.stop_witness(0), Some(0));
    for (typed, refusal) in [("city\n", "That is not the cluster name"), ("town\nyes\n", "You did not exactly type")] {
        let (told, code) = recover(&town, typed);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(refusal), "{told}");
    }
    let (told, code) = recover(&town, "town\nYes I am aware\n");
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains(&format!("No answer, this node included:\n  {}: ", town.voters().address(0))), "{told}");
    town.start_witness(0);
    town.wait_for_nodes(&[0], &[]);

    town.start_witness(1);
    town.wait_for_nodes(&[0], &[1]);
    let (told, code) = town.tell_store(&["promote", &town.voters().address(1)]);
    assert_eq!(code, Some(0), "{told}");
    town.wait_for_nodes(&[0, 1], &[]);
}

#[test]
fn a_voter_that_cannot_start_says_why() {
    let mut town = three_voters();
    let refused = |town: &mut Town, sentence: &str| {
        town.start_witness(0);
        assert_eq!(town.witness_ends(0), Some(1), "{}", town.witness_log(0));
        let log = town.witness_log(0);
        assert!(log.lines().last().is_some_and(|line| line.contains(sentence)), "{sentence}\n{log}");
    };
    assert_eq!(town.stop_witness(0), Some(0));

    let port = town.voters().ports[0];
    let other_program = TcpListener::bind(("127.0.0.1", port)).expect("the voter has ended");
    refused(&mut town, &format!("127.0.0.1:{port}"));
    drop(other_program);

    let file = town.base.join("store-0/store.redb");
    let mut bytes = fs::read(&file).expect("it has a store");
    let middle = bytes.len() / 2;
    bytes[..middle].iter_mut().for_each(|byte| *byte ^= 0x5a);
    fs::write(&file, bytes).expect("the directory is ours");
    refused(&mut town, "store.redb");

    let file = town.base.join("nobody.yml");
    fs::write(&file, "raft: {partner_addrs: ['127.0.0.1:1']}\n").expect("the directory is ours");
    let out = town.command(&town.base.join("tamada")).arg("voter").arg(&file).output().expect("it runs");
    let told = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1));
    assert!(told.contains("raft.self_addr: is missing"), "{told}");
}

#[test]
fn the_originals_voter_is_called_by_its_name() {
    let town = Town::new(Kind::Embedded { witnesses: 1 }, 0);
    town.wait_for_nodes(&[0], &[]);
    let (program, log) = (town.base.join("patroni_raft_controller"), town.base.join("controller.log"));
    symlink(town.base.join("tamada"), &program).expect("the directory is ours");
    let out = town.command(&program).arg("--version").output().expect("it runs");
    assert_eq!(
        String::from_utf8_lossy(&out.stdout),
        format!("patroni_raft_controller {}\n", env!("CARGO_PKG_VERSION"))
    );

    let file = town.base.join("controller.yml");
    let port = tamada_testing::free_port();
    let section = format!("raft: {{self_addr: '127.0.0.1:{port}', data_dir: controller, password: p}}\n");
    fs::write(&file, format!("{section}log: {{level: INFO}}\n")).expect("the directory is ours");
    let mut voter = town.command(&program);
    let mut voter = voter.arg(&file).stderr(town.log_file("controller")).spawn().expect("it runs");
    let says = |what: &str| wait(what, || fs::read_to_string(&log).ok()?.contains(what).then_some(()));
    says("voting in the embedded store");
    fs::write(&file, format!("{section}log: {{level: DEBUG}}\nbroken: [\n")).expect("the directory is ours");
    signal(voter.id(), Signal::HUP);
    says("the configuration cannot be used");
    signal(voter.id(), Signal::INT);
    let ended = wait("it ends", || voter.try_wait().expect("it is our child"));
    assert_eq!(ended.code(), Some(0));
}
