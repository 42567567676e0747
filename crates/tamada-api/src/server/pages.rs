//! What can be read, all of it from the report (rest-api.md 3, 4, 5).

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use serde_json::Value;
use tamada_model::{MemberName, Now, Report};
use tamada_wire::json;
use tamada_wire::rest::{self, ClusterMode, Shown, Timing};

use super::answer::{Answer, AnswerBody, Kind};
use super::query::Query;
use super::route::{Look, Route};
use super::{Desk, Server, access, health, probe};

/// A report this young is as good as a new one.
const YOUNG: Duration = Duration::from_millis(50);
/// Far below the two seconds that peers wait.
const FRESHEN: Duration = Duration::from_millis(500);

impl<D: Desk> Server<D> {
    /// From request to response; always there is one.
    pub(super) async fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> Response<AnswerBody> {
        let version = request.version();
        let rules = self.rules();
        let answer = match Route::of(request.method(), request.uri().path()) {
            Route::Look(look) => {
                if look == Look::Status {
                    self.freshen().await;
                }
                self.look(look, &request)
            }
            Route::HealthCode => Answer::Code(self.health(&request).0),
            Route::Unsupported => Answer::Page(StatusCode::NOT_IMPLEMENTED),
            Route::Change(change) => {
                let report = self.desk.report();
                match access::check(&rules, &report, peer, request.headers()).await {
                    Ok(()) => Box::pin(self.change(change, request)).await,
                    Err(refusal) => refusal,
                }
            }
        };
        answer.into_response(version, &rules, self.date.at(self.desk.now().wall))
    }

    /// `GET /patroni` is what peers ask in a race. Between two passes the published WAL position grows old by up to
    /// `loop_wait`, and a member that looks behind although it is not would lose commits to one that has fewer. So this
    /// one page is served from a report that is young, or as young as can be had in a moment.
    async fn freshen(&self) {
        let young =
            self.desk.report().postgres.as_ref().is_some_and(|facts| self.desk.now().mono.since(facts.seen_at) < YOUNG);
        if !young {
            // In vain when PostgreSQL hangs: then what is known is told as it is.
            let _ = tokio::time::timeout(FRESHEN, self.desk.freshen()).await;
        }
    }

    fn look(&self, look: Look, request: &Request<Incoming>) -> Answer {
        let (report, now) = (self.desk.report(), self.desk.now());
        let shown = Shown::new(&report, now.mono);
        let query = || Query::parse(request.uri().query());
        match look {
            Look::Health => {
                let (status, body) = self.health(request);
                Answer::Body { status, kind: Kind::Json, body }
            }
            Look::Liveness => Answer::Code(Answer::healthy(probe::is_alive(&report, now.mono))),
            Look::Readiness => Answer::Code(Answer::healthy(probe::is_ready(&query(), &shown))),
            Look::Status => {
                let body = self.status.body(&report, now);
                Answer::Body { status: StatusCode::OK, kind: Kind::Json, body }
            }
            Look::Cluster => cluster(&report, &shown),
            Look::History => history(&report),
            Look::Config => config(&report),
            Look::Failsafe => failsafe(&report),
            Look::Metrics => {
                let body = rest::metrics_text(&report, now.mono).into();
                Answer::Body { status: StatusCode::OK, kind: Kind::Metrics, body }
            }
        }
    }

    /// The code of a health check, and the body that goes with it.
    fn health(&self, request: &Request<Incoming>) -> (StatusCode, Bytes) {
        let (report, now) = (self.desk.report(), self.desk.now());
        let shown = Shown::new(&report, now.mono);
        let query = Query::parse(request.uri().query());
        let healthy = health::is_healthy(request.uri().path(), &query, &shown);
        (Answer::healthy(healthy), self.status.body(&report, now))
    }
}

/// A view that is too old would be a lie about the others; the original, too, answers nothing without the store.
fn cluster(report: &Report, shown: &Shown) -> Answer {
    match report.cluster.as_deref().filter(|_| shown.is_fresh()) {
        Some(cluster) => {
            let document = rest::cluster_document(cluster, &report.scope, ClusterMode::of_report(report));
            Answer::json(StatusCode::OK, &document)
        }
        None => Answer::Page(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn history(report: &Report) -> Answer {
    match report.cluster.as_deref() {
        Some(cluster) => {
            let history = cluster.history.as_ref().map(|history| history.value.as_slice()).unwrap_or_default();
            Answer::json(StatusCode::OK, &rest::history_document(history))
        }
        None => Answer::Page(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn config(report: &Report) -> Answer {
    match report.cluster.as_deref().and_then(|cluster| cluster.config.as_ref()) {
        Some(config) => Answer::json(StatusCode::OK, &Value::Object(config.value.clone())),
        None => Answer::Page(StatusCode::BAD_GATEWAY),
    }
}

/// Before anything was read there is no topology yet, which is not the same as none.
fn failsafe(report: &Report) -> Answer {
    let url = |(name, url): (&MemberName, &String)| (name.to_string(), url.as_str().into());
    match report.cluster.as_deref().map(|cluster| cluster.failsafe.as_ref()) {
        None => Answer::json(StatusCode::OK, &Value::Object(Default::default())),
        Some(Some(members)) => Answer::json(StatusCode::OK, &Value::Object(members.iter().map(url).collect())),
        Some(None) => Answer::Page(StatusCode::BAD_GATEWAY),
    }
}

/// The status document, printed once for as long as it stays true. What changes with time is part of the question, so
/// a cached body is never older than what it says.
#[derive(Default)]
pub(super) struct StatusCache {
    last: Mutex<Option<Rendered>>,
}

struct Rendered {
    report: Arc<Report>,
    timing: Timing,
    body: Bytes,
}

impl StatusCache {
    pub fn body(&self, report: &Arc<Report>, now: Now) -> Bytes {
        let timing = Shown::new(report, now.mono).timing();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(rendered) if Arc::ptr_eq(&rendered.report, report) && rendered.timing == timing => {
                rendered.body.clone()
            }
            Some(_) | None => {
                let body = Bytes::from(json::spaced(&rest::status_document(report, now.mono)));
                *last = Some(Rendered { report: report.clone(), timing, body: body.clone() });
                body
            }
        }
    }
}
