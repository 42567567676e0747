//! What the operator's tool needs: the store, the way to talk to members, and nothing else (ctl.md 1).

use std::time::Duration;

use serde_json::Value;
use tamada_model::{CtlConfig, Document, MemberName, StoreConfig, StoreScope, TlsFiles};

use crate::complaint::Complaint;
use crate::local::Local;
use crate::path::{file, flag, integer, secret, text};
use crate::rows;
use crate::timing;

use super::restapi::basic_auth;
use super::{required, store};

/// The part of the configuration that the tool uses.
#[derive(Clone, PartialEq, Debug)]
pub struct CtlChecked {
    /// The cluster that is meant when none is named.
    pub scope: Option<String>,
    pub namespace: String,
    pub store: StoreConfig,
    pub ctl: CtlConfig,
    /// `citus.group`
    pub group: Option<i64>,
    retry_timeout: Duration,
}

impl CtlChecked {
    /// What the store must know to look at one cluster.
    pub fn store_scope(&self, cluster: &str) -> StoreScope {
        StoreScope {
            base: store::base(&self.namespace, cluster),
            name: MemberName::new(""),
            ttl: timing::DEFAULT.ttl,
            loop_wait: timing::DEFAULT.loop_wait,
            retry_timeout: self.retry_timeout,
        }
    }
}

/// Checks only what the tool needs; `dcs_url` replaces the store of the configuration, and its namespace if the URL
/// has one.
pub fn check_for_ctl(local: &Local, dcs_url: Option<&str>) -> Result<CtlChecked, Vec<Complaint>> {
    let mut document = local.document().clone();
    crate::legacy::rewrite(&mut document);
    if let Some(url) = dcs_url {
        let replaced =
            store_of_url(url).map_err(|problem| vec![Complaint { path: String::new(), place: None, problem }])?;
        for store in rows::STORES {
            document.shift_remove(store);
        }
        document.extend(replaced);
    }
    let mut complaints = required::pairs(local, &document);
    complaints.extend(required::unacceptable(local, &document, is_ours));
    complaints.extend(required::store_problems(local, &document));
    if !complaints.is_empty() {
        return Err(complaints);
    }
    Ok(CtlChecked {
        scope: text(&document, "scope"),
        namespace: store::namespace(&document),
        store: store::store(&document),
        ctl: ctl(&document),
        group: integer(&document, "citus.group", None),
        retry_timeout: timing::DEFAULT.retry_timeout,
    })
}

fn is_ours(path: &str) -> bool {
    ["scope", "namespace", "ctl", "restapi.authentication", "restapi.cafile"].contains(&path)
        || ["ctl.", "restapi.authentication.", "etcd3", "raft"].iter().any(|section| path.starts_with(section))
}

/// The `ctl` section; what it does not say comes from `restapi` (configuration.md 3.2).
pub fn ctl(document: &Document) -> CtlConfig {
    CtlConfig {
        authentication: basic_auth(document, "ctl.authentication")
            .or_else(|| basic_auth(document, "restapi.authentication")),
        insecure: flag(document, "ctl.insecure"),
        tls: TlsFiles {
            cert: file(document, "ctl.certfile"),
            key: file(document, "ctl.keyfile"),
            ca: file(document, "ctl.cacert").or_else(|| file(document, "restapi.cafile")),
        },
        keyfile_password: secret(document, "ctl.keyfile_password"),
    }
}

/// Stores that a URL can name, with their ports, in the order in which a port alone names one.
const SCHEMES: [(&str, u16); 5] =
    [("zookeeper", 2181), ("exhibitor", 8181), ("consul", 8500), ("etcd", 2379), ("etcd3", 2379)];

/// `[scheme://][host][:port][/namespace]` as a piece of configuration (ctl.md 1.1).
pub fn store_of_url(url: &str) -> Result<Document, String> {
    let (scheme, rest) = match url.split_once("//") {
        Some((scheme, rest)) => (scheme.trim_end_matches(':').to_lowercase(), rest),
        None => (String::new(), url),
    };
    let (address, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let port = if port.is_empty() { None } else { Some(port.parse().map_err(|_| bad_port(url))?) };
            (host, port)
        }
        Some(_) | None => (address, None),
    };
    let (scheme, default_port) = scheme_of(&scheme, port)?;
    let host = match host.rsplit('@').next().unwrap_or_default() {
        "" => "localhost",
        host => host,
    };
    let section = section_of(scheme, host, port.unwrap_or(default_port));
    let mut document = Document::from_iter([(scheme.to_owned(), Value::Object(section))]);
    if path.trim().len() > 1 {
        document.insert("namespace".to_owned(), Value::from(path.trim()));
    }
    Ok(document)
}

fn bad_port(url: &str) -> String {
    format!("the port in the DCS url {url} is not a number")
}

fn scheme_of(scheme: &str, port: Option<u16>) -> Result<(&'static str, u16), String> {
    let mut schemes = SCHEMES.into_iter();
    match scheme {
        "" => Ok(schemes.find(|(_, default)| Some(*default) == port).unwrap_or(("etcd", 2379))),
        scheme => schemes.find(|(name, _)| *name == scheme).ok_or_else(|| format!("Unknown dcs scheme: {scheme}")),
    }
}

fn section_of(scheme: &str, host: &str, port: u16) -> Document {
    match scheme {
        "exhibitor" => {
            Document::from_iter([("hosts".to_owned(), Value::from(vec![host])), ("port".to_owned(), Value::from(port))])
        }
        "zookeeper" => Document::from_iter([("hosts".to_owned(), Value::from(vec![format!("{host}:{port}")]))]),
        _ => Document::from_iter([("host".to_owned(), Value::from(format!("{host}:{port}")))]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_url_names_the_store() {
        let table = [
            ("", json!({"etcd": {"host": "localhost:2379"}})),
            ("etcd://:2399", json!({"etcd": {"host": "localhost:2399"}})),
            ("etcd://test", json!({"etcd": {"host": "test:2379"}})),
            ("etcd3://random.com:2399/custom", json!({"etcd3": {"host": "random.com:2399"}, "namespace": "/custom"})),
            ("etcd3://[::1]", json!({"etcd3": {"host": "[::1]:2379"}})),
            ("host:8500/", json!({"consul": {"host": "host:8500"}})),
            (":8181", json!({"exhibitor": {"hosts": ["localhost"], "port": 8181}})),
        ];
        for (url, expected) in table {
            assert_eq!(store_of_url(url).map(Value::Object), Ok(expected), "{url}");
        }
        assert_eq!(store_of_url("raft://x"), Err("Unknown dcs scheme: raft".to_owned()));
        assert!(store_of_url("etcd3://x:y").is_err());
    }
}
