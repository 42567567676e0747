//! TLS towards a store: trust anchors and our own certificate, from the files of the configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tamada_model::TlsFiles;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::text::chain;
use crate::trust::AnchorVerifier;

/// Where distributions keep the authorities that everybody trusts, used when no CA file is configured.
const SYSTEM_ANCHORS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// How we speak TLS; cheap to clone.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl Tls {
    /// Reads the files; blocks. `protocol` is what we will speak inside. The error is a sentence for the operator.
    pub fn load(files: &TlsFiles, protocol: &'static str) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let ca = files.ca.clone().map_or_else(system_anchors, Ok)?;
        let verifier =
            AnchorVerifier::new(certificates(&ca)?, provider.clone()).map_err(|e| format!("{}: {e}", ca.display()))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &files.cert {
            Some(cert) => {
                let key = private_key(files.key.as_ref().unwrap_or(cert))?;
                let chain = certificates(cert)?;
                builder.with_client_auth_cert(chain, key).map_err(|e| format!("{}: {e}", cert.display()))?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        config.resumption = Resumption::disabled();
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

fn system_anchors() -> Result<PathBuf, String> {
    SYSTEM_ANCHORS
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .ok_or_else(|| "no CA file configured and the system has none".to_owned())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let complain = |e: &dyn std::fmt::Display| format!("cannot read certificates from {}: {e}", path.display());
    let pem = std::fs::read(path).map_err(|e| complain(&e))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|e| complain(&e))?;
    if found.is_empty() {
        return Err(complain(&"there are none"));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let complain = |e: &dyn std::fmt::Display| format!("cannot read a private key from {}: {e}", path.display());
    let pem = std::fs::read(path).map_err(|e| complain(&e))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|e| complain(&e))
}
