//! TLS towards clients: our certificate, and whose certificates they have to show.

use std::sync::Arc;

use tamada_raft::link::TlsFiles;
use tamada_raft::link::tls::server_config;
use tokio_rustls::TlsAcceptor;
use tracing::warn;

/// How we speak TLS, as the files said when they were last read.
pub struct Tls {
    files: TlsFiles,
    acceptor: TlsAcceptor,
    /// Why the files could not be read last time. Set and cleared by `renew`, so that each trouble is told once.
    complaint: Option<String>,
}

impl Tls {
    /// The error is a sentence for the operator.
    pub async fn load(files: TlsFiles) -> Result<Self, String> {
        let acceptor = read(&files).await?;
        Ok(Self { files, acceptor, complaint: None })
    }

    /// Reads the files again. With files that cannot be used the certificates of before stay.
    pub async fn renew(&mut self) {
        match read(&self.files).await {
            Ok(acceptor) => {
                self.acceptor = acceptor;
                self.complaint = None;
            }
            Err(why) if self.complaint.as_ref() == Some(&why) => {}
            Err(why) => {
                warn!("etcd endpoint goes on with the certificates of before: {why}");
                self.complaint = Some(why);
            }
        }
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }
}

/// The files may be on a volume that hangs, so this is not for the thread that everything else runs on.
async fn read(files: &TlsFiles) -> Result<TlsAcceptor, String> {
    let files = files.clone();
    let read = tokio::task::spawn_blocking(move || server_config(&files)).await.map_err(|e| e.to_string())??;
    let mut config = read.ok_or("TLS is configured for etcd's protocol, but no certificate to show: set raft.cert")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
