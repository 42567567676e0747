//! What members answered to an action, told one line each (ctl.md 4).
//!
//! An answer of any status is told and the command goes on. A member that gives none is told too, the others still get
//! their request, and the command ends with exit code 1: a script must notice.

use tamada_api::client::{CallError, Heard};
use tamada_model::MemberName;

use crate::console::Console;
use crate::failure::Failure;
use crate::selection::listed;

/// One action, asked of several members.
pub struct Outcomes {
    /// As failures call it: `restart`.
    action: &'static str,
    silent: Vec<MemberName>,
}

impl Outcomes {
    pub fn of(action: &'static str) -> Self {
        Self { action, silent: Vec::new() }
    }

    /// The answer, unless there is none.
    pub fn note(
        &mut self,
        console: &mut Console,
        name: &MemberName,
        answer: Result<Heard, CallError>,
    ) -> Option<Heard> {
        let why = match answer {
            Ok(heard) => return Some(heard),
            Err(CallError::Impossible(why) | CallError::Unreachable(why)) => why,
            Err(CallError::Unanswered(why)) => format!("it may have been done all the same: {why}"),
        };
        console.say(format_args!("Failed: {} for member {name}, no answer ({why})", self.action));
        self.silent.push(name.clone());
        None
    }

    /// `Failed: reload for member a, status code=503, (body)`
    pub fn say_failed(&self, console: &mut Console, name: &MemberName, heard: &Heard) {
        let (action, status, body) = (self.action, heard.status, heard.text());
        console.say(format_args!("Failed: {action} for member {name}, status code={status}, ({body})"));
    }

    pub fn end(self) -> Result<(), Failure> {
        if self.silent.is_empty() {
            return Ok(());
        }
        Err(Failure::Command(format!("No answer to {} from members {}", self.action, listed(&self.silent))))
    }
}
