//! Disks that are full, and have room again.

use std::time::Duration;

use bytes::Bytes;
use tamada_raft::{Client, Compare, Is, Keys, Op, Operand, Previous, Put, Submitted, Txn, What};

use super::voters::Voters;
use super::workload::Workload;
use crate::ground::scene::with_machines;
use crate::town::wait;

const SOME: usize = 50;
/// Of each voter. Enough for what a test writes, and soon filled up.
const DISK_BYTES: u64 = 64 << 20;
const FULL: &str = "the disk of the store is full";

#[test]
fn a_full_disk_of_one_voter_holds_up_nobody_else() {
    with_machines("faults::full::a_full_disk_of_one_voter_holds_up_nobody_else", || {
        let mut voters = with_small_disks("full1", 3);
        let leader = voters.start_all();
        let work = Workload::start(&voters, 21);
        let follower = (leader + 1) % 3;
        for at in [follower, leader] {
            fill(&voters, at);
            let pressure = press(&voters);
            voters.wait_for_line(at, &[FULL]);
            work.goes_on_for(SOME);
            pressure.abort();
            make_room(&voters, at);
            voters.wait_for_whole();
        }
        eprintln!("{}", work.judge(&voters));
    });
}

#[test]
fn full_disks_of_all_voters_stop_the_store_until_there_is_room() {
    with_machines("faults::full::full_disks_of_all_voters_stop_the_store_until_there_is_room", || {
        let mut voters = with_small_disks("full3", 3);
        voters.start_all();
        let work = Workload::start(&voters, 22);
        voters.all().for_each(|at| fill(&voters, at));
        let pressure = press(&voters);
        let is_full = |at: usize| voters.log(at).contains(FULL);
        wait("a majority says that its disks are full", || {
            (voters.all().filter(|at| is_full(*at)).count() > 1).then_some(())
        });
        wait("nothing is acknowledged", || (work.acknowledged_in(Duration::from_secs(1)) == 0).then_some(()));
        pressure.abort();
        voters.all().for_each(|at| make_room(&voters, at));
        work.goes_on_for(SOME);
        eprintln!("{}", work.judge(&voters));
    });
}

#[test]
fn a_voter_that_finds_no_room_when_it_starts_says_so() {
    with_machines("faults::full::a_voter_that_finds_no_room_when_it_starts_says_so", || {
        let mut voters = with_small_disks("full0", 1);
        fill(&voters, 0);
        voters.start(0);
        assert_eq!(voters.wait_for_exit(0), Some(1));
        voters.wait_for_line(0, &["no room on the disk of", "make some and start again"]);
        make_room(&voters, 0);
        voters.start_all();
    });
}

fn with_small_disks(name: &str, count: usize) -> Voters {
    let voters = Voters::apart(name, count);
    voters.all().for_each(|at| voters.machine(at).mount(&voters.home(at), DISK_BYTES));
    voters
}

fn fill(voters: &Voters, at: usize) {
    voters.machine(at).fill(&voters.home(at));
}

fn make_room(voters: &Voters, at: usize) {
    voters.machine(at).make_room(&voters.home(at));
}

/// Fills the log, until it is aborted: a voter has room within its file, and must come to need more.
fn press(voters: &Voters) -> tokio::task::JoinHandle<()> {
    voters.outside.start(propose_much(voters.client(0)))
}

/// Nothing comes of it: the keys, and what is kept of their history, stay as they are.
async fn propose_much(store: Client) {
    let key = Bytes::from_static(b"no such key");
    let exists = Compare { keys: Keys::One(key.clone()), is: Is::Greater, to: Operand::Version(0) };
    let value = What::Set(Bytes::from(vec![0; 100_000]));
    let put = Op::Put(Put { key, value, lease: What::Set(0), previous: Previous::Unasked });
    let txn = Txn { when: vec![exists], then: vec![put], otherwise: Vec::new() };
    loop {
        match store.submit(txn.clone(), Duration::from_secs(1)).await {
            Submitted::Done(_) => {}
            Submitted::Unclear(_) | Submitted::Failed(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
