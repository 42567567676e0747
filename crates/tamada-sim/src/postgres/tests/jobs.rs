//! How the agent's jobs end, and what they leave behind when they are cut.

use super::*;
use tamada_model::{DataDir, State};

#[test]
fn a_bootstrap_makes_a_cluster_of_its_own() {
    let mut scene = Scene::empty(1);
    assert_eq!(scene.facts(A).data, DataDir::Empty);
    assert_eq!(scene.does(A, Job::Bootstrap), JobEnd::Done);
    assert!(scene.fleet.is_writable(A));
    let facts = scene.facts(A);
    assert_eq!((facts.state, facts.role), (State::Running, Role::Primary));
    assert!(!facts.callback_called, "nobody hears of a bootstrap before it is over");
    scene.does(B, Job::Bootstrap);
    assert_ne!(scene.fleet.system_id(A), scene.fleet.system_id(B));
}

#[test]
fn an_initdb_that_was_cut_leaves_what_is_told_as_empty() {
    let mut scene = Scene::empty(2);
    let job = scene.begins(A, Job::Bootstrap);
    scene.passes_millis(200);
    scene.fleet.cancel(A, job, scene.now);
    scene.gather();
    assert_eq!(scene.end_of(job), Some(JobEnd::Cancelled));
    assert_eq!((scene.facts(A).data, scene.facts(A).state), (DataDir::Empty, State::InitDbFailed));
}

#[test]
fn a_clone_fails_when_its_source_goes_away_and_leaves_nothing() {
    let mut scene = Scene::cluster(3);
    scene.fleet.wipe_data(C, scene.now);
    scene.passes(1);
    let job = scene.begins(C, clone_from(A));
    scene.passes(1);
    scene.fleet.kill_postmaster(A, scene.now);
    scene.until(|scene| scene.end_of(job).is_some());
    assert!(matches!(scene.end_of(job), Some(JobEnd::Failed(_))));
    assert_eq!(scene.facts(C).data, DataDir::Empty);
}

#[test]
fn a_start_fails_when_the_data_is_removed_before_the_launch() {
    let mut scene = Scene::cluster(3);
    scene.does(A, stop_fast());
    let job = scene.begins(A, start_as_primary());
    scene.fleet.wipe_data(A, scene.now);
    scene.until(|scene| scene.end_of(job).is_some());
    assert!(matches!(scene.end_of(job), Some(JobEnd::Failed(_))));
}

#[test]
fn a_clone_is_refused_where_there_is_data() {
    let mut scene = Scene::cluster(4);
    let before = scene.point(C);
    assert!(matches!(scene.does(C, clone_from(A)), JobEnd::Failed(_)));
    assert_eq!(scene.point(C), before);
}

#[test]
fn reinitializing_removes_the_data_before_it_knows_whether_there_will_be_new() {
    let mut scene = Scene::cluster(5);
    let had = scene.point(C);
    scene.cuts(C);
    let job = Job::Reinitialize { source: source(A), then_follow: member(A), only_basebackup: false };
    assert!(matches!(scene.does(C, job), JobEnd::Failed(_)));
    let removed = |news: &News| matches!(news, News::Removed { host: C, had: lost, .. } if *lost == had);
    assert!(scene.news.iter().any(removed) && scene.fleet.data(C).is_none());
}

#[test]
fn a_copy_waits_for_a_disk_that_hangs() {
    let mut scene = Scene::cluster(14);
    let job = Job::Reinitialize { source: source(A), then_follow: member(A), only_basebackup: false };
    let job = scene.begins(C, job);
    scene.passes(1);
    scene.fleet.hang(C, scene.now + Duration::from_secs(120));
    scene.passes(110);
    assert!(scene.end_of(job).is_none() && scene.fleet.data(C).is_none());
    scene.until(|scene| scene.end_of(job).is_some());
    assert_eq!(scene.end_of(job), Some(JobEnd::Done));
}

#[test]
fn an_agent_that_dies_while_it_copies_leaves_what_is_told_as_empty() {
    let mut scene = Scene::cluster(6);
    let job = Job::Reinitialize { source: source(A), then_follow: member(A), only_basebackup: false };
    scene.begins(C, job);
    scene.passes(2);
    scene.fleet.agent_dies(C, scene.now);
    scene.passes(60);
    scene.fleet.adopt(C, scene.now);
    assert_eq!((scene.facts(C).data, scene.facts(C).role), (DataDir::Empty, Role::Uninitialized));
}

#[test]
fn an_agent_that_dies_leaves_its_server_running_and_the_next_one_takes_it_over() {
    let mut scene = Scene::cluster(7);
    scene.fleet.agent_dies(A, scene.now);
    scene.fleet.adopt(A, scene.now);
    let facts = scene.facts(A);
    assert_eq!((facts.state, facts.role, facts.callback_called), (State::Running, Role::Primary, false));
    assert!(scene.fleet.is_writable(A));
}

#[test]
fn a_start_that_is_cancelled_in_time_starts_nothing() {
    let mut scene = Scene::cluster(8);
    scene.does(B, stop_fast());
    let job = scene.begins(B, start_as_standby_of(A));
    scene.fleet.cancel(B, job, scene.now);
    scene.until(|scene| scene.end_of(job).is_some());
    assert_eq!(scene.end_of(job), Some(JobEnd::Cancelled));
    assert!(!scene.fleet.is_running(B) && scene.facts(B).state == State::StartFailed);
}

#[test]
fn a_start_that_is_cancelled_too_late_goes_on_without_its_job() {
    let mut scene = Scene::cluster(9);
    scene.does(B, stop_fast());
    let job = scene.begins(B, start_as_standby_of(A));
    scene.until(|scene| scene.fleet.is_running(B));
    scene.fleet.cancel(B, job, scene.now);
    scene.gather();
    assert_eq!((scene.end_of(job), scene.facts(B).state), (Some(JobEnd::Cancelled), State::Starting));
    scene.passes(10);
    assert_eq!(scene.facts(B).state, State::Running);
}

#[test]
fn a_start_that_fails_says_so_and_the_next_one_may_succeed() {
    let mut scene = Scene::cluster(10);
    scene.does(B, stop_fast());
    scene.fleet.starts_fail(B, 1);
    assert!(matches!(scene.does(B, start_as_standby_of(A)), JobEnd::Failed(_)));
    assert_eq!(scene.facts(B).state, State::StartFailed);
    assert_eq!(scene.does(B, start_as_standby_of(A)), JobEnd::Done);
}

#[test]
fn a_restart_of_a_primary_keeps_its_timeline() {
    let mut scene = Scene::cluster(11);
    assert_eq!(scene.does(A, Job::Restart { timeout: None }), JobEnd::Done);
    assert!(scene.fleet.is_writable(A) && scene.timeline(A) == Timeline::FIRST);
    scene.until(|scene| scene.streams(B));
}

#[test]
fn a_promotion_is_a_timeline_and_its_checkpoint_comes_later() {
    let mut scene = Scene::cluster(12);
    scene.fleet.kill_postmaster(A, scene.now);
    scene.promotes(B);
    assert_eq!((scene.facts(B).role, scene.timeline(B)), (Role::Primary, Timeline::FIRST.next()));
    assert!(matches!(scene.does(A, Job::CrashRecovery), JobEnd::Done));
    let not_trusted = Job::Rewind { from: member(B), from_agent_can_be_trusted: false };
    assert!(matches!(scene.does(A, not_trusted.clone()), JobEnd::NotNow(_)));
    scene.commands(B, Command::CheckpointAfterPromote);
    scene.until(|scene| scene.news.contains(&News::Checkpointed { host: B, done: true }));
    assert_eq!(scene.does(A, not_trusted), JobEnd::Done);
}

#[test]
fn a_primary_cannot_be_promoted_and_a_stopped_server_neither() {
    let mut scene = Scene::cluster(13);
    scene.commands(A, Command::SetRole(Role::Replica));
    assert!(matches!(scene.does(A, Job::Promote { wait: Duration::from_secs(1) }), JobEnd::Failed(_)));
    scene.does(B, stop_fast());
    assert!(matches!(scene.does(B, Job::Promote { wait: Duration::from_secs(1) }), JobEnd::Failed(_)));
}

#[test]
fn what_a_slow_host_has_begun_goes_on_at_the_usual_pace_when_it_is_slow_no_longer() {
    let mut scene = Scene::cluster(6);
    scene.fleet.wipe_data(C, scene.now);
    scene.passes(1);
    scene.fleet.slow(C, 50, scene.now);
    let job = scene.begins(C, clone_from(A));
    scene.passes(60);
    assert_eq!(scene.end_of(job), None);
    scene.fleet.slow(C, 1, scene.now);
    scene.passes(60);
    assert_eq!(scene.end_of(job), Some(JobEnd::Done));
}
