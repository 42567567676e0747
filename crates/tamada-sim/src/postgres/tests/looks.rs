//! What a look shows.

use super::*;
use tamada_model::{Asks, DataDir, Divergence, RecoveryMatch, Standing, State, Unread};

#[test]
fn a_primary_shows_its_standbys_and_how_far_they_are() {
    let mut scene = Scene::cluster(1);
    scene.writes(A);
    scene.passes(1);
    let facts = scene.facts(A);
    let live = facts.answers.live().unwrap();
    let Standing::Primary { flushed, .. } = live.standing else { panic!("no primary") };
    let senders: Vec<_> = live.replication.iter().map(|s| (s.application_name.as_str(), s.flushed)).collect();
    assert_eq!(senders, [("b", Some(flushed)), ("c", Some(flushed))]);
    assert!(live.slots.iter().all(|slot| slot.active && slot.restart_lsn == Some(flushed)));
}

#[test]
fn a_standby_shows_whom_it_streams_from() {
    let scene = Scene::cluster(2);
    let facts = scene.facts(B);
    let standby = facts.answers.live().unwrap().standby().unwrap();
    let receiver = standby.receiver.as_ref().unwrap();
    assert!(receiver.conninfo.contains("host=a") && receiver.timeline == Some(Timeline::FIRST));
    assert_eq!((standby.received, standby.received), (standby.replayed, Some(scene.point(B).1)));
}

#[test]
fn the_timeline_of_a_standby_is_asked_anew_unless_it_is_the_leaders() {
    let mut scene = Scene::cluster(3);
    let told = |scene: &Scene, leader| {
        let facts = scene.fleet.facts(C, Now::default(), leader);
        facts.answers.live().unwrap().standby().unwrap().timeline
    };
    assert_eq!(told(&scene, None), Some(Timeline::FIRST));
    scene.fleet.kill_postmaster(A, scene.now);
    scene.promotes(B);
    scene.follows(C, B);
    let write = scene.writes(B);
    scene.until(|scene| scene.holds(C, write));
    assert_eq!(told(&scene, Some(Timeline::FIRST)), Some(Timeline::FIRST), "as it was remembered");
    assert_eq!(told(&scene, None), Some(Timeline::FIRST.next()), "nobody leads");
}

#[test]
fn the_origin_that_a_look_shows_is_that_of_the_timeline_it_tells() {
    let mut scene = Scene::cluster(3);
    let shown = |scene: &Scene, host, leader| match scene.fleet.facts(host, Now::default(), leader).data {
        DataDir::Present(present) => present.origin,
        DataDir::Empty | DataDir::Unreadable(_) => panic!("it has data"),
    };
    assert_eq!(shown(&scene, C, None), None);
    scene.fleet.kill_postmaster(A, scene.now);
    scene.promotes(B);
    scene.follows(C, B);
    let write = scene.writes(B);
    scene.until(|scene| scene.holds(C, write));
    assert_eq!(shown(&scene, C, Some(Timeline::FIRST)), None, "as it was remembered");
    let of_b = shown(&scene, B, None);
    assert_eq!(of_b.map(|origin| origin.timeline), Some(Timeline::FIRST.next()));
    assert_eq!(shown(&scene, C, None), of_b);
}

#[test]
fn a_standby_with_another_upstream_than_wanted_needs_a_reload() {
    let mut scene = Scene::cluster(4);
    assert_eq!(scene.fleet.recovery_match(B, &member(A)), RecoveryMatch::Same);
    assert_eq!(scene.fleet.recovery_match(B, &member(C)), RecoveryMatch::Reload(Asks::Another));
    scene.follows(B, C);
    assert_eq!(scene.fleet.recovery_match(B, &member(C)), RecoveryMatch::Same);
    assert_eq!(scene.fleet.recovery_match(A, &member(C)), RecoveryMatch::Restart);
}

#[test]
fn nothing_is_compared_with_a_leader_that_cannot_be_asked() {
    let mut scene = Scene::cluster(5);
    scene.cuts(B);
    let found = scene.fleet.divergence(B, &member(A), &mut scene.wires);
    assert!(matches!(found, Divergence::Unread(Unread::Leaders(_))), "{found:?}");
}

#[test]
fn nor_with_data_of_our_own_that_cannot_be_read() {
    let mut scene = Scene::cluster(5);
    scene.fleet.kill_postmaster(A, scene.now);
    let found = scene.fleet.divergence(A, &member(B), &mut scene.wires);
    assert!(matches!(found, Divergence::Unread(Unread::Ours(_))), "{found:?}");
}

#[test]
fn a_leader_in_recovery_shows_its_history_and_is_no_primary() {
    let mut scene = Scene::cluster(5);
    let found = scene.fleet.divergence(B, &member(C), &mut scene.wires);
    let Divergence::Compared(numbers) = found else { panic!("{found:?}") };
    assert_eq!(numbers.leader_unready.as_deref(), Some("the leader is still in recovery"));
    assert_eq!((numbers.local_history, numbers.leader_history), (Some(vec![]), Some(vec![])));
}

#[test]
fn a_history_file_tells_where_the_timeline_began() {
    let mut scene = Scene::cluster(6);
    let fork = scene.point(B).1;
    scene.promotes(B);
    let file = scene.fleet.history_file(B, Timeline::FIRST.next()).unwrap();
    assert_eq!(file.lines.iter().map(|(parent, lsn, _)| (*parent, *lsn)).collect::<Vec<_>>(), [(1, fork)]);
    assert_eq!(scene.fleet.history_file(A, Timeline::FIRST), None);
}

#[test]
fn a_server_that_starts_is_seen_to_reject_and_then_to_run() {
    let mut scene = Scene::cluster(7);
    scene.does(B, stop_fast());
    scene.begins(B, start_as_standby_of(A));
    scene.until(|scene| scene.fleet.is_running(B));
    assert_eq!((scene.facts(B).answers, scene.facts(B).state), (Answers::Rejecting, State::Starting));
    scene.passes(10);
    assert!(is_live(&scene.facts(B)) && scene.facts(B).state == State::Running);
}

#[test]
fn the_same_seed_makes_the_same_world() {
    let run = |seed| {
        let mut scene = Scene::cluster(seed);
        scene.fleet.kill_postmaster(A, scene.now);
        scene.promotes(B);
        scene.passes(60);
        (scene.news, scene.steps)
    };
    assert_eq!(run(8), run(8));
    assert_ne!(run(8), run(9));
}
