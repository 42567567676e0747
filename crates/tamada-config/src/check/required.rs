//! What a start cannot do without, and rules that span several values.

use tamada_model::Document;

use crate::accept::acceptable;
use crate::complaint::Complaint;
use crate::local::Local;
use crate::path::{at, section, text};
use crate::rows::{self, SUPPORTED_STORES, chosen_store};

use super::{etcd3, raft};

/// The name that stands in `synchronous_standby_names` for "nobody yet".
pub const RESERVED_NAME: &str = "__patroni_strict_sync_replica_placeholder__";

/// Values of the local configuration that cannot be worked with.
pub fn the_rows(local: &Local) -> Vec<Complaint> {
    unacceptable(local, local.document(), |_| true)
}

/// Of those that are looked at.
pub fn unacceptable(local: &Local, document: &Document, is_ours: impl Fn(&str) -> bool) -> Vec<Complaint> {
    let rows = rows::all().filter(|row| row.is_local() && row.is_literal() && is_ours(row.path));
    rows.filter_map(|row| {
        let problem = acceptable(row.kind, at(document, row.path)?).err()?;
        Some(complaint(local, row.path, problem))
    })
    .collect()
}

/// What is missing or does not go together.
pub fn across(local: &Local, effective: &Document) -> Vec<Complaint> {
    if local.document().is_empty() {
        return vec![empty(local)];
    }
    let mut complaints = Vec::new();
    let mut missing = |path: &str, what: &str| {
        if at(effective, path).is_none() {
            complaints.push(complaint(local, path, format!("is missing: {what}")));
        }
    };
    missing("name", "give this member a name that is unique in its cluster");
    missing("scope", "give the name of the cluster");
    missing("restapi.listen", "give the address of the REST API, for example 0.0.0.0:8008");
    missing("postgresql.listen", "give the addresses of PostgreSQL, for example 0.0.0.0:5432");
    missing("postgresql.data_dir", "give the data directory of PostgreSQL");
    missing(
        "postgresql.authentication.replication",
        "give the user for replication: `username`, and `password` if it has one",
    );
    if local.environment().get("HOME").is_none() {
        missing("postgresql.pgpass", "HOME is not set, so give the path of the password file that we may write");
    }
    complaints.extend(pairs(local, effective));
    complaints.extend(name_is_reserved(local, effective));
    complaints.extend(store_problems(local, effective));
    if at(effective, "citus.group").is_some() && at(effective, "citus.database").is_some() {
        complaints.push(complaint(local, "citus", "is not supported yet: remove the section".to_owned()));
    }
    complaints
}

fn empty(local: &Local) -> Complaint {
    let hint =
        local.missing().map(|file| format!(" {} does not exist, and no variable says anything.", file.display()));
    let problem = format!("Config is empty.{}", hint.unwrap_or_default());
    Complaint { path: String::new(), place: local.place(""), problem }
}

pub fn complaint(local: &Local, path: &str, problem: String) -> Complaint {
    Complaint { path: path.to_owned(), place: local.place(path), problem }
}

/// User name and password come together.
pub fn pairs(local: &Local, effective: &Document) -> Vec<Complaint> {
    let half = |path: &&&str| {
        at(effective, path).is_some()
            && section(effective, path)
                .is_none_or(|users| ["username", "password"].iter().any(|key| !users.contains_key(*key)))
    };
    let problem = || "needs both `username` and `password`".to_owned();
    ["restapi.authentication", "ctl.authentication"]
        .iter()
        .filter(half)
        .map(|path| complaint(local, path, problem()))
        .collect()
}

fn name_is_reserved(local: &Local, effective: &Document) -> Option<Complaint> {
    let reserved = text(effective, "name").as_deref() == Some(RESERVED_NAME);
    reserved.then(|| complaint(local, "name", format!("Node 'name' can't be set to '{RESERVED_NAME}'")))
}

/// Which store is meant, whether we have it, and whether it says where it is.
pub fn store_problems(local: &Local, effective: &Document) -> Vec<Complaint> {
    let problems = match chosen_store(effective) {
        None => return vec![no_store(local)],
        Some("etcd3") => etcd3::endpoints(effective).err().map(|problem| ("etcd3", problem)).into_iter().collect(),
        Some("raft") => raft::problems(effective),
        Some(store) => {
            let built = SUPPORTED_STORES.join(" and ");
            vec![(store, format!("is not supported yet: the stores that this version can use are {built}"))]
        }
    };
    problems.into_iter().map(|(path, problem)| complaint(local, path, problem)).collect()
}

fn no_store(local: &Local) -> Complaint {
    let problem = "no configuration store: give a section `raft` for the embedded one, with self_addr, partner_addrs \
                   and data_dir, or say where another is, for example `etcd3: {hosts: 'a:2379,b:2379,c:2379'}`";
    Complaint { path: String::new(), place: local.place(""), problem: problem.to_owned() }
}
