//! TLS towards a store, with the certificates of the configuration.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use tamada_model::TlsFiles;
use tamada_raft::link::tls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::text::chain;

/// How we speak TLS; cheap to clone.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl Tls {
    /// Reads the files; blocks. `protocol` is what we will speak inside. The error is a sentence for the operator.
    pub fn load(files: &TlsFiles, protocol: &'static str) -> Result<Self, String> {
        let TlsFiles { cert, key, ca } = files.clone();
        let mut config = tls::client_config(&tls::TlsFiles { cert, key, ca })?;
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub async fn wrap<S>(&self, host: &str, stream: S) -> Result<TlsStream<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned()).map_err(|e| format!("{host}: {e}"))?;
        self.0.connect(name, stream).await.map_err(|e| format!("TLS: {}", chain(&e)))
    }
}
