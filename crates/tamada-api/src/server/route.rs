//! Which endpoint a request means (rest-api.md 1.1).

use hyper::Method;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route {
    Look(Look),
    Change(Change),
    /// HEAD and OPTIONS: the health check's code, nothing else.
    HealthCode,
    /// 501
    Unsupported,
}

/// Reading: free for all, answered from the report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    /// Also every path we do not know: load balancers may ask for anything, and get 503.
    Health,
    Liveness,
    Readiness,
    Status,
    Cluster,
    History,
    Config,
    Metrics,
    Failsafe,
}

/// Changing something: needs the right to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    PatchConfig,
    PutConfig,
    Reload,
    Restart,
    CancelRestart,
    Reinitialize,
    Switchover,
    CancelSwitchover,
    Failover,
    Failsafe,
}

impl Route {
    /// By method and first segment of the path: `/patroni/x` is `/patroni`.
    pub fn of(method: &Method, path: &str) -> Self {
        let segment = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let change = match (method.as_str(), segment) {
            ("GET", segment) => return Route::Look(Look::of(segment)),
            ("HEAD" | "OPTIONS", _) => return Route::HealthCode,
            ("PATCH", "config") => Change::PatchConfig,
            ("PUT", "config") => Change::PutConfig,
            ("POST", "reload") => Change::Reload,
            ("POST", "restart") => Change::Restart,
            ("DELETE", "restart") => Change::CancelRestart,
            ("POST", "reinitialize") => Change::Reinitialize,
            ("POST", "switchover") => Change::Switchover,
            ("DELETE", "switchover") => Change::CancelSwitchover,
            ("POST", "failover") => Change::Failover,
            ("POST", "failsafe") => Change::Failsafe,
            _ => return Route::Unsupported,
        };
        Route::Change(change)
    }
}

impl Look {
    fn of(segment: &str) -> Self {
        match segment {
            "liveness" => Look::Liveness,
            "readiness" => Look::Readiness,
            "patroni" => Look::Status,
            "cluster" => Look::Cluster,
            "history" => Look::History,
            "config" => Look::Config,
            "metrics" => Look::Metrics,
            "failsafe" => Look::Failsafe,
            _ => Look::Health,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_and_first_segment_decide() {
        for (method, path, route) in [
            ("GET", "/", Route::Look(Look::Health)),
            ("GET", "/nonsense", Route::Look(Look::Health)),
            ("GET", "/patroni/x", Route::Look(Look::Status)),
            ("GET", "//cluster", Route::Look(Look::Cluster)),
            ("GET", "/switchover", Route::Look(Look::Health)),
            ("HEAD", "/liveness", Route::HealthCode),
            ("OPTIONS", "/primary", Route::HealthCode),
            ("PATCH", "/config", Route::Change(Change::PatchConfig)),
            ("DELETE", "/switchover", Route::Change(Change::CancelSwitchover)),
            ("DELETE", "/config", Route::Unsupported),
            ("POST", "/", Route::Unsupported),
            ("POST", "/patroni", Route::Unsupported),
            ("BREW", "/primary", Route::Unsupported),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(Route::of(&method, path), route, "{method} {path}");
        }
    }
}
