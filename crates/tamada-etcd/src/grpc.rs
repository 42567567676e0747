//! gRPC: which path is which call.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::Stream;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use prost::Message;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use crate::errors::{NO_LEADER, TIMED_OUT, TOO_MANY_REQUESTS};
use crate::messages::{
    AlarmRequest, AuthenticateRequest, Call, CompactionRequest, DeleteRangeRequest, LeaseGrantRequest,
    LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest, MemberListRequest,
    PutRequest, RangeRequest, StatusRequest, TxnRequest, WATCH_PATH,
};
use crate::server::Server;
use crate::server::watch::Watching;

/// What the store takes at once, and what is around it.
const LARGE_BYTES_MAX: usize = 1536 * 1024 + 64 * 1024;

/// A name or two, a number, an order on a stream.
const SMALL_BYTES_MAX: usize = 64 * 1024;

/// From the first byte of a call to the answer: what the store may take, and a slow sender.
const CALL_WITHIN: Duration = Duration::from_secs(15);

/// What a call may take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Small,
    /// Values, of which only so many are taken at once.
    Large,
}

type Said = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Answer<T> = Pin<Box<dyn Future<Output = Result<tonic::Response<T>, Status>> + Send>>;

pub async fn answer(server: Arc<Server>, request: Request<Incoming>) -> Response<Body> {
    match welcome(&server, request.uri().path(), request.headers()) {
        Ok(()) => dispatch(server, request).await,
        Err(refused) => refused.into_http(),
    }
}

fn dispatch(server: Arc<Server>, request: Request<Incoming>) -> Said {
    match request.uri().path() {
        RangeRequest::PATH => call(server, request, Size::Large, Server::range),
        PutRequest::PATH => call(server, request, Size::Large, Server::put),
        DeleteRangeRequest::PATH => call(server, request, Size::Large, Server::delete_range),
        TxnRequest::PATH => call(server, request, Size::Large, Server::txn),
        CompactionRequest::PATH => call(server, request, Size::Small, Server::compact),
        LeaseGrantRequest::PATH => call(server, request, Size::Small, Server::lease_grant),
        LeaseRevokeRequest::PATH => call(server, request, Size::Small, Server::lease_revoke),
        LeaseTimeToLiveRequest::PATH => call(server, request, Size::Small, Server::lease_time_to_live),
        LeaseLeasesRequest::PATH => call(server, request, Size::Small, Server::lease_leases),
        LeaseKeepAliveRequest::PATH => converse(server, request, Server::lease_keep_alives),
        WATCH_PATH => converse(server, request, |server, orders| Watching::new(server, orders).answers()),
        MemberListRequest::PATH => call(server, request, Size::Small, Server::member_list),
        AuthenticateRequest::PATH => call(server, request, Size::Small, Server::authenticate),
        AlarmRequest::PATH => call(server, request, Size::Small, Server::alarm),
        StatusRequest::PATH => call(server, request, Size::Small, Server::status),
        other => Box::pin(ready(unsupported(other).into_http())),
    }
}

fn unsupported(path: &str) -> Status {
    Status::unimplemented(format!(
        "{path} is not supported: this is Tamada's embedded store, which speaks a part of etcd's protocol"
    ))
}

/// Whether the call may be made at all, now and by this client.
fn welcome(server: &Server, path: &str, headers: &HeaderMap) -> Result<(), Status> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if path != AuthenticateRequest::PATH {
        server.admit(text("token").or_else(|| text("authorization")))?;
    }
    if needs_leader(headers) && !server.has_leader() {
        return Err(NO_LEADER.into());
    }
    Ok(())
}

fn needs_leader(headers: &HeaderMap) -> bool {
    headers.get("hasleader").is_some_and(|value| value == "true")
}

/// One question, one answer.
fn call<C, A>(
    server: Arc<Server>,
    request: Request<Incoming>,
    size: Size,
    answer: impl Fn(Arc<Server>, C) -> A + Send + 'static,
) -> Said
where
    C: Call,
    A: Future<Output = Result<C::Answer, Status>> + Send + 'static,
{
    let bytes_max = match size {
        Size::Small => SMALL_BYTES_MAX,
        Size::Large => LARGE_BYTES_MAX,
    };
    let mut grpc = Grpc::new(ProstCodec::<C::Answer, C>::default()).max_decoding_message_size(bytes_max);
    let called = async move {
        let _permit = match size {
            Size::Small => None,
            Size::Large => server.large_calls.acquire().await.ok(),
        };
        grpc.unary(Calls { server: server.clone(), answer }, request).await
    };
    let called = timeout(CALL_WITHIN, called);
    Box::pin(async { called.await.unwrap_or_else(|_| Status::from(TIMED_OUT).into_http()) })
}

/// Two streams, for as long as the client likes.
fn converse<Q, A, S>(
    server: Arc<Server>,
    request: Request<Incoming>,
    answers: impl FnOnce(Arc<Server>, Streaming<Q>) -> S + Send + 'static,
) -> Said
where
    Q: Message + Default + Send + 'static,
    A: Message + Send + 'static,
    S: Stream<Item = Result<A, Status>> + Send + 'static,
{
    let Ok(permit) = server.streams.clone().try_acquire_owned() else {
        return Box::pin(ready(Status::from(TOO_MANY_REQUESTS).into_http()));
    };
    let ended = leader_lost(server.clone(), needs_leader(request.headers()), permit);
    let answers = |orders| Answers { ended: Box::pin(ended), answers: Box::pin(answers(server, orders)) };
    let mut grpc = Grpc::new(ProstCodec::<A, Q>::default()).max_decoding_message_size(SMALL_BYTES_MAX);
    Box::pin(async move { grpc.streaming(Conversation(Some(answers)), request).await })
}

/// A client may ask to be told when there is no leader, instead of waiting for changes that cannot come.
async fn leader_lost(server: Arc<Server>, matters: bool, _permit: OwnedSemaphorePermit) -> Status {
    if matters {
        server.leader_lost().await;
    } else {
        std::future::pending::<()>().await;
    }
    NO_LEADER.into()
}

/// What the client hears, unless this ends it.
struct Answers<A> {
    ended: Pin<Box<dyn Future<Output = Status> + Send>>,
    answers: Pin<Box<dyn Stream<Item = Result<A, Status>> + Send>>,
}

impl<A> Stream for Answers<A> {
    type Item = Result<A, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.ended.as_mut().poll(context) {
            Poll::Ready(why) => Poll::Ready(Some(Err(why))),
            Poll::Pending => self.answers.as_mut().poll_next(context),
        }
    }
}

struct Calls<F> {
    server: Arc<Server>,
    answer: F,
}

impl<C, F, A> UnaryService<C> for Calls<F>
where
    C: Call,
    F: Fn(Arc<Server>, C) -> A,
    A: Future<Output = Result<C::Answer, Status>> + Send + 'static,
{
    type Response = C::Answer;
    type Future = Answer<C::Answer>;

    fn call(&mut self, request: tonic::Request<C>) -> Self::Future {
        let answer = (self.answer)(self.server.clone(), request.into_inner());
        Box::pin(async move { answer.await.map(tonic::Response::new) })
    }
}

/// Begins once.
struct Conversation<F>(Option<F>);

impl<Q, F, A> StreamingService<Q> for Conversation<F>
where
    F: FnOnce(Streaming<Q>) -> Answers<A>,
    A: Send + 'static,
{
    type Response = A;
    type ResponseStream = Answers<A>;
    type Future = Ready<Result<tonic::Response<Answers<A>>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Q>>) -> Self::Future {
        let begin = self.0.take().ok_or_else(|| Status::internal("a stream was begun twice"));
        ready(begin.map(|begin| tonic::Response::new(begin(request.into_inner()))))
    }
}
