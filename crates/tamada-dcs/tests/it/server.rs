//! etcd servers as child processes: own ports, own directory, stopped by their handle.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tamada_dcs::Freshness;
use tamada_model::Etcd3Config;
use tamada_testing::free_port;

use crate::support::{config, open};

/// The version that the tests of troubles use.
pub fn newest() -> PathBuf {
    etcd_bin_vendored::etcd_bin_path().expect("the crate has a binary for this platform").to_owned()
}

pub fn debians() -> PathBuf {
    let path = PathBuf::from("/usr/bin/etcd");
    assert!(path.exists(), "{} is missing: install the package etcd-server", path.display());
    path
}

/// The binary inside the crate that a manifest under `tests/etcd-versions` names.
pub fn of_version(version: &str) -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/etcd-versions").join(version).join("Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform"])
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .arg("--manifest-path")
        .arg(&manifest)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata failed for {}", manifest.display());
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let package = packages
        .iter()
        .find(|package| package["name"].as_str().is_some_and(|name| name.starts_with("etcd-bin-vendored-linux")));
    let inside = package.and_then(|package| package["manifest_path"].as_str()).expect("a package for this platform");
    Path::new(inside).with_file_name("bin").join("etcd")
}

/// Where servers keep their data: in memory if possible, since fsync on a busy disk is not what we test.
fn new_directory() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    let base = BASE.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        if memory.is_dir() { memory } else { std::env::temp_dir() }
    });
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    base.join(format!("tamada-dcs-{}-{number}", std::process::id()))
}

/// How to start a server.
pub struct Plan {
    pub binary: PathBuf,
    pub name: String,
    pub port: u16,
    pub peer_port: u16,
    /// `--initial-cluster`; `None`: alone.
    pub cluster: Option<String>,
    pub scheme: &'static str,
    pub more: Vec<String>,
}

impl Plan {
    pub fn new(binary: PathBuf) -> Self {
        Self {
            binary,
            name: "n0".into(),
            port: free_port(),
            peer_port: free_port(),
            cluster: None,
            scheme: "http",
            more: Vec::new(),
        }
    }

    pub fn with(mut self, more: &[&str]) -> Self {
        self.more.extend(more.iter().map(|argument| (*argument).to_owned()));
        self
    }

    pub fn peer(&self) -> String {
        format!("{}=http://127.0.0.1:{}", self.name, self.peer_port)
    }

    pub fn start(self) -> Server {
        let directory = new_directory();
        let child = self.spawn(&directory);
        Server { plan: self, directory, child }
    }

    fn spawn(&self, directory: &Path) -> Child {
        let client = format!("{}://127.0.0.1:{}", self.scheme, self.port);
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        let mut command = Command::new(&self.binary);
        command.arg("--name").arg(&self.name).arg("--data-dir").arg(directory);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &self.cluster.clone().unwrap_or_else(|| self.peer())]);
        // Its own words when a test fails and one wants to know.
        let log = match std::env::var_os("ETCD_LOG") {
            Some(_) => Stdio::inherit(),
            None => Stdio::null(),
        };
        command.args(&self.more).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().unwrap_or_else(|e| panic!("{} does not start: {e}", self.binary.display()))
    }
}

/// A running server; gone with its directory when dropped.
pub struct Server {
    pub plan: Plan,
    directory: PathBuf,
    child: Child,
}

impl Server {
    /// One server alone, answering.
    pub async fn alone(binary: PathBuf) -> Self {
        let server = Plan::new(binary).start();
        server.answers().await;
        server
    }

    pub fn config(&self) -> Etcd3Config {
        config(&[self.plan.port])
    }

    /// Waits until it serves.
    pub async fn answers(&self) {
        answers(self.config()).await;
    }

    /// Returns when it stands still: a busy machine takes its time to stop the threads of a process.
    pub fn freeze(&self) {
        kill_process(self.pid(), Signal::STOP).expect("the server lives");
        waitpid(Some(self.pid()), WaitOptions::UNTRACED).expect("it is our child").expect("it has stopped");
    }

    pub fn thaw(&self) {
        kill_process(self.pid(), Signal::CONT).expect("the server lives");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("it is our child");
    }

    /// Starts it again with its data.
    pub fn start_again(&mut self) {
        self.child = self.plan.spawn(&self.directory);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already, or stopped.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

/// Waits until somebody serves under this configuration.
pub async fn answers(config: Etcd3Config) {
    let store = open(&config, "is-it-there", "nobody", Duration::from_secs(30));
    let limit = Duration::from_secs(60);
    store.read(Freshness::Linearizable, limit).await.expect("etcd serves within a minute");
}
