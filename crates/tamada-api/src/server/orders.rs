//! What operators order: configuration, reload, restart, reinitialize (rest-api.md 6, 7, 9).
//!
//! Here the form is checked; whether it can be done now is for the agent to say, and its words go out unchanged.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request as HttpRequest, StatusCode};
use serde_json::Value;
use tamada_model::document::{boolean, scalar_text};
use tamada_model::{Document, FailoverKind, Reinitialize, Request, RestartConditions, Role, Schedule, Wall, units};
use tamada_wire::time::{self, Reading};
use tokio::time::timeout;

use super::answer::Answer;
use super::body::{self, Need};
use super::route::Change;
use super::{Desk, Server};

/// The agent has deadlines of its own, all of them shorter. Only an agent that hangs is cut off here.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

impl<D: Desk> Server<D> {
    pub(super) async fn change(&self, change: Change, request: HttpRequest<Incoming>) -> Answer {
        match self.obey(change, request).await {
            Ok(answer) | Err(answer) => answer,
        }
    }

    async fn obey(&self, change: Change, request: HttpRequest<Incoming>) -> Result<Answer, Answer> {
        let order = match change {
            Change::PatchConfig => Request::PatchConfig(body::read(request, Need::Mandatory).await?),
            Change::PutConfig => Request::PutConfig(body::read(request, Need::Mandatory).await?),
            Change::Reload => Request::Reload,
            Change::Restart => {
                let wish = body::read(request, Need::Optional).await?;
                return self.restart(&wish).await;
            }
            Change::CancelRestart => Request::CancelScheduledRestart,
            Change::Reinitialize => Request::Reinitialize(reinitialize(&body::read(request, Need::Optional).await?)),
            Change::Switchover => {
                let wish = body::read(request, Need::Mandatory).await?;
                return self.hand_over(FailoverKind::Switchover, &wish).await;
            }
            Change::Failover => {
                let wish = body::read(request, Need::Mandatory).await?;
                return self.hand_over(FailoverKind::ManualFailover, &wish).await;
            }
            Change::CancelSwitchover => Request::ClearFailover,
            // Failsafe mode is always off in this version.
            Change::Failsafe => return Err(Answer::Page(StatusCode::BAD_GATEWAY)),
        };
        Ok(self.ask(order).await)
    }

    pub(super) async fn ask(&self, order: Request) -> Answer {
        match timeout(ANSWER_WITHIN, self.desk.ask(order)).await {
            Ok(reply) => reply.into(),
            Err(_) => {
                let text = format!("no answer within {} seconds; it may still be done", ANSWER_WITHIN.as_secs());
                Answer::text(StatusCode::SERVICE_UNAVAILABLE, text)
            }
        }
    }

    /// An immediate restart is answered when it is over, however long PostgreSQL takes to stop.
    async fn restart(&self, wish: &Document) -> Result<Answer, Answer> {
        match restart_order(wish, self.desk.now().wall)? {
            (conditions, None) => Ok(self.desk.ask(Request::Restart(conditions)).await.into()),
            (_, Some(_)) if self.desk.report().pause => {
                let text = "Can't schedule restart in the paused state";
                Err(Answer::text(StatusCode::INTERNAL_SERVER_ERROR, text))
            }
            (conditions, Some(schedule)) => Ok(self.ask(Request::ScheduleRestart(conditions, schedule)).await),
        }
    }
}

/// Keys are judged in the order given; the first that is wrong answers (rest-api.md 7).
fn restart_order(wish: &Document, now: Wall) -> Result<(RestartConditions, Option<Schedule>), Answer> {
    let mut conditions = RestartConditions::default();
    let mut at = None;
    for (key, value) in wish {
        match key.as_str() {
            "schedule" => at = Some(schedule(value, "restart", now)?),
            "role" => conditions.role = Some(role(value)?),
            "postgres_version" => conditions.postgres_version = Some(postgres_version(value)?),
            "timeout" => conditions.timeout_seconds = Some(seconds(value)?),
            "restart_pending" => conditions.restart_pending = Some(value.clone()),
            unknown => return Err(bad(format!("Unknown filter for the scheduled restart: {unknown}"))),
        }
    }
    Ok((conditions, at))
}

fn bad(text: impl Into<String>) -> Answer {
    Answer::text(StatusCode::BAD_REQUEST, text)
}

/// A timestamp with a zone, not in the past.
pub(super) fn schedule(value: &Value, action: &str, now: Wall) -> Result<Schedule, Answer> {
    let unprocessable = |text: String| Answer::text(StatusCode::UNPROCESSABLE_ENTITY, text);
    match value.as_str().map(time::read) {
        Some(Reading::Zoned(moment)) if moment.at < now => {
            Err(unprocessable(format!("Cannot schedule {action} in the past")))
        }
        Some(Reading::Zoned(moment)) => Ok(moment.schedule()),
        Some(Reading::Unzoned(_)) => Err(bad(format!("Timezone information is mandatory for the scheduled {action}"))),
        Some(Reading::Unreadable) | None => Err(unprocessable(
            "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601".into(),
        )),
    }
}

fn role(value: &Value) -> Result<Role, Answer> {
    match value.as_str() {
        Some("primary") => Ok(Role::Primary),
        Some("standby_leader") => Ok(Role::StandbyLeader),
        Some("replica") => Ok(Role::Replica),
        Some(_) | None => Err(bad("PostgreSQL role should be either primary, standby_leader, or replica")),
    }
}

/// `X.Y` from 10 on, `X.Y.Z` for all.
fn postgres_version(value: &Value) -> Result<String, Answer> {
    let text = scalar_text(value);
    let parts: Option<Vec<u32>> = text.split('.').map(|part| part.trim().parse().ok()).collect();
    match parts.as_deref() {
        None => Err(bad(format!("Invalid PostgreSQL version: {text}"))),
        Some([_, _, _]) => Ok(text),
        Some([major, _]) if *major >= 10 => Ok(text),
        Some(_) => Err(bad(format!("Invalid PostgreSQL version format: X.Y or X.Y.Z is accepted: {text}"))),
    }
}

fn seconds(value: &Value) -> Result<u64, Answer> {
    let seconds = units::integer(&scalar_text(value), Some("s")).filter(|seconds| *seconds > 0);
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.ok_or_else(|| bad("Timeout should be a positive number of seconds"))
}

/// The documentation of the original spells `from-leader`, its code `from_leader`; both are understood.
fn reinitialize(wish: &Document) -> Reinitialize {
    let on = |key: &str| wish.get(key).and_then(boolean).unwrap_or(false);
    Reinitialize { force: on("force"), from_leader: on("from_leader") || on("from-leader") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tamada_wire::scene;

    use super::*;

    fn now() -> Wall {
        time::instant("2026-11-23T09:00:00+00:00").expect("a timestamp")
    }

    fn refusal(answer: &Answer) -> String {
        match answer {
            Answer::Body { status, body, .. } => format!("{} {}", status.as_u16(), String::from_utf8_lossy(body)),
            Answer::Code(_) | Answer::Challenge(_) | Answer::Page(_) => format!("{answer:?}"),
        }
    }

    #[test]
    fn the_first_wrong_key_of_a_restart_answers() {
        let unparsable =
            "422 Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601";
        let wrong_role = "400 PostgreSQL role should be either primary, standby_leader, or replica";
        let wrong_timeout = "400 Timeout should be a positive number of seconds";
        let format = "400 Invalid PostgreSQL version format: X.Y or X.Y.Z is accepted: ";
        for (wish, expected) in [
            (
                json!({"schedule": "2026-11-23T10:00"}),
                "400 Timezone information is mandatory for the scheduled restart",
            ),
            (json!({"schedule": "2026-11-23T08:59:59+00:00"}), "422 Cannot schedule restart in the past"),
            (json!({"schedule": "11/12/2027 10:00 UTC"}), unparsable),
            (json!({"schedule": null}), unparsable),
            (json!({"schedule": 5, "role": "x"}), unparsable),
            (json!({"role": "master"}), wrong_role),
            (json!({"role": ["primary"], "timeout": 0}), wrong_role),
            (json!({"postgres_version": "15.x"}), "400 Invalid PostgreSQL version: 15.x"),
            (json!({"postgres_version": "9.6"}), &format!("{format}9.6")),
            (json!({"postgres_version": 15}), &format!("{format}15")),
            (json!({"postgres_version": "1.2.3.4"}), &format!("{format}1.2.3.4")),
            (json!({"timeout": 0}), wrong_timeout),
            (json!({"timeout": "5MB"}), wrong_timeout),
            (json!({"timeout": []}), wrong_timeout),
            (json!({"timeout": 5, "shape": 1, "role": "x"}), "400 Unknown filter for the scheduled restart: shape"),
        ] {
            let answer = restart_order(&scene::object(wish.clone()), now()).expect_err("a refusal");
            assert_eq!(refusal(&answer), expected, "{wish}");
        }
    }

    #[test]
    fn a_restart_comes_with_its_conditions() {
        let wish = json!({"role": "replica", "postgres_version": "16.1", "timeout": "2min", "restart_pending": false});
        let (conditions, at) = restart_order(&scene::object(wish), now()).expect("an order");
        let expected = RestartConditions {
            role: Some(Role::Replica),
            postgres_version: Some("16.1".into()),
            restart_pending: Some(false.into()),
            timeout_seconds: Some(120),
        };
        assert_eq!((conditions, at), (expected, None));
        let wish = json!({"schedule": "2026-11-23 10:00 +0100"});
        let (_, at) = restart_order(&scene::object(wish), now()).expect("an order");
        assert_eq!(at.map(|at| at.text).as_deref(), Some("2026-11-23T10:00:00+01:00"));
        assert!(restart_order(&Document::new(), now()).is_ok());
    }

    #[test]
    fn reinitialize_understands_switches() {
        let wish = |value| reinitialize(&scene::object(value));
        assert_eq!(wish(json!({})), Reinitialize::default());
        assert_eq!(wish(json!({"force": "on", "from-leader": true})), Reinitialize { force: true, from_leader: true });
        assert_eq!(wish(json!({"force": "perhaps", "from_leader": 0})), Reinitialize::default());
    }
}
