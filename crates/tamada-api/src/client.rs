//! A small HTTP client: one request, one connection, one deadline.
//!
//! Peers are asked rarely and from places where every kilobyte counts, so there is no pool. A request either brings an
//! answer (whatever its status), or an error that says whether the other side may have acted on it.

mod ask;
mod url;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tamada_model::CtlConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use ask::Asked;
use url::{Address, BadUrl};

/// Larger answers are refused. A cluster of hundreds of members needs far less.
const BODY_MAX: usize = 8 * 1024 * 1024;

/// Knows how to reach members: credentials now, certificates in a later version.
#[derive(Clone, Debug, Default)]
pub struct Client {
    config: Arc<CtlConfig>,
}

/// What is asked.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    pub method: Method,
    pub url: String,
    /// Sent as JSON.
    pub body: Option<String>,
}

/// What was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    pub status: u16,
    pub body: Bytes,
}

impl Heard {
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It cannot be asked at all; asking again will not help.
    #[error("{0}")]
    Impossible(String),
    /// Nobody has heard the question.
    #[error("{0}")]
    Unreachable(String),
    /// The question was sent; whether it was acted upon is not known.
    #[error("{0}")]
    Unanswered(String),
}

impl Client {
    pub fn new(config: &CtlConfig) -> Self {
        Self { config: Arc::new(config.clone()) }
    }

    pub async fn get(&self, url: &str, within: Duration) -> Result<Heard, CallError> {
        self.send(Call { method: Method::GET, url: url.to_owned(), body: None }, within).await
    }

    /// Sends the request and reads the whole answer, all before `within` has passed.
    pub async fn send(&self, call: Call, within: Duration) -> Result<Heard, CallError> {
        let mut connected = false;
        match timeout(within, self.attempt(call, &mut connected)).await {
            Ok(heard) => heard,
            Err(_) => {
                let why = format!("timed out after {:.1} seconds", within.as_secs_f64());
                Err(if connected { CallError::Unanswered(why) } else { CallError::Unreachable(why) })
            }
        }
    }

    /// `connected` tells, also when the time is over, whether the question may have been heard.
    async fn attempt(&self, call: Call, connected: &mut bool) -> Result<Heard, CallError> {
        let address = Address::parse(&call.url)?;
        let request = self.request(call, &address)?;
        let stream = connect(&address).await.map_err(|error| CallError::Unreachable(error.to_string()))?;
        *connected = true;
        exchange(stream, request).await.map_err(CallError::Unanswered)
    }

    fn request(&self, call: Call, address: &Address) -> Result<Request<Full<Bytes>>, CallError> {
        let mut request = Request::builder()
            .method(&call.method)
            .uri(address.path_and_query.as_str())
            .header(HOST, &address.authority)
            .header(USER_AGENT, concat!("Tamada/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close");
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(credentials) = self.credentials(&call.method) {
            request = request.header(AUTHORIZATION, credentials);
        }
        let body = Full::new(Bytes::from(call.body.unwrap_or_default()));
        request.body(body).map_err(|error| CallError::Impossible(error.to_string()))
    }

    /// Reading needs none (rest-api.md 1.2), so a password travels only where it is asked for.
    fn credentials(&self, method: &Method) -> Option<HeaderValue> {
        let auth = self.config.authentication.as_ref().filter(|_| method != Method::GET)?;
        let encoded = BASE64_STANDARD.encode(format!("{}:{}", auth.username, auth.password.expose()));
        let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl From<BadUrl> for CallError {
    fn from(BadUrl(why): BadUrl) -> Self {
        CallError::Impossible(why)
    }
}

/// The first of the host's addresses that accepts. The caller's deadline covers all of them.
async fn connect(address: &Address) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The connection is driven here and dies with this future: nothing is left behind when the deadline strikes.
async fn exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> Result<Heard, String> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let mut answer = std::pin::pin!(async move {
        let response = sender.send_request(request).await.map_err(|error| chain(&error))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_MAX).collect().await.map_err(|error| chain(&*error))?;
        Ok(Heard { status, body: body.to_bytes() })
    });
    tokio::select! {
        heard = &mut answer => heard,
        // What was received before the other side closed is still to be read.
        _ = connection => answer.await,
    }
}

/// An error with what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
