//! Who may stream from whom, and what it gets.

use super::*;

/// `a` was cut off with a write that nobody has; `b` leads on a timeline of its own.
fn split(seed: u64) -> (Scene, WriteId) {
    let mut scene = Scene::cluster(seed);
    scene.cuts(A);
    let write = scene.writes(A);
    scene.passes(1);
    scene.promotes(B);
    scene.mends();
    (scene, write)
}

#[test]
fn a_standby_gets_what_the_primary_writes() {
    let mut scene = Scene::cluster(1);
    let write = scene.writes(A);
    scene.passes_millis(5);
    assert!(scene.holds(B, write) && scene.holds(C, write));
}

#[test]
fn a_standby_follows_to_the_next_timeline_if_it_was_not_ahead() {
    let (mut scene, _) = split(2);
    scene.follows(C, B);
    let write = scene.writes(B);
    scene.until(|scene| scene.holds(C, write));
    assert_eq!(scene.timeline(C), Timeline::FIRST.next());
}

#[test]
fn a_standby_ahead_of_the_new_primarys_fork_cannot_stream_from_it() {
    let mut scene = Scene::cluster(3);
    scene.wires.0.insert((A, B));
    let write = scene.writes(A);
    scene.passes(1);
    assert!(scene.holds(C, write) && !scene.holds(B, write));
    scene.fleet.kill_postmaster(A, scene.now);
    scene.mends();
    scene.promotes(B);
    scene.follows(C, B);
    let end = scene.now + Duration::from_secs(30);
    while scene.step(end) {
        assert!(!scene.streams(C) && scene.holds(C, write));
    }
}

#[test]
fn a_former_primary_with_writes_of_its_own_cannot_stream_from_its_successor() {
    let (mut scene, write) = split(4);
    scene.does(A, stop_fast());
    scene.gives_slots(B);
    assert_eq!(scene.does(A, start_as_standby_of(B)), JobEnd::Done);
    scene.passes(30);
    assert!(!scene.streams(A) && scene.holds(A, write));
    assert!(!scene.news.iter().any(|news| matches!(news, News::Mixed { .. })));
}

#[test]
fn two_promotions_to_one_number_are_two_histories_and_streaming_between_them_is_noticed() {
    let mut scene = Scene::cluster(5);
    scene.fleet.kill_postmaster(A, scene.now);
    scene.wires.0.insert((B, C));
    scene.promotes(B);
    scene.promotes(C);
    assert_eq!(scene.timeline(B), scene.timeline(C));
    assert_ne!(scene.point(B).0, scene.point(C).0);
    let write = scene.writes(C);
    for _ in 0..5 {
        scene.writes(B);
    }
    scene.mends();
    scene.does(C, stop_fast());
    scene.gives_slots(B);
    scene.does(C, start_as_standby_of(B));
    scene.until(|scene| scene.news.contains(&News::Mixed { host: C, upstream: B }));
    assert!(scene.holds(C, write));
}

#[test]
fn a_standby_streams_from_a_standby() {
    let mut scene = Scene::cluster(6);
    scene.follows(C, B);
    scene.until(|scene| scene.streams(C));
    scene.wires.0.insert((A, C));
    let write = scene.writes(A);
    scene.passes_millis(20);
    assert!(scene.holds(C, write));
}

#[test]
fn a_cascade_goes_on_when_its_upstream_is_promoted() {
    let mut scene = Scene::cluster(7);
    scene.follows(C, B);
    scene.until(|scene| scene.streams(C));
    scene.fleet.kill_postmaster(A, scene.now);
    scene.promotes(B);
    let write = scene.writes(B);
    scene.until(|scene| scene.holds(C, write));
}

#[test]
fn without_its_slot_a_standby_is_refused() {
    let mut scene = Scene::cluster(8);
    scene.promotes(B);
    scene.commands(C, Command::Repoint { upstream: member(B), role: Role::Replica });
    scene.passes(20);
    assert!(!scene.streams(C));
    scene.gives_slots(B);
    scene.until(|scene| scene.streams(C));
}

#[test]
fn wal_that_is_gone_cannot_be_streamed() {
    let mut scene = Scene::cluster(9);
    scene.does(B, stop_fast());
    scene.writes(A);
    scene.fleet.lose_wal(A);
    assert_eq!(scene.does(B, start_as_standby_of(A)), JobEnd::Done);
    scene.passes(30);
    assert!(!scene.streams(B) && scene.streams(C));
}

#[test]
fn a_cut_is_noticed_after_the_time_that_is_set_and_mended_by_trying_again() {
    let mut scene = Scene::cluster(10);
    scene.cuts(B);
    scene.passes(10);
    assert!(scene.streams(B), "nobody has noticed yet");
    scene.passes(100);
    assert!(!scene.streams(B));
    let write = scene.writes(A);
    scene.mends();
    scene.until(|scene| scene.holds(B, write));
}

#[test]
fn the_end_of_a_server_is_heard_at_once_the_end_of_a_host_is_not() {
    let mut scene = Scene::cluster(14);
    scene.fleet.kill_postmaster(A, scene.now);
    scene.passes_millis(10);
    assert!(!scene.streams(B));
    let mut scene = Scene::cluster(15);
    scene.fleet.power_off(A, scene.now);
    scene.cuts(A);
    scene.passes(20);
    assert!(scene.streams(B));
}

#[test]
fn a_short_cut_costs_only_time() {
    let mut scene = Scene::cluster(11);
    scene.cuts(B);
    let write = scene.writes(A);
    scene.passes(5);
    assert!(!scene.holds(B, write));
    scene.mends();
    scene.passes(3);
    assert!(scene.holds(B, write));
}

#[test]
fn replay_may_lag_behind_what_is_flushed_and_a_promotion_replays_the_rest() {
    let mut scene = Scene::cluster(12);
    scene.fleet.replay_lag(B, Duration::from_secs(20), scene.now);
    let write = scene.writes(A);
    scene.passes(1);
    let facts = scene.facts(B);
    let standby = facts.answers.live().unwrap().standby().unwrap();
    assert!(standby.received > standby.replayed && scene.holds(B, write));
    scene.fleet.kill_postmaster(A, scene.now);
    let promotion = scene.begins(B, Job::Promote { wait: Duration::from_secs(60) });
    scene.passes(10);
    assert_eq!(scene.end_of(promotion), None);
    scene.until(|scene| scene.fleet.is_writable(B));
    assert!(scene.holds(B, write));
}

#[test]
fn a_promotion_takes_the_number_after_the_highest_it_has_heard_of() {
    let (mut scene, _) = split(13);
    scene.follows(C, B);
    scene.until(|scene| scene.streams(C));
    scene.promotes(C);
    assert_eq!(scene.timeline(C).number(), 3);
}
