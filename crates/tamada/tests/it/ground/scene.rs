//! Where a test may make machines with networks of their own: as root; or in a user namespace, which most systems grant
//! everybody.

use std::process::Command;

use super::machine::Machine;

const WITHIN: &str = "TAMADA_TEST_IN_A_USER_NAMESPACE";
/// Who we are stays the same, so that PostgreSQL, which refuses root, can be started there.
const NAMESPACE: [&str; 3] = ["--user", "--map-current-user", "--keep-caps"];

/// Runs the scene here, if we may; else the whole test once more, by its full name, in a user namespace. Where even that
/// is forbidden the test says so and proves nothing.
pub fn with_machines(test: &str, scene: impl FnOnce()) {
    let Err(error) = Machine::apart() else { return scene() };
    if is_granted() {
        again_in_a_namespace(test);
    } else {
        eprintln!("{test} is left out: this system grants nobody a network of his own ({error})");
    }
}

/// What a scene with whole clusters may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Machines {
    OneEach,
    OneForAll,
}

/// As [`with_machines`], for a scene that can do with one machine.
pub fn with_machines_if_possible(test: &str, scene: impl FnOnce(Machines)) {
    if Machine::apart().is_ok() {
        scene(Machines::OneEach);
    } else if rustix::process::getuid().is_root() || !is_granted() {
        // Root of a user namespace cannot become the user as whom PostgreSQL runs.
        scene(Machines::OneForAll);
    } else {
        again_in_a_namespace(test);
    }
}

fn is_granted() -> bool {
    assert!(std::env::var_os(WITHIN).is_none(), "not even in a user namespace a network can be had");
    let allowed = Command::new("unshare").args(NAMESPACE).args(["--net", "--mount", "true"]).output();
    allowed.expect("util-linux is part of every system").status.success()
}

fn again_in_a_namespace(test: &str) {
    let own = std::env::current_exe().expect("Linux tells");
    let mut again = Command::new("unshare");
    again.args(NAMESPACE).arg(own).args(["--exact", test, "--nocapture"]).env(WITHIN, "yes");
    let out = again.output().expect("it ran before");
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("1 passed"), "in a user namespace:\n{said}");
    eprint!("{}", String::from_utf8_lossy(&out.stderr));
}
