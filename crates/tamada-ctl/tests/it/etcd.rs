//! Debian's etcd as a child process, and keys written past every layer of ours.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::Method;
use serde_json::{Value, json};
use tamada_api::client::{Call, CallError, Client, Heard};
use tamada_testing::free_port;

const BINARY: &str = "/usr/bin/etcd";
/// It starts in well under a second; the machine may be busy.
const START: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(20);

pub struct Etcd {
    pub port: u16,
    directory: PathBuf,
    child: Child,
}

impl Etcd {
    pub fn start() -> Self {
        assert!(PathBuf::from(BINARY).exists(), "{BINARY} is missing: install the package etcd-server");
        let (port, peer_port) = (free_port(), free_port());
        // In memory if possible: a slow disk is not what we test.
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let directory = base.join(format!("tamada-ctl-{}-{port}", std::process::id()));
        let client = format!("http://127.0.0.1:{port}");
        let peer = format!("http://127.0.0.1:{peer_port}");
        let mut command = Command::new(BINARY);
        command.args(["--name", "n", "--initial-cluster", &format!("n={peer}")]).arg("--data-dir").arg(&directory);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("etcd starts");
        let mut etcd = Self { port, directory, child };
        etcd.wait_until_it_answers();
        etcd
    }

    fn wait_until_it_answers(&mut self) {
        let give_up = Instant::now() + START;
        while self.try_call("range", json!({"key": encoded("/")})).is_err() {
            assert!(Instant::now() < give_up, "etcd does not answer");
            let ended = self.child.try_wait().expect("our child");
            assert!(ended.is_none(), "etcd ended by itself: {ended:?}");
            std::thread::yield_now();
        }
    }

    pub fn put(&self, key: &str, value: &str) {
        self.call("put", json!({"key": encoded(key), "value": encoded(value)}));
    }

    pub fn delete(&self, key: &str) {
        self.call("deleterange", json!({"key": encoded(key)}));
    }

    pub fn get(&self, key: &str) -> Option<String> {
        let answer = self.call("range", json!({"key": encoded(key)}));
        let value = answer.get("kvs")?.get(0)?.get("value").and_then(Value::as_str).unwrap_or_default();
        let bytes = BASE64_STANDARD.decode(value).expect("etcd encodes values");
        Some(String::from_utf8(bytes).expect("our values are text"))
    }

    fn call(&self, call: &str, body: Value) -> Value {
        let heard = self.try_call(call, body).expect("etcd answers");
        assert_eq!(heard.status, 200, "{}", heard.text());
        serde_json::from_slice(&heard.body).expect("etcd answers JSON")
    }

    fn try_call(&self, call: &str, body: Value) -> Result<Heard, CallError> {
        let url = format!("http://127.0.0.1:{}/v3/kv/{call}", self.port);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let call = Call { method: Method::POST, url, body: Some(body.to_string()) };
        runtime.block_on(Client::default().send(call, ANSWER))
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // Already gone is as good as stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn encoded(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}
