//! Where a test may make machines with networks of their own: as root; or as root of a user namespace, which most systems
//! grant everybody.

use std::process::Command;

use super::machine::Machine;

const WITHIN: &str = "TAMADA_TEST_IN_A_USER_NAMESPACE";

/// Runs the scene here, if we may; else the whole test once more, by its full name, in a user namespace. Where even that
/// is forbidden the test says so and proves nothing.
pub fn with_machines(test: &str, scene: impl FnOnce()) {
    let Err(error) = Machine::apart() else { return scene() };
    assert!(std::env::var_os(WITHIN).is_none(), "not even root of a user namespace may have a network: {error}");
    let namespace = ["--user", "--map-root-user"];
    let allowed = Command::new("unshare").args(namespace).args(["--net", "--mount", "true"]).output();
    if !allowed.expect("util-linux is part of every system").status.success() {
        eprintln!("{test} is left out: this system grants nobody a network of his own ({error})");
        return;
    }
    let own = std::env::current_exe().expect("Linux tells");
    let mut again = Command::new("unshare");
    again.args(namespace).arg(own).args(["--exact", test, "--nocapture"]).env(WITHIN, "yes");
    let out = again.output().expect("it ran before");
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("1 passed"), "in a user namespace:\n{said}");
}
