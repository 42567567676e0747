//! Plain HTTP, as far as the neighbourhood asks that way.
//!
//! `/version` and `/health` are what monitoring looks at. Debian's vip-manager, up to version 1, reads one key by the
//! protocol that etcd had before gRPC (v2); that question is answered, and nothing else of that protocol.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tamada_raft::{KeyValue, Keys, Range, Reading};
use tonic::body::Body;

use crate::server::{ETCD_VERSION, Server};

/// Old clients wait for a second or two, and then ask somebody else.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

pub async fn answer(server: Arc<Server>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    match (request.method(), path, path.strip_prefix("/v2/keys")) {
        (&Method::GET, "/version", _) => {
            page(StatusCode::OK, &json!({"etcdserver": ETCD_VERSION, "etcdcluster": ETCD_VERSION}))
        }
        (&Method::GET, "/health", _) => health(&server).await,
        (&Method::GET, _, Some(key)) => old_key(&server, request.headers(), key).await,
        _ => page(
            StatusCode::NOT_FOUND,
            &json!({"message": "this is Tamada's embedded store; it speaks etcd's protocol version 3 over gRPC"}),
        ),
    }
}

async fn health(server: &Server) -> Response<Body> {
    match server.store.read(Vec::new(), Reading::Linearizable, ANSWER_WITHIN).await {
        Ok(_) => page(StatusCode::OK, &json!({"health": "true", "reason": ""})),
        Err(why) => page(StatusCode::SERVICE_UNAVAILABLE, &json!({"health": "false", "reason": why.to_string()})),
    }
}

/// One key, in the form of version 2. Directories are not known to version 3, and so not to us.
async fn old_key(server: &Server, headers: &HeaderMap, path: &str) -> Response<Body> {
    let password = headers.get(AUTHORIZATION).and_then(password);
    if server.admit_password(password.as_deref()).is_err() {
        return page(StatusCode::UNAUTHORIZED, &json!({"message": "Insufficient credentials"}));
    }
    let Some(key) = decoded(path) else {
        return page(StatusCode::BAD_REQUEST, &json!({"message": "the key is not well encoded"}));
    };
    let range = Range::of(Keys::One(key.clone().into()));
    let read = server.store.read(vec![range], Reading::Linearizable, ANSWER_WITHIN).await;
    match read.map(|read| (read.revision, read.ranges.into_iter().flatten().flat_map(|found| found.kvs).next())) {
        Ok((revision, Some(kv))) => with_index(revision, page(StatusCode::OK, &found(&kv))),
        Ok((revision, None)) => with_index(revision, page(StatusCode::NOT_FOUND, &not_found(&key, revision))),
        Err(why) => page(StatusCode::SERVICE_UNAVAILABLE, &json!({"errorCode": 300, "message": why.to_string()})),
    }
}

fn found(kv: &KeyValue) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (key, value) = (text(&kv.key), text(&kv.value));
    json!({
        "action": "get",
        "node": {"key": key, "value": value, "modifiedIndex": kv.modified, "createdIndex": kv.created},
    })
}

fn not_found(key: &[u8], revision: u64) -> Value {
    let cause = String::from_utf8_lossy(key);
    json!({"errorCode": 100, "message": "Key not found", "cause": cause, "index": revision})
}

/// Clients of version 2 take an answer without this for one of somebody else.
fn with_index(revision: u64, mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert("x-etcd-index", HeaderValue::from(revision));
    response
}

/// Of `Basic dXNlcjpwYXNzd29yZA==`.
fn password(header: &HeaderValue) -> Option<String> {
    let encoded = header.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    Some(text.split_once(':')?.1.to_owned())
}

/// `%2F` and the like undone.
fn decoded(path: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            decoded.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            decoded.push(byte);
            rest = after;
        }
    }
    Some(decoded)
}

fn page(status: StatusCode, body: &Value) -> Response<Body> {
    let text = Bytes::from(format!("{body}\n"));
    let length = HeaderValue::from(text.len());
    let mut response = Response::new(Body::new(Full::new(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_what_follows_the_first_colon() {
        let header = |text: &str| HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text))).expect("text");
        assert_eq!(password(&header("user:pass:word")).as_deref(), Some("pass:word"));
        assert_eq!(password(&header("user")), None);
        assert_eq!(password(&HeaderValue::from_static("Bearer x")), None);
    }

    #[test]
    fn a_key_may_be_encoded() {
        assert_eq!(decoded("/service/a%20b%2Fleader").as_deref(), Some(&b"/service/a b/leader"[..]));
        assert_eq!(decoded("/a%2"), None);
        assert_eq!(decoded("/a%zz"), None);
    }
}
