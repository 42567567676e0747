//! The byte stream under a connection: TCP or a socket in a directory.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::Target;

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
}

impl Stream {
    pub async fn open(target: &Target) -> io::Result<Self> {
        match &target.host {
            Host::Socket(directory) => {
                UnixStream::connect(directory.join(format!(".s.PGSQL.{}", target.port))).await.map(Stream::Unix)
            }
            Host::Tcp(host) => {
                let stream = connect(host, target.port).await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }
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
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
