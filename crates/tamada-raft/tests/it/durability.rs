//! What was confirmed outlives the process, and what cannot be trusted is refused.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tamada_raft::link::Security;
use tamada_raft::{Voter, VoterConfig};

use super::voters::{Voters, done, put, value};

/// In the child's environment: where it keeps its store, and its address.
const STORE: &str = "TAMADA_TEST_STORE";
const ADDRESS: &str = "TAMADA_TEST_ADDRESS";
const ROUNDS: u32 = 5;

#[tokio::test]
async fn what_a_voter_confirmed_is_there_after_it_was_killed() {
    let mut voters = Voters::prepared(1);
    let mut confirmed = 0;
    for _ in 0..ROUNDS {
        confirmed = confirmed_until_killed(&voters.each[0].config);
    }
    voters.start(0);
    let client = voters.client(0);
    let last: u64 = value(&client, "last").await.expect("the last number").parse().expect("a number");
    assert!(last >= confirmed, "{confirmed} was confirmed, {last} is there");
    for number in [1, confirmed / 2, confirmed] {
        assert_eq!(value(&client, &number.to_string()).await.as_deref(), Some("confirmed"), "{number}");
    }
}

/// Returns the last number that was confirmed.
fn confirmed_until_killed(config: &VoterConfig) -> u64 {
    let mut child = store_in_a_process(config);
    let mut told = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut last = 0;
    for _ in 0..fastrand::u32(1..30) {
        last = next_confirmed(&mut told).expect("it writes until it is killed");
    }
    let moment = Instant::now() + Duration::from_micros(fastrand::u64(..5_000));
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
    child.kill().expect("our own child");
    while let Some(number) = next_confirmed(&mut told) {
        last = number;
    }
    child.wait().expect("our own child");
    last
}

fn store_in_a_process(config: &VoterConfig) -> Child {
    let mut this = Command::new(std::env::current_exe().expect("this test"));
    this.args(["--exact", "durability::the_child_that_is_a_store", "--nocapture"]);
    this.env(STORE, &config.data_dir).env(ADDRESS, &config.self_addr).stdout(Stdio::piped());
    this.spawn().expect("this test once more")
}

/// Passes over what the test harness says, and over a line that was cut short.
fn next_confirmed(told: &mut BufReader<ChildStdout>) -> Option<u64> {
    loop {
        let mut line = String::new();
        if told.read_line(&mut line).expect("a pipe") == 0 {
            return None;
        }
        if let Some(number) = line.strip_suffix(" confirmed\n") {
            return Some(number.parse().expect("a number"));
        }
    }
}

/// Does nothing unless it is told where.
#[tokio::test]
async fn the_child_that_is_a_store() {
    let (Ok(data_dir), Ok(self_addr)) = (std::env::var(STORE), std::env::var(ADDRESS)) else { return };
    let security = Security::default();
    let config = VoterConfig { data_dir: data_dir.into(), self_addr, bind_addr: None, partner_addrs: vec![], security };
    let voter = Voter::start(config).expect("a store that starts");
    let client = voter.client();
    let mut out = fs::File::options().write(true).open("/dev/stdout").expect("standard output");
    let mut number: u64 = value(&client, "last").await.map_or(0, |last| last.parse().expect("a number"));
    loop {
        number += 1;
        done(&client, put(&number.to_string(), "confirmed")).await;
        done(&client, put("last", &number.to_string())).await;
        writeln!(out, "{number} confirmed").expect("somebody reads it");
    }
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_the_way_out_works() {
    let mut voters = Voters::new(3).await;
    done(&voters.client(0), put("a", "1")).await;
    voters.stop(2);
    let config = voters.each[2].config.clone();
    let store = config.data_dir.join("store.redb");
    let mut bytes = fs::read(&store).expect("the store");
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    fs::write(&store, bytes).expect("the store");
    let why = Voter::start(config).map(|_| ()).expect_err("a damaged store");
    assert!(why.contains("store.redb is damaged") && why.contains("comes back as a newcomer"), "{why}");

    voters.lose_disk(2);
    voters.start(2);
    voters
        .until(0, "three voters again", |status| status.members.iter().filter(|member| member.voter).count() == 3)
        .await;
    assert_eq!(value(&voters.client(2), "a").await.as_deref(), Some("1"));
}
