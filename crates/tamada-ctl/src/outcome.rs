//! What members answered to an action, told one line each (ctl.md 4).
//!
//! An answer of any status is told and the command goes on. A member that cannot be asked at all is told too, the
//! others still get their request, and the command ends with exit code 1: a script must notice.

use tamada_api::client::{CallError, Heard};
use tamada_model::MemberName;

use crate::console::Console;
use crate::failure::Failure;

/// Members that could not be asked.
#[derive(Default)]
pub struct Unasked(Vec<String>);

impl Unasked {
    /// The answer, unless there is none.
    pub fn note(&mut self, name: &MemberName, answer: Result<Heard, CallError>) -> Option<Heard> {
        match answer {
            Ok(heard) => Some(heard),
            Err(error) => {
                self.0.push(match error {
                    CallError::Impossible(why) | CallError::Unreachable(why) => format!("{name} ({why})"),
                    CallError::Unanswered(why) => format!("{name} (no answer, it may have been done: {why})"),
                });
                None
            }
        }
    }

    pub fn end(self, action: &str) -> Result<(), Failure> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Failure::Command(format!("{action} could not be requested from: {}", self.0.join(", "))))
    }
}

/// `Failed: reload for member a, status code=503, (body)`
pub fn say_failed(console: &mut Console, action: &str, name: &MemberName, heard: &Heard) {
    console.say(format_args!("Failed: {action} for member {name}, status code={}, ({})", heard.status, heard.text()));
}
