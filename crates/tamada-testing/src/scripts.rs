//! Scripts that can be executed at once.
//!
//! 1. A test writes a script; for a moment it has the file open.
//! 2. Another thread of the same program starts a process, which has a copy of every open file until it becomes what it
//!    was started for.
//! 3. The script is executed while the copy is still there: "text file busy", because somebody could write to it.
//!
//! So the script is written by a process of its own, whose files nobody inherits.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

pub fn write_script(path: &Path, text: &str) {
    let mut install = Command::new("install");
    install.args(["-m", "755", "/dev/stdin"]).arg(path).stdin(Stdio::piped());
    let mut installing = install.spawn().expect("install belongs to every system");
    let mut input = installing.stdin.take().expect("it was asked for");
    input.write_all(text.as_bytes()).expect("install reads to the end");
    drop(input);
    let ended = installing.wait().expect("it is our child");
    assert!(ended.success(), "{} could not be written", path.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_runs_while_others_are_started() {
        let folder = std::env::temp_dir().join(format!("tamada-scripts-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary directory is writable");
        std::thread::scope(|scope| {
            for number in 0..4 {
                let path = folder.join(number.to_string());
                scope.spawn(move || {
                    for _ in 0..20 {
                        write_script(&path, "#!/bin/sh\nexit 7\n");
                        assert_eq!(Command::new(&path).status().expect("it can be executed").code(), Some(7));
                    }
                });
            }
        });
        std::fs::remove_dir_all(&folder).expect("it is ours");
    }
}
