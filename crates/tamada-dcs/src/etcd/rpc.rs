//! One connection to one etcd node: TCP, TLS if wanted, HTTP/2, gRPC.
//!
//! A ready-made gRPC channel reconnects and queues behind our back. For a lock service that is the wrong comfort: we
//! must know whether a request can have reached the store, and we choose the next node ourselves. So a connection here
//! is made once, is used until it fails, and is then thrown away whole, together with everything that waits on it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use prost::Message;
use tamada_etcd::messages::Call;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use super::endpoints::Endpoint;
use crate::clock::Deadline;
use crate::names::Names;
use crate::text::chain;
use crate::tls::Tls;

/// As TLS negotiates it.
pub const HTTP2: &str = "h2";
/// Enough for a few clusters' trees at once; the window is a promise to the peer, not memory we take.
const WINDOW_BYTES: u32 = 256 * 1024;
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// etcd closes connections that ping more often than every 5 s (`--grpc-keepalive-min-time`).
const PING_EVERY: Duration = Duration::from_millis(5500);
const PING_ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// The token that etcd gave us for our password; never printed.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

impl Token {
    pub fn new(text: &str) -> Option<Self> {
        let mut value = MetadataValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    pub fn is(&self, other: &Token) -> bool {
        self.0 == other.0
    }
}

/// A connection in use. Clones share it; closing one closes all.
#[derive(Clone)]
pub struct Connection {
    sender: http2::SendRequest<Body>,
    origin: Uri,
    tasks: Arc<Tasks>,
}

impl Connection {
    pub async fn open(endpoint: &Endpoint, names: &Names, tls: Option<&Tls>, limit: Deadline) -> Result<Self, String> {
        let pipe = reach(endpoint, names, tls, limit).await?;
        let origin = endpoint.to_string().parse().map_err(|e| format!("not an address: {e}"))?;
        let tasks = Arc::new(Tasks::default());
        let (sender, driver) = settings(Spawner(Arc::downgrade(&tasks)))
            .handshake(TokioIo::new(pipe))
            .await
            .map_err(|e| format!("no HTTP/2: {}", chain(&e)))?;
        tasks.spawn(async move { drop(driver.await) });
        Ok(Self { sender, origin, tasks })
    }

    /// Sends `request` and waits for its one answer. Only what carries [`is_unsent`] is sure not to have arrived.
    pub async fn call<C: Call>(&self, request: C, token: Option<&Token>) -> Result<C::Answer, Status> {
        let codec = ProstCodec::<C, C::Answer>::default();
        let answer = self.grpc().unary(dressed(request, token), PathAndQuery::from_static(C::PATH), codec).await?;
        Ok(answer.into_inner())
    }

    /// Opens a stream of answers to one request; it ends when the connection does.
    pub async fn subscribe<Q, A>(
        &self,
        path: &'static str,
        request: Q,
        token: Option<&Token>,
    ) -> Result<Answers<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + Send + 'static,
    {
        // Our side stays open: etcd ends a watch when it ends.
        let requests = stream::iter([request]).chain(stream::pending());
        let request = dressed(requests, token);
        let codec = ProstCodec::<Q, A>::default();
        let answers = self.grpc().streaming(request, PathAndQuery::from_static(path), codec).await?.into_inner();
        Ok(Answers(answers))
    }

    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether both are the same connection.
    pub fn is(&self, other: &Connection) -> bool {
        Arc::ptr_eq(&self.tasks, &other.tasks)
    }

    /// Cuts the connection; everything that waits on it fails at once.
    pub fn close(&self) {
        self.tasks.end();
    }

    fn grpc(&self) -> tonic::client::Grpc<Sender> {
        tonic::client::Grpc::with_origin(Sender(self.sender.clone()), self.origin.clone())
    }
}

/// Answers to one request, as long as this is kept.
pub struct Answers<A>(Streaming<A>);

impl<A> Answers<A> {
    /// `None`: the other side ended it.
    pub async fn next(&mut self) -> Result<Option<A>, Status> {
        self.0.message().await
    }
}

/// True if the request certainly never left this process.
pub fn is_unsent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<Unsent>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// A byte stream to the endpoint.
pub async fn reach(
    endpoint: &Endpoint,
    names: &Names,
    tls: Option<&Tls>,
    limit: Deadline,
) -> Result<Box<dyn Pipe>, String> {
    let tcp = names.connect(&endpoint.host, endpoint.port, limit).await?;
    tcp.set_nodelay(true).map_err(|e| e.to_string())?;
    match tls {
        Some(tls) => match limit.limit(tls.wrap(&endpoint.host, tcp)).await {
            Some(wrapped) => Ok(Box::new(wrapped?)),
            None => Err("TLS: no answer in time".to_owned()),
        },
        None => Ok(Box::new(tcp)),
    }
}

fn dressed<T>(message: T, token: Option<&Token>) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let metadata = request.metadata_mut();
    // A node that has lost its majority shall say so at once instead of letting us wait.
    metadata.insert("hasleader", MetadataValue::from_static("true"));
    if let Some(Token(token)) = token {
        metadata.insert("token", token.clone());
    }
    request
}

fn settings(spawner: Spawner) -> http2::Builder<Spawner> {
    let mut builder = http2::Builder::new(spawner);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWER_WITHIN)
        // etcd counts pings without a request under way as abuse; the watch is one.
        .keep_alive_while_idle(false);
    builder
}

/// What HTTP/2 runs over; boxed, so that its machinery is compiled once.
pub trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

/// The tasks of one connection; they end with it.
#[derive(Default)]
struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

/// Gives HTTP/2 its tasks. Weak: the tasks hold it, and must not keep themselves alive.
#[derive(Clone)]
struct Spawner(Weak<Tasks>);

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
{
    fn execute(&self, task: F) {
        if let Some(tasks) = self.0.upgrade() {
            tasks.spawn(async move { drop(task.await) });
        }
    }
}

/// hyper's sender as the service that tonic speaks through; it tells apart what was not sent.
struct Sender(http2::SendRequest<Body>);

impl tower_service::Service<Request<Body>> for Sender {
    type Response = Response<Incoming>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context).map_err(|error| Unsent(chain(&error)).into())
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.try_send_request(request);
        Box::pin(async move {
            answer.await.map_err(|mut error| match error.take_message() {
                Some(_) => Unsent(chain(error.error())).into(),
                None => Status::new(Code::Unavailable, chain(error.error())).into(),
            })
        })
    }
}

#[derive(Debug)]
struct Unsent(String);

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsent {}
