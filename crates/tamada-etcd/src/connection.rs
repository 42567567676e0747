//! One client.
//!
//! A client may connect and say nothing, or keep a connection that it does not use. Each costs a socket and a small task,
//! for its time: something must be asked soon, and be asked again now and then. What is under way, such as a watch, may
//! take as long as it likes, as long as the client's host answers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tracing::debug;

use crate::server::Server;
use crate::{grpc, plain};

/// Until the first request, and in that the handshake.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// A connection that nothing is asked over. Clients of etcd notice that it is gone, and make another.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// For what comes in just as an idle connection is closed.
const FAREWELL: Duration = Duration::from_secs(1);

const PING_EVERY: Duration = Duration::from_secs(30);
const PING_ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Calls and streams of one client at once.
const STREAMS_MAX: u32 = 100;
/// The windows are a promise to the peer, not memory we take.
const WINDOW_BYTES: u32 = 256 * 1024;
const SEND_BUFFER_BYTES: usize = 64 * 1024;
const HEAD_BYTES_MAX: u32 = 16 * 1024;

/// Until the client goes, or is silent for too long.
pub async fn converse(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, server: Arc<Server>) {
    // A socket that cannot be set up is one that is gone, and is noticed as such.
    drop(stream.set_nodelay(true));
    // The conversation needs buffers; silence does not.
    if !matches!(timeout(FIRST_REQUEST_WITHIN, stream.readable()).await, Ok(Ok(()))) {
        return;
    }
    match tls {
        None => Box::pin(talk(stream, peer, server)).await,
        Some(tls) => match timeout(FIRST_REQUEST_WITHIN, tls.accept(stream)).await {
            Ok(Ok(stream)) => Box::pin(talk(stream, peer, server)).await,
            Ok(Err(error)) => debug!("{peer}: TLS: {error}"),
            Err(_) => debug!("{peer}: TLS: no handshake in time"),
        },
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: SocketAddr, server: Arc<Server>) {
    let asked = Arc::new(Asked::default());
    let service = service_fn(|request| {
        let (server, underway) = (server.clone(), asked.clone().begin());
        async move {
            let response = answer(server, request).await;
            Ok::<_, Infallible>(response.map(|body| underway.until_said(body)))
        }
    });
    let builder = settings();
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        end = &mut connection => {
            if let Err(error) = end { debug!("{peer}: {error}") }
            return;
        }
        () = asked.too_little() => debug!("{peer}: nothing was asked for long"),
    }
    connection.as_mut().graceful_shutdown();
    drop(timeout(FAREWELL, connection).await);
}

fn settings() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(FIRST_REQUEST_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWER_WITHIN)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES);
    builder
}

async fn answer(server: Arc<Server>, request: Request<Incoming>) -> Response<Body> {
    let is_grpc = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/grpc");
    if request.headers().get(CONTENT_TYPE).is_some_and(is_grpc) {
        grpc::answer(server, request).await
    } else {
        plain::answer(server, request).await
    }
}

/// What a client has asked so far.
#[derive(Default)]
struct Asked {
    times: AtomicU64,
    underway: AtomicUsize,
}

impl Asked {
    fn begin(self: Arc<Self>) -> Underway {
        self.times.fetch_add(1, Ordering::Relaxed);
        self.underway.fetch_add(1, Ordering::Relaxed);
        Underway(self)
    }

    /// Returns when the client has asked nothing for too long.
    async fn too_little(&self) {
        let (mut seen, mut patience) = (0, FIRST_REQUEST_WITHIN);
        loop {
            sleep(patience).await;
            let times = self.times.load(Ordering::Relaxed);
            if times == seen && self.underway.load(Ordering::Relaxed) == 0 {
                return;
            }
            (seen, patience) = (times, IDLE_MAX);
        }
    }
}

/// A request, until its answer was said to the end.
struct Underway(Arc<Asked>);

impl Underway {
    fn until_said(self, body: Body) -> Body {
        Body::new(body.map_frame(move |frame| {
            // Kept as long as there may be another frame.
            let Underway(_) = &self;
            frame
        }))
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.underway.fetch_sub(1, Ordering::Relaxed);
    }
}
