//! The `restapi` section (configuration.md 3.1).

use serde_json::Value;
use tamada_model::document::scalar_text;
use tamada_model::{BasicAuth, Document, RestApiConfig, ServerTokens, TlsFiles, VerifyClient};

use crate::address::hosts_and_port;
use crate::path::{at, file, flag, integer, secret, section, split_names, text};

pub fn restapi(effective: &Document) -> RestApiConfig {
    let address = |path: &str| text(effective, path).and_then(|text| hosts_and_port(&text, None));
    let listen = address("restapi.listen").unwrap_or_default();
    RestApiConfig {
        connect_address: address("restapi.connect_address").unwrap_or_else(|| listen.clone()),
        listen,
        authentication: basic_auth(effective, "restapi.authentication"),
        allowlist: allowlist(effective),
        allowlist_include_members: flag(effective, "restapi.allowlist_include_members"),
        http_extra_headers: headers(effective, "restapi.http_extra_headers"),
        https_extra_headers: headers(effective, "restapi.https_extra_headers"),
        request_queue_size: integer(effective, "restapi.request_queue_size", None)
            .map_or(5, |size| size.clamp(0, 4096) as u32),
        server_tokens: server_tokens(effective),
        tls: TlsFiles {
            cert: file(effective, "restapi.certfile"),
            key: file(effective, "restapi.keyfile"),
            ca: file(effective, "restapi.cafile"),
        },
        keyfile_password: secret(effective, "restapi.keyfile_password"),
        ciphers: text(effective, "restapi.ciphers"),
        verify_client: verify_client(effective),
    }
}

/// Both keys are there, or the check has complained.
pub fn basic_auth(effective: &Document, path: &str) -> Option<BasicAuth> {
    let username = at(effective, &format!("{path}.username")).map(scalar_text)?;
    let password = secret(effective, &format!("{path}.password")).unwrap_or_default();
    Some(BasicAuth { username, password })
}

fn allowlist(effective: &Document) -> Vec<String> {
    match at(effective, "restapi.allowlist") {
        Some(Value::Array(items)) => items.iter().map(scalar_text).collect(),
        Some(Value::String(text)) => split_names(text),
        Some(_) | None => Vec::new(),
    }
}

fn headers(effective: &Document, path: &str) -> Vec<(String, String)> {
    let headers = section(effective, path).into_iter().flatten();
    headers.map(|(name, value)| (name.clone(), scalar_text(value))).collect()
}

fn server_tokens(effective: &Document) -> ServerTokens {
    match text(effective, "restapi.server_tokens").map(|tokens| tokens.to_lowercase()).as_deref() {
        Some("minimal") => ServerTokens::Minimal,
        Some("productonly") => ServerTokens::ProductOnly,
        Some(_) | None => ServerTokens::Original,
    }
}

fn verify_client(effective: &Document) -> VerifyClient {
    match text(effective, "restapi.verify_client").map(|verify| verify.to_lowercase()).as_deref() {
        Some("required") => VerifyClient::Required,
        Some("optional") => VerifyClient::Optional,
        Some(_) | None => VerifyClient::None,
    }
}
