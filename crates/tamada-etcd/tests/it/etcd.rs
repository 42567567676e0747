//! A real etcd, to compare with.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tamada_etcd::messages::RangeRequest;
use tamada_testing::free_port;
use tokio::time::{Instant, sleep};

use crate::caller::Caller;

/// Until a busy machine has started a server.
const START_WITHIN: Duration = Duration::from_secs(60);

/// One server alone; gone with its directory when dropped.
pub struct Etcd {
    pub port: u16,
    directory: PathBuf,
    child: Child,
}

impl Etcd {
    pub async fn start() -> Self {
        let (port, peer_port) = (free_port(), free_port());
        let base = [PathBuf::from("/dev/shm"), std::env::temp_dir()].into_iter().find(|path| path.is_dir());
        let directory = base.expect("a place for files").join(format!("tamada-etcd-{}-{port}", std::process::id()));
        let binary = etcd_bin_vendored::etcd_bin_path().expect("the crate has a binary for this platform");
        let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
        let child = Command::new(binary)
            .arg("--data-dir")
            .arg(&directory)
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd starts");
        let etcd = Self { port, directory, child };
        etcd.answers().await;
        etcd
    }

    async fn answers(&self) {
        let limit = Instant::now() + START_WITHIN;
        while Instant::now() < limit {
            if let Ok(caller) = Caller::try_to(self.port).await {
                let question = RangeRequest { key: b"anything".to_vec(), ..RangeRequest::default() };
                if caller.ask(question).await.is_ok() {
                    return;
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("etcd does not answer on port {}", self.port);
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.directory));
    }
}
