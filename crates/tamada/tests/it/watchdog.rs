//! The watchdog, on a named pipe in the place of the kernel's device (log-lines.md 18.5).

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

use rustix::fs::{CWD, FileType, Mode};

use crate::store::Kind;
use crate::town::{Town, wait};

/// What the device hears.
struct Pipe(File);

impl Pipe {
    fn new(town: &Town) -> Self {
        let path = town.base.join("watchdog");
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a free name");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("it is ours");
        // Its own writer as well, so that it does not end with the agent.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        Self(File::options().read(true).write(true).custom_flags(nonblocking).open(path).expect("it was made"))
    }

    /// Since the last time.
    fn heard(&mut self) -> String {
        let mut bytes = [0; 4096];
        match self.0.read(&mut bytes) {
            Ok(count) => String::from_utf8(bytes[..count].to_vec()).expect("the protocol is text"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                String::new()
            }
        }
    }

    fn wait_for(&mut self, what: &str, ending: &str) -> String {
        let mut all = String::new();
        wait(what, || {
            all.push_str(&self.heard());
            all.ends_with(ending).then_some(())
        });
        all
    }
}

fn required(town: &Town, device: &str) -> String {
    let device = town.base.join(device).display().to_string();
    format!("watchdog: {{mode: required, driver: testing, device: '{device}', safety_margin: -1}}")
}

#[test]
fn a_leader_keeps_it_alive_until_nothing_can_be_written() {
    let mut town = Town::hasty(Kind::Etcd, 1);
    let mut pipe = Pipe::new(&town);
    town.write_configuration(0, &required(&town, "watchdog"));
    town.start_all();
    // Half of the lease of 5 s would be 2; the leader gives up after 3.
    assert_eq!(pipe.wait_for("it is started with the lock", "1"), "Ctimeout=4\n1");
    town.wait_for_cluster(0);
    pipe.wait_for("each renewal is a sign of life", "11");

    let (said, code) = town.ctl(0, &["pause", "--wait"]);
    assert_eq!(code, Some(0), "{said}");
    let ended = pipe.wait_for("a pause stops it", "V");
    assert!(ended.strip_suffix('V').is_some_and(|signs| signs.chars().all(|sign| sign == '1')), "{ended}");
    town.ctl(0, &["resume", "--wait"]);
    // With what is left of the lease, which is not quite new.
    assert!(pipe.wait_for("the end of the pause starts it", "1").starts_with("Ctimeout=4\n"));

    town.freeze_agent(0);
    pipe.heard();
    wait("the guard stops PostgreSQL", || town.postmaster(0).is_none().then_some(()));
    assert_eq!(pipe.heard(), "", "nobody keeps it alive for an agent that is frozen");
    town.thaw_agent(0);
    town.wait_for_cluster(0);
    pipe.wait_for("a leader again", "11");

    assert_eq!(town.stop(0), Some(0));
    let last = pipe.heard();
    assert!(last.ends_with('V'), "an agent that has stopped PostgreSQL stops the watchdog: {last}");
    assert!(town.log(0).contains("activated with 4 second timeout, timing slack 3 seconds"), "{}", town.log(0));
}

#[test]
fn who_requires_one_and_has_none_does_not_lead() {
    let mut town = Town::hasty(Kind::Etcd, 2);
    town.start(1);
    town.wait_for_cluster(0);
    town.write_configuration(0, &required(&town, "nowhere"));
    town.start(0);
    assert_eq!(town.wait_for_cluster(1), 1);
    assert_eq!(town.status(0).expect("it answers")["watchdog_failed"], true);
    let (said, _) = town.ctl(0, &["switchover", "--leader", "b", "--candidate", "a", "--force"]);
    assert!(said.contains("no good candidates have been found"), "{said}");
    assert!(town.log(1).contains("Member a is not watchdog capable"), "{}", town.log(1));

    let mut pipe = Pipe::new(&town);
    std::fs::rename(town.base.join("watchdog"), town.base.join("nowhere")).expect("it is ours");
    wait("one that is there is found", || town.status(0)?["watchdog_failed"].is_null().then_some(()));
    town.kill_host(1);
    wait("it leads now", || town.leader().filter(|at| *at == 0));
    pipe.wait_for("with its watchdog", "11");
}
