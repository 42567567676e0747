//! When a client is told that its transaction is committed.

use super::*;
use crate::postgres::SyncNames;

#[test]
fn a_commit_without_synchronous_standbys_waits_for_nobody() {
    let mut scene = Scene::cluster(1);
    scene.cuts(A);
    let write = scene.writes(A);
    scene.passes_millis(10);
    assert!(scene.is_acked(write) && !scene.holds(B, write));
}

#[test]
fn a_synchronous_commit_is_not_acknowledged_before_a_standby_flushed_it() {
    let mut scene = Scene::cluster(2);
    scene.fleet.set_sync_names(A, SyncNames::Any(1, vec![B, C]), scene.now);
    scene.cuts(A);
    let write = scene.writes(A);
    scene.passes(20);
    assert!(!scene.is_acked(write));
    scene.mends();
    scene.until(|scene| scene.is_acked(write));
    assert!(scene.holds(B, write) || scene.holds(C, write));
}

#[test]
fn the_first_of_the_list_that_is_connected_has_to_have_it() {
    let mut scene = Scene::cluster(3);
    scene.fleet.set_sync_names(A, SyncNames::First(1, vec![B, C]), scene.now);
    let write = scene.writes(A);
    scene.until(|scene| scene.is_acked(write));
    assert!(scene.holds(B, write));
    scene.wires.0.insert((A, C));
    let write = scene.writes(A);
    scene.passes(1);
    assert!(scene.is_acked(write), "only the first counts");
    scene.mends();
    scene.passes(5);
    scene.fleet.kill_postmaster(B, scene.now);
    let write = scene.writes(A);
    scene.until(|scene| scene.is_acked(write));
    assert!(scene.holds(C, write) && !scene.holds(B, write));
}

#[test]
fn a_changed_list_lets_those_go_who_wait() {
    let mut scene = Scene::cluster(4);
    scene.fleet.set_sync_names(A, SyncNames::Any(2, vec![B, C]), scene.now);
    scene.fleet.kill_postmaster(C, scene.now);
    let write = scene.writes(A);
    scene.passes(2);
    assert!(!scene.is_acked(write));
    scene.fleet.set_sync_names(A, SyncNames::Any(1, vec![B, C]), scene.now);
    scene.gather();
    assert!(scene.is_acked(write));
}

#[test]
fn a_fast_stop_leaves_a_waiting_commit_in_doubt_though_it_is_there() {
    let mut scene = Scene::cluster(5);
    scene.fleet.set_sync_names(A, SyncNames::Any(1, vec![B, C]), scene.now);
    scene.cuts(A);
    let write = scene.writes(A);
    scene.passes(1);
    scene.begins(A, stop_fast());
    scene.passes(1);
    assert!(scene.is_in_doubt(write) && !scene.is_acked(write) && scene.holds(A, write));
}

#[test]
fn a_full_disk_takes_the_server_down_and_the_write_is_nowhere() {
    let mut scene = Scene::cluster(6);
    scene.fleet.disk_full(A, true);
    let write = scene.writes(A);
    assert!(!scene.fleet.is_running(A) && !scene.holds(A, write));
    assert!(scene.news.contains(&News::Failed { write, certain: true }));
    assert!(matches!(scene.does(A, start_as_primary()), JobEnd::Failed(_)));
    scene.fleet.disk_full(A, false);
    assert_eq!(scene.does(A, start_as_primary()), JobEnd::Done);
}
