//! Voters that do not hear each other.

use std::time::Duration;

use super::voters::Voters;
use super::workload::Workload;
use crate::ground::scene::with_machines;

const SOME: usize = 50;

/// Three voters at work, each on a machine of its own; what happens to them; and the judgement.
fn scene(test: &str, count: usize, seed: u64, play: impl FnOnce(&mut Voters, &Workload)) {
    with_machines(&format!("faults::cut::{test}"), || {
        let mut voters = Voters::apart(test, count);
        voters.start_all();
        let work = Workload::start(&voters, seed);
        play(&mut voters, &work);
        voters.mend_all();
        eprintln!("{}", work.judge(&voters));
    });
}

#[test]
fn any_two_of_three_are_cut_off_from_each_other() {
    scene("any_two_of_three_are_cut_off_from_each_other", 3, 11, |voters, work| {
        for (a, b) in [(0, 1), (1, 2), (2, 0)] {
            voters.part(&[a], &[b]);
            work.goes_on_for(SOME);
            voters.mend_all();
            voters.wait_for_whole();
        }
    });
}

#[test]
fn one_way_is_cut_in_each_direction() {
    scene("one_way_is_cut_in_each_direction", 3, 12, |voters, work| {
        for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1), (2, 0), (0, 2)] {
            voters.cut(from, to);
            work.goes_on_for(SOME);
            voters.mend_all();
            voters.wait_for_whole();
        }
    });
}

/// Its clients still reach it, and must not be told anything that is not true any more.
#[test]
fn the_leader_is_cut_off_from_the_others_but_not_from_its_clients() {
    scene("the_leader_is_cut_off_from_the_others_but_not_from_its_clients", 3, 13, |voters, work| {
        for _ in voters.all() {
            let leader = voters.wait_for_whole();
            let others: Vec<usize> = voters.all().filter(|at| *at != leader).collect();
            voters.part(&[leader], &others);
            voters.wait_for_leader(&others);
            work.goes_on_for(SOME);
            let knows = || voters.status(leader).is_some_and(|status| !status.quorum).then_some(());
            crate::town::wait("the old leader says that it hears no majority", knows);
            voters.mend_all();
        }
    });
}

#[test]
fn the_leader_is_cut_off_from_everybody() {
    scene("the_leader_is_cut_off_from_everybody", 3, 14, |voters, work| {
        for _ in voters.all() {
            let leader = voters.wait_for_whole();
            let others: Vec<usize> = voters.all().filter(|at| *at != leader).collect();
            voters.part(&[leader], &others);
            voters.hide(leader);
            work.goes_on_for(SOME);
            voters.mend_all();
        }
    });
}

/// What the leader sends does not arrive, but it hears everything.
#[test]
fn the_leader_loses_its_voice() {
    scene("the_leader_loses_its_voice", 3, 15, |voters, work| {
        let leader = voters.wait_for_whole();
        voters.all().filter(|at| *at != leader).for_each(|at| voters.cut(leader, at));
        work.goes_on_for(SOME);
    });
}

/// It hears nothing, but what it sends arrives.
#[test]
fn the_leader_goes_deaf() {
    scene("the_leader_goes_deaf", 3, 20, |voters, work| {
        let leader = voters.wait_for_whole();
        voters.all().filter(|at| *at != leader).for_each(|at| voters.cut(at, leader));
        work.goes_on_for(SOME);
    });
}

/// The leader hears only one other, and can decide nothing. That one hears all, and must not wait for such a leader.
#[test]
fn only_one_of_five_hears_all_and_somebody_else_leads() {
    scene("only_one_of_five_hears_all_and_somebody_else_leads", 5, 21, |voters, work| {
        let leader = voters.wait_for_whole();
        let middle = (leader + 1) % 5;
        for at in voters.all().filter(|at| *at != middle) {
            let others: Vec<usize> = voters.all().filter(|other| ![at, middle].contains(other)).collect();
            voters.part(&[at], &others);
        }
        work.goes_on_for(SOME);
        assert_eq!(voters.leader_of(middle), Some(middle));
    });
}

#[test]
fn five_are_parted_into_two_and_three() {
    scene("five_are_parted_into_two_and_three", 5, 16, |voters, work| {
        for seed in 0..3 {
            let leader = voters.wait_for_whole();
            let mut order: Vec<usize> = voters.all().collect();
            fastrand::Rng::with_seed(seed).shuffle(&mut order);
            // The leader is with the smaller part first.
            order.sort_by_key(|at| (*at == leader) != (seed == 0));
            voters.part(&order[..2], &order[2..]);
            work.goes_on_for(SOME);
            voters.mend_all();
        }
    });
}

/// Each hears two others at most, and no three hear each other.
#[test]
fn five_hear_only_their_neighbours_in_a_ring() {
    scene("five_hear_only_their_neighbours_in_a_ring", 5, 17, |voters, work| {
        for at in voters.all() {
            voters.part(&[at], &[(at + 2) % 5]);
        }
        work.acknowledged_in(Duration::from_secs(3));
    });
}

#[test]
fn the_network_comes_and_goes() {
    scene("the_network_comes_and_goes", 3, 18, |voters, work| {
        let mut dice = fastrand::Rng::with_seed(18);
        for _ in 0..12 {
            let from = dice.usize(..3);
            voters.cut(from, (from + dice.usize(1..3)) % 3);
            work.acknowledged_in(Duration::from_millis(dice.u64(50..600)));
            if dice.bool() {
                voters.mend_all();
            }
        }
    });
}

/// The two halves of a store of which nobody is more: neither writes.
#[test]
fn nobody_writes_without_a_majority() {
    scene("nobody_writes_without_a_majority", 3, 19, |voters, work| {
        voters.part(&[0], &[1, 2]);
        voters.part(&[1], &[2]);
        let silent = || voters.all().all(|at| voters.status(at).is_some_and(|status| !status.quorum)).then_some(());
        crate::town::wait("each knows that it is alone", silent);
        assert_eq!(work.acknowledged_in(Duration::from_secs(1)), 0);
        voters.mend_all();
        work.goes_on_for(SOME);
    });
}
