//! The command line: what may be written, what was written, and what is said about mistakes.
//!
//! The texts of usage errors and the order in which mistakes are noticed are what scripts and habits around the original
//! know (ctl.md 1.3). A general parser speaks differently in every one of them, so the grammar is a table here and the
//! parser that reads it is one small file.

mod commands;
mod grammar;
mod help;
mod parse;
mod suggest;

pub use commands::*;
pub use grammar::CommandSpec;
pub use parse::{Given, Heard, global, subcommand};
