//! Chores of the repository itself. Knows the files of the checkout; knows nothing about PostgreSQL.

mod tidy;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace");
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => tidy::run(root),
        Some(_) | None => {
            eprintln!("cargo xtask tidy    what no compiler or linter checks: see xtask/src/tidy.rs");
            ExitCode::from(2)
        }
    }
}
