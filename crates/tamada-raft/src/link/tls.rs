//! TLS from the files of a configuration: trust anchors, our own certificate, our own key.

mod trust;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ServerConfig};

/// Certificate files; empty where not configured.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsFiles {
    pub cert: Option<PathBuf>,
    /// `None`: inside the certificate file.
    pub key: Option<PathBuf>,
    pub ca: Option<PathBuf>,
}

/// Where distributions keep the authorities that everybody trusts, used when no CA file is configured.
const SYSTEM_ANCHORS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// For whoever dials. Reads the files; blocks. The error is a sentence for the operator.
pub fn client_config(files: &TlsFiles) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let ca = files.ca.clone().map_or_else(system_anchors, Ok)?;
    let verifier = trust::server_verifier(certificates(&ca)?, provider.clone()).map_err(|e| about(&ca, &e))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &files.cert {
        Some(cert) => {
            let (chain, key) = own_certificate(cert, files.key.as_ref())?;
            builder.with_client_auth_cert(chain, key).map_err(|e| about(cert, &e))?
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// For whoever listens; `None` without a certificate. With a CA file, whoever comes must show a certificate of it. Reads
/// the files; blocks. The error is a sentence for the operator.
pub fn server_config(files: &TlsFiles) -> Result<Option<ServerConfig>, String> {
    let Some(cert) = &files.cert else { return Ok(None) };
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let builder = match &files.ca {
        Some(ca) => {
            let verifier = trust::client_verifier(certificates(ca)?, provider).map_err(|e| about(ca, &e))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = own_certificate(cert, files.key.as_ref())?;
    let mut config = builder.with_single_cert(chain, key).map_err(|e| about(cert, &e))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Some(config))
}

fn system_anchors() -> Result<PathBuf, String> {
    SYSTEM_ANCHORS
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .ok_or_else(|| "no CA file configured and the system has none".to_owned())
}

type OwnCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn own_certificate(cert: &PathBuf, key: Option<&PathBuf>) -> Result<OwnCertificate, String> {
    Ok((certificates(cert)?, private_key(key.unwrap_or(cert))?))
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

fn about(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}
