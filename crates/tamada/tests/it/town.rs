//! A small town for tests: some members with real PostgreSQL, and a store in which they settle who leads; all on
//! loopback or each on a machine of its own, all below one temporary directory, all gone when the test ends.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tamada_testing::free_port;

use crate::ground::Ground;
use crate::ground::machine::Machine;
pub use crate::processes::signal;
use crate::processes::{children, inhabitants, is_gone};
use crate::store::{Kind, Store};

/// Generous: a busy machine must not fail a test. Every wait ends as soon as what it waits for is there.
pub const LIMIT: Duration = Duration::from_secs(120);

/// How long to wait for an answer that can be asked for again.
const ONE_QUESTION: Duration = Duration::from_secs(5);

pub struct Town {
    pub base: PathBuf,
    pub store: Store,
    pub members: Vec<Member>,
    /// The members' places in their order, then the store's, then that of everybody else.
    pub ground: Ground,
    timing: Timing,
    user: User,
}

/// The three numbers by which a member gives up, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub ttl: u32,
    pub loop_wait: u32,
    pub retry_timeout: u32,
}

/// A leader may be held up for ten seconds before it gives up its lock.
const PATIENT: Timing = Timing { ttl: 15, loop_wait: 1, retry_timeout: 5 };
/// For three.
pub const HASTY: Timing = Timing { ttl: 5, loop_wait: 1, retry_timeout: 2 };

pub struct Member {
    pub name: String,
    pub rest: u16,
    pub postgres: u16,
    agent: Option<Child>,
}

impl Member {
    pub fn agent_pid(&self) -> Option<u32> {
        self.agent.as_ref().map(Child::id)
    }
}

#[derive(Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
    is_other: bool,
}

/// PostgreSQL refuses to run as root: then everything runs as `postgres`.
fn user() -> User {
    let me = rustix::process::getuid();
    if !me.is_root() {
        return User { uid: me.as_raw(), gid: rustix::process::getgid().as_raw(), is_other: false };
    }
    let passwd = fs::read_to_string("/etc/passwd").expect("every Unix has it");
    let line = passwd.lines().find(|line| line.starts_with("postgres:")).expect("user postgres exists; see make test");
    let fields: Vec<&str> = line.split(':').collect();
    let number = |at: usize| fields[at].parse().expect("a number in /etc/passwd");
    User { uid: number(2), gid: number(3), is_other: true }
}

pub fn pg_bin() -> PathBuf {
    std::env::var_os("TAMADA_TEST_PG_BIN").map_or_else(|| "/usr/lib/postgresql/15/bin".into(), PathBuf::from)
}

fn clock() -> Instant {
    Instant::now()
}

/// Looks again every 20 ms until it is so.
pub fn wait<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    seen_within(LIMIT, look).unwrap_or_else(|| panic!("waited {LIMIT:?} in vain: {what}"))
}

#[expect(clippy::disallowed_methods, reason = "the pause between two looks at another process")]
fn seen_within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = clock();
    loop {
        let found = look();
        if found.is_some() || begun.elapsed() >= limit {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Town {
    /// Starts what runs beside the members, and prepares `count` of them, a, b, c …; none runs yet.
    pub fn new(kind: Kind, count: usize) -> Self {
        Self::on(Ground::loopback(), kind, count, PATIENT)
    }

    /// Where leases end soon.
    pub fn hasty(kind: Kind, count: usize) -> Self {
        Self::on(Ground::loopback(), kind, count, HASTY)
    }

    /// The ground has two places more than there are members.
    pub fn on(ground: Ground, kind: Kind, count: usize, timing: Timing) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let base = std::env::temp_dir().join(format!("tamada-town-{process}-{number}"));
        let _ = fs::remove_dir_all(&base);
        fs::create_dir_all(&base).expect("a temporary directory");
        // By a process of its own: what we have open for writing nobody can execute, and who we start inherits it.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_tamada")).arg(base.join("tamada")).status();
        assert!(copied.expect("cp belongs to every system").success(), "the binary was built");
        let user = user();
        if user.is_other {
            std::os::unix::fs::chown(&base, Some(user.uid), Some(user.gid)).expect("root may");
        }
        let members = (0..count)
            .map(|i| Member {
                name: char::from(b'a' + i as u8).to_string(),
                rest: free_port(),
                postgres: free_port(),
                agent: None,
            })
            .collect();
        let store = Store::new(kind, &ground, count);
        let mut town = Self { base, store, members, ground, timing, user };
        for at in 0..count {
            town.write_configuration(at, "");
        }
        town.start_store();
        town
    }

    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.timing.ttl.into())
    }

    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if self.user.is_other {
            command.uid(self.user.uid).gid(self.user.gid);
        }
        command.current_dir(&self.base).stdin(Stdio::null()).env("HOME", &self.base);
        command
    }

    /// `extra`: lines for the end of the file.
    pub fn write_configuration(&self, at: usize, extra: &str) {
        let member = &self.members[at];
        let (base, name, rest, postgres) = (self.base.display(), &member.name, member.rest, member.postgres);
        let (host, Timing { ttl, loop_wait, retry_timeout }) = (self.ground.address(at), self.timing);
        let (bin, store) = (pg_bin().display().to_string(), self.store.section(&self.base, Some(at)));
        let text = format!(
            "scope: town\nname: {name}\n\
             restapi: {{listen: '{host}:{rest}', connect_address: '{host}:{rest}'}}\n\
             {store}\n\
             bootstrap:\n  dcs:\n    ttl: {ttl}\n    loop_wait: {loop_wait}\n    retry_timeout: {retry_timeout}\n    \
             postgresql:\n      use_pg_rewind: true\n      parameters: {{max_connections: 50, shared_buffers: 16MB, wal_keep_size: 64MB}}\n\
             \x20 initdb: [{{encoding: UTF8}}, data-checksums]\n\
             postgresql:\n  listen: {host}:{postgres}\n  connect_address: {host}:{postgres}\n  \
             data_dir: {base}/pg-{name}\n  bin_dir: {bin}\n  pgpass: {base}/pgpass-{name}\n  \
             pg_hba: ['local all all trust', 'host all all samenet trust', \
             'host replication all samenet trust']\n  \
             authentication:\n    superuser: {{username: postgres, password: x}}\n    \
             replication: {{username: replicator, password: y}}\n    rewind: {{username: rewinder, password: z}}\n  \
             parameters: {{unix_socket_directories: '{base}', fsync: 'off'}}\n  basebackup: [{{checkpoint: fast}}]\n\
             {extra}\n"
        );
        fs::write(self.config(at), text).expect("the directory is ours");
    }

    pub fn config(&self, at: usize) -> PathBuf {
        self.base.join(format!("{}.yml", self.members[at].name))
    }

    pub fn log(&self, at: usize) -> String {
        fs::read_to_string(self.base.join(format!("{}.log", self.members[at].name))).unwrap_or_default()
    }

    pub fn log_file(&self, name: &str) -> fs::File {
        let file = fs::File::options().create(true).append(true).open(self.base.join(format!("{name}.log")));
        file.expect("the directory is ours")
    }

    fn logs(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(&self.base).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut logs: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|end| end == "log")).collect();
        logs.sort();
        logs
    }

    pub fn start(&mut self, at: usize) {
        self.start_program(at, &self.base.join("tamada"), &[]);
    }

    /// Another copy of the binary, or one that starts it with what follows.
    pub fn start_program(&mut self, at: usize, program: &Path, words: &[&OsStr]) {
        let log = self.log_file(&self.members[at].name);
        let mut command = self.command(program);
        command.args(words).arg("run").arg(self.config(at)).stdout(Stdio::null()).stderr(log).process_group(0);
        self.members[at].agent = Some(self.ground.machine(at).spawn(command).expect("the binary was copied"));
    }

    pub fn start_all(&mut self) {
        for at in 0..self.members.len() {
            self.start(at);
        }
    }

    /// Ends the agent as its operator would; answers its exit status.
    pub fn stop(&mut self, at: usize) -> Option<i32> {
        let mut agent = self.members[at].agent.take()?;
        signal(agent.id(), rustix::process::Signal::TERM);
        wait("the agent ends", || agent.try_wait().expect("it is our child")).code()
    }

    pub fn freeze_agent(&self, at: usize) {
        self.members[at].agent_pid().into_iter().for_each(|agent| signal(agent, rustix::process::Signal::STOP));
    }

    pub fn thaw_agent(&self, at: usize) {
        self.members[at].agent_pid().into_iter().for_each(|agent| signal(agent, rustix::process::Signal::CONT));
    }

    pub fn data_dir(&self, at: usize) -> PathBuf {
        self.base.join(format!("pg-{}", self.members[at].name))
    }

    pub fn wait_for_exit(&mut self, at: usize) -> Option<i32> {
        let mut agent = self.members[at].agent.take()?;
        wait("the agent ends by itself", || agent.try_wait().expect("it is our child")).code()
    }

    pub fn kill_agent(&mut self, at: usize) {
        if let Some(mut agent) = self.members[at].agent.take() {
            agent.kill().expect("it is our child");
            agent.wait().expect("it is our child");
        }
    }

    /// As if the host lost its power: agent and every postgres process at once.
    pub fn kill_host(&mut self, at: usize) {
        let agent = self.members[at].agent_pid();
        if let Some(agent) = agent {
            signal(agent, rustix::process::Signal::STOP);
        }
        self.kill_postgres(at);
        self.kill_agent(at);
    }

    /// The member's data will be on a disk of its own, of this size.
    pub fn small_disk(&self, at: usize, bytes: u64) {
        let (disk, user) = (self.data_dir(at), self.user);
        fs::create_dir(&disk).expect("the directory is ours");
        self.ground.machine(at).mount(&disk, bytes);
        self.ground.machine(at).run(move || {
            fs::set_permissions(&disk, fs::Permissions::from_mode(0o700)).expect("it is ours");
            std::os::unix::fs::chown(&disk, Some(user.uid), Some(user.gid)).expect("ours, or root may");
        });
    }

    /// The server at work there; a file that a killed one left may name a stranger by now.
    pub fn postmaster(&self, at: usize) -> Option<u32> {
        let data_dir = self.data_dir(at);
        self.ground.machine(at).run(move || {
            let file = fs::read_to_string(data_dir.join("postmaster.pid")).ok()?;
            let pid = file.lines().next()?.trim().parse().ok()?;
            (fs::read_link(format!("/proc/{pid}/cwd")).ok()? == data_dir.canonicalize().ok()?).then_some(pid)
        })
    }

    /// With all its processes.
    pub fn kill_postgres(&self, at: usize) {
        let Some(postmaster) = self.postmaster(at) else {
            return;
        };
        for process in [vec![postmaster], children(postmaster)].concat() {
            signal(process, rustix::process::Signal::KILL);
        }
    }

    /// One that serves a client.
    pub fn kill_a_backend(&self, at: usize) {
        let query = "select pid from pg_stat_activity where backend_type = 'client backend' and query like 'insert %'";
        let backend = wait("a client is served", || self.sql(at, query).ok()?.lines().next()?.parse().ok());
        signal(backend, rustix::process::Signal::KILL);
    }

    /// At once, but in order: a server that is killed leaves its shared memory to the machine.
    fn end_postgres(&self, at: usize) {
        let Some(postmaster) = self.postmaster(at) else { return };
        signal(postmaster, rustix::process::Signal::QUIT);
        seen_within(Duration::from_secs(10), || is_gone(postmaster).then_some(()));
        self.kill_postgres(at);
    }

    /// Whatever a test has frozen, and whoever has lost his parent. Those come first who would start others, or stop them.
    fn end_everything(&mut self) {
        use rustix::process::Signal;
        (0..self.members.len()).for_each(|at| self.kill_agent(at));
        for process in inhabitants(&self.base).iter().filter(|process| process.is_ours) {
            let page = process.page();
            process.signal(Signal::KILL);
            // Whoever took its place may have removed it.
            let _ = page.map(fs::remove_file);
        }
        inhabitants(&self.base).iter().for_each(|process| process.signal(Signal::CONT));
        (0..self.members.len()).for_each(|at| self.end_postgres(at));
        self.store.kill();
        seen_within(Duration::from_secs(10), || {
            let left = inhabitants(&self.base);
            left.iter().for_each(|process| process.signal(Signal::KILL));
            left.is_empty().then_some(())
        });
    }

    pub fn get(&self, at: usize, path: &str) -> Option<(u16, String)> {
        self.http(at, format!("GET {path}"), "", ONE_QUESTION)
    }

    pub fn post(&self, at: usize, path: &str, body: &str) -> Option<(u16, String)> {
        self.http(at, format!("POST {path}"), body, LIMIT)
    }

    pub fn patch(&self, at: usize, path: &str, body: &str) -> Option<(u16, String)> {
        self.http(at, format!("PATCH {path}"), body, LIMIT)
    }

    fn http(&self, at: usize, what: String, body: &str, within: Duration) -> Option<(u16, String)> {
        let (address, body) = (self.rest_address(at), body.to_owned());
        self.outside().work(move || http(address, &what, &body, within))
    }

    fn rest_address(&self, at: usize) -> SocketAddr {
        let host = self.ground.address(at).parse().expect("an address of ours");
        SocketAddr::new(host, self.members[at].rest)
    }

    /// Asks to hand the lead over, without waiting for the answer.
    pub fn switchover_later(&self, from: usize, to: usize) -> mpsc::Receiver<Option<(u16, String)>> {
        let name = |at: usize| &self.members[at].name;
        let body = format!("{{\"leader\":\"{}\",\"candidate\":\"{}\"}}", name(from), name(to));
        let (address, (tell, told)) = (self.rest_address(from), mpsc::channel());
        self.outside().start(async move {
            let ask = move || tell.send(http(address, "POST /switchover", &body, LIMIT));
            let _ = tokio::task::spawn_blocking(ask).await;
        });
        told
    }

    /// The place of the store, if it has one of its own.
    pub fn place_of_store(&self) -> usize {
        self.members.len()
    }

    pub fn place_outside(&self) -> usize {
        self.members.len() + 1
    }

    /// Where clients and operators are.
    pub fn outside(&self) -> &Machine {
        self.ground.machine(self.place_outside())
    }

    pub fn status(&self, at: usize) -> Option<Value> {
        serde_json::from_str(&self.get(at, "/patroni")?.1).ok()
    }

    pub fn leader(&self) -> Option<usize> {
        (0..self.members.len()).find(|at| self.get(*at, "/primary").is_some_and(|(code, _)| code == 200))
    }

    /// Waits until one member leads as a writable primary and `others` replicas stream.
    pub fn wait_for_cluster(&self, others: usize) -> usize {
        wait("one primary and its replicas", || {
            let leader = self.leader()?;
            let primary = self.status(leader)?["role"] == "primary";
            let streaming = (0..self.members.len())
                .filter(|at| *at != leader)
                .filter(|at| self.status(*at).is_some_and(|status| status["replication_state"] == "streaming"))
                .count();
            (primary && streaming >= others).then_some(leader)
        })
    }

    pub fn sql(&self, at: usize, sql: &str) -> Result<String, String> {
        let (host, port) = (self.ground.address(at), self.members[at].postgres.to_string());
        let mut psql = Command::new(pg_bin().join("psql"));
        psql.args(["-h", &host, "-p", &port, "-U", "postgres", "-d", "postgres", "-AtXqc", sql]);
        psql.env("PGCONNECT_TIMEOUT", "30");
        let out = self.outside().work(move || psql.output()).expect("psql is installed");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        if out.status.success() { Ok(text(out.stdout)) } else { Err(text(out.stderr)) }
    }

    /// The operator's command line with this member's configuration.
    pub fn ctl(&self, at: usize, words: &[&str]) -> (String, Option<i32>) {
        self.ctl_with(&self.config(at), words, "")
    }

    /// With any configuration, and what is typed when it asks.
    pub fn ctl_with(&self, config: &Path, words: &[&str], typed: &str) -> (String, Option<i32>) {
        let answers = self.base.join("typed");
        fs::write(&answers, typed).expect("the directory is ours");
        let mut command = self.command(&self.base.join("tamada"));
        command.stdin(fs::File::open(answers).expect("was just written"));
        command.args(["ctl", "-c"]).arg(config).args(words);
        let out = self.outside().work(move || command.output()).expect("it runs");
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        (text, out.status.code())
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        self.end_everything();
        if std::thread::panicking() {
            eprintln!("what is left of the town: {}", self.base.display());
            for log in self.logs() {
                let text = fs::read_to_string(&log).unwrap_or_default();
                let from = text.len().saturating_sub(6000);
                let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                eprintln!("--- the end of {}\n{}", log.display(), &text[from..]);
            }
        } else {
            let _ = fs::remove_dir_all(&self.base);
        }
    }
}

fn http(address: SocketAddr, what: &str, body: &str, within: Duration) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, ONE_QUESTION).ok()?;
    stream.set_read_timeout(Some(within)).ok()?;
    let head = format!("{what} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let code = answer.split_whitespace().nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Some((code, body))
}
