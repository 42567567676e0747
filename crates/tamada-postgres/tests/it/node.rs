//! A member's PostgreSQL in a directory of its own, as the tests want it.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tamada_model::*;
use tamada_postgres::{JobHand, Look, Postgres};
use tamada_testing::free_port;

/// Far beyond what anything here takes; a test that needs it has failed.
pub const LIMIT: Duration = Duration::from_secs(60);

pub struct Node {
    pub postgres: Postgres,
    pub config: PostgresConfig,
    dir: PathBuf,
}

pub fn document(value: Value) -> Document {
    match value {
        Value::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

/// PostgreSQL refuses to run as root, and so do we.
pub fn become_postgres() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        // SAFETY: plain system calls; the C library changes the identity of all threads together.
        unsafe {
            let user = libc::getpwnam(c"postgres".as_ptr());
            assert!(!user.is_null(), "tests as root need a user postgres");
            let (uid, gid) = ((*user).pw_uid, (*user).pw_gid);
            assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
            assert_eq!(libc::setgid(gid), 0);
            assert_eq!(libc::setuid(uid), 0);
        }
    });
}

fn scratch(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("tamada-it-{}-{count}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

pub fn bin_dir() -> PathBuf {
    std::env::var_os("TAMADA_TEST_PG_BIN").map_or("/usr/lib/postgresql/15/bin".into(), PathBuf::from)
}

pub fn credentials(name: &str) -> Credentials {
    Credentials {
        username: Some(name.into()),
        password: Some(Secret::new(format!("secret of {name}"))),
        options: Default::default(),
    }
}

pub fn config(name: &str) -> (PostgresConfig, PathBuf) {
    become_postgres();
    let dir = scratch(name);
    let port = free_port();
    let config = PostgresConfig {
        name: name.into(),
        scope: "batman".into(),
        listen_addresses: "127.0.0.1".into(),
        port,
        connect_address: ("127.0.0.1".into(), port),
        data_dir: dir.join("data"),
        config_dir: dir.join("data"),
        config_base_name: "postgresql".into(),
        custom_conf: None,
        bin_dir: bin_dir(),
        bin_names: Default::default(),
        pgpass: dir.join("pgpass"),
        database: "postgres".into(),
        krbsrvname: None,
        superuser: credentials("postgres"),
        replication: credentials("replicator"),
        rewind: None,
        use_unix_socket: false,
        use_unix_socket_repl: false,
        use_slots: true,
        use_pg_rewind: true,
        parameters: document(json!({
            "unix_socket_directories": dir.display().to_string(), "fsync": "off", "shared_buffers": "16MB",
            "max_connections": 50, "wal_keep_size": "64MB", "log_statement": "all", "logging_collector": "on",
            "log_directory": dir.join("log").display().to_string(),
        })),
        role_parameters: Default::default(),
        pg_hba: None,
        role_pg_hba: Default::default(),
        pg_ident: None,
        role_pg_ident: Default::default(),
        recovery_conf: Document::new(),
        create_replica_methods: vec!["basebackup".into()],
        methods: Default::default(),
        basebackup: json!([{"checkpoint": "fast"}, "no-sync"]),
        rewind_options: Value::Null,
        callbacks: Default::default(),
        pre_promote: None,
        before_stop: None,
        pg_ctl_timeout: LIMIT,
        retry_timeout: Duration::from_secs(10),
        synchronous_mode: SynchronousMode::Off,
        bootstrap: BootstrapConfig {
            method: None,
            initdb: json!([{"encoding": "UTF8"}, {"auth": "scram-sha-256"}, "no-sync"]),
            pg_hba: vec![
                "host all all 127.0.0.1/32 scram-sha-256".into(),
                "host replication replicator 127.0.0.1/32 scram-sha-256".into(),
            ],
            post_bootstrap: None,
            has_users: false,
        },
    };
    (config, dir)
}

impl Node {
    pub async fn with(name: &str, change: impl FnOnce(&mut PostgresConfig, &Path)) -> Self {
        let (mut config, dir) = config(name);
        change(&mut config, &dir);
        Self::start(config, dir).await
    }

    pub async fn new(name: &str) -> Self {
        Self::with(name, |_, _| {}).await
    }

    /// A fresh cluster with its users.
    pub async fn primary(name: &str) -> Self {
        Self::primary_with(name, |_, _| {}).await
    }

    pub async fn primary_with(name: &str, change: impl FnOnce(&mut PostgresConfig, &Path)) -> Self {
        let (mut config, dir) = config(name);
        crate::template::copy_to(&config.data_dir).await;
        change(&mut config, &dir);
        let node = Self::start(config, dir).await;
        assert_eq!(node.run(Job::StartPrimary { timeout: LIMIT }).await, JobEnd::Done);
        node
    }

    async fn start(config: PostgresConfig, dir: PathBuf) -> Self {
        let postgres = Postgres::open(config.clone()).await.expect("the set-up is right");
        postgres.adopt().await;
        Self { postgres, config, dir }
    }

    pub async fn bootstrap(&self) {
        assert_eq!(self.run(Job::Bootstrap).await, JobEnd::Done);
        assert_eq!(self.run(Job::PostBootstrap).await, JobEnd::Done);
    }

    /// A standby of `primary`, streaming.
    pub async fn standby_of(primary: &Node, name: &str) -> Self {
        let node = Self::new(name).await;
        primary.make_slot(&node).await;
        assert_eq!(node.run(clone_from(primary)).await, JobEnd::Done);
        node.until("it streams", Node::streams).await;
        node
    }

    pub async fn make_slot(&self, other: &Node) {
        let name = other.config.name.slot_name();
        let sql = format!(
            "SELECT pg_create_physical_replication_slot('{name}', true) \
             WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '{name}')"
        );
        self.sql(&sql).await;
    }

    /// As an agent that was killed and started anew sees it.
    pub async fn successor(&self) -> Postgres {
        let postgres = Postgres::open(self.config.clone()).await.unwrap();
        postgres.adopt().await;
        postgres
    }

    pub async fn run(&self, job: Job) -> JobEnd {
        let hand = JobHand::new(State::Running);
        tokio::time::timeout(LIMIT, self.postgres.run(job, hand)).await.expect("the job ends in time")
    }

    /// What a machine with time for us would have seen: where a look was left without an answer, the next one.
    pub async fn look(&self) -> PostgresFacts {
        let begin = Instant::now();
        loop {
            let facts = self.postgres.look(Look { leader_timeline: None, within: LIMIT }).await;
            match facts.answers {
                Answers::Silent { .. } if begin.elapsed() < LIMIT => {}
                Answers::Silent { .. } | Answers::Unasked | Answers::Rejecting | Answers::Live(_) => return facts,
            }
        }
    }

    /// Looks until it is so.
    pub async fn until(&self, what: &str, is_so: impl Fn(&PostgresFacts) -> bool) -> PostgresFacts {
        let begin = Instant::now();
        loop {
            let facts = self.look().await;
            if is_so(&facts) {
                return facts;
            }
            assert!(begin.elapsed() < LIMIT, "{what}: {facts:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn streams(facts: &PostgresFacts) -> bool {
        facts.answers.live().is_some_and(Live::is_streaming)
    }

    pub fn is_primary(facts: &PostgresFacts) -> bool {
        facts.answers.live().is_some_and(Live::is_primary)
    }

    pub fn upstream(&self) -> Upstream {
        Upstream::Member(self.member())
    }

    pub fn member(&self) -> UpstreamMember {
        let (host, port) = self.config.connect_address.clone();
        UpstreamMember { name: self.config.name.clone(), host, port }
    }

    pub async fn connect(&self) -> tokio_postgres::Client {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.config.port).user("postgres").dbname("postgres");
        config.password("secret of postgres");
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// The first column of the last row, or nothing.
    pub async fn sql(&self, sql: &str) -> Option<String> {
        let rows = self.connect().await.simple_query(sql).await.unwrap();
        rows.iter().rev().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    }

    pub fn pid(&self) -> i32 {
        let text = std::fs::read_to_string(self.config.data_dir.join("postmaster.pid")).unwrap();
        text.lines().next().unwrap().parse().unwrap()
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: a signal to the server we started.
        assert_eq!(unsafe { libc::kill(self.pid(), signal) }, 0);
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.config.data_dir.join(file)).unwrap()
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Everything PostgreSQL logged.
    pub fn log(&self) -> String {
        let files = std::fs::read_dir(self.dir.join("log")).into_iter().flatten().flatten();
        files.map(|file| std::fs::read_to_string(file.path()).unwrap_or_default()).collect()
    }
}

pub fn clone_from(primary: &Node) -> Job {
    Job::Clone {
        source: CloneSource::Member { member: primary.member(), is_leader: true },
        then_follow: primary.upstream(),
    }
}

pub fn fast_stop() -> Stop {
    Stop {
        mode: StopMode::Fast,
        checkpoint: CheckpointFirst::Yes,
        timeout: None,
        report_shutdown: true,
        purpose: "stop".into(),
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let pid_file = self.config.data_dir.join("postmaster.pid");
        if let Some(pid) = std::fs::read_to_string(&pid_file).ok().and_then(|text| text.lines().next()?.parse().ok()) {
            end(pid);
        }
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// Stops the server we started and waits until it is gone.
fn end(pid: i32) {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
    let Some(Ok(server)) = Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty())) else { return };
    let _ = pidfd_send_signal(&server, Signal::CONT);
    let _ = pidfd_send_signal(&server, Signal::QUIT);
    let mut gone = [rustix::event::PollFd::new(&server, rustix::event::PollFlags::IN)];
    let _ = rustix::event::poll(&mut gone, Some(&rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 }));
}
