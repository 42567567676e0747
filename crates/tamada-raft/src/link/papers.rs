//! The certificates that we show and trust, read again when their files change: a certificate is renewed every few weeks
//! and nobody should have to restart a voter for it. Connections that exist stay as they are.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use std::{fs, io};

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::CallError;
use super::hello::{Stranger, linger};
use super::tls::{TlsFiles, client_config, server_config};

#[derive(Clone)]
pub struct Papers(Arc<Shared>);

struct Shared {
    files: TlsFiles,
    read: Mutex<Option<Read>>,
}

/// The files as they were read.
#[derive(Clone)]
struct Read {
    stamps: Stamps,
    dialing: TlsConnector,
    listening: Option<TlsAcceptor>,
}

/// What changes when a file is replaced or written to.
type Stamps = Vec<Option<(SystemTime, u64)>>;

impl Papers {
    pub fn new(files: TlsFiles) -> Self {
        Self(Arc::new(Shared { files, read: Mutex::default() }))
    }

    pub async fn check_for_listening(&self) -> Result<(), String> {
        match self.read().await?.listening {
            Some(_) => Ok(()),
            None => Err("TLS is configured for the store, but no certificate to show: set raft.cert".to_owned()),
        }
    }

    pub async fn dial(
        &self,
        host: &str,
        address: &str,
        tcp: TcpStream,
    ) -> Result<client::TlsStream<TcpStream>, CallError> {
        let read = self.read().await.map_err(CallError::Refused)?;
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|e| CallError::NotSent(format!("{address}: no name for a certificate: {e}")))?;
        read.dialing.connect(name, tcp).await.map_err(|error| not_trusted(address, &error))
    }

    pub async fn accept(&self, tcp: TcpStream) -> Result<server::TlsStream<TcpStream>, Stranger> {
        let read = self.read().await.map_err(Stranger::Refused)?;
        let acceptor = read.listening.ok_or_else(|| Stranger::Refused("there is no certificate to show".to_owned()))?;
        match acceptor.accept(tcp).into_fallible().await {
            Ok(stream) => Ok(stream),
            Err((error, _)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Stranger::Gone),
            Err((error, mut tcp)) => {
                linger(&mut tcp).await;
                Err(Stranger::Refused(format!("TLS: {error}")))
            }
        }
    }

    /// The files may be on a volume that hangs, so this is not for the thread that everything else runs on.
    async fn read(&self) -> Result<Read, String> {
        let shared = self.0.clone();
        let read = tokio::task::spawn_blocking(move || shared.read_if_changed()).await;
        read.unwrap_or_else(|given_up| Err(given_up.to_string()))
    }
}

fn not_trusted(address: &str, error: &io::Error) -> CallError {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(rustls::Error::InvalidMessage(_)) => CallError::Refused(format!("{address} does not speak TLS")),
        Some(rustls::Error::AlertReceived(why)) => CallError::Refused(format!("{address} refused us: TLS: {why:?}")),
        Some(why) => CallError::Refused(format!("{address}: TLS: {why}")),
        None => CallError::NotSent(format!("{address}: TLS: {error}")),
    }
}

impl Shared {
    fn read_if_changed(&self) -> Result<Read, String> {
        let stamps = self.stamps();
        let mut kept = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = kept.as_ref().filter(|read| read.stamps == stamps) {
            return Ok(read.clone());
        }
        match (self.read_now(stamps), &*kept) {
            (Ok(read), _) => Ok(kept.insert(read).clone()),
            (Err(why), Some(before)) => {
                tracing::warn!("{why}; what was read before stays in use");
                Ok(before.clone())
            }
            (Err(why), None) => Err(why),
        }
    }

    fn read_now(&self, stamps: Stamps) -> Result<Read, String> {
        Ok(Read {
            stamps,
            dialing: TlsConnector::from(Arc::new(client_config(&self.files)?)),
            listening: server_config(&self.files)?.map(|config| TlsAcceptor::from(Arc::new(config))),
        })
    }

    fn stamps(&self) -> Stamps {
        let TlsFiles { cert, key, ca } = &self.files;
        let stamp = |path: &PathBuf| fs::metadata(path).and_then(|file| Ok((file.modified()?, file.len()))).ok();
        [cert, key, ca].into_iter().flatten().map(stamp).collect()
    }
}
