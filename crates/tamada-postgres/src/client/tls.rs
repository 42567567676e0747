//! Encryption as libpq's `sslmode` understands it.
//!
//! | sslmode | on the wire | certificate |
//! |---|---|---|
//! | disable | plain | – |
//! | allow | plain; encrypted if that is refused | not checked |
//! | prefer (default) | encrypted if the server can, else plain | not checked |
//! | require | encrypted | not checked, unless `sslrootcert` is given: then as verify-ca |
//! | verify-ca | encrypted | must come from `sslrootcert` |
//! | verify-full | encrypted | … and be made out for the host |
//!
//! On connections to our own machine encryption protects nothing and costs a handshake, so there `prefer` means what
//! `allow` means elsewhere: it is used where the server's access list insists.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// When a connection is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encryption {
    Never,
    IfRefused,
    IfOffered,
    Always,
}

/// How the server's certificate is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trust {
    Anybody,
    Authority,
    AuthorityAndName,
}

/// A section's TLS keys, as libpq names them.
pub(crate) type SslOptions = BTreeMap<String, String>;

pub(crate) fn encryption(options: &SslOptions, local: bool) -> Encryption {
    match options.get("sslmode").map(String::as_str) {
        Some("disable") => Encryption::Never,
        Some("allow") => Encryption::IfRefused,
        Some("require" | "verify-ca" | "verify-full") => Encryption::Always,
        Some(_) | None if local => Encryption::IfRefused,
        Some(_) | None => Encryption::IfOffered,
    }
}

fn trust(options: &SslOptions) -> Trust {
    match options.get("sslmode").map(String::as_str) {
        Some("verify-full") => Trust::AuthorityAndName,
        Some("verify-ca") => Trust::Authority,
        Some("require") if options.contains_key("sslrootcert") => Trust::Authority,
        Some(_) | None => Trust::Anybody,
    }
}

/// PostgreSQL 17: no request in clear before the handshake.
pub(crate) fn is_direct(options: &SslOptions) -> bool {
    options.get("sslnegotiation").map(String::as_str) == Some("direct")
}

/// Reads the files that the options name; made anew for each connection, so that renewed certificates count.
pub(crate) fn client_config(options: &SslOptions) -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Verifier::new(options, &provider)?);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match (options.get("sslcert"), options.get("sslkey")) {
        (Some(cert), Some(key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
            builder.with_client_auth_cert(certificates(cert)?, key).map_err(io::Error::other)?
        }
        (Some(_) | None, _) => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &str) -> io::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(io::Error::other)
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
    anchors: Vec<CertificateDer<'static>>,
    web: Option<Arc<WebPkiServerVerifier>>,
}

impl Verifier {
    fn new(options: &SslOptions, provider: &Arc<CryptoProvider>) -> io::Result<Self> {
        let trust = trust(options);
        let provider = Arc::clone(provider);
        if trust == Trust::Anybody {
            return Ok(Self { trust, provider, anchors: Vec::new(), web: None });
        }
        let path = options.get("sslrootcert").ok_or_else(|| io::Error::other("sslrootcert is not configured"))?;
        let anchors = certificates(path)?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(anchors.iter().cloned());
        let web = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(io::Error::other)?;
        Ok(Self { trust, provider, anchors, web: Some(web) })
    }

    /// Without a name to insist on, a certificate for another host is as good.
    fn name_matters(&self) -> bool {
        self.trust == Trust::AuthorityAndName
    }

    /// The usual self-signed certificate calls itself an authority and is therefore refused as a server's. It is as
    /// good as any if it is, byte for byte, one of those we trust; its dates were found right before this was said.
    fn is_own_anchor(&self, leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), rustls::Error> {
        if !self.anchors.iter().any(|anchor| anchor.as_ref() == leaf.as_ref()) {
            return Err(CertificateError::UnknownIssuer.into());
        }
        if self.name_matters() {
            rustls::client::verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
        }
        Ok(())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(web) = &self.web else { return Ok(ServerCertVerified::assertion()) };
        match web.verify_server_cert(leaf, chain, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name_matters() => Ok(ServerCertVerified::assertion()),
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(why)))
                if why.to_string().contains("CaUsedAsEndEntity") =>
            {
                self.is_own_anchor(leaf, name).map(|()| ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> SslOptions {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn encryption_follows_the_mode() {
        assert_eq!(encryption(&options(&[]), false), Encryption::IfOffered);
        assert_eq!(encryption(&options(&[]), true), Encryption::IfRefused);
        assert_eq!(encryption(&options(&[("sslmode", "disable")]), false), Encryption::Never);
        assert_eq!(encryption(&options(&[("sslmode", "verify-full")]), true), Encryption::Always);
    }

    #[test]
    fn a_root_certificate_is_reason_to_check() {
        assert_eq!(trust(&options(&[("sslmode", "require")])), Trust::Anybody);
        assert_eq!(trust(&options(&[("sslmode", "require"), ("sslrootcert", "/ca")])), Trust::Authority);
        assert_eq!(trust(&options(&[("sslmode", "verify-full")])), Trust::AuthorityAndName);
        assert!(client_config(&options(&[("sslmode", "verify-full")])).is_err(), "no root certificate");
    }
}
