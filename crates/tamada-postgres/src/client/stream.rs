//! The byte stream under a connection: a socket in a directory, TCP, or TLS on top of it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Target, tls};

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Host {
    /// A name or an address.
    Tcp(String),
    /// The directory that holds the socket.
    Socket(PathBuf),
}

impl Host {
    /// As libpq reads it: what begins with a slash is a socket's directory.
    pub fn new(text: &str) -> Self {
        if text.starts_with('/') { Host::Socket(PathBuf::from(text)) } else { Host::Tcp(text.to_owned()) }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Tcp(host) => f.write_str(host),
            Host::Socket(directory) => write!(f, "{}", directory.display()),
        }
    }
}

pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Whether this attempt is encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrap {
    Plain,
    Tls,
    TlsIfOffered,
}

impl Stream {
    pub async fn open(target: &Target, wrap: Wrap) -> io::Result<Self> {
        match &target.host {
            Host::Socket(directory) => {
                UnixStream::connect(directory.join(format!(".s.PGSQL.{}", target.port))).await.map(Stream::Unix)
            }
            Host::Tcp(host) => {
                let mut stream = connect(host, target.port).await?;
                stream.set_nodelay(true)?;
                let direct = wrap == Wrap::Tls && tls::is_direct(&target.ssl);
                let encrypt = wrap != Wrap::Plain && (direct || is_offered(&mut stream).await?);
                match (encrypt, wrap) {
                    (true, _) => handshake(stream, host, target).await,
                    (false, Wrap::Tls) => {
                        Err(io::Error::other("the server does not support SSL, but SSL was required"))
                    }
                    (false, Wrap::Plain | Wrap::TlsIfOffered) => Ok(Stream::Tcp(stream)),
                }
            }
        }
    }
}

/// Asks whether the server can encrypt: it answers with a single letter.
async fn is_offered(stream: &mut TcpStream) -> io::Result<bool> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    Ok(stream.read_u8().await? == b'S')
}

async fn handshake(stream: TcpStream, host: &str, target: &Target) -> io::Result<Stream> {
    let ssl = target.ssl.clone();
    // It reads certificates from files.
    let config = tokio::task::spawn_blocking(move || tls::client_config(&ssl)).await.map_err(io::Error::other)??;
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// `localhost` is not worth a resolver's thread at each attempt while a server starts.
async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    if host != "localhost" {
        return TcpStream::connect((host, port)).await;
    }
    match TcpStream::connect(("127.0.0.1", port)).await {
        Ok(stream) => Ok(stream),
        Err(first) => TcpStream::connect(("::1", port)).await.map_err(|_| first),
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
