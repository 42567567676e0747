//! TLS beneath: who is believed, and who we are.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tamada_raft::link::{CallError, Listener, Security, TlsFiles};

use super::log::Log;
use super::node::{ECHO, LONG, Node, hello, open};

/// A directory of certificates, removed with the test.
struct Papers(PathBuf);

impl Papers {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("tamada-link-{}-{name}", std::process::id()));
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

    fn authority(&self, name: &str) -> Issuer<'static, KeyPair> {
        let mut params = params("unused");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        self.keep(name, &params.self_signed(&key).expect("a certificate"), &key);
        Issuer::new(params, key)
    }

    fn signed(&self, name: &str, host: &str, by: &Issuer<'static, KeyPair>) {
        let key = KeyPair::generate().expect("a key");
        self.keep(name, &params(host).signed_by(&key, by).expect("a certificate"), &key);
    }

    /// A certificate that is its own authority.
    fn own_authority(&self, name: &str) {
        let mut params = params("127.0.0.1");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        self.keep(name, &params.self_signed(&key).expect("a certificate"), &key);
    }

    fn security(&self, ca: &str, certificate: Option<&str>) -> Security {
        let file = |name: &str, kind: &str| self.file(&format!("{name}.{kind}"));
        let tls = TlsFiles {
            ca: Some(file(ca, "crt")),
            cert: certificate.map(|name| file(name, "crt")),
            key: certificate.map(|name| file(name, "key")),
        };
        Security { password: None, tls: Some(tls) }
    }
}

impl Drop for Papers {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn params(host: &str) -> CertificateParams {
    CertificateParams::new(vec![host.to_owned()]).expect("a name")
}

async fn refusal(node: &Node, security: &Security) -> String {
    match node.peer(security).call(ECHO, hello(), LONG).await {
        Err(CallError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

async fn answers(node: &Node, security: &Security) {
    assert_eq!(node.peer(security).call(ECHO, hello(), LONG).await, Ok(hello()));
}

#[tokio::test]
async fn both_sides_show_certificates_of_one_authority() {
    let log = Log::of_this_thread();
    let papers = Papers::new("mutual");
    let authority = papers.authority("ca");
    let foreign = papers.authority("foreign");
    papers.signed("a", "127.0.0.1", &authority);
    papers.signed("b", "127.0.0.1", &authority);
    papers.signed("x", "127.0.0.1", &foreign);
    let node = Node::start(&papers.security("ca", Some("a"))).await;
    answers(&node, &papers.security("ca", Some("b"))).await;

    let unbelieved = refusal(&node, &papers.security("foreign", Some("x"))).await;
    assert!(unbelieved.contains("UnknownIssuer"), "{unbelieved}");
    let foreigner = refusal(&node, &papers.security("ca", Some("x"))).await;
    assert!(foreigner.contains("refused us: TLS: UnknownCA"), "{foreigner}");
    log.wait_for("UnknownIssuer").await;
    let unnamed = refusal(&node, &papers.security("ca", None)).await;
    assert!(unnamed.contains("refused us: TLS: CertificateRequired"), "{unnamed}");
    log.wait_for("peer sent no certificates").await;
}

#[tokio::test]
async fn the_certificate_is_that_of_the_dialed_host() {
    let papers = Papers::new("elsewhere");
    papers.signed("a", "10.0.0.1", &papers.authority("ca"));
    let node = Node::start(&papers.security("ca", Some("a"))).await;
    let why = refusal(&node, &papers.security("ca", Some("a"))).await;
    assert!(why.contains("not valid for name"), "{why}");
}

#[tokio::test]
async fn a_certificate_that_is_its_own_authority_is_believed_when_configured() {
    let papers = Papers::new("own");
    papers.own_authority("all");
    papers.own_authority("twin");
    let node = Node::start(&papers.security("all", Some("all"))).await;
    answers(&node, &papers.security("all", Some("all"))).await;
    let twin = refusal(&node, &papers.security("all", Some("twin"))).await;
    assert!(twin.contains("refused us: TLS"), "{twin}");
}

#[tokio::test]
async fn tls_on_one_side_only_is_explained() {
    let papers = Papers::new("one-side");
    papers.signed("a", "127.0.0.1", &papers.authority("ca"));
    let secure = papers.security("ca", Some("a"));

    let log = Log::of_this_thread();
    let node = Node::start(&secure).await;
    assert!(refusal(&node, &open()).await.ends_with("refused us: it speaks TLS, this node does not"));
    log.wait_for("it speaks without TLS").await;

    let node = Node::start(&open()).await;
    assert!(refusal(&node, &secure).await.ends_with("does not speak TLS"));
    log.wait_for("it speaks TLS, this node does not").await;
}

#[tokio::test]
async fn new_certificates_are_used_without_a_restart() {
    let papers = Papers::new("renewed");
    papers.signed("a", "127.0.0.1", &papers.authority("ca"));
    let node = Node::start(&papers.security("ca", Some("a"))).await;
    let old = node.peer(&papers.security("ca", Some("a")));
    assert_eq!(old.call(ECHO, hello(), LONG).await, Ok(hello()));

    let next = papers.authority("next-ca");
    papers.signed("next", "127.0.0.1", &next);
    // Longer than before, whatever the clock of the file system shows.
    let both =
        [papers.file("ca.crt"), papers.file("next-ca.crt")].map(|file| fs::read_to_string(file).unwrap()).concat();
    fs::write(papers.file("ca.crt"), both).unwrap();
    let newcomer = papers.security("ca", Some("next"));
    answers(&node, &newcomer).await;
    // What was connected stays so.
    assert_eq!(old.call(ECHO, hello(), LONG).await, Ok(hello()));

    // A file that cannot be read changes nothing.
    fs::write(papers.file("a.crt"), "half a fi").unwrap();
    answers(&node, &newcomer).await;
}

#[tokio::test]
async fn an_unreadable_certificate_is_told_at_once() {
    let papers = Papers::new("unreadable");
    papers.authority("ca");
    let why = Listener::bind("127.0.0.1:0", &papers.security("ca", Some("missing"))).await.err().expect("it cannot");
    assert!(why.contains("missing.crt"), "{why}");
    let why = Listener::bind("127.0.0.1:0", &papers.security("ca", None)).await.err().expect("it cannot");
    assert_eq!(why, "TLS is configured for the store, but no certificate to show: set raft.cert");
}
