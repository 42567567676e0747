//! Reaching a peer: name, TCP, TLS if configured, hello.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::line::Line;
use super::papers::Papers;
use super::{CallError, Identity, Password, Security, hello, prepare};
use crate::clock::Deadline;

/// For one address. Short: a host that is gone does not answer, and when it is back a new try finds it at once, while
/// an old one waits for TCP to ask again.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// For everything, from the name to the hello.
const DIAL_WITHIN: Duration = Duration::from_secs(3);

/// What a connection runs over; boxed, so that its machinery is compiled once.
pub trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

pub struct Dialer {
    /// host:port or [v6]:port.
    address: String,
    password: Option<Password>,
    tls: Option<Papers>,
    identity: Arc<dyn Fn() -> Identity + Send + Sync>,
    names: Mutex<Names>,
}

impl Dialer {
    pub fn new(address: String, security: &Security, identity: Arc<dyn Fn() -> Identity + Send + Sync>) -> Self {
        let (password, tls) = security.parts();
        Self { address, password, tls, identity, names: Mutex::default() }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub async fn dial(&self) -> Result<Arc<Line>, CallError> {
        match tokio::time::timeout(DIAL_WITHIN, self.try_dial()).await {
            Ok(dialed) => dialed,
            Err(_) => Err(self.unreached("no answer in time")),
        }
    }

    async fn try_dial(&self) -> Result<Arc<Line>, CallError> {
        let tcp = self.connect().await.map_err(|why| self.unreached(&why))?;
        prepare(&tcp).map_err(|error| self.unreached(&error.to_string()))?;
        let mut pipe: Box<dyn Pipe> = match &self.tls {
            Some(tls) => Box::new(tls.dial(self.host(), &self.address, tcp).await?),
            None => Box::new(tcp),
        };
        let me = (self.identity)();
        let session = hello::dial(&mut pipe, &self.address, &me, self.password.as_ref()).await?;
        Ok(Line::open(self.address.clone(), pipe, session))
    }

    async fn connect(&self) -> Result<TcpStream, String> {
        let addresses = self.names.lock().await.look_up(&self.address).await?;
        let mut complaint = "its name has no address".to_owned();
        for address in addresses {
            match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(why)) => complaint = why.to_string(),
                Err(_) => complaint = "no connection in time".to_owned(),
            }
        }
        Err(complaint)
    }

    fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    fn unreached(&self, why: &str) -> CallError {
        CallError::NotSent(format!("{}: {why}", self.address))
    }
}

/// Addresses of the host, asked for anew at each dial. The system's resolver blocks a thread for as long as it likes;
/// so there is one look-up at a time at most, and while DNS is silent the addresses we know serve on.
#[derive(Default)]
struct Names {
    known: Vec<SocketAddr>,
    under_way: Option<JoinHandle<io::Result<Vec<SocketAddr>>>>,
}

impl Names {
    async fn look_up(&mut self, address: &str) -> Result<Vec<SocketAddr>, String> {
        if let Ok(address) = address.parse() {
            return Ok(vec![address]);
        }
        let limit = Deadline::after(DIAL_WITHIN / 3);
        let look_up = self.under_way.get_or_insert_with(|| tokio::spawn(resolve(address.to_owned())));
        let complaint = match limit.limit(look_up).await {
            Some(ended) => {
                self.under_way = None;
                match ended {
                    Ok(Ok(found)) => {
                        self.known = found;
                        "its name has no address".to_owned()
                    }
                    Ok(Err(why)) => why.to_string(),
                    Err(given_up) => given_up.to_string(),
                }
            }
            None => "no answer from the resolver".to_owned(),
        };
        if self.known.is_empty() { Err(complaint) } else { Ok(self.known.clone()) }
    }
}

async fn resolve(address: String) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host(address).await?.collect())
}
