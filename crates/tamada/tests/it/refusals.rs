//! When things are wrong at start: one clear sentence, and nothing is touched.

use std::fs;

use crate::store::Kind;
use crate::town::Town;

#[test]
fn a_wrong_configuration_is_refused_with_all_complaints_at_once() {
    let mut town = Town::new(Kind::Etcd, 1);
    let text = fs::read_to_string(town.config(0)).unwrap();
    let text = text.replace("name: a\n", "").replace("data_dir:", "date_dir:");
    fs::write(town.config(0), text).unwrap();
    town.start(0);
    assert_eq!(town.wait_for_exit(0), Some(1));
    let log = town.log(0);
    assert!(log.contains("name") && log.contains("postgresql.data_dir"), "{log}");
    assert!(!town.base.join("pg-a").exists());
}

#[test]
fn data_of_another_cluster_is_left_alone() {
    let mut town = Town::new(Kind::Etcd, 2);
    let village = |town: &Town, at: usize| {
        let text = fs::read_to_string(town.config(at)).unwrap();
        fs::write(town.config(at), text.replace("scope: town", "scope: village")).unwrap();
    };
    town.start(0);
    town.wait_for_cluster(0);
    assert_eq!(town.stop(0), Some(0));
    village(&town, 1);
    town.start(1);
    town.wait_for_cluster(0);
    // The first comes to the second's cluster with data of its own.
    let control = town.base.join("pg-a/global/pg_control");
    let before = fs::read(&control).unwrap();
    village(&town, 0);
    town.start(0);
    assert_eq!(town.wait_for_exit(0), Some(1));
    let log = town.log(0);
    assert!(log.contains("system ID mismatch"), "{log}");
    assert_eq!(fs::read(&control).unwrap(), before);
}

#[test]
fn two_agents_never_share_a_data_directory() {
    let mut town = Town::new(Kind::Etcd, 2);
    town.start(0);
    let leader = town.wait_for_cluster(0);
    let postmaster = town.postmaster(leader);
    let text = fs::read_to_string(town.config(1)).unwrap();
    fs::write(town.config(1), text.replace("/pg-b", "/pg-a")).unwrap();
    town.start(1);
    assert_eq!(town.wait_for_exit(1), Some(1));
    let log = town.log(1);
    assert!(log.contains("another agent of this machine manages the data directory"), "{log}");
    assert_eq!(town.postmaster(leader), postmaster);
}
