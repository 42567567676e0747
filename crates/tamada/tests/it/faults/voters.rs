//! Some voters, as processes, and what can be done to them.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tamada_raft::link::{Password, Security};
use tamada_raft::{Client, Keys, MemberStatus, Range, ReadReply, Reading, Revision, StoreStatus};
use tamada_testing::free_port;

use crate::ground::machine::Machine;
use crate::ground::network;
use crate::town::{signal, wait};

pub const PASSWORD: &str = "correct horse battery staple";
/// For one question to one voter, which is asked again if it cannot answer.
const ONE_QUESTION: Duration = Duration::from_secs(2);

pub struct Voters {
    base: PathBuf,
    machines: Vec<Machine>,
    /// Where all clients are.
    pub outside: Machine,
    /// Voters on machines of their own hear each other through it.
    _hub: Option<Machine>,
    addresses: Vec<String>,
    processes: Vec<Option<Child>>,
    /// One for each voter, which asks only that one.
    clients: Vec<Client>,
}

/// The section `raft` of one voter.
pub struct Setup {
    pub own: String,
    pub listens_at: String,
    pub partners: Vec<String>,
    pub password: &'static str,
}

impl Voters {
    /// Configured, not started. All on this machine.
    pub fn here(name: &str, count: usize) -> Self {
        let addresses = (0..count).map(|_| format!("127.0.0.1:{}", free_port())).collect();
        Self::new(name, (0..count).map(|_| Machine::here()).collect(), Machine::here(), None, addresses)
    }

    /// Configured, not started. Each on a machine of its own.
    pub fn apart(name: &str, count: usize) -> Self {
        let apart = || Machine::apart().expect("whoever calls has found out that it may");
        let machines: Vec<Machine> = (0..count).map(|_| apart()).collect();
        let outside = apart();
        let hub = network::connect(&machines.iter().chain([&outside]).collect::<Vec<_>>());
        let addresses = (0..count).map(|at| format!("{}:2379", network::address(at))).collect();
        Self::new(name, machines, outside, Some(hub), addresses)
    }

    fn new(name: &str, machines: Vec<Machine>, outside: Machine, hub: Option<Machine>, addresses: Vec<String>) -> Self {
        let base = std::env::temp_dir().join(format!("tamada-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        let clients = addresses.iter().map(|address| Client::remote(vec![address.clone()], security())).collect();
        let processes = addresses.iter().map(|_| None).collect();
        let voters = Self { base, machines, outside, _hub: hub, addresses, processes, clients };
        for at in voters.all() {
            fs::create_dir_all(voters.home(at)).expect("the directory is ours");
            voters.configure(at, &voters.setup(at));
        }
        voters
    }

    pub fn all(&self) -> std::ops::Range<usize> {
        0..self.addresses.len()
    }

    pub fn running(&self) -> Vec<usize> {
        self.all().filter(|at| self.processes[*at].is_some()).collect()
    }

    pub fn address(&self, at: usize) -> &str {
        &self.addresses[at]
    }

    pub fn partners(&self, at: usize) -> Vec<String> {
        self.all().filter(|other| *other != at).map(|other| self.addresses[other].clone()).collect()
    }

    /// Where everything of a voter is.
    pub fn home(&self, at: usize) -> PathBuf {
        self.base.join(format!("voter{at}"))
    }

    pub fn data_dir(&self, at: usize) -> PathBuf {
        self.home(at).join("data")
    }

    /// As a voter is set up unless a test wants otherwise.
    pub fn setup(&self, at: usize) -> Setup {
        let own = self.addresses[at].clone();
        Setup { listens_at: own.clone(), own, partners: self.partners(at), password: PASSWORD }
    }

    /// Takes effect with the next start.
    pub fn configure(&self, at: usize, setup: &Setup) {
        let Setup { own, listens_at, partners, password } = setup;
        let text = format!(
            "scope: store\nname: voter{at}\nraft:\n  self_addr: '{own}'\n  bind_addr: '{listens_at}'\n  \
             partner_addrs: {partners:?}\n  data_dir: {}\n  password: {password}\nlog: {{level: INFO}}\n",
            self.data_dir(at).display()
        );
        fs::write(self.config(at), text).expect("the directory is ours");
    }

    pub fn config(&self, at: usize) -> PathBuf {
        self.base.join(format!("voter{at}.yml"))
    }

    pub fn log(&self, at: usize) -> String {
        fs::read_to_string(self.log_file(at)).unwrap_or_default()
    }

    /// Waits until a line of the voter's log has all these parts, and answers the line.
    pub fn wait_for_line(&self, at: usize, parts: &[&str]) -> String {
        wait(&format!("the log of {} says {parts:?}", self.addresses[at]), || {
            let log = self.log(at);
            let line = log.lines().find(|line| parts.iter().all(|part| line.contains(part)));
            line.map(str::to_owned)
        })
    }

    fn log_file(&self, at: usize) -> PathBuf {
        self.base.join(format!("voter{at}.log"))
    }

    /// Into the voter's log, where the reader of a failed test looks.
    fn note(&self, at: usize, what: &str) {
        let log = fs::File::options().create(true).append(true).open(self.log_file(at));
        writeln!(log.expect("the directory is ours"), "--- {what}").expect("it is open");
    }

    pub fn start(&mut self, at: usize) {
        self.note(at, "start");
        let log = fs::File::options().create(true).append(true).open(self.log_file(at)).expect("the directory is ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tamada"));
        command.arg("voter").arg(self.config(at)).current_dir(&self.base);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("it is open")).stderr(log);
        self.processes[at] = Some(self.machines[at].spawn(command).expect("the binary was built"));
    }

    pub fn start_all(&mut self) -> usize {
        self.all().for_each(|at| self.start(at));
        self.wait_for_whole()
    }

    /// With kill -9.
    pub fn kill(&mut self, at: usize) {
        if let Some(mut process) = self.processes[at].take() {
            self.note(at, "kill");
            process.kill().expect("it is our child");
            process.wait().expect("it is our child");
        }
    }

    /// As its operator would.
    pub fn stop(&mut self, at: usize) -> Option<i32> {
        self.signal(at, Signal::TERM);
        self.wait_for_exit(at)
    }

    pub fn wait_for_exit(&mut self, at: usize) -> Option<i32> {
        let mut process = self.processes[at].take()?;
        wait("the voter ends", || process.try_wait().expect("it is our child")).code()
    }

    pub fn freeze(&self, at: usize) {
        self.signal(at, Signal::STOP);
    }

    pub fn thaw(&self, at: usize) {
        self.signal(at, Signal::CONT);
    }

    fn signal(&self, at: usize, which: Signal) {
        self.note(at, &format!("{which:?}"));
        signal(self.processes[at].as_ref().expect("it runs").id(), which);
    }

    /// Nothing that the voter sends to the other arrives.
    pub fn cut(&self, from: usize, to: usize) {
        self.note(from, &format!("cut off from {to}"));
        network::cut(&self.machines[from], to);
    }

    /// No voter of these hears one of those.
    pub fn part(&self, these: &[usize], those: &[usize]) {
        for (a, b) in these.iter().flat_map(|a| those.iter().map(move |b| (*a, *b))) {
            self.cut(a, b);
            self.cut(b, a);
        }
    }

    /// A voter and all clients do not hear each other.
    pub fn hide(&self, at: usize) {
        let outside = self.all().len();
        self.cut(at, outside);
        network::cut(&self.outside, at);
    }

    pub fn mend_all(&self) {
        let outside = self.all().len();
        for at in self.all() {
            self.note(at, "mend");
            self.all().chain([outside]).filter(|to| *to != at).for_each(|to| network::mend(&self.machines[at], to));
            network::mend(&self.outside, at);
        }
    }

    pub fn machine(&self, at: usize) -> &Machine {
        &self.machines[at]
    }

    /// Any voter that answers, beginning with the one after this.
    pub fn client(&self, first: usize) -> Client {
        let count = self.addresses.len();
        let addresses = (0..count).map(|step| self.addresses[(first + step) % count].clone());
        Client::remote(addresses.collect(), security())
    }

    /// This voter and no other.
    pub fn client_of(&self, at: usize) -> Client {
        self.clients[at].clone()
    }

    pub fn status(&self, at: usize) -> Option<StoreStatus> {
        let client = self.client_of(at);
        self.outside.ask(async move { client.status(ONE_QUESTION).await.ok() })
    }

    /// Whom this voter follows, if it hears a majority.
    pub fn leader_of(&self, at: usize) -> Option<usize> {
        let status = self.status(at).filter(|status| status.quorum)?;
        let leader = status.leader?;
        self.all().find(|at| self.addresses[*at] == leader)
    }

    /// Waits until one of these leads all of them, and answers which.
    pub fn wait_for_leader(&self, among: &[usize]) -> usize {
        wait(&format!("one of {among:?} leads them"), || {
            let leader = self.leader_of(*among.first()?)?;
            let is_followed = among.iter().all(|at| self.leader_of(*at) == Some(leader));
            (is_followed && among.contains(&leader)).then_some(leader)
        })
    }

    /// Waits until all run, follow one leader, vote and have all that it has, and answers who leads.
    pub fn wait_for_whole(&self) -> usize {
        let all: Vec<usize> = self.all().collect();
        let leader = self.wait_for_leader(&all);
        wait("all are voters and have what the leader has", || {
            let leaders = self.status(leader)?;
            all.iter().all(|at| self.status(*at).is_some_and(|own| is_part(&own, &leaders))).then_some(())
        });
        leader
    }

    /// Waits until all voters have the same, and not without this revision.
    pub fn wait_for_agreement(&self, at_least: Revision) {
        wait("all voters have the same", || {
            let contents: Vec<ReadReply> = self.all().map(|at| self.contents(at, at_least)).collect();
            contents.windows(2).all(|two| two[0] == two[1]).then_some(())
        });
    }

    /// Everything that this voter has, which must not be older than this revision.
    fn contents(&self, at: usize, at_least: Revision) -> ReadReply {
        wait("the voter tells what it has", || {
            let (client, all) = (self.client_of(at), Range::of(Keys::From(Default::default())));
            self.outside.ask(async move { client.read(vec![all], Reading::AtLeast(at_least), ONE_QUESTION).await.ok() })
        })
    }

    /// The voter came to have nothing: as after the loss of its disk.
    pub fn lose_disk(&self, at: usize) {
        self.note(at, "lose the disk");
        assert!(self.processes[at].is_none(), "a running voter holds its files open");
        fs::remove_dir_all(self.data_dir(at)).expect("the directory is ours");
    }
}

/// Whether a voter is a member as the leader knows it, and up to date.
fn is_part(own: &StoreStatus, leaders: &StoreStatus) -> bool {
    let is_own = |member: &&MemberStatus| member.node == own.node && member.address == own.address;
    leaders.members.iter().find(is_own).is_some_and(|member| member.voter) && own.revision >= leaders.revision
}

pub fn security() -> Security {
    Security { password: Some(Password::new(PASSWORD)), tls: None }
}

impl Drop for Voters {
    fn drop(&mut self) {
        for at in self.all() {
            self.kill(at);
        }
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.base);
            return;
        }
        eprintln!("what is left of the voters: {}", self.base.display());
        for at in self.all() {
            let log = self.log(at);
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "--- the end of {}'s log\n{}",
                self.addresses[at],
                lines[lines.len().saturating_sub(40)..].join("\n")
            );
        }
    }
}
