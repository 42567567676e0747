//! Who this member is and under which addresses it is known.

use tamada_model::document::scalar_text;
use tamada_model::{Document, Me, MemberName, PostgresConfig, RestApiConfig, Tags};

use crate::address::{authority, hosts_and_port};
use crate::path::{flag, section, text};

pub fn me(effective: &Document, restapi: &RestApiConfig, postgres: &PostgresConfig) -> Me {
    let conn_url = |host: &str, port: u16| format!("postgres://{}/{}", authority(host, port), postgres.database);
    let (host, port) = &postgres.connect_address;
    let proxy = text(effective, "postgresql.proxy_address").and_then(|address| hosts_and_port(&address, Some(5432)));
    Me {
        name: MemberName::new(text(effective, "name").unwrap_or_default()),
        scope: postgres.scope.clone(),
        tags: Tags(section(effective, "tags").cloned().unwrap_or_default()),
        conn_url: conn_url(host, *port),
        api_url: api_url(restapi),
        proxy_url: proxy.map(|(host, port)| conn_url(&host, port)),
        may_bootstrap: effective.contains_key("bootstrap"),
        has_leaderless_method: postgres
            .create_replica_methods
            .iter()
            .any(|method| works_without_leader(effective, method)),
    }
}

fn api_url(restapi: &RestApiConfig) -> String {
    let scheme = if restapi.tls.cert.is_some() { "https" } else { "http" };
    let (host, port) = &restapi.connect_address;
    format!("{scheme}://{}/patroni", authority(host, *port))
}

fn works_without_leader(effective: &Document, method: &str) -> bool {
    method != "basebackup" && flag(effective, &format!("postgresql.{method}.no_leader"))
}

/// Tags that contradict each other (log-lines.md 15).
pub fn contradictions(me: &Me) -> Vec<String> {
    let line = |(flag, set, priority, number): (&str, bool, &str, i64)| {
        let set = me.tags.0.get(flag).map_or_else(|| set.to_string(), scalar_text);
        format!("Conflicting configuration between {flag}: {set} and {priority}: {number}. Defaulting to {flag}: {set}")
    };
    me.tags.contradictions().into_iter().map(line).collect()
}
