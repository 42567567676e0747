//! `synchronous_mode: on` (postgres.md 16.8): the first so many of the candidates, in order.

use tamada_model::{MemberName, SyncNames, SyncWay};

use super::quorum::Names;
use super::{Places, Upkeep, listed};
use crate::decision::Note;

impl Places<'_> {
    pub(super) fn priority(&self) -> Upkeep {
        let picked: Vec<_> = self.candidates.iter().take(self.wanted).collect();
        let names: Names = picked.iter().map(|candidate| candidate.name.clone()).collect();
        let noted: Names = self.key.standbys.iter().cloned().collect();
        let is_confirmed = |name: &MemberName, ready: bool| ready || noted.contains(name);
        let confirmed: Names = picked
            .iter()
            .filter(|candidate| candidate.is_sync && is_confirmed(candidate.name, candidate.ready))
            .map(|candidate| candidate.name.clone())
            .collect();
        let common = &noted & &confirmed;
        if common != noted {
            let note = match picked.is_empty() || names != noted {
                true => {
                    Note::info(format!("Updating /sync key temporarily from {} to {}", braced(&noted), braced(&common)))
                }
                false => Note::warning(format!(
                    "Inconsistent state between synchronous_standby_names = {} and /sync = {} key detected, updating \
                     synchronous replication key...",
                    braced(&self.parameter.names),
                    braced(&noted)
                )),
            };
            return self.key(0, common, note);
        }
        // Who is out of the key may go from the parameter; who is new in it is waited for before it comes into the key.
        let parameter = SyncNames::new(SyncWay::Priority, names.len(), names);
        if parameter != *self.parameter {
            return self.parameter(parameter);
        }
        if confirmed != noted || self.key.quorum != 0 {
            let note = Note::info(format!("Synchronous standby status assigned to {}", braced(&confirmed)));
            return self.key(0, confirmed, note);
        }
        Upkeep::default()
    }
}

fn braced(names: &Names) -> String {
    format!("[{}]", listed(names))
}
