//! What survives which death, and what a stop does before it is one.

use super::*;
use tamada_model::{ControlState, DataDir, Process};

fn control(facts: &PostgresFacts) -> ControlState {
    let DataDir::Present(present) = &facts.data else { panic!("no data") };
    present.control.as_ref().unwrap().state
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let mut scene = Scene::cluster(1);
    let write = scene.writes(A);
    scene.until(|scene| scene.is_acked(write));
    scene.fleet.kill_postmaster(A, scene.now);
    assert_eq!(control(&scene.facts(A)), ControlState::InProduction);
    assert_eq!(scene.facts(A).process, Process::Absent);
    assert_eq!(scene.does(A, start_as_primary()), JobEnd::Done);
    assert!(scene.holds(A, write) && scene.timeline(A) == Timeline::FIRST);
}

#[test]
fn a_commit_that_was_under_way_when_the_server_died_is_in_doubt() {
    let mut scene = Scene::cluster(2);
    let write = scene.writes(A);
    scene.fleet.kill_postmaster(A, scene.now);
    scene.gather();
    assert!(scene.is_in_doubt(write) && scene.holds(A, write));
}

#[test]
fn what_a_standby_had_not_received_is_lost_with_the_host() {
    let mut scene = Scene::cluster(3);
    scene.cuts(A);
    let write = scene.writes(A);
    scene.passes(1);
    assert!(scene.is_acked(write));
    scene.fleet.power_off(A, scene.now);
    scene.promotes(B);
    scene.follows(C, B);
    scene.until(|scene| scene.streams(C));
    assert!(!scene.holds(B, write) && !scene.holds(C, write));
}

#[test]
fn what_was_sent_before_the_server_died_still_arrives() {
    let mut scene = Scene::cluster(4);
    let write = scene.writes(A);
    scene.fleet.kill_postmaster(A, scene.now);
    scene.passes(1);
    assert!(scene.holds(B, write) && scene.holds(C, write));
}

#[test]
fn a_crashed_backend_costs_all_connections_but_neither_timeline_nor_postmaster() {
    let mut scene = Scene::cluster(5);
    let before = scene.facts(A).process;
    scene.fleet.crash_backend(A, scene.now);
    assert!(!scene.fleet.is_writable(A) && scene.facts(A).answers == Answers::Rejecting);
    scene.until(|scene| scene.fleet.is_writable(A));
    assert_eq!((scene.facts(A).process, scene.timeline(A)), (before, Timeline::FIRST));
    let write = scene.writes(A);
    scene.until(|scene| scene.holds(B, write) && scene.holds(C, write));
}

#[test]
fn a_fast_stop_sends_its_last_checkpoint_to_connected_standbys() {
    let mut scene = Scene::cluster(6);
    let JobEnd::Stopped(Some(position)) = scene.does(A, stop_fast()) else { panic!("no position was told") };
    assert_eq!(control(&scene.facts(A)), ControlState::ShutDown);
    for standby in [B, C] {
        assert_eq!(scene.point(standby), scene.point(A));
        assert!(scene.point(standby).1 > position.checkpoint);
    }
}

#[test]
fn a_fast_stop_waits_for_a_standby_that_is_cut_off_but_not_for_ever() {
    let mut scene = Scene::cluster(7);
    scene.wires.0.insert((A, B));
    let began = scene.now;
    scene.does(A, stop_fast());
    let waited = scene.now.since(began);
    assert!(waited > Duration::from_secs(20) && waited < Duration::from_secs(70), "{waited:?}");
    assert_eq!(scene.point(C), scene.point(A));
    assert_ne!(scene.point(B), scene.point(A));
}

#[test]
fn pg_control_says_shut_down_before_the_postmaster_is_gone() {
    let mut scene = Scene::cluster(8);
    scene.fleet.archiver_hangs(A, true, scene.now);
    let job = scene.begins(A, stop_fast());
    scene.passes(20);
    let told =
        scene.news.iter().any(|news| matches!(news, News::JobProgress { id, shut_down: Some(_), .. } if *id == job));
    assert!(told && scene.fleet.is_running(A) && scene.end_of(job).is_none());
    scene.fleet.archiver_hangs(A, false, scene.now);
    scene.until(|scene| scene.end_of(job).is_some());
    assert!(!scene.fleet.is_running(A));
}

#[test]
fn a_stop_that_takes_too_long_becomes_an_immediate_one() {
    let mut scene = Scene::cluster(9);
    scene.fleet.stop_takes(A, Some(Duration::from_secs(300)), scene.now);
    let began = scene.now;
    let end = scene.does(A, stop(StopMode::Fast, Some(Duration::from_secs(5))));
    assert_eq!(end, JobEnd::Stopped(None));
    assert!(scene.now.since(began) < Duration::from_secs(6));
    assert_eq!(control(&scene.facts(A)), ControlState::ShuttingDown);
}

#[test]
fn a_stop_that_was_held_up_goes_on_when_that_is_over() {
    let mut scene = Scene::cluster(12);
    scene.fleet.stop_takes(A, Some(Duration::from_secs(300)), scene.now);
    scene.fleet.stop_by_hand(A, StopMode::Fast, scene.now);
    scene.passes(30);
    assert!(scene.fleet.is_running(A));
    scene.fleet.stop_takes(A, None, scene.now);
    scene.passes(5);
    assert!(!scene.fleet.is_running(A));
}

#[test]
fn fencing_ends_a_server_within_milliseconds_and_a_frozen_one_soon_after() {
    let mut scene = Scene::cluster(10);
    scene.fleet.fence(A, scene.now);
    assert!(!scene.fleet.is_writable(A));
    scene.passes_millis(30);
    assert!(!scene.fleet.is_running(A));

    let mut scene = Scene::cluster(11);
    scene.fleet.freeze(A);
    scene.fleet.fence(A, scene.now);
    scene.passes_millis(90);
    assert!(scene.fleet.is_running(A));
    scene.passes_millis(20);
    assert!(!scene.fleet.is_running(A));
}

#[test]
fn a_server_whose_disk_hangs_cannot_even_be_killed_but_does_nothing_more_either() {
    let mut scene = Scene::cluster(12);
    let write = scene.writes(A);
    scene.fleet.hang(A, scene.now + Duration::from_secs(30));
    scene.fleet.fence(A, scene.now);
    scene.passes(20);
    assert!(scene.fleet.is_running(A) && !scene.fleet.is_writable(A) && !scene.is_acked(write));
    scene.passes(11);
    assert!(!scene.fleet.is_running(A) && !scene.is_acked(write));
}

#[test]
fn a_server_killed_while_its_disk_hangs_is_gone_before_it_does_anything_else() {
    let mut scene = Scene::cluster(16);
    scene.fleet.hang(A, scene.now + Duration::from_secs(10));
    scene.fleet.kill_postmaster(A, scene.now);
    scene.passes(9);
    assert!(scene.fleet.is_running(A));
    scene.passes(1);
    assert!(!scene.fleet.is_running(A));
}

#[test]
fn a_frozen_server_says_nothing_and_goes_on_afterwards() {
    let mut scene = Scene::cluster(13);
    let write = scene.writes(A);
    scene.fleet.freeze(A);
    scene.passes(5);
    assert!(matches!(scene.facts(A).answers, Answers::Silent { .. }) && !scene.is_acked(write));
    scene.fleet.thaw(A, scene.now);
    scene.passes(1);
    assert!(scene.is_acked(write) && is_live(&scene.facts(A)));
}

#[test]
fn a_stopped_standby_says_so() {
    let mut scene = Scene::cluster(14);
    assert_eq!(scene.does(B, stop_fast()), JobEnd::Stopped(None));
    assert_eq!(control(&scene.facts(B)), ControlState::ShutDownInRecovery);
}

#[test]
fn a_host_without_power_keeps_what_it_had_flushed() {
    let mut scene = Scene::cluster(15);
    let write = scene.writes(A);
    scene.fleet.power_off(A, scene.now);
    scene.passes(5);
    scene.fleet.power_on(A, scene.now);
    scene.fleet.adopt(A, scene.now);
    assert_eq!(scene.facts(A).role, Role::Demoted);
    assert!(scene.holds(A, write) && !scene.fleet.is_running(A));
}
