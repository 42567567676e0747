//! Servers that insist on encryption, and clients that insist on certificates.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tamada_model::*;

use crate::node::Node;

/// The self-signed kind that calls itself an authority, as many clusters have it.
fn certificate(dir: &Path, name: &str, host: &str) -> (PathBuf, PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (cert_file, key_file) = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")));
    std::fs::write(&cert_file, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    (cert_file, key_file)
}

/// Only encrypted connections get in.
async fn encrypted(host_in_certificate: &str) -> Node {
    Node::primary_with("a", |config, dir| {
        let (cert, key) = certificate(dir, "server", host_in_certificate);
        for (name, value) in [
            ("ssl", "on".to_owned()),
            ("ssl_cert_file", cert.display().to_string()),
            ("ssl_key_file", key.display().to_string()),
        ] {
            config.parameters.insert(name.into(), value.into());
        }
        let lines = ["hostssl all all all scram-sha-256", "hostssl replication all all scram-sha-256"];
        config.pg_hba = Some(lines.map(str::to_owned).to_vec());
    })
    .await
}

fn insist(credentials: &mut Credentials, mode: &str, root: &Path) {
    credentials.options.insert("sslmode".into(), mode.into());
    credentials.options.insert("sslrootcert".into(), root.display().to_string());
}

/// Who asks `leader` with these credentials; the answer or the complaint.
async fn asking(leader: &Node, mode: &str, root: &Path) -> Result<Comparison, String> {
    let asker = Node::primary_with("b", |config, _| {
        insist(&mut config.superuser, mode, root);
        insist(&mut config.replication, mode, root);
    })
    .await;
    asker.run(Job::Stop(crate::node::fast_stop())).await;
    match asker.postgres.divergence(&leader.upstream(), crate::node::LIMIT).await {
        Divergence::Compared(numbers) => Ok(*numbers),
        Divergence::Unread(unread) => Err(unread.to_string()),
    }
}

/// Some builds of PostgreSQL cannot encrypt at all; there is nothing to test with them.
fn cannot_encrypt() -> bool {
    let postgres = std::process::Command::new(crate::node::bin_dir().join("postgres"))
        .args(["-C", "ssl", "-D", "/", "--config-file=/dev/null", "--ssl=on"])
        .output();
    !postgres.unwrap().status.success()
}

#[tokio::test]
async fn our_own_server_may_insist_on_encryption() {
    if cannot_encrypt() {
        return;
    }
    let node = encrypted("127.0.0.1").await;
    assert!(Node::is_primary(&node.look().await));
}

#[tokio::test]
async fn a_trusted_certificate_for_the_right_host_is_good() {
    if cannot_encrypt() {
        return;
    }
    let node = encrypted("127.0.0.1").await;
    let root = node.dir().join("server.crt");
    asking(&node, "verify-full", &root).await.unwrap();
}

#[tokio::test]
async fn a_certificate_for_another_host_is_good_for_verify_ca_only() {
    if cannot_encrypt() {
        return;
    }
    let node = encrypted("elsewhere").await;
    let root = node.dir().join("server.crt");
    asking(&node, "verify-ca", &root).await.unwrap();
    let why = asking(&node, "verify-full", &root).await.unwrap_err();
    assert!(why.contains("certificate"), "{why}");
}

#[tokio::test]
async fn a_strangers_certificate_is_refused() {
    if cannot_encrypt() {
        return;
    }
    let node = encrypted("127.0.0.1").await;
    let (other, _) = certificate(node.dir(), "other", "127.0.0.1");
    let why = asking(&node, "verify-ca", &other).await.unwrap_err();
    assert!(why.contains("certificate"), "{why}");
    asking(&node, "prefer", &other).await.unwrap();
}
