//! What operators ask an agent for, and what it answers.

use serde_json::Value;

use crate::{Document, FailoverRequest, RestartConditions, Schedule};

/// A request that needs the agent (health checks do not: they read the [`crate::Report`]). Syntax was checked by
/// whoever received it.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// Write the `failover` key (rest-api.md 8, after the checks there).
    SetFailover(FailoverRequest),
    /// `DELETE /switchover`
    ClearFailover,
    PatchConfig(Document),
    PutConfig(Document),
    Restart(RestartConditions),
    ScheduleRestart(RestartConditions, Schedule),
    CancelScheduledRestart,
    Reinitialize(Reinitialize),
    /// As SIGHUP.
    Reload,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reinitialize {
    pub force: bool,
    pub from_leader: bool,
}

/// Status code and body of the answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Reply {
    pub status: u16,
    pub body: ReplyBody,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ReplyBody {
    Text(String),
    Json(Value),
    /// The default error page of the status (rest-api.md 1, "[E]").
    Page,
}

impl Reply {
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self { status, body: ReplyBody::Text(text.into()) }
    }

    pub fn json(status: u16, value: Value) -> Self {
        Self { status, body: ReplyBody::Json(value) }
    }

    pub fn page(status: u16) -> Self {
        Self { status, body: ReplyBody::Page }
    }
}
