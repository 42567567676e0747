//! The `restapi` section, made ready for use: what does not change from request to request is computed once per reload.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{HeaderName, HeaderValue};
use tamada_model::{AgentVersion, RestApiConfig, ServerTokens};
use tracing::warn;

use super::access::Net;

/// A name server that does not answer must not keep the allowlist empty of names forever.
const RESOLVE_WITHIN: Duration = Duration::from_secs(10);

pub(super) struct Rules {
    pub config: Arc<RestApiConfig>,
    /// What must stand behind `Basic `; `None`: no authentication.
    pub expected_auth: Option<String>,
    /// Networks and addresses of the allowlist; host names join when they are resolved.
    pub allowed: Vec<Net>,
    host_names: Vec<String>,
    pub server_header: HeaderValue,
    pub extra_headers: Vec<(HeaderName, HeaderValue)>,
}

impl Rules {
    pub fn new(config: &RestApiConfig) -> Self {
        let auth = config.authentication.as_ref();
        let parsed = |entry: &String| Net::parse(entry).ok_or_else(|| entry.clone());
        let (mut allowed, mut host_names) = (Vec::new(), Vec::new());
        for entry in config.allowlist.iter().map(parsed) {
            match entry {
                Ok(net) => allowed.push(net),
                Err(name) => host_names.push(name),
            }
        }
        Self {
            config: Arc::new(config.clone()),
            expected_auth: auth
                .map(|auth| BASE64_STANDARD.encode(format!("{}:{}", auth.username, auth.password.expose()))),
            allowed,
            host_names,
            server_header: server_header(config.server_tokens),
            extra_headers: config.http_extra_headers.iter().filter_map(extra_header).collect(),
        }
    }

    pub fn has_host_names(&self) -> bool {
        !self.host_names.is_empty()
    }

    /// The same rules, with the addresses of all host names that could be resolved.
    pub async fn resolved(&self) -> Self {
        let mut rules = Self::new(&self.config);
        for name in &self.host_names {
            match super::access::addresses_of(name, RESOLVE_WITHIN).await {
                Ok(addresses) => rules.allowed.extend(addresses.into_iter().map(Net::from)),
                Err(error) => warn!("Can not resolve {name} of restapi.allowlist: {error}"),
            }
        }
        rules
    }

    pub fn allows(&self, peer: IpAddr) -> bool {
        self.allowed.iter().any(|net| net.contains(peer))
    }

    /// Whether addresses are looked at at all.
    pub fn has_allowlist(&self) -> bool {
        !self.config.allowlist.is_empty() || self.config.allowlist_include_members
    }
}

/// `Original` is the name of the library that serves; ours is this one.
fn server_header(tokens: ServerTokens) -> HeaderValue {
    match tokens {
        ServerTokens::Original => HeaderValue::from_static(concat!("Tamada/", env!("CARGO_PKG_VERSION"))),
        ServerTokens::ProductOnly => HeaderValue::from_static("Patroni"),
        ServerTokens::Minimal => HeaderValue::try_from(format!("Patroni/{}", AgentVersion::SPOKEN))
            .unwrap_or(HeaderValue::from_static("Patroni")),
    }
}

fn extra_header((name, value): &(String, String)) -> Option<(HeaderName, HeaderValue)> {
    match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        (Ok(name), Ok(value)) => Some((name, value)),
        (Err(_), _) | (_, Err(_)) => {
            warn!("restapi.http_extra_headers: {name} is not a valid header, ignoring it");
            None
        }
    }
}
