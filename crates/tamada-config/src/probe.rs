//! What `--validate-config` and the sample ask this machine: ports, programs, the data directory, its own address.
//!
//! The only file of this crate that touches more than the configuration files. Every question has a deadline; that of
//! a name is the resolver's.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tamada_model::{PgMajor, PgVersion};

use crate::address::hosts_and_port;

/// A person waits for the answer; a host that does not answer in this time does not count as reachable.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether a taken port is a problem (`-i` says no: the running member has it).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListenPorts {
    MustBeFree,
    MayBeTaken,
}

/// Asks about `host:port` or `host1,host2:port` that we are to listen on.
pub fn listen(address: &str, many: bool, ports: ListenPorts) -> Result<(), String> {
    let (hosts, port) = split(address)?;
    let hosts: Vec<&str> = if many { hosts.split(',').map(str::trim).collect() } else { vec![&hosts] };
    if hosts.contains(&"*") && hosts.len() != 1 {
        return Err("expecting '*' alone".to_owned());
    }
    let mut taken = false;
    for host in hosts {
        taken |= addresses(host, port)?.iter().any(|address| answers(*address));
    }
    match ports {
        ListenPorts::MustBeFree if taken => Err(format!("Port {port} is already in use.")),
        ListenPorts::MustBeFree | ListenPorts::MayBeTaken => Ok(()),
    }
}

/// Asks whether `host:port` answers.
pub fn reachable(address: &str) -> Result<(), String> {
    let (host, port) = split(address)?;
    let answered = addresses(&host, port)?.iter().any(|address| answers(*address));
    if answered { Ok(()) } else { Err(format!("{address} is not reachable")) }
}

fn split(address: &str) -> Result<(String, u16), String> {
    let wrong = || "contains a wrong value".to_owned();
    hosts_and_port(address, Some(1)).filter(|_| !address.is_empty()).ok_or_else(wrong)
}

/// All addresses for `*` and for an empty host.
fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    if host.is_empty() || host == "*" {
        return Ok(vec![(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()]);
    }
    (host, port).to_socket_addrs().map(Iterator::collect).map_err(|error| error.to_string())
}

fn answers(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, PATIENCE).is_ok()
}

/// Finds programs in one directory, or in the directories of `PATH`.
#[derive(Clone, Debug)]
pub struct Programs {
    directories: Vec<PathBuf>,
    /// As problem lines name the place.
    pub place: String,
}

impl Programs {
    pub fn new(bin_dir: Option<&str>, path: Option<&str>) -> Self {
        match bin_dir.filter(|directory| !directory.is_empty()) {
            Some(directory) => Self { directories: vec![PathBuf::from(directory)], place: directory.to_owned() },
            None => {
                let directories = path.unwrap_or_default().split(':').filter(|part| !part.is_empty());
                Self { directories: directories.map(PathBuf::from).collect(), place: "$PATH".to_owned() }
            }
        }
    }

    pub fn find(&self, program: &str) -> Option<PathBuf> {
        self.directories.iter().map(|directory| directory.join(program)).find(|file| is_executable(file))
    }
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// A directory of programs that is named but not there.
pub fn bin_dir(directory: &str) -> Result<(), String> {
    match fs::metadata(directory) {
        Err(_) => Err(format!("Directory '{directory}' does not exist.")),
        Ok(metadata) if !metadata.is_dir() => Err(format!("'{directory}' is not a directory.")),
        Ok(_) => Ok(()),
    }
}

/// The version that `postgres --version` tells.
pub fn postgres_version(postgres: &Path) -> Option<PgVersion> {
    let output = output_in_time(Command::new(postgres).arg("--version"))?;
    let number = output.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    PgVersion::parse(number)
}

/// What the command prints, if it ends in time.
fn output_in_time(command: &mut Command) -> Option<String> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut stdout = child.stdout.take()?;
    let (done, output) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.read_to_string(&mut text).map(|_| text);
        let _ = done.send(read);
    });
    let text = output.recv_timeout(PATIENCE);
    let _ = child.kill();
    let _ = child.wait();
    text.ok()?.ok()
}

/// Whether the data directory can be used: missing, empty, or a cluster of the installed version.
pub fn data_dir(directory: &str, installed: impl FnOnce() -> Option<PgVersion>) -> Result<(), String> {
    let path = Path::new(directory);
    if directory.is_empty() {
        return Err("is an empty string".to_owned());
    }
    if path.exists() && !path.is_dir() {
        return Err("is not a directory".to_owned());
    }
    if is_empty(path) {
        return Ok(());
    }
    let version = fs::read_to_string(path.join("PG_VERSION")).ok();
    let version = version.as_deref().map(str::trim).ok_or("doesn't look like a valid data directory")?;
    let major = PgMajor::parse(version).ok_or("doesn't look like a valid data directory")?;
    let wal = if major >= PgMajor::of(10) { "pg_wal" } else { "pg_xlog" };
    if !path.join(wal).is_dir() {
        return Err(format!("data dir for the cluster is not empty, but doesn't contain \"{wal}\" directory"));
    }
    let installed = installed().map(PgVersion::major);
    if installed == Some(major) {
        return Ok(());
    }
    let installed = installed.map_or_else(|| "unknown".to_owned(), |major| major.to_string());
    Err(format!(
        "data_dir directory postgresql version ({version}) doesn't match with 'postgres --version' output ({installed})"
    ))
}

/// Hidden files and `lost+found` do not count, a control file always does.
fn is_empty(directory: &Path) -> bool {
    if directory.join("global").join("pg_control").is_file() {
        return false;
    }
    let Ok(entries) = fs::read_dir(directory) else { return true };
    let counts = |name: &str| !name.starts_with('.') && name != "lost+found";
    !entries.filter_map(Result::ok).any(|entry| counts(&entry.file_name().to_string_lossy()))
}

/// The home directory of the user we run as, for services that are started without `HOME`.
pub fn home() -> Option<String> {
    let user = fs::metadata("/proc/self").ok()?.uid().to_string();
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let home = users.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        (fields.get(2) == Some(&user.as_str())).then(|| fields.get(5).copied()).flatten()
    });
    home.filter(|home| !home.is_empty()).map(str::to_owned)
}

/// The name of this host, and its first address, IPv4 before IPv6.
pub fn host() -> Option<(String, String)> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim().to_owned();
    let mut addresses: Vec<SocketAddr> = (name.as_str(), 0).to_socket_addrs().ok()?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let address = addresses.first()?.ip().to_string();
    Some((name, address))
}
