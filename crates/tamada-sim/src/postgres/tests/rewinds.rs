//! pg_rewind: what it takes back, when it does nothing, and what a cut one leaves.

use super::*;
use tamada_model::DataDir;

/// `a` has a write that nobody else has, and is stopped; `b` leads, and has made its checkpoint.
fn diverged(seed: u64) -> (Scene, WriteId) {
    let mut scene = Scene::cluster(seed);
    scene.cuts(A);
    let write = scene.writes(A);
    scene.passes(1);
    scene.promotes(B);
    scene.mends();
    scene.commands(B, Command::CheckpointAfterPromote);
    scene.until(|scene| scene.news.contains(&News::Checkpointed { host: B, done: true }));
    scene.fleet.kill_postmaster(A, scene.now);
    (scene, write)
}

fn is_unfinished(scene: &Scene, host: Host) -> bool {
    match scene.facts(host).data {
        DataDir::Present(present) => present.unfinished_rewind,
        DataDir::Empty | DataDir::Unreadable(_) => false,
    }
}

#[test]
fn a_rewind_takes_back_what_the_cluster_never_had() {
    let (mut scene, write) = diverged(1);
    assert_eq!(scene.does(A, rewind_from(B)), JobEnd::Done);
    assert!(!scene.holds(A, write));
    scene.gives_slots(B);
    assert_eq!(scene.does(A, start_as_standby_of(B)), JobEnd::Done);
    let write = scene.writes(B);
    scene.until(|scene| scene.holds(A, write));
}

#[test]
fn a_cut_rewind_leaves_the_marker_and_nothing_starts_on_it() {
    let (mut scene, _) = diverged(2);
    let job = scene.begins(A, rewind_from(B));
    scene.until(|scene| is_unfinished(scene, A));
    scene.fleet.cancel(A, job, scene.now);
    scene.gather();
    assert_eq!(scene.end_of(job), Some(JobEnd::Cancelled));
    assert!(is_unfinished(&scene, A));
    assert!(matches!(scene.does(A, start_as_standby_of(B)), JobEnd::Failed(_)));
    assert_eq!(scene.does(A, rewind_from(B)), JobEnd::Done);
    assert!(!is_unfinished(&scene, A));
}

#[test]
fn a_rewind_that_loses_power_leaves_the_marker() {
    let (mut scene, _) = diverged(3);
    scene.begins(A, rewind_from(B));
    scene.until(|scene| is_unfinished(scene, A));
    scene.fleet.power_off(A, scene.now);
    scene.passes(10);
    scene.fleet.power_on(A, scene.now);
    scene.fleet.adopt(A, scene.now);
    assert!(is_unfinished(&scene, A));
}

#[test]
fn a_rewind_whose_source_dies_is_tried_again_later() {
    let (mut scene, _) = diverged(4);
    let job = scene.begins(A, rewind_from(B));
    scene.until(|scene| is_unfinished(scene, A));
    scene.fleet.crash_backend(B, scene.now);
    scene.passes_millis(10);
    assert!(matches!(scene.end_of(job), Some(JobEnd::NotNow(_))));
}

#[test]
fn a_rewind_that_misses_wal_fails_and_has_touched_nothing() {
    let (mut scene, write) = diverged(5);
    scene.fleet.lose_wal(A);
    assert!(matches!(scene.does(A, rewind_from(B)), JobEnd::Failed(_)));
    assert!(scene.holds(A, write) && !is_unfinished(&scene, A));
}

#[test]
fn a_rewind_from_a_standby_is_not_done() {
    let (mut scene, _) = diverged(6);
    assert!(matches!(scene.does(A, rewind_from(C)), JobEnd::NotNow(_)));
    scene.cuts(B);
    assert!(matches!(scene.does(A, rewind_from(B)), JobEnd::NotNow(_)));
}

#[test]
fn before_the_sources_checkpoint_pg_rewind_believes_that_nothing_is_to_be_done() {
    let mut scene = Scene::cluster(7);
    scene.cuts(A);
    let write = scene.writes(A);
    scene.passes(1);
    scene.promotes(B);
    scene.mends();
    scene.fleet.kill_postmaster(A, scene.now);
    let began = scene.now;
    assert_eq!(scene.does(A, rewind_from(B)), JobEnd::Done);
    if scene.fleet.has_checkpoint(B) {
        // It was quick with the one that it makes by itself.
        return assert!(scene.now.since(began) > Duration::from_millis(500));
    }
    assert!(scene.holds(A, write));
}

#[test]
fn a_single_user_run_ends_a_crash_like_a_stop() {
    let (mut scene, write) = diverged(8);
    assert_eq!(scene.does(A, Job::CrashRecovery), JobEnd::Done);
    let tamada_model::Divergence::Compared(compared) = scene.fleet.divergence(A, &member(B), &mut scene.wires) else {
        panic!("nothing was compared");
    };
    assert!(!compared.in_recovery && compared.leader_timeline == Timeline::FIRST.next());
    assert_eq!(compared.shutdown_checkpoint_end, Some(scene.point(A).1));
    assert!(scene.holds(A, write));
}

/// Where it crashed is on a's timeline: a checkpoint there would make it another.
#[test]
fn a_standby_that_crashed_is_not_rewound_as_it_is() {
    let (mut scene, _) = diverged(9);
    let before = scene.point(C);
    scene.fleet.kill_postmaster(C, scene.now);
    assert!(matches!(scene.does(C, rewind_from(B)), JobEnd::Failed(_)));
    assert_eq!(scene.point(C), before);
    assert!(!is_unfinished(&scene, C));
}
