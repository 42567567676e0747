//! The guard: whatever becomes of the agent, its PostgreSQL is not writable beyond the lease.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::process::Signal;

use crate::processes::{self, children, inhabitants, is_gone};
use crate::store::Kind;
use crate::town::{Town, signal, wait};

/// A leader and a replica, and a table to write to.
fn pair(kind: Kind) -> (Town, usize, usize) {
    pair_with(kind, "")
}

fn pair_with(kind: Kind, extra: &str) -> (Town, usize, usize) {
    let mut town = Town::hasty(kind, 2);
    (0..2).for_each(|at| town.write_configuration(at, extra));
    town.start_all();
    let leader = town.wait_for_cluster(1);
    town.sql(leader, "create table t (n int)").expect("the primary is writable");
    wait_for_standing(&town, leader, "armed");
    wait("the log says it too", || town.log(leader).contains("The guard is armed").then_some(()));
    (town, leader, 1 - leader)
}

fn wait_for_standing(town: &Town, at: usize, standing: &str) {
    wait("the status page says how the guard stands", || (town.status(at)?["guard"] == standing).then_some(()));
}

/// The guards at work for this data directory.
fn guards(town: &Town, at: usize) -> Vec<u32> {
    let data_dir = town.data_dir(at).canonicalize().expect("it was made");
    let is_guard = |pid: &u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        name.trim() == "tamada-guard"
            && words.split(|byte| *byte == 0).any(|word| word == data_dir.as_os_str().as_bytes())
    };
    processes::all().filter(is_guard).collect()
}

fn wait_for_guard(town: &Town, at: usize, besides: Option<u32>) -> u32 {
    wait("one guard is on duty", || match guards(town, at)[..] {
        [guard] if Some(guard) != besides => Some(guard),
        _ => None,
    })
}

/// The page that a guard reads.
fn page_of(guard: u32) -> PathBuf {
    fs::read_link(format!("/proc/{guard}/fd/0")).expect("it is its standard input")
}

/// Nobody can tell any more who goes by this page.
fn forget_office(page: &Path) {
    let page = fs::File::options().write(true).open(page).expect("it is ours");
    page.write_all_at(&[0; 4 * 8], 2 * 8).expect("it is longer");
}

/// What it says there, also after it has lost its name: two records of which the one with the higher number counts.
fn last_order(page: &fs::File) -> &'static str {
    let mut bytes = [0; 4096];
    page.read_exact_at(&mut bytes, 0).expect("a page is as long");
    let word = |at: usize| u64::from_ne_bytes(bytes[at * 8..at * 8 + 8].try_into().expect("eight bytes"));
    match word(if word(8) > word(16) { 9 } else { 17 }) {
        0 => "rest",
        1 => "fence",
        _ => "go",
    }
}

/// Clients at each member that write as fast as they are let, and then `what`. When the last write at the old one was
/// acknowledged, and the first at the new one.
fn written_meanwhile(town: &Town, old: usize, new: usize, what: impl FnOnce()) -> (Instant, Instant) {
    let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let acknowledged = |at: usize| {
        let mut ends: Option<(Instant, Instant)> = None;
        while !done.load(Ordering::Relaxed) {
            if town.sql(at, "insert into t values (1)").is_ok() {
                let now = now();
                ends = Some((ends.map_or(now, |(first, _)| first), now));
                begun.store(true, Ordering::Relaxed);
            }
        }
        ends
    };
    std::thread::scope(|scope| {
        let (at_old, at_new) = (scope.spawn(|| acknowledged(old)), scope.spawn(|| acknowledged(new)));
        wait("clients write", || begun.load(Ordering::Relaxed).then_some(()));
        what();
        wait("the other member is writable", || town.sql(new, "insert into t values (2)").ok());
        let after = now();
        done.store(true, Ordering::Relaxed);
        let last_of_old = at_old.join().expect("it only writes").expect("it was the primary").1;
        (last_of_old, at_new.join().expect("it only writes").map_or(after, |(first, _)| first))
    })
}

fn now() -> Instant {
    Instant::now()
}

fn killed_agent(kind: Kind) {
    let (mut town, old, new) = pair(kind);
    let guard = wait_for_guard(&town, old, None);
    let agent = town.members[old].agent_pid().expect("it runs");
    let (last, first) = written_meanwhile(&town, old, new, || signal(agent, Signal::KILL));
    assert!(last < first, "both acknowledged writes for {:?}", last - first);
    assert_eq!(town.postmaster(old), None);
    wait("nobody needs the guard any more", || guards(&town, old).is_empty().then_some(()));
    assert!(is_gone(guard) && !page_of(wait_for_guard(&town, new, None)).starts_with("/tmp"), "pages lie in memory");

    town.kill_agent(old);
    town.start(old);
    assert_eq!(town.wait_for_cluster(1), new);
}

#[test]
fn a_primary_whose_agent_was_killed_stops_before_another_can_write() {
    killed_agent(Kind::Etcd);
}

#[test]
fn so_it_is_with_the_embedded_store() {
    killed_agent(Kind::Embedded { witnesses: 1 });
}

#[test]
fn a_primary_whose_agent_is_frozen_stops_before_another_can_write() {
    let (town, old, new) = pair(Kind::Etcd);
    let (last, first) = written_meanwhile(&town, old, new, || town.freeze_agent(old));
    assert!(last < first, "both acknowledged writes for {:?}", last - first);
    assert_eq!((town.postmaster(old), guards(&town, old).len()), (None, 1));

    town.thaw_agent(old);
    assert_eq!(town.wait_for_cluster(1), new);
    wait_for_standing(&town, old, "disarmed");
    assert!(town.log(old).contains("The guard has stopped PostgreSQL"));
}

#[test]
fn a_frozen_postmaster_is_killed_with_its_children() {
    let (town, old, new) = pair(Kind::Etcd);
    let postmaster = town.postmaster(old).expect("it runs");
    let family = children(postmaster);
    assert!(family.len() > 4, "the postmaster and its processes");
    let (last, first) = written_meanwhile(&town, old, new, || {
        town.freeze_agent(old);
        signal(postmaster, Signal::STOP);
    });
    assert!(last < first, "both acknowledged writes for {:?}", last - first);
    wait("all of them are gone", || family.iter().all(|pid| is_gone(*pid)).then_some(()));
    town.thaw_agent(old);
    assert_eq!(town.wait_for_cluster(1), new);
}

#[test]
fn an_agent_restarted_within_the_lease_finds_its_primary_running_and_takes_the_guard_over() {
    let (mut town, leader, _) = pair(Kind::Etcd);
    let (guard, postmaster) = (wait_for_guard(&town, leader, None), town.postmaster(leader));
    town.kill_agent(leader);
    town.start(leader);
    let its_own = wait_for_guard(&town, leader, Some(guard));
    assert!(is_gone(guard));
    assert_eq!(town.wait_for_cluster(1), leader);
    wait_for_standing(&town, leader, "armed");
    // Longer than the lease that was left, and three renewals.
    let log = town.log(leader).len();
    wait("some heartbeats", || (town.log(leader)[log..].matches("the leader with the lock").count() > 6).then_some(()));
    assert_eq!((town.postmaster(leader), guards(&town, leader)), (postmaster, vec![its_own]));
}

#[test]
fn an_agent_restarted_after_the_lease_comes_back_as_a_replica() {
    let (mut town, old, new) = pair(Kind::Etcd);
    town.kill_agent(old);
    wait("the guard stops PostgreSQL", || town.postmaster(old).is_none().then_some(()));
    wait("the other member leads", || town.leader().filter(|at| *at == new));
    town.start(old);
    assert_eq!(town.wait_for_cluster(1), new);
    wait_for_standing(&town, old, "disarmed");
}

#[test]
fn a_guard_that_is_killed_or_frozen_is_replaced_and_the_next_one_guards_as_well() {
    let (town, old, new) = pair(Kind::Etcd);
    let first = wait_for_guard(&town, old, None);
    signal(first, Signal::KILL);
    let second = wait_for_guard(&town, old, Some(first));
    wait("it is on duty", || town.log(old).contains(&format!("on duty: process {second}")).then_some(()));
    signal(second, Signal::STOP);
    let third = wait_for_guard(&town, old, Some(second));
    assert!(is_gone(second), "one that was frozen might wake up at any time");
    wait("it is on duty", || town.log(old).contains(&format!("on duty: process {third}")).then_some(()));
    let page = page_of(third);
    signal(third, Signal::STOP);
    forget_office(&page);
    wait_for_guard(&town, old, Some(third));
    let log = town.log(old);
    assert!(log.contains("has ended: starting another") && log.contains("does not answer: starting another"), "{log}");
    assert_eq!(town.leader(), Some(old));
    wait_for_standing(&town, old, "armed");

    let (last, first) = written_meanwhile(&town, old, new, || town.freeze_agent(old));
    assert!(last < first, "both acknowledged writes for {:?}", last - first);
    town.thaw_agent(old);
}

#[test]
fn who_requires_a_guard_and_has_none_does_not_lead() {
    use std::os::unix::fs::PermissionsExt;
    let (town, old, new) = pair_with(Kind::Etcd, "guard: {mode: required}");
    town.sql(old, "insert into t values (1)").expect("the primary is writable");
    // No other process can be started from the binary; those that run go on.
    fs::set_permissions(town.base.join("tamada"), fs::Permissions::from_mode(0o600)).expect("it is ours");
    signal(wait_for_guard(&town, old, None), Signal::KILL);
    assert_eq!(wait("the other member leads", || town.leader().filter(|at| *at == new)), new);
    wait("nothing is lost", || (town.sql(new, "select count(*) from t").ok()? == "1").then_some(()));
    assert!(town.log(old).contains("Demoting self because there is no guard"), "{}", town.log(old));
    wait("it follows", || (town.status(old)?["replication_state"] == "streaming").then_some(()));
    let status = town.status(old).expect("it answers");
    assert_eq!((&status["guard"], &status["watchdog_failed"]), (&"failed".into(), &true.into()));

    fs::set_permissions(town.base.join("tamada"), fs::Permissions::from_mode(0o755)).expect("it is ours");
    wait_for_standing(&town, old, "disarmed");
}

#[test]
fn what_a_test_has_frozen_ends_with_its_town() {
    let (town, leader, _) = pair(Kind::Etcd);
    let (guard, postmaster) = (wait_for_guard(&town, leader, None), town.postmaster(leader).expect("it runs"));
    town.freeze_agent(leader);
    [guard, postmaster].into_iter().for_each(|pid| signal(pid, Signal::STOP));
    let (base, pages) = (town.base.clone(), [0, 1].map(|at| page_of(wait_for_guard(&town, at, None))));
    let inhabitants = inhabitants(&base);
    assert!(inhabitants.len() > 10, "two members and a store");
    drop(town);
    assert!(inhabitants.iter().all(processes::Inhabitant::is_gone));
    assert!(!base.exists() && pages.iter().all(|page| !page.exists()));
}

#[test]
fn a_machine_that_wakes_up_after_its_lease_has_no_primary() {
    let (town, old, new) = pair(Kind::Etcd);
    let guard = wait_for_guard(&town, old, None);
    let postmaster = town.postmaster(old).expect("it runs");
    let agent = town.members[old].agent_pid().expect("it runs");
    let everybody = [vec![guard, postmaster, agent], children(postmaster)].concat();
    everybody.iter().for_each(|pid| signal(*pid, Signal::STOP));
    wait("the other member is writable", || town.sql(new, "insert into t values (2)").ok());
    assert_eq!(town.postmaster(old), Some(postmaster));
    everybody.iter().for_each(|pid| signal(*pid, Signal::CONT));
    wait("it is gone", || is_gone(postmaster).then_some(()));
    assert_eq!(town.wait_for_cluster(1), new);
}

#[test]
fn a_leader_that_loses_its_store_stops_by_itself_and_its_guard_rests() {
    let mut town = Town::hasty(Kind::Etcd, 2);
    town.start_all();
    let leader = town.wait_for_cluster(1);
    town.freeze_store_for(leader);
    wait("it is read-only", || (town.sql(leader, "select pg_is_in_recovery()").ok()? == "t").then_some(()));
    wait_for_standing(&town, leader, "disarmed");
    let postmaster = town.postmaster(leader);
    let log = town.log(leader).len();
    wait("the lease has ended", || {
        (town.log(leader)[log..].matches("DCS is not accessible").count() > 5).then_some(())
    });
    assert_eq!((town.postmaster(leader), guards(&town, leader).len()), (postmaster, 1));
    town.thaw_store_for(leader);
    town.wait_for_cluster(1);
}

#[test]
fn in_pause_and_after_a_clean_stop_there_is_nothing_to_guard() {
    let (mut town, leader, _) = pair(Kind::Etcd);
    let (said, code) = town.ctl(leader, &["pause", "--wait"]);
    assert_eq!(code, Some(0), "{said}");
    wait_for_standing(&town, leader, "disarmed");
    let guard = wait_for_guard(&town, leader, None);
    let (postmaster, page) = (town.postmaster(leader), page_of(guard));
    town.kill_agent(leader);
    wait("the guard has nothing to do", || is_gone(guard).then_some(()));
    assert!(!page.exists() && postmaster.is_some() && town.postmaster(leader) == postmaster);

    town.start(leader);
    wait_for_standing(&town, leader, "disarmed");
    let (said, code) = town.ctl(leader, &["resume", "--wait"]);
    assert_eq!(code, Some(0), "{said}");
    wait("there is a leader again", || town.leader());
    let leader = town.wait_for_cluster(1);
    wait_for_standing(&town, leader, "armed");

    let page = fs::File::open(page_of(wait_for_guard(&town, leader, None))).expect("it is readable");
    assert_eq!(town.stop(leader), Some(0));
    assert_eq!(last_order(&page), "rest");
    wait("the guard has nothing to do", || guards(&town, leader).is_empty().then_some(()));
}

#[test]
fn a_new_binary_takes_over_from_the_old_one() {
    let (mut town, leader, _) = pair(Kind::Etcd);
    let (guard, postmaster) = (wait_for_guard(&town, leader, None), town.postmaster(leader));
    let upgraded = town.base.join("tamada-upgraded");
    let copied = Command::new("cp").arg("-p").arg(town.base.join("tamada")).arg(&upgraded).status();
    assert!(copied.expect("cp belongs to every system").success());
    town.kill_agent(leader);
    town.start_program(leader, &upgraded, &[]);
    let its_own = wait_for_guard(&town, leader, Some(guard));
    assert_eq!(fs::read_link(format!("/proc/{its_own}/exe")).ok(), Some(upgraded));
    assert_eq!(town.wait_for_cluster(1), leader);
    wait_for_standing(&town, leader, "armed");
    assert_eq!(town.postmaster(leader), postmaster);
}

#[test]
fn it_is_switched_off_and_on_again_without_a_restart() {
    let (town, leader, _) = pair(Kind::Etcd);
    let guard = wait_for_guard(&town, leader, None);
    town.write_configuration(leader, "guard: {mode: off}");
    assert_eq!(town.post(leader, "/reload", "").map(|(code, _)| code), Some(202));
    wait("it goes", || is_gone(guard).then_some(()));
    wait("and is not shown", || town.status(leader)?.get("guard").is_none().then_some(()));
    town.write_configuration(leader, "");
    assert_eq!(town.post(leader, "/reload", "").map(|(code, _)| code), Some(202));
    wait_for_standing(&town, leader, "armed");
    wait_for_guard(&town, leader, Some(guard));
    assert_eq!(town.leader(), Some(leader));
}

/// As a container's first process the agent is two: one that only collects what ends, and the agent itself.
#[test]
fn in_a_container_the_guard_is_as_good() {
    let mut town = Town::hasty(Kind::Etcd, 2);
    let namespace = ["--user", "--map-current-user", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let allowed = town.command(Path::new("unshare")).args(namespace).arg("true").output();
    if !allowed.expect("util-linux is part of every system").status.success() {
        eprintln!("in_a_container_the_guard_is_as_good is left out: this system grants nobody processes of his own");
        return;
    }
    let tamada = town.base.join("tamada");
    let words: Vec<&OsStr> = namespace.iter().map(OsStr::new).chain([tamada.as_os_str()]).collect();
    town.start_program(0, Path::new("unshare"), &words);
    town.wait_for_cluster(0);
    town.start(1);
    assert_eq!(town.wait_for_cluster(1), 0);
    town.sql(0, "create table t (n int)").expect("the primary is writable");
    wait_for_standing(&town, 0, "armed");
    let container = town.members[0].agent_pid().expect("it runs");
    let first = children(container);
    let named = |name: &str| {
        let is_so = |pid: &&u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
        children(first[0]).iter().find(is_so).copied()
    };
    assert!(first.len() == 1 && named("tamada-guard").is_some(), "the first process is its parent now");
    let agent = named("tamada").expect("it runs");
    let (last, first) = written_meanwhile(&town, 0, 1, || signal(agent, Signal::STOP));
    assert!(last < first, "both acknowledged writes for {:?}", last - first);
    signal(agent, Signal::CONT);
    assert_eq!(town.wait_for_cluster(1), 1);

    // With its first process the whole container goes, and nobody is left to clean up.
    let page = page_of(wait_for_guard(&town, 0, None));
    town.kill_agent(0);
    wait("the guard is gone", || guards(&town, 0).is_empty().then_some(()));
    fs::remove_file(page).expect("it is there");
}

#[test]
fn an_operators_shell_in_the_data_directory_is_left_alone() {
    let (mut town, old, _) = pair(Kind::Etcd);
    let mut shell = Command::new("sleep").arg("600").current_dir(town.data_dir(old)).spawn().expect("it exists");
    town.kill_agent(old);
    wait("the guard stops PostgreSQL", || town.postmaster(old).is_none().then_some(()));
    wait("the guard is done", || guards(&town, old).is_empty().then_some(()));
    assert!(shell.try_wait().expect("it is our child").is_none(), "a shell in the data directory is none of ours");
    shell.kill().expect("it is our child");
    shell.wait().expect("it is our child");
}
