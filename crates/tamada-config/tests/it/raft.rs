//! The `raft` section: the embedded store (configuration.md 3.3).

use std::path::Path;
use std::time::Duration;

use tamada_config::{check_for_ctl, check_for_voter, lines};
use tamada_model::{LogLevel, RaftConfig, StoreConfig};

use crate::scene::{Scene, checked, checked_with, complaints, with};

const THREE: &str = "self_addr: '10.0.0.1:2222', partner_addrs: ['10.0.0.2:2222', '10.0.0.3:2222']";

/// A configuration with this instead of etcd.
fn with_raft(section: &str) -> String {
    with("").replace("etcd3: {hosts: 'e1:2379,e2:2379'}", &format!("raft: {{{section}}}"))
}

fn raft(section: &str) -> RaftConfig {
    match checked(&with_raft(section)).store {
        StoreConfig::Raft(raft) => raft,
        other @ StoreConfig::Etcd3(_) => panic!("{other:?}"),
    }
}

fn doubts(section: &str) -> Vec<String> {
    checked(&with_raft(section)).adjustments
}

fn refused(section: &str) -> Vec<String> {
    complaints(&with_raft(section), None)
}

#[test]
fn three_voters() {
    let raft = raft(&format!(
        "{THREE}, bind_addr: '*:2223', data_dir: /var/lib/tamada, password: p, cacert: /ca, cert: /cert, key: /key, \
         etcd_addr: '127.0.0.1:2379'"
    ));
    let voter = raft.voter.as_ref().expect("we have one");
    assert_eq!(voter.self_addr, "10.0.0.1:2222");
    assert_eq!(voter.bind_addr.as_deref(), Some("*:2223"));
    assert_eq!(voter.data_dir, Path::new("/var/lib/tamada"));
    assert_eq!(raft.partners, ["10.0.0.2:2222", "10.0.0.3:2222"]);
    assert_eq!(raft.voters(), ["10.0.0.1:2222", "10.0.0.2:2222", "10.0.0.3:2222"]);
    assert_eq!(raft.password.expect("set").expose(), "p");
    assert_eq!(raft.tls.ca.as_deref(), Some(Path::new("/ca")));
    assert_eq!(raft.tls.cert.as_deref(), Some(Path::new("/cert")));
    assert_eq!(raft.tls.key.as_deref(), Some(Path::new("/key")));
    assert_eq!(raft.etcd_addr.as_deref(), Some("127.0.0.1:2379"));
}

#[test]
fn partners_are_told_once_and_without_ourselves() {
    let partners = |listed: &str| raft(&format!("self_addr: 'db1:2222', partner_addrs: {listed}")).partners;
    assert_eq!(partners("'db2:2222, db3:2222'"), ["db2:2222", "db3:2222"]);
    assert_eq!(partners("['db2:2222', 'DB2:2222', 'DB1:2222', '[::1]:5']"), ["db2:2222", "[::1]:5"]);
    assert_eq!(partners("[]"), Vec::<String>::new());
}

#[test]
fn without_an_address_of_our_own_we_only_ask() {
    let raft = raft("partner_addrs: 'b:1,c:1,d:1'");
    assert_eq!(raft.voter, None);
    assert_eq!(raft.voters(), ["b:1", "c:1", "d:1"]);
}

#[test]
fn a_section_that_cannot_work_is_told() {
    let table = [
        (
            "password: p",
            "raft: says nothing about where the store is: give self_addr for a voter of our own, partner_addrs for the \
             others, or both",
        ),
        ("self_addr: 10.0.0.1", "raft.self_addr: is not host:port, for example 10.0.0.1:8008"),
        ("self_addr: 'a:1', partner_addrs: [b]", "raft.partner_addrs: `b` in it is not host:port"),
        (
            "self_addr: '0.0.0.0:1'",
            "raft.self_addr: is not where others can reach us: give an address of this host; to listen on all of them, \
             say `bind_addr: 0.0.0.0:2222` besides",
        ),
        ("self_addr: 'a:1', partner_addrs: '*:2'", "raft.partner_addrs: `*:2` in it is not the address of a host"),
        (
            "self_addr: 'a:1', bind_addr: ':2', etcd_addr: '*:2'",
            "raft.etcd_addr: is where our voter listens: give it another port",
        ),
        (
            "self_addr: 'a:1', data_dir: /data/raft",
            "raft.data_dir: lies inside postgresql.data_dir, which is emptied for a new clone: give a directory of its own",
        ),
        ("self_addr: 'a:1', cacert: /ca", "raft.cert: is missing: a voter that speaks TLS shows a certificate"),
        ("self_addr: 'a:1', min_timeout: x", "raft.min_timeout: is not a number"),
    ];
    for (section, expected) in table {
        assert_eq!(refused(section), [format!("patroni.yml:3: {expected}")], "{section}");
    }
}

#[test]
fn what_is_hardly_meant_is_told_and_done() {
    let good = "data_dir: /raft, password: p";
    assert_eq!(doubts(&format!("{THREE}, {good}")), Vec::<String>::new());
    assert_eq!(
        doubts(&format!("self_addr: 'a:1', partner_addrs: 'b:1', {good}")),
        ["raft: 2 voters survive the loss of no more of them than 1 would; add or remove one, for instance a voter \
          without PostgreSQL (`tamada voter`)"]
    );
    assert_eq!(
        doubts(THREE),
        [
            "raft.data_dir is not set: our voter keeps the store in the current directory, and will miss it when it is \
             started in another one",
            "raft: neither password nor cacert is set: whoever can connect to our voter can read and write the store",
        ]
    );
    assert_eq!(
        doubts("partner_addrs: 'a:1,b:1,c:1', bind_addr: ':1'"),
        ["raft.bind_addr has no effect without raft.self_addr"]
    );
}

#[test]
fn the_first_store_in_the_order_of_names_wins() {
    let both = with("raft: {self_addr: 'a:1'}\n");
    assert!(matches!(checked(&both).store, StoreConfig::Etcd3(_)));
    let stray = with_raft(THREE) + "consul: {host: h}\n";
    assert!(complaints(&stray, None)[0].contains("consul: is not supported yet"));
    let later = with_raft(THREE) + "zookeeper: {hosts: h}\n";
    assert!(matches!(checked(&later).store, StoreConfig::Raft(_)));
}

#[test]
fn times_go_down_to_half_a_second() {
    let brief = Some("{ttl: 0.5, loop_wait: 0.1, retry_timeout: 0.2}");
    let embedded = checked_with(&with_raft(&format!("{THREE}, data_dir: /raft, password: p")), brief);
    assert_eq!(embedded.settings.ttl, Duration::from_millis(500));
    assert_eq!(embedded.store_scope.retry_timeout, Duration::from_millis(200));
    assert_eq!(embedded.adjustments, Vec::<String>::new());
    let etcd = checked_with(&with(""), brief);
    assert_eq!(etcd.settings.ttl, Duration::from_secs(2));
}

#[test]
fn the_tool_asks_every_voter() {
    let tool = |section: &str| check_for_ctl(&Scene::new().load(&format!("raft: {{{section}}}\n")), None);
    match tool(THREE).expect("enough for the tool").store {
        StoreConfig::Raft(raft) => assert_eq!(raft.voters().len(), 3),
        other @ StoreConfig::Etcd3(_) => panic!("{other:?}"),
    }
    assert_eq!(tool("self_addr: here").expect_err("no port").len(), 1);
}

#[test]
fn a_voter_needs_its_own_section_only() {
    let voter = |text: &str| check_for_voter(&Scene::new().load(text));
    let section = format!("raft: {{{THREE}, data_dir: /raft, password: p}}\n");
    let checked = voter(&format!("{section}log: {{level: debug}}\n")).expect("enough for a voter");
    assert_eq!((checked.voter.self_addr.as_str(), checked.log.level), ("10.0.0.1:2222", LogLevel::Debug));
    assert_eq!(checked.adjustments, Vec::<String>::new());
    // A member's file, even one whose agent uses another store.
    assert!(voter(&with(&section)).is_ok());
    let refused = |text: &str| lines(&voter(text).expect_err("not enough for a voter"));
    for too_little in ["scope: x", "raft: {partner_addrs: 'b:1'}"] {
        assert!(refused(too_little).contains("raft.self_addr: is missing: give the address"), "{too_little}");
    }
    assert!(refused("raft: {self_addr: here}\nlog: {max_queue_size: x}").contains("log.max_queue_size"));
}
