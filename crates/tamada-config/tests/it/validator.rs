//! `--validate-config`: problem lines in the original's words (configuration.md 8).

use std::net::TcpListener;

use tamada_config::{Environment, ListenPorts, load, validate};
use tamada_testing::write_script;

use crate::scene::Scene;

/// Programs that a bin directory must hold; each only tells a version.
fn bin_dir(scene: &Scene) -> String {
    let directory = scene.path().join("bin");
    std::fs::create_dir_all(&directory).expect("the scene is writable");
    for name in ["pg_ctl", "initdb", "pg_controldata", "pg_basebackup", "postgres", "pg_isready"] {
        let file = directory.join(name);
        write_script(&file, "#!/bin/sh\necho 'postgres (PostgreSQL) 15.7 (Debian)'\n");
    }
    directory.display().to_string()
}

/// Nobody listens there: it needs privileges, and the service of that number died out long ago.
const SILENT: u16 = 1;

/// A configuration without problems.
fn good(scene: &Scene) -> String {
    format!(
        "name: a\nscope: s\nrestapi: {{listen: '127.0.0.1:{SILENT}', connect_address: '10.0.0.1:8008'}}\n\
         etcd3: {{url: 'http://h:1'}}\npostgresql:\n  listen: 127.0.0.1:{SILENT}\n  connect_address: 10.0.0.1:5432\n  \
         data_dir: {}/data\n  bin_dir: {}\n  \
         authentication: {{replication: {{username: r}}, superuser: {{username: s, password: x}}}}\n",
        scene.path().display(),
        bin_dir(scene)
    )
}

/// Problems of a text, with the scene's directory cut off.
fn problems(scene: &Scene, text: &str) -> Vec<String> {
    let lines = validate(&scene.load(text), ListenPorts::MustBeFree);
    lines.iter().map(|line| scene.told(line)).collect()
}

/// Problems of the good configuration with more sections.
fn problems_with(more: &str) -> Vec<String> {
    let scene = Scene::new();
    problems(&scene, &(good(&scene) + more))
}

#[test]
fn a_good_configuration_has_no_problems() {
    assert_eq!(problems_with(""), Vec::<String>::new());
}

#[test]
fn what_is_missing_is_told() {
    let local = load(None, Environment::default()).expect("nothing");
    assert_eq!(
        validate(&local, ListenPorts::MustBeFree),
        [
            "name  is not defined.",
            "scope  is not defined.",
            "restapi  is not defined.",
            "consul  is not defined.",
            "etcd  is not defined.",
            "etcd3  is not defined.",
            "exhibitor  is not defined.",
            "kubernetes  is not defined.",
            "raft  is not defined.",
            "zookeeper  is not defined.",
            "postgresql  is not defined.",
        ]
    );
}

#[test]
fn each_kind_of_problem_has_its_text() {
    let table: &[(&str, &[&str])] = &[
        ("log: 5\n", &["log 5 is not a dictionary"]),
        ("log: {dir: 5}\n", &["log.dir 5 is not a string"]),
        ("log: {max_queue_size: x}\n", &["log.max_queue_size x is not an integer"]),
        ("log: {level: info}\n", &["log.level info didn't pass validation: Wrong value"]),
        ("log: {traceback_level: debug}\n", &[]),
        ("log: {format: []}\n", &["log.format [] didn't pass validation: should contain at least one item"]),
        ("log: {mode: 01000}\n", &["log.mode 512 didn't pass validation: Wrong value"]),
        ("log: {deduplicate_heartbeat_logs: 'on'}\n", &["log.deduplicate_heartbeat_logs on is not a boolean"]),
        ("bootstrap: {}\n", &["bootstrap.dcs  is not defined."]),
        (
            "bootstrap: {dcs: {ttl: 1, loop_wait: 0.05, maximum_lag_on_failover: -1}, initdb: [5, {a: b}]}\n",
            &[
                "bootstrap.dcs.ttl 1 didn't pass validation: Wrong value",
                "bootstrap.dcs.loop_wait 0.05 didn't pass validation: Wrong value",
                "bootstrap.dcs.maximum_lag_on_failover -1 didn't pass validation: Wrong value",
                "bootstrap.initdb.0 5 is not a string",
                "bootstrap.initdb.0 5 is not a dictionary",
            ],
        ),
        ("bootstrap: {dcs: {ttl: 5, loop_wait: 1, retry_timeout: 2}}\n", &[]),
        (
            "bootstrap: {dcs: {standby_cluster: {primary_slot_name: x}}}\n",
            &[
                "bootstrap.dcs.standby_cluster.host  is not defined.",
                "bootstrap.dcs.standby_cluster.port  is not defined.",
                "bootstrap.dcs.standby_cluster.restore_command  is not defined.",
            ],
        ),
        (
            "bootstrap: {dcs: {synchronous_mode: x, postgresql: {pg_hba: [], parameters: {max_connections: 0}}}}\n",
            &[
                "bootstrap.dcs.postgresql.pg_hba [] is an empty list",
                "bootstrap.dcs.synchronous_mode x didn't pass validation: invalid value for synchronous_mode",
                "bootstrap.dcs.postgresql.parameters.max_connections 0 didn't pass validation: Wrong value",
            ],
        ),
        ("watchdog: {mode: off}\n", &[]),
        ("watchdog: {mode: 5}\n", &["watchdog.mode 5 didn't pass validation: expected type is not a string"]),
        ("watchdog: {safety_margin: -2}\n", &["watchdog.safety_margin -2 didn't pass validation: Wrong value"]),
        (
            "tags: {nofailover: true, failover_priority: 1, clonefrom: 5}\n",
            &["tags  Multiple of ('nofailover', 'failover_priority') provided", "tags.clonefrom 5 is not a boolean"],
        ),
        ("citus: {group: 0}\n", &["citus.database  is not defined."]),
        ("unknown: {whatever: 1}\n", &[]),
    ];
    for (more, expected) in table {
        let mut told = problems_with(more);
        let mut expected: Vec<_> = expected.iter().map(|line| (*line).to_owned()).collect();
        told.sort();
        expected.sort();
        assert_eq!(told, expected, "{more}");
    }
}

#[test]
fn stores_that_are_not_built_are_told() {
    let scene = Scene::new();
    let text = good(&scene).replace("etcd3: {url: 'http://h:1'}", "consul: {host: h}");
    assert_eq!(problems(&scene, &text), ["consul  is not supported yet, use etcd3 or raft"]);
}

#[test]
fn voters_must_be_told_and_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let there = listener.local_addr().expect("bound").port();
    let scene = Scene::new();
    let told = |section: String| {
        problems(&scene, &good(&scene).replace("etcd3: {url: 'http://h:1'}", &format!("raft: {section}")))
    };
    let partner = format!("partner_addrs: ['127.0.0.1:{there}']");
    assert_eq!(
        told(format!("{{self_addr: '10.0.0.1:2222', bind_addr: '127.0.0.1:1', {partner}}}")),
        Vec::<String>::new()
    );
    assert_eq!(
        told("{bind_addr: 5, password: 5}".to_owned()),
        [
            "raft.self_addr  is not defined.",
            "raft.bind_addr 5 is not a string",
            "raft.partner_addrs  is not defined.",
            "raft.password … is not a string",
        ]
    );
    assert_eq!(
        told(format!("{{self_addr: 'localhost:2222', {partner}, etcd_addr: '127.0.0.1:{there}', min_timeout: 0}}")),
        [
            "raft.self_addr localhost:2222 didn't pass validation: must not contain \
             \"127.0.0.1\", \"0.0.0.0\", \"*\", \"::1\", \"localhost\""
                .to_owned(),
            format!("raft.etcd_addr 127.0.0.1:{there} didn't pass validation: Port {there} is already in use."),
            "raft.min_timeout 0 didn't pass validation: Wrong value".to_owned(),
        ]
    );
}

#[test]
fn the_embedded_store_keeps_a_shorter_ttl() {
    let scene = Scene::new();
    let brief = "bootstrap: {dcs: {ttl: 0.5, loop_wait: 0.1, retry_timeout: 0.2}}\n";
    let embedded =
        good(&scene).replace("etcd3: {url: 'http://h:1'}", "raft: {self_addr: '10.0.0.1:2222', partner_addrs: ''}");
    let about_timing = |text: String| {
        let problems = problems(&scene, &(text + brief));
        problems.into_iter().filter(|problem| problem.starts_with("bootstrap")).collect::<Vec<_>>()
    };
    assert_eq!(about_timing(embedded), Vec::<String>::new());
    assert_eq!(about_timing(good(&scene)).len(), 2, "ttl and retry_timeout");
}

#[test]
fn secrets_are_not_shown() {
    let scene = Scene::new();
    let text = good(&scene).replace("password: x", "password: 271828").replace("{username: r}", "hunter2");
    assert_eq!(
        problems(&scene, &text),
        [
            "postgresql.authentication.replication … is not a dictionary",
            "postgresql.authentication.superuser.password … is not a string",
        ]
    );
}

#[test]
fn loopback_is_no_address_for_others() {
    let scene = Scene::new();
    let told = problems(&scene, &good(&scene).replace("10.0.0.1:8008", "localhost:8008"));
    assert_eq!(
        told,
        ["restapi.connect_address localhost:8008 didn't pass validation: must not contain \
          \"127.0.0.1\", \"0.0.0.0\", \"*\", \"::1\", \"localhost\""]
    );
}

#[test]
fn a_taken_port_is_a_problem_unless_it_may_be() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let port = listener.local_addr().expect("bound").port();
    let scene = Scene::new();
    let text = good(&scene);
    let begin = text.find("listen: '").expect("restapi listens") + "listen: '".len();
    let end = begin + text[begin..].find('\'').expect("quoted");
    let text = format!("{}127.0.0.1:{port}{}", &text[..begin], &text[end..]);
    let expected = format!("restapi.listen 127.0.0.1:{port} didn't pass validation: Port {port} is already in use.");
    assert_eq!(problems(&scene, &text), [expected]);
    assert!(validate(&scene.load(&text), ListenPorts::MayBeTaken).is_empty());
}

#[test]
fn peers_must_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let there = listener.local_addr().expect("bound").port();
    let gone = SILENT;
    let scene = Scene::new();
    let told = |section: String| problems(&scene, &good(&scene).replace("{url: 'http://h:1'}", &section));
    assert_eq!(told(format!("{{host: '127.0.0.1:{there}'}}")), Vec::<String>::new());
    assert_eq!(
        told(format!("{{hosts: '127.0.0.1:{there},127.0.0.1:{gone}'}}")),
        [format!(
            "etcd3.hosts 127.0.0.1:{there},127.0.0.1:{gone} didn't pass validation: 127.0.0.1:{gone} is not reachable"
        )]
    );
    assert_eq!(
        told(format!("{{hosts: ['127.0.0.1:{gone}']}}")),
        [format!("etcd3.hosts.0 127.0.0.1:{gone} didn't pass validation: 127.0.0.1:{gone} is not reachable")]
    );
}

#[test]
fn programs_must_be_there() {
    let scene = Scene::new();
    let text = good(&scene) + "  bin_name: {initdb: my_initdb, pg_ctl: ''}\n";
    assert_eq!(
        problems(&scene, &text),
        [
            "postgresql.bin_name.pg_ctl  didn't pass validation: is an empty string",
            &format!(
                "postgresql.bin_name.initdb my_initdb didn't pass validation: does not contain 'my_initdb' in '{}/bin'",
                scene.path().display()
            ),
            &format!("postgresql.bin_dir  does not contain 'my_initdb' in '{}/bin'", scene.path().display()),
        ]
        .map(|line| scene.told(line))
    );
    let gone = good(&scene).replace("/bin\n", "/gone\n");
    assert_eq!(problems(&scene, &gone), ["postgresql.bin_dir  Directory 'gone' does not exist."]);
    let unset: String =
        good(&scene).lines().filter(|line| !line.contains("bin_dir")).map(|line| format!("{line}\n")).collect();
    assert_eq!(problems(&scene, &unset)[0], "postgresql.bin_dir  does not contain 'pg_ctl' in '$PATH'");
}

#[test]
fn the_data_directory_is_looked_at() {
    let scene = Scene::new();
    let data = scene.path().join("data");
    let text = good(&scene);
    let problem = || problems(&scene, &text).join("\n");
    std::fs::create_dir(&data).expect("new");
    std::fs::create_dir(data.join("lost+found")).expect("new");
    assert_eq!(problem(), "", "as good as empty");
    std::fs::write(data.join("something"), "").expect("writable");
    assert_eq!(problem(), "postgresql.data_dir data didn't pass validation: doesn't look like a valid data directory");
    std::fs::write(data.join("PG_VERSION"), "15\n").expect("writable");
    assert_eq!(
        problem(),
        "postgresql.data_dir data didn't pass validation: data dir for the cluster is not empty, but doesn't contain \
         \"pg_wal\" directory"
    );
    std::fs::create_dir(data.join("pg_wal")).expect("new");
    assert_eq!(problem(), "");
    std::fs::write(data.join("PG_VERSION"), "14\n").expect("writable");
    assert_eq!(
        problem(),
        "postgresql.data_dir data didn't pass validation: data_dir directory postgresql version (14) doesn't match \
         with 'postgres --version' output (15)"
    );
}
