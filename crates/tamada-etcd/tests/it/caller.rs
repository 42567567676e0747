//! A client of etcd's protocol that does nothing by itself: one connection, no retries.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::Stream;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tamada_etcd::messages::Call;
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

#[derive(Clone)]
pub struct Caller {
    sender: http2::SendRequest<Body>,
    headers: Vec<(&'static str, String)>,
}

impl Caller {
    pub async fn to(port: u16) -> Self {
        Self::try_to(port).await.expect("somebody listens")
    }

    pub async fn try_to(port: u16) -> Result<Self, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, driver) = shaken.map_err(|e| e.to_string())?;
        tokio::spawn(async move { drop(driver.await) });
        Ok(Self { sender, headers: Vec::new() })
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub async fn ask<C: Call>(&self, question: C) -> Result<C::Answer, Status> {
        self.ask_at(C::PATH, question).await
    }

    pub async fn ask_at<Q, A>(&self, path: &'static str, question: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let codec = ProstCodec::<Q, A>::default();
        let question = self.dressed(question);
        Ok(self.grpc().unary(question, PathAndQuery::from_static(path), codec).await?.into_inner())
    }

    pub async fn converse<Q, A>(
        &self,
        path: &'static str,
        questions: impl Stream<Item = Q> + Send + 'static,
    ) -> Result<Streaming<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + Send + 'static,
    {
        let codec = ProstCodec::<Q, A>::default();
        let questions = self.dressed(questions);
        Ok(self.grpc().streaming(questions, PathAndQuery::from_static(path), codec).await?.into_inner())
    }

    fn dressed<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        for (name, value) in &self.headers {
            request.metadata_mut().insert(*name, value.parse().expect("a header's value"));
        }
        request
    }

    fn grpc(&self) -> tonic::client::Grpc<Sender> {
        tonic::client::Grpc::with_origin(Sender(self.sender.clone()), Uri::from_static("http://127.0.0.1"))
    }
}

struct Sender(http2::SendRequest<Body>);

impl tower_service::Service<Request<Body>> for Sender {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
