//! The `raft` section: the embedded store (configuration.md 3.3).
//!
//! The addresses only say where to begin: which voters there are is known to the store itself, and changed with
//! `tamadactl store`. Each is brought into one form here, so that `DB1:2222` in one file and `db1:2222` in another are
//! one voter.

use std::path::PathBuf;

use serde_json::Value;
use tamada_model::document::scalar_text;
use tamada_model::{Document, RaftConfig, RaftVoter, TlsFiles};

use crate::address::{authority, hosts_and_port};
use crate::path::{at, file, secret, split_names, text};

/// Addresses at which one can listen, but which nobody can call.
const EVERYWHERE: [&str; 4] = ["", "*", "0.0.0.0", "::"];

pub fn raft(effective: &Document) -> RaftConfig {
    RaftConfig {
        voter: address(effective, "raft.self_addr").map(|self_addr| RaftVoter {
            self_addr,
            bind_addr: listen_address(effective, "raft.bind_addr"),
            data_dir: file(effective, "raft.data_dir").unwrap_or_else(|| PathBuf::from(".")),
        }),
        partners: partners(effective),
        password: secret(effective, "raft.password"),
        tls: TlsFiles {
            cert: file(effective, "raft.cert"),
            key: file(effective, "raft.key"),
            ca: file(effective, "raft.cacert"),
        },
        etcd_addr: listen_address(effective, "raft.etcd_addr"),
    }
}

/// What cannot be worked with: the path, and what to do.
pub fn problems(effective: &Document) -> Vec<(&'static str, String)> {
    let raft = raft(effective);
    let mut problems = Vec::new();
    if raft.voters().is_empty() && text(effective, "raft.self_addr").is_none() {
        let what = "says nothing about where the store is: give self_addr for a voter of our own, partner_addrs for \
                    the others, or both";
        problems.push(("raft", what.to_owned()));
    }
    if raft.voter.as_ref().is_some_and(|voter| is_everywhere(&voter.self_addr)) {
        let what = "is not where others can reach us: give an address of this host; to listen on all of them, say \
                    `bind_addr: 0.0.0.0:2222` besides";
        problems.push(("raft.self_addr", what.to_owned()));
    }
    if let Some(nowhere) = raft.partners.iter().find(|partner| is_everywhere(partner)) {
        problems.push(("raft.partner_addrs", format!("`{nowhere}` in it is not the address of a host")));
    }
    if raft.etcd_addr.is_some() && raft.etcd_addr.as_deref() == raft.voter.as_ref().map(listens_at) {
        problems.push(("raft.etcd_addr", "is where our voter listens: give it another port".to_owned()));
    }
    if raft.voter.is_some() && raft.tls.cert.is_none() && (raft.tls.ca.is_some() || raft.tls.key.is_some()) {
        problems.push(("raft.cert", "is missing: a voter that speaks TLS shows a certificate".to_owned()));
    }
    if is_inside_postgres(&raft, effective) {
        let what = "lies inside postgresql.data_dir, which is emptied for a new clone: give a directory of its own";
        problems.push(("raft.data_dir", what.to_owned()));
    }
    problems
}

/// What can be worked with, but is hardly meant.
pub fn doubts(raft: &RaftConfig, effective: &Document) -> Vec<String> {
    let voters = raft.voters().len();
    let doubts = [
        (
            voters.is_multiple_of(2),
            format!(
                "raft: {voters} voters survive the loss of no more of them than {} would; add or remove one, for \
                 instance a voter without PostgreSQL (`tamada voter`)",
                voters.saturating_sub(1)
            ),
        ),
        (
            raft.voter.is_some() && text(effective, "raft.data_dir").is_none(),
            "raft.data_dir is not set: our voter keeps the store in the current directory, and will miss it when it is \
             started in another one"
                .to_owned(),
        ),
        (
            raft.voter.is_none() && text(effective, "raft.bind_addr").is_some(),
            "raft.bind_addr has no effect without raft.self_addr".to_owned(),
        ),
        (
            raft.voter.is_some() && raft.password.is_none() && raft.tls.ca.is_none(),
            "raft: neither password nor cacert is set: whoever can connect to our voter can read and write the store"
                .to_owned(),
        ),
    ];
    doubts.into_iter().filter(|(applies, _)| *applies).map(|(_, doubt)| doubt).collect()
}

/// The others, each once; ourselves among them does no harm.
fn partners(effective: &Document) -> Vec<String> {
    let listed = match at(effective, "raft.partner_addrs") {
        Some(Value::Array(items)) => items.iter().map(scalar_text).collect(),
        Some(Value::String(text)) => split_names(text),
        Some(_) | None => Vec::new(),
    };
    let ourselves = address(effective, "raft.self_addr");
    let mut partners = Vec::new();
    for partner in listed.iter().filter_map(|text| in_one_form(text)) {
        if Some(&partner) != ourselves.as_ref() && !partners.contains(&partner) {
            partners.push(partner);
        }
    }
    partners
}

fn address(effective: &Document, path: &str) -> Option<String> {
    in_one_form(&text(effective, path)?)
}

fn in_one_form(text: &str) -> Option<String> {
    let (host, port) = hosts_and_port(text.trim(), None)?;
    Some(authority(&host.to_lowercase(), port))
}

/// No host is the same as `*`: all addresses of this one.
fn listen_address(effective: &Document, path: &str) -> Option<String> {
    let (host, port) = hosts_and_port(text(effective, path)?.trim(), None)?;
    Some(authority(if host.is_empty() { "*" } else { &host }, port))
}

fn listens_at(voter: &RaftVoter) -> &str {
    voter.bind_addr.as_ref().unwrap_or(&voter.self_addr)
}

fn is_everywhere(address: &str) -> bool {
    hosts_and_port(address, None).is_none_or(|(host, _)| EVERYWHERE.contains(&host.as_str()))
}

fn is_inside_postgres(raft: &RaftConfig, effective: &Document) -> bool {
    match (&raft.voter, file(effective, "postgresql.data_dir")) {
        (Some(voter), Some(postgres)) => voter.data_dir.starts_with(postgres),
        (Some(_) | None, _) => false,
    }
}
