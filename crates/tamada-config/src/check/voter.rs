//! What a voter without PostgreSQL needs: the `raft` section, the log, and nothing else. A member's whole file does as
//! well.

use serde_json::Value;
use tamada_model::{LogConfig, RaftConfig, RaftVoter};

use crate::complaint::Complaint;
use crate::local::Local;

use super::{log, raft, required};

/// The part of the configuration that a voter uses.
#[derive(Clone, PartialEq, Debug)]
pub struct VoterChecked {
    pub raft: RaftConfig,
    /// `raft.voter`, which is certainly there.
    pub voter: RaftVoter,
    pub log: LogConfig,
    /// What was corrected or passed over: lines for the log, as warnings.
    pub adjustments: Vec<String>,
}

pub fn check_for_voter(local: &Local) -> Result<VoterChecked, Vec<Complaint>> {
    let document = local.document();
    let ours = |path: &str| ["raft", "log"].contains(&path.split('.').next().unwrap_or_default());
    let mut complaints = required::unacceptable(local, document, ours);
    let complain = |(path, problem): (&str, String)| required::complaint(local, path, problem);
    if document.get("raft").is_some_and(Value::is_object) {
        complaints.extend(raft::problems(document).into_iter().map(complain));
    }
    let raft = raft::raft(document);
    let Some(voter) = raft.voter.clone().filter(|_| complaints.is_empty()) else {
        if complaints.is_empty() {
            let what = "is missing: give the address at which the other voters reach this one, for example \
                        `raft: {self_addr: '10.0.0.3:2222', partner_addrs: ['10.0.0.1:2222', '10.0.0.2:2222'], \
                        data_dir: /var/lib/tamada}`";
            complaints.push(complain(("raft.self_addr", what.to_owned())));
        }
        return Err(complaints);
    };
    let mut adjustments = local.warnings().to_vec();
    adjustments.extend(raft::doubts(&raft, document));
    Ok(VoterChecked { log: log::log(document, &mut adjustments), raft, voter, adjustments })
}
