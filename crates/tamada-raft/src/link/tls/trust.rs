//! Whom to trust when the other side shows its certificate.
//!
//! The usual rules, with one addition. Small installations often make one self-signed certificate, mark it as an
//! authority, and use it as the server's certificate and as the clients' CA file at once. OpenSSL accepts that; the
//! verifiers of rustls refuse an authority as somebody's own certificate, whatever the trust store says. We accept it
//! when it is, byte for byte, one of the configured trust anchors. Its dates and a server's name are checked as always,
//! and so is the signature that proves possession of the key, in the handshake. Its own self-signature proves nothing
//! that being configured does not.
//!
//! The rejected idea: leaving out verification for such servers, which would also accept everybody else.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};

/// A verifier of rustls, which also accepts an anchor itself as the other side's certificate.
#[derive(Debug)]
struct OrAnchor<V> {
    usual: V,
    anchors: Vec<CertificateDer<'static>>,
}

/// For a dialer. The error is a sentence for the operator.
pub fn server_verifier(
    anchors: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let usual = WebPkiServerVerifier::builder_with_provider(roots(&anchors)?, provider).build();
    Ok(Arc::new(OrAnchor { usual: usual.map_err(|e| e.to_string())?, anchors }))
}

/// For a listener: everybody must show a certificate. The error is a sentence for the operator.
pub fn client_verifier(
    anchors: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let usual = WebPkiClientVerifier::builder_with_provider(roots(&anchors)?, provider).build();
    Ok(Arc::new(OrAnchor { usual: usual.map_err(|e| e.to_string())?, anchors }))
}

fn roots(anchors: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    let (_, ignored) = roots.add_parsable_certificates(anchors.iter().cloned());
    if roots.is_empty() {
        return Err(format!("no usable CA certificate among {ignored}"));
    }
    Ok(Arc::new(roots))
}

impl<V> OrAnchor<V> {
    /// Whether the only thing wrong with this certificate is that it is an authority, and it is one of ours.
    fn is_anchor(&self, certificate: &CertificateDer<'_>, error: &Error) -> bool {
        is_authority_as_end(error) && self.anchors.contains(certificate)
    }
}

impl ServerCertVerifier for OrAnchor<Arc<WebPkiServerVerifier>> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(error) if self.is_anchor(end_entity, &error) => {
                check_dates(end_entity, now)?;
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            answer => answer,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

impl ClientCertVerifier for OrAnchor<Arc<dyn ClientCertVerifier>> {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.usual.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.usual.verify_client_cert(end_entity, intermediates, now) {
            Err(error) if self.is_anchor(end_entity, &error) => {
                check_dates(end_entity, now)?;
                Ok(ClientCertVerified::assertion())
            }
            answer => answer,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

fn is_authority_as_end(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) => {
            matches!(cause.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}

fn check_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let (not_before, not_after) = validity(certificate).ok_or(CertificateError::BadEncoding)?;
    let now_seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now_seconds < not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    if now_seconds > not_after {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// From when to when a certificate is valid, in seconds since 1970 (RFC 5280 4.1).
fn validity(certificate: &[u8]) -> Option<(i64, i64)> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let mut certificate = Der(Der(certificate).content(SEQUENCE)?);
    let mut fields = Der(certificate.content(SEQUENCE)?);
    let (tag, _) = fields.next()?;
    // Serial number, signature algorithm, issuer; the version before them may be absent.
    for _ in 0..if tag == VERSION { 3 } else { 2 } {
        fields.next()?;
    }
    let mut validity = Der(fields.content(SEQUENCE)?);
    Some((time(validity.next()?)?, time(validity.next()?)?))
}

/// A row of DER elements.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            short @ 0..0x80 => (usize::from(short), rest),
            long => {
                let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f)).filter(|(b, _)| b.len() <= 4)?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn content(&mut self, expected: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == expected).map(|(_, content)| content)
    }
}

/// `YYMMDDHHMMSSZ` (UTCTime, years 1950 to 2049) or `YYYYMMDDHHMMSSZ` (GeneralizedTime).
fn time((tag, text): (u8, &[u8])) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        0x17 => {
            let year: i64 = text.get(..2)?.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        0x18 => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let days = days_since_1970(year, part(0)?, part(2)?);
    Some(((days * 24 + part(4)?) * 60 + part(6)?) * 60 + part(8)?)
}

/// Counts from 1 March, so that a leap day comes last in its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_both_kinds_read() {
        assert_eq!(time((0x17, b"700101000000Z")), Some(0));
        assert_eq!(time((0x17, b"491231235959Z")), Some(2_524_607_999));
        assert_eq!(time((0x18, b"20240229120000Z")), Some(1_709_208_000));
        assert_eq!(time((0x18, b"20240229")), None);
    }
}
