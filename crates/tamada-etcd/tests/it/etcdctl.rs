//! The operator's habits: Debian's etcdctl against three voters.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use tamada_raft::link::TlsFiles;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::store::{Entrance, LIMIT, Store};

/// etcdctl with this store's endpoints, and what else has to stand on every command line.
struct Operator {
    endpoints: String,
    always: Vec<String>,
}

impl Operator {
    fn of(store: &Store, voters: usize) -> Self {
        let endpoints: Vec<_> = (0..voters).map(|place| format!("127.0.0.1:{}", store.port(place))).collect();
        Self { endpoints: endpoints.join(","), always: Vec::new() }
    }

    fn always(self, arguments: &[&str]) -> Self {
        Self { always: arguments.iter().map(|argument| (*argument).to_owned()).collect(), ..self }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/etcdctl");
        command.env_clear().env("ETCDCTL_API", "3").args(["--endpoints", &self.endpoints]);
        command.args(["--command-timeout", "30s", "--dial-timeout", "30s"]);
        command.args(&self.always).args(arguments).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).spawn().expect("etcdctl is there: install the package etcd-client");
        let mut stdin = child.stdin.take().expect("it was asked for");
        stdin.write_all(input.as_bytes()).await.expect("it reads");
        drop(stdin);
        timeout(LIMIT, child.wait_with_output()).await.expect("it ends in time").expect("it ran")
    }

    /// What it says; it must succeed.
    async fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments, "").await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        text(&output.stdout)
    }

    /// What it complains about; it must fail.
    async fn complains(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments, "").await;
        assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        text(&output.stderr)
    }

    fn starts(&self, arguments: &[&str]) -> Running {
        let mut child = self.command(arguments).spawn().expect("etcdctl is there: install the package etcd-client");
        let lines = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
        Running { lines, _child: child }
    }
}

/// A command that goes on until it is dropped.
struct Running {
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Running {
    async fn line(&mut self) -> String {
        timeout(LIMIT, self.lines.next_line()).await.expect("it says something in time").expect("text").expect("a line")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

#[tokio::test]
async fn keys_are_put_listed_and_deleted() {
    let store = Store::new(3, Entrance::default()).await;
    let operator = Operator::of(&store, 3);
    assert_eq!(operator.says(&["put", "/service/demo/leader", "a"]).await, "OK");
    assert_eq!(operator.says(&["put", "/service/demo/members/a", "{}"]).await, "OK");
    assert_eq!(operator.says(&["put", "/service/other/leader", "z"]).await, "OK");
    let listed = operator.says(&["get", "--prefix", "/service/demo"]).await;
    assert_eq!(listed, "/service/demo/leader\na\n/service/demo/members/a\n{}");
    let keys = operator.says(&["get", "--prefix", "--keys-only", "--order=DESCEND", "--sort-by=KEY", "/"]).await;
    assert_eq!(keys, "/service/other/leader\n\n/service/demo/members/a\n\n/service/demo/leader");
    assert_eq!(operator.says(&["put", "--prev-kv", "/service/demo/leader", "b"]).await, "OK\n/service/demo/leader\na");
    assert_eq!(operator.says(&["get", "--print-value-only", "--rev=2", "/service/demo/leader"]).await, "a");
    assert_eq!(operator.says(&["del", "--prefix", "/service/demo"]).await, "2");
    assert_eq!(operator.says(&["get", "--prefix", "/service/demo"]).await, "");
}

#[tokio::test]
async fn a_transaction_takes_the_branch_that_holds() {
    let store = Store::new(3, Entrance::default()).await;
    let operator = Operator::of(&store, 3);
    operator.says(&["put", "lock", "mine"]).await;
    let swap = "value(\"lock\") = \"mine\"\n\nput lock yours\n\nget lock\n\n";
    assert_eq!(text(&operator.run(&["txn"], swap).await.stdout), "SUCCESS\n\nOK");
    assert_eq!(text(&operator.run(&["txn"], swap).await.stdout), "FAILURE\n\nlock\nyours");
}

#[tokio::test]
async fn a_watch_tells_what_happens() {
    let store = Store::new(3, Entrance::default()).await;
    let operator = Operator::of(&store, 3);
    operator.says(&["put", "/service/demo/leader", "a"]).await;
    let mut watch = operator.starts(&["watch", "--prefix", "--rev=2", "/service/"]);
    let mut heard = vec![watch.line().await, watch.line().await, watch.line().await];
    operator.says(&["del", "--prefix", "/service/"]).await;
    heard.extend([watch.line().await, watch.line().await]);
    assert_eq!(heard, ["PUT", "/service/demo/leader", "a", "DELETE", "/service/demo/leader"]);
}

#[tokio::test]
async fn leases_are_granted_kept_alive_told_and_revoked() {
    let store = Store::new(3, Entrance::default()).await;
    let operator = Operator::of(&store, 3);
    let granted = operator.says(&["lease", "grant", "600"]).await;
    let lease = granted.split(' ').nth(1).expect("its id").to_owned();
    assert_eq!(granted, format!("lease {lease} granted with TTL(600s)"));
    operator.says(&["put", &format!("--lease={lease}"), "a", "1"]).await;
    let told = operator.says(&["lease", "timetolive", "--keys", &lease]).await;
    assert!(told.contains("granted with TTL(600s)") && told.contains("attached keys([a])"), "{told}");
    assert_eq!(operator.says(&["lease", "list"]).await, format!("found 1 leases\n{lease}"));
    let mut keeping = operator.starts(&["lease", "keep-alive", &lease]);
    assert_eq!(keeping.line().await, format!("lease {lease} keepalived with TTL(600)"));
    assert_eq!(operator.says(&["lease", "revoke", &lease]).await, format!("lease {lease} revoked"));
    assert_eq!(operator.says(&["get", "a"]).await, "");
    let gone = operator.says(&["lease", "timetolive", &lease]).await;
    assert!(gone.contains("already expired"), "{gone}");
    let complaint = operator.complains(&["lease", "revoke", &lease]).await;
    assert!(complaint.contains("etcdserver: requested lease not found"), "{complaint}");
}

#[tokio::test]
async fn a_lease_that_nobody_keeps_ends_with_its_keys() {
    let store = Store::new(3, Entrance::default()).await;
    let operator = Operator::of(&store, 3);
    let granted = operator.says(&["lease", "grant", "2"]).await;
    let lease = format!("--lease={}", granted.split(' ').nth(1).expect("its id"));
    let mut watch = operator.starts(&["watch", "a"]);
    operator.says(&["lease", "grant", "600"]).await;
    operator.says(&["put", "a", "is watched by now, or soon"]).await;
    assert_eq!(watch.line().await, "PUT");
    operator.run(&["put", &lease, "a", "until the end"], "").await;
    while watch.line().await != "DELETE" {}
}

#[tokio::test]
async fn the_cluster_tells_who_it_is_and_how() {
    let store = Store::new(3, Entrance::default()).await;
    let operator = Operator::of(&store, 3);
    let members = operator.says(&["member", "list"]).await;
    assert_eq!(members.lines().count(), 3, "{members}");
    assert_eq!(
        members.matches("http://127.0.0.1").count(),
        1,
        "only the one that answers knows its address: {members}"
    );
    let status = operator.says(&["endpoint", "status"]).await;
    assert_eq!(status.lines().count(), 3, "{status}");
    assert_eq!(status.matches("3.5.0+tamada").count(), 3, "{status}");
    // ID, version, size, leader, learner, term, index, …
    let leads = |line: &&str| line.split(", ").nth(4) == Some("true");
    assert_eq!(status.lines().filter(leads).count(), 1, "{status}");
    let health = operator.run(&["endpoint", "health"], "").await;
    assert!(health.status.success());
    assert_eq!(operator.says(&["alarm", "list"]).await, "");
}

#[tokio::test]
async fn history_is_compacted_on_demand() {
    let store = Store::new(3, Entrance::default()).await;
    let operator = Operator::of(&store, 3);
    for value in ["1", "2", "3"] {
        operator.says(&["put", "a", value]).await;
    }
    assert_eq!(operator.says(&["compaction", "4"]).await, "compacted revision 4");
    let compacted = "etcdserver: mvcc: required revision has been compacted";
    assert!(operator.complains(&["compaction", "4"]).await.contains(compacted));
    assert!(operator.complains(&["get", "--rev=3", "a"]).await.contains(compacted));
    assert!(operator.complains(&["get", "--rev=30", "a"]).await.contains("required revision is a future revision"));
    assert_eq!(operator.says(&["get", "--rev=4", "--print-value-only", "a"]).await, "3");
}

#[tokio::test]
async fn a_password_is_given_with_any_user() {
    let store = Store::new(3, Entrance { password: Some("secret".into()), tls: None }).await;
    let operator = Operator::of(&store, 3);
    assert!(operator.complains(&["get", "a"]).await.contains("etcdserver: user name is empty"));
    let wrong = operator.complains(&["--user", "root:guess", "get", "a"]).await;
    assert!(wrong.contains("authentication failed, invalid user ID or password"), "{wrong}");
    let operator = operator.always(&["--user", "root:secret"]);
    assert_eq!(operator.says(&["put", "a", "1"]).await, "OK");
    assert_eq!(operator.says(&["get", "a"]).await, "a\n1");
    let mut watch = operator.starts(&["watch", "--rev=2", "a"]);
    assert_eq!(watch.line().await, "PUT");
}

/// An authority, and certificates that it signed; gone when dropped.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tamada-etcd-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for temporary files");
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("no names");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = authority.self_signed(&key).expect("a certificate");
        std::fs::write(folder.join("ca.pem"), certificate.pem()).expect("a file");
        let authority = rcgen::Issuer::new(authority, key);
        for owner in ["server", "client"] {
            let key = rcgen::KeyPair::generate().expect("a key");
            let names = vec!["127.0.0.1".to_owned(), owner.to_owned()];
            let certificate = rcgen::CertificateParams::new(names).expect("names").signed_by(&key, &authority);
            std::fs::write(folder.join(format!("{owner}.pem")), certificate.expect("signed").pem()).expect("a file");
            std::fs::write(folder.join(format!("{owner}.key")), key.serialize_pem()).expect("a file");
        }
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

#[tokio::test]
async fn certificates_are_shown_and_asked_for() {
    let authority = Authority::new("certificates");
    let files = |ca| TlsFiles { cert: Some(authority.file("server.pem")), key: Some(authority.file("server.key")), ca };
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(|name| authority.file(name).display().to_string());
    for (client_ca, needs_certificate) in [(None, false), (Some(authority.file("ca.pem")), true)] {
        let store = Store::new(1, Entrance { password: None, tls: Some(files(client_ca)) }).await;
        let endpoints = format!("https://127.0.0.1:{}", store.port(0));
        let operator = Operator { endpoints: endpoints.clone(), always: Vec::new() }.always(&["--cacert", &ca]);
        if needs_certificate {
            let hasty = ["--command-timeout", "2s", "--dial-timeout", "2s", "get", "a"];
            operator.complains(&hasty).await;
        }
        let operator = operator.always(&["--cacert", &ca, "--cert", &cert, "--key", &key]);
        assert_eq!(operator.says(&["put", "a", "1"]).await, "OK");
        assert!(operator.says(&["member", "list"]).await.contains(&endpoints));
    }
}
