//! A running server with a desk that the test sits behind.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tamada_api::client::Client;
use tamada_api::server::{Asking, Desk, Listener, serve_on};
use tamada_model::{Now, Reply, Report, Request, RestApiConfig};
use tamada_wire::{scene, time};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// For whatever should happen at once, on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// A request that waits for its answer.
pub type Order = (Request, oneshot::Sender<Reply>);

#[derive(Clone)]
pub struct TestDesk {
    reports: watch::Sender<Arc<Report>>,
    orders: mpsc::UnboundedSender<Order>,
    now: Arc<Mutex<Now>>,
}

impl Desk for TestDesk {
    fn report(&self) -> Arc<Report> {
        self.reports.borrow().clone()
    }

    fn reports(&self) -> watch::Receiver<Arc<Report>> {
        self.reports.subscribe()
    }

    fn ask(&self, request: Request) -> Asking {
        let (reply, answered) = oneshot::channel();
        self.orders.send((request, reply)).expect("the test still listens");
        Box::pin(async move { answered.await.expect("the test answers") })
    }

    fn now(&self) -> Now {
        *self.now.lock().expect("nobody panics with the clock in hand")
    }

    fn client(&self) -> Client {
        Client::default()
    }
}

/// The server, and the agent's side of its desk.
pub struct Running {
    pub address: SocketAddr,
    pub config: watch::Sender<Arc<RestApiConfig>>,
    pub orders: mpsc::UnboundedReceiver<Order>,
    desk: TestDesk,
}

pub fn config() -> RestApiConfig {
    RestApiConfig { listen: ("127.0.0.1".into(), 0), ..RestApiConfig::default() }
}

pub fn start(report: Report) -> Running {
    start_with(report, config())
}

pub fn start_with(report: Report, config: RestApiConfig) -> Running {
    let listener = Listener::bind(&config).expect("a free port");
    let address = listener.address();
    let (orders, received) = mpsc::unbounded_channel();
    let wall = time::instant("2026-11-23T09:10:10.5+00:00").expect("a timestamp");
    let now = Arc::new(Mutex::new(Now { mono: scene::now(), wall }));
    let desk = TestDesk { reports: watch::channel(Arc::new(report)).0, orders, now };
    let (config, followed) = watch::channel(Arc::new(config));
    tokio::spawn(serve_on(listener, followed, desk.clone()));
    Running { address, config, orders: received, desk }
}

impl Running {
    pub fn publish(&self, report: Report) {
        self.desk.reports.send_replace(Arc::new(report));
    }

    pub fn report(&self) -> Report {
        Report::clone(&self.desk.report())
    }

    pub fn pass(&self, time: Duration) {
        let mut now = self.desk.now.lock().expect("nobody panics with the clock in hand");
        now.mono = now.mono + time;
    }

    /// Sends these bytes, and returns all that comes until the server closes.
    pub async fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await?;
            stream.write_all(bytes.as_ref()).await?;
            read_to_end(&mut stream).await
        };
        timeout(SOON, exchange).await.expect("an answer and its end").expect("a connection")
    }

    pub async fn get(&self, path: &str) -> String {
        self.send(format!("GET {path} HTTP/1.0\r\n\r\n")).await
    }

    /// With a JSON body; the answer's code and body.
    pub async fn call(&self, method: &str, path: &str, body: &str) -> String {
        self.call_with(method, path, "", body).await
    }

    pub async fn call_with(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        let answer =
            self.send(format!("{method} {path} HTTP/1.0\r\n{headers}Content-Length: {length}\r\n\r\n{body}")).await;
        short(&answer)
    }

    /// The next request for the agent, answered with `reply`.
    pub async fn answer(&mut self, reply: Reply) -> Request {
        let (request, answer) = timeout(SOON, self.orders.recv()).await.expect("a request").expect("a running server");
        answer.send(reply).expect("somebody waits for the answer");
        request
    }
}

/// `200 body` of a whole answer; of pages only `409 page`.
pub fn short(answer: &str) -> String {
    let code = answer.split(' ').nth(1).unwrap_or_default();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    if head.contains("text/html;charset=utf-8") { format!("{code} page") } else { format!("{code} {body}") }
}

pub async fn read_to_end(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
