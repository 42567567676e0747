//! How a command ends when it does not end well (ctl.md 1.3).

use crate::console::Console;

/// Sorted by what the operator sees; each has its exit code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The command line makes no sense: this text, as it stands.
    Usage(String),
    /// `Error: <message>`.
    Command(String),
    /// A question was interrupted, or nobody is there to answer.
    Aborted,
}

impl Failure {
    pub fn command(message: impl Into<String>) -> Self {
        Failure::Command(message.into())
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            Failure::Command(_) | Failure::Aborted => 1,
        }
    }

    pub fn show(&self, console: &mut Console) {
        match self {
            Failure::Usage(text) => console.complain(text),
            Failure::Command(message) => console.complain(&format!("Error: {message}")),
            Failure::Aborted => console.complain("Aborted!"),
        }
    }
}
