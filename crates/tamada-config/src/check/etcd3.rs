//! The `etcd3` section (configuration.md 3.3).

use serde_json::Value;
use tamada_model::document::scalar_text;
use tamada_model::{Document, Etcd3Config, EtcdEndpoints, Secret, TlsFiles};

use crate::address::hosts_and_port;
use crate::path::{at, file, flag, integer, secret, split_names, text};

const DEFAULT_PORT: u16 = 2379;

pub fn etcd3(effective: &Document) -> Etcd3Config {
    let url = url(effective);
    let (username, password, https) = match &url {
        Some(url) => (url.username.clone(), url.password.clone(), url.https),
        None => {
            let https =
                text(effective, "etcd3.protocol").is_some_and(|protocol| protocol.eq_ignore_ascii_case("https"));
            (text(effective, "etcd3.username"), secret(effective, "etcd3.password"), https)
        }
    };
    Etcd3Config {
        endpoints: endpoints(effective).unwrap_or_default(),
        fixed_endpoints: flag(effective, "etcd3.use_proxies") || text(effective, "etcd3.proxy").is_some(),
        https,
        username,
        password,
        tls: TlsFiles {
            cert: file(effective, "etcd3.cert"),
            key: file(effective, "etcd3.key"),
            ca: file(effective, "etcd3.cacert"),
        },
    }
}

/// Where etcd is: `proxy`, else `url`, else `hosts`, else `host`; the SRV domain beside any but the first.
pub fn endpoints(effective: &Document) -> Result<EtcdEndpoints, String> {
    if let Some(protocol) = text(effective, "etcd3.protocol")
        && !["http", "https"].contains(&protocol.to_lowercase().as_str())
    {
        return Err("protocol must be http or https".to_owned());
    }
    let proxied = text(effective, "etcd3.proxy").is_some();
    let srv =
        text(effective, "etcd3.srv").filter(|_| !proxied).map(|domain| (domain, text(effective, "etcd3.srv_suffix")));
    let hosts = match (["etcd3.proxy", "etcd3.url"].iter().find_map(|key| text(effective, key)), url(effective)) {
        (Some(_), Some(url)) => vec![(url.host, url.port)],
        (Some(_), None) => return Err("proxy or url is not a URL such as https://host:2379".to_owned()),
        (None, _) => listed_hosts(effective),
    };
    if hosts.is_empty() && srv.is_none() {
        return Err("says nothing about where etcd is: give hosts, host, url, proxy or srv".to_owned());
    }
    Ok(EtcdEndpoints { srv, hosts })
}

fn listed_hosts(effective: &Document) -> Vec<(String, u16)> {
    let port = integer(effective, "etcd3.port", None).and_then(|port| u16::try_from(port).ok()).unwrap_or(DEFAULT_PORT);
    let listed = match at(effective, "etcd3.hosts").or_else(|| at(effective, "etcd3.host")) {
        Some(Value::Array(items)) => items.iter().map(scalar_text).collect(),
        Some(Value::String(text)) => split_names(text),
        Some(_) | None => Vec::new(),
    };
    listed.iter().filter_map(|host| hosts_and_port(host.trim(), Some(port))).collect()
}

struct Url {
    https: bool,
    host: String,
    port: u16,
    username: Option<String>,
    password: Option<Secret>,
}

/// `proxy`, or `url`.
fn url(effective: &Document) -> Option<Url> {
    Url::parse(&["etcd3.proxy", "etcd3.url"].iter().find_map(|key| text(effective, key))?)
}

impl Url {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let https = match scheme.to_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = rest.split(['/', '?', '#']).next()?;
        let (user, address) =
            authority.rsplit_once('@').map_or((None, authority), |(user, address)| (Some(user), address));
        let has_port = address.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let (host, port) = if has_port { hosts_and_port(address, None)? } else { (address.to_owned(), DEFAULT_PORT) };
        let host = host.trim_matches(['[', ']']).to_owned();
        let (username, password) = user.map_or((None, None), |user| match user.split_once(':') {
            Some((name, password)) => (Some(unescape(name)), Some(Secret::new(unescape(password)))),
            None => (Some(unescape(user)), None),
        });
        (!host.is_empty()).then_some(Self { https, host, port, username, password })
    }
}

/// `%40` → `@`
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
        match escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
