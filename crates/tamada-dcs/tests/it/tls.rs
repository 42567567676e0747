//! TLS: who is believed, and who we are.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tamada_dcs::clock::mono;
use tamada_dcs::{Freshness, StoreError};
use tamada_model::{Etcd3Config, TlsFiles};

use crate::server::{Plan, Server, answers, newest};
use crate::support::{GENEROUS, SOON, done, open_a};

const BRIEF: Duration = Duration::from_millis(1500);

/// A directory of certificates, removed with the test.
struct Papers(PathBuf);

impl Papers {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("tamada-tls-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        Self(directory)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn keep(&self, name: &str, certificate: &Certificate, key: &KeyPair) {
        fs::write(self.file(&format!("{name}.crt")), certificate.pem()).expect("a file");
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).expect("a file");
    }

    /// A certificate that is its own authority.
    fn self_signed(&self, name: &str, params: CertificateParams) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        self.keep(name, &certificate, &key);
        (certificate, key)
    }

    fn authority(&self, name: &str) -> Issuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let (_, key) = self.self_signed(name, params.clone());
        Issuer::new(params, key)
    }

    fn signed(&self, name: &str, by: &Issuer<'static, KeyPair>) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".into()]).expect("a name");
        self.keep(name, &params.signed_by(&key, by).expect("a certificate"), &key);
    }

    fn server(&self, certificate: &str, more: &[&str]) -> Server {
        let path = |kind: &str| self.file(&format!("{certificate}.{kind}")).to_string_lossy().into_owned();
        let mut plan = Plan::new(newest()).with(&["--cert-file", &path("crt"), "--key-file", &path("key")]).with(more);
        plan.scheme = "https";
        plan.start()
    }

    fn config(&self, server: &Server, ca: &str, mine: Option<&str>) -> Etcd3Config {
        let tls = TlsFiles {
            ca: Some(self.file(&format!("{ca}.crt"))),
            cert: mine.map(|mine| self.file(&format!("{mine}.crt"))),
            key: mine.map(|mine| self.file(&format!("{mine}.key"))),
        };
        Etcd3Config { https: true, tls, ..server.config() }
    }
}

impl Drop for Papers {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn own_authority() -> CertificateParams {
    let mut params = CertificateParams::new(vec!["127.0.0.1".into()]).expect("a name");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// Waits for this complaint: before the server listens, another is heard.
async fn refused(config: &Etcd3Config, complaint: &str) {
    let begun = mono();
    loop {
        let why =
            open_a(config, "tls").read(Freshness::Linearizable, BRIEF).await.expect_err("not believed").to_string();
        if why.contains(complaint) {
            return;
        }
        assert!(mono().since(begun) < GENEROUS, "{why}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[tokio::test]
async fn both_sides_show_certificates_of_one_authority() {
    let papers = Papers::new("mutual");
    let authority = papers.authority("ca");
    papers.authority("other-ca");
    papers.signed("server", &authority);
    papers.signed("client", &authority);
    let ca = papers.file("ca.crt");
    let server = papers.server("server", &["--client-cert-auth", "--trusted-ca-file", text(&ca)]);
    let good = papers.config(&server, "ca", Some("client"));
    answers(good.clone()).await;
    done(open_a(&good, "tls").acquire_leader(SOON).await);

    refused(&papers.config(&server, "other-ca", Some("client")), "UnknownIssuer").await;
    refused(&papers.config(&server, "ca", None), "https://127.0.0.1").await;
}

#[tokio::test]
async fn a_certificate_that_is_its_own_authority_is_believed_when_configured() {
    let papers = Papers::new("self");
    papers.self_signed("server", own_authority());
    papers.self_signed("twin", own_authority());
    let server = papers.server("server", &[]);
    answers(papers.config(&server, "server", None)).await;
    refused(&papers.config(&server, "twin", None), "invalid peer certificate").await;
}

#[tokio::test]
async fn its_name_and_dates_are_checked_all_the_same() {
    let papers = Papers::new("checked");
    let mut elsewhere = own_authority();
    elsewhere.subject_alt_names = CertificateParams::new(vec!["10.0.0.1".into()]).expect("a name").subject_alt_names;
    let mut expired = own_authority();
    expired.not_before = date_time_ymd(2020, 1, 1);
    expired.not_after = date_time_ymd(2021, 1, 1);
    let mut early = own_authority();
    early.not_before = date_time_ymd(2140, 1, 1);
    early.not_after = date_time_ymd(2141, 1, 1);
    for (name, params, complaint) in [
        ("elsewhere", elsewhere, "not valid for name"),
        ("expired", expired, "expired"),
        ("early", early, "not valid yet"),
    ] {
        papers.self_signed(name, params);
        let server = papers.server(name, &[]);
        refused(&papers.config(&server, name, None), complaint).await;
    }
}

#[test]
fn an_unreadable_certificate_file_is_told_at_once() {
    let files = TlsFiles { ca: Some("/nonexistent/ca.crt".into()), ..TlsFiles::default() };
    let config = Etcd3Config { https: true, tls: files, ..crate::support::config(&[1]) };
    let scope = tamada_model::StoreScope {
        base: "/service/x".into(),
        name: "a".into(),
        ttl: SOON,
        loop_wait: SOON,
        retry_timeout: SOON,
    };
    match tamada_dcs::open(&tamada_model::StoreConfig::Etcd3(config), scope) {
        Err(StoreError::Refused(why)) => assert!(why.contains("/nonexistent/ca.crt"), "{why}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}
