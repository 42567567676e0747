//! Voters that are killed, frozen, restarted, and that lose their disks.

use std::time::Duration;

use super::voters::Voters;
use super::workload::Workload;
use crate::town::wait;

/// So many writes show that the store is at work again.
const SOME: usize = 50;

#[test]
fn three_voters_are_killed_in_turn() {
    killed_in_turn("killed3", 3, 1);
}

#[test]
fn five_voters_are_killed_in_turn_two_at_once() {
    killed_in_turn("killed5", 5, 2);
}

/// As many at once as the store can do without.
fn killed_in_turn(name: &str, count: usize, at_once: usize) {
    let mut voters = Voters::here(name, count);
    voters.start_all();
    let work = Workload::start(&voters, 1);
    for first in voters.all() {
        work.goes_on_for(SOME);
        let lost: Vec<usize> = (first..first + at_once).map(|at| at % count).collect();
        lost.iter().for_each(|at| voters.kill(*at));
        work.goes_on_for(SOME);
        lost.iter().for_each(|at| voters.start(*at));
        voters.wait_for_whole();
    }
    eprintln!("{}", work.judge(&voters));
}

#[test]
fn each_leader_is_killed_and_killed_again_when_it_is_back() {
    let mut voters = Voters::here("leaders", 3);
    let mut leader = voters.start_all();
    let work = Workload::start(&voters, 2);
    for _ in 0..4 {
        work.goes_on_for(SOME);
        voters.kill(leader);
        voters.start(leader);
        leader = voters.wait_for_whole();
    }
    eprintln!("{}", work.judge(&voters));
}

#[test]
fn a_frozen_leader_is_replaced_and_believes_nothing_when_it_wakes() {
    let mut voters = Voters::here("frozen", 3);
    voters.start_all();
    let work = Workload::start(&voters, 3);
    for _ in 0..3 {
        let leader = voters.wait_for_whole();
        voters.freeze(leader);
        let others: Vec<usize> = voters.all().filter(|at| *at != leader).collect();
        voters.wait_for_leader(&others);
        work.goes_on_for(SOME);
        voters.thaw(leader);
    }
    eprintln!("{}", work.judge(&voters));
}

/// For a moment: nobody is elected in its place, and its leases must not end for that.
#[test]
fn a_leader_is_frozen_for_a_moment_again_and_again() {
    let mut voters = Voters::here("moment", 3);
    voters.start_all();
    let work = Workload::start(&voters, 4);
    for _ in 0..8 {
        let leader = voters.wait_for_whole();
        voters.freeze(leader);
        work.acknowledged_in(Duration::from_millis(250));
        voters.thaw(leader);
        work.goes_on_for(SOME / 5);
    }
    eprintln!("{}", work.judge(&voters));
}

#[test]
fn three_voters_go_down_and_come_back_in_every_order() {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    down_and_up("orders3", 3, orders.map(Vec::from));
}

#[test]
fn five_voters_go_down_and_come_back_in_some_orders() {
    let mut dice = fastrand::Rng::with_seed(5);
    let orders = [(); 3].map(|()| {
        let mut order: Vec<usize> = (0..5).collect();
        dice.shuffle(&mut order);
        order
    });
    down_and_up("orders5", 5, orders);
}

fn down_and_up(name: &str, count: usize, orders: impl IntoIterator<Item = Vec<usize>>) {
    let mut voters = Voters::here(name, count);
    voters.start_all();
    let work = Workload::start(&voters, 6);
    for (round, order) in orders.into_iter().enumerate() {
        work.goes_on_for(SOME);
        for at in &order {
            if round % 2 == 0 {
                voters.kill(*at);
            } else {
                assert_eq!(voters.stop(*at), Some(0), "it ends in good order");
            }
        }
        order.iter().for_each(|at| {
            voters.start(*at);
            let up = voters.running();
            if up.len() > count / 2 {
                voters.wait_for_leader(&up);
            }
        });
        voters.wait_for_whole();
    }
    eprintln!("{}", work.judge(&voters));
}

#[test]
fn a_voter_that_lost_its_disk_comes_back_as_a_newcomer() {
    let mut voters = Voters::here("newcomer", 3);
    let leader = voters.start_all();
    let before = voters.status(leader).expect("it runs");
    let work = Workload::start(&voters, 7);
    for lost in voters.all() {
        work.goes_on_for(SOME);
        voters.kill(lost);
        voters.lose_disk(lost);
        voters.start(lost);
        let number = |status: &tamada_raft::StoreStatus| {
            status.members.iter().find(|member| member.address == voters.address(lost)).map(|member| member.node)
        };
        let now = wait("it has come back as another node", || {
            let now = voters.status(voters.wait_for_whole())?;
            (now.members.len() == 3 && number(&now) != number(&before)).then_some(now)
        });
        assert_eq!(now.cluster, before.cluster, "it is the same store");
    }
    eprintln!("{}", work.judge(&voters));
}
