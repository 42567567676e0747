//! Where the members of a town settle who leads: one real etcd beside them, or voters of their own.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rustix::process::Signal;
use tamada_testing::free_port;

use crate::ground::Ground;
use crate::town::{Town, signal, wait};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Etcd,
    /// A voter in each member, and so many besides that have no PostgreSQL.
    Embedded {
        witnesses: usize,
    },
}

pub enum Store {
    Etcd(Etcd),
    Embedded(Voters),
}

pub struct Etcd {
    process: Option<Child>,
    host: String,
    port: u16,
    peer_port: u16,
}

/// The members' voters in their order, then the witnesses.
pub struct Voters {
    hosts: Vec<String>,
    pub ports: Vec<u16>,
    pub witnesses: Vec<Option<Child>>,
}

impl Store {
    pub fn new(kind: Kind, ground: &Ground, members: usize) -> Self {
        match kind {
            Kind::Etcd => {
                let (host, port, peer_port) = (ground.address(members), free_port(), free_port());
                Self::Etcd(Etcd { process: None, host, port, peer_port })
            }
            Kind::Embedded { witnesses } => Self::Embedded(Voters {
                // The witnesses have the store's place.
                hosts: (0..=members).map(|place| ground.address(place)).collect(),
                ports: (0..members + witnesses).map(|_| free_port()).collect(),
                witnesses: (0..witnesses).map(|_| None).collect(),
            }),
        }
    }

    pub fn kill(&mut self) {
        for process in self.processes() {
            if let Some(mut process) = process.take() {
                // Already gone is as good as killed.
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }

    fn processes(&mut self) -> Vec<&mut Option<Child>> {
        match self {
            Self::Etcd(etcd) => vec![&mut etcd.process],
            Self::Embedded(voters) => voters.witnesses.iter_mut().collect(),
        }
    }

    /// What a member's configuration says about it; `at` is the place of its voter, `None` for a tool on another host.
    pub fn section(&self, base: &Path, at: Option<usize>) -> String {
        match self {
            Self::Etcd(etcd) => format!("etcd3: {{hosts: '{}:{}'}}", etcd.host, etcd.port),
            Self::Embedded(voters) => voters.section(base, at),
        }
    }
}

impl Voters {
    pub fn address(&self, at: usize) -> String {
        let host = &self.hosts[at.min(self.hosts.len() - 1)];
        format!("{host}:{}", self.ports[at])
    }

    fn section(&self, base: &Path, at: Option<usize>) -> String {
        let others = (0..self.ports.len()).filter(|other| Some(*other) != at);
        let others = others.map(|other| format!("'{}'", self.address(other))).collect::<Vec<_>>().join(", ");
        let own = at.map_or_else(String::new, |at| {
            format!(", self_addr: '{}', data_dir: '{}'", self.address(at), base.join(format!("store-{at}")).display())
        });
        format!("raft: {{partner_addrs: [{others}]{own}, password: word}}")
    }
}

impl Town {
    pub fn voters(&self) -> &Voters {
        match &self.store {
            Store::Embedded(voters) => voters,
            Store::Etcd(_) => panic!("this town has an etcd"),
        }
    }

    fn voters_mut(&mut self) -> &mut Voters {
        match &mut self.store {
            Store::Embedded(voters) => voters,
            Store::Etcd(_) => panic!("this town has an etcd"),
        }
    }

    pub fn store_is_gone(&self) -> bool {
        match &self.store {
            Store::Etcd(etcd) => etcd.process.is_none(),
            Store::Embedded(voters) => voters.witnesses.iter().any(Option::is_none),
        }
    }

    /// What runs beside the members.
    pub fn start_store(&mut self) {
        match &self.store {
            Store::Etcd(_) => self.start_etcd(),
            Store::Embedded(voters) => (0..voters.witnesses.len()).for_each(|witness| self.start_witness(witness)),
        }
    }

    fn start_etcd(&mut self) {
        let Store::Etcd(etcd) = &self.store else { return };
        let address = format!("{}:{}", etcd.host, etcd.port);
        let (client, peer) = (format!("http://{address}"), format!("http://{}:{}", etcd.host, etcd.peer_port));
        let mut command = self.command(Path::new("etcd"));
        command.args(["--data-dir", "etcd", "--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}"), "--log-level", "error"]);
        command.stdout(Stdio::null()).stderr(self.log_file("etcd"));
        let process = self.ground.machine(self.place_of_store()).spawn(command);
        if let Store::Etcd(etcd) = &mut self.store {
            etcd.process = Some(process.expect("etcd is installed; see make test"));
        }
        wait("etcd answers", || {
            let address = address.clone();
            self.outside().work(move || TcpStream::connect(address)).ok()
        });
    }

    /// `tamada voter`, with a file that says nothing of PostgreSQL.
    pub fn start_witness(&mut self, witness: usize) {
        let file = self.witness_config(witness);
        let mut command = self.command(&self.base.join("tamada"));
        command.arg("voter").arg(file).stdout(Stdio::null()).stderr(self.log_file(&format!("witness-{witness}")));
        let process = self.ground.machine(self.place_of_store()).spawn(command).expect("the binary was copied");
        self.voters_mut().witnesses[witness] = Some(process);
    }

    pub fn witness_config(&self, witness: usize) -> PathBuf {
        let (file, at) = (self.base.join(format!("witness-{witness}.yml")), self.members.len() + witness);
        let text = format!("scope: town\n{}\n", self.store.section(&self.base, Some(at)));
        fs::write(&file, text).expect("the directory is ours");
        file
    }

    pub fn witness_log(&self, witness: usize) -> String {
        fs::read_to_string(self.base.join(format!("witness-{witness}.log"))).unwrap_or_default()
    }

    /// One more, which nobody knows of; it does not run yet.
    pub fn new_witness(&mut self) -> usize {
        let voters = self.voters_mut();
        voters.ports.push(free_port());
        voters.witnesses.push(None);
        voters.witnesses.len() - 1
    }

    /// The disk of the voter at this place is a new one.
    pub fn lose_store_of(&self, at: usize) {
        fs::remove_dir_all(self.base.join(format!("store-{at}"))).expect("it had one");
    }

    pub fn store_file_of(&self, at: usize) -> PathBuf {
        self.base.join(format!("store-{at}/store.redb"))
    }

    pub fn damage_store_of(&self, at: usize) {
        fs::write(self.store_file_of(at), "no store any more").expect("it had one");
    }

    pub fn witness_ends(&mut self, witness: usize) -> Option<i32> {
        let mut process = self.voters_mut().witnesses[witness].take()?;
        wait("the witness ends", || process.try_wait().expect("it is our child")).code()
    }

    /// Ends it as its operator would; answers its exit status.
    pub fn stop_witness(&mut self, witness: usize) -> Option<i32> {
        let process = self.voters().witnesses[witness].as_ref().expect("it runs").id();
        signal(process, Signal::TERM);
        self.witness_ends(witness)
    }

    pub fn kill_witness(&mut self, witness: usize) {
        if let Some(mut process) = self.voters_mut().witnesses[witness].take() {
            process.kill().expect("it is our child");
            process.wait().expect("it is our child");
        }
    }

    /// For this member there is no store any more, until it is thawed: etcd says nothing, or the other voters do not.
    pub fn freeze_store_for(&self, member: usize) {
        self.signal_store_of(member, Signal::STOP);
    }

    pub fn thaw_store_for(&self, member: usize) {
        self.signal_store_of(member, Signal::CONT);
    }

    fn signal_store_of(&self, member: usize, what: Signal) {
        match &self.store {
            Store::Etcd(etcd) => signal(etcd.process.as_ref().expect("etcd runs").id(), what),
            Store::Embedded(_) => {
                let others = self.members.iter().enumerate().filter(|(at, _)| *at != member);
                others.filter_map(|(_, other)| other.agent_pid()).for_each(|pid| signal(pid, what));
            }
        }
    }

    /// The configuration of a tool on another host: where the store is, and nothing else.
    pub fn tool(&self) -> PathBuf {
        let file = self.base.join("tool.yml");
        let text = format!("scope: town\n{}\n", self.store.section(&self.base, None));
        fs::write(&file, text).expect("the directory is ours");
        file
    }

    /// `store …` from another host: what it says, and its exit code.
    pub fn tell_store(&self, words: &[&str]) -> (String, Option<i32>) {
        self.ctl_with(&self.tool(), &[&["store"], words].concat(), "")
    }

    /// Every node as `ADDRESS ROLE`; `None`: no majority.
    pub fn nodes(&self) -> Option<Vec<(String, String)>> {
        let (told, code) = self.tell_store(&["status", "-f", "tsv"]);
        let row = |line: &str| {
            let mut cells = line.split('\t').map(str::to_owned);
            Some((cells.next()?, cells.next()?))
        };
        (code == Some(0)).then(|| told.lines().skip(1).filter_map(row).collect())
    }

    /// Waits until the store has these nodes, by place, with a leader among the voters.
    pub fn wait_for_nodes(&self, voters: &[usize], copies: &[usize]) {
        let addresses =
            |places: &[usize]| -> BTreeSet<String> { places.iter().map(|at| self.voters().address(*at)).collect() };
        let (voters, copies) = (addresses(voters), addresses(copies));
        wait("the store has the nodes it should have", || {
            let nodes = self.nodes()?;
            let with = |roles: &[&str]| -> BTreeSet<String> {
                nodes.iter().filter(|(_, role)| roles.contains(&role.as_str())).map(|(node, _)| node.clone()).collect()
            };
            (with(&["Leader", "Voter"]) == voters && with(&["Copy"]) == copies).then_some(())
        });
    }

    /// Whose voter leads the store.
    pub fn store_leader(&self) -> Option<usize> {
        let (leader, _) = self.nodes()?.into_iter().find(|(_, role)| role == "Leader")?;
        (0..self.voters().ports.len()).find(|at| self.voters().address(*at) == leader)
    }
}
