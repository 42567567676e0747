//! Following an upstream by starting or restarting (postgres.md 11.9), and whose callback that is (ha-loop.md 24.2).

use std::time::Duration;

use tamada_model::{Role, State, Upstream};

use super::start::Start;
use super::{JobHand, Outcome};
use crate::callbacks::Callback;
use crate::configure::{files, recovery};
use crate::{PgError, Postgres};

impl Postgres {
    pub(super) async fn follow(
        &self,
        upstream: &Upstream,
        role: Role,
        timeout: Option<Duration>,
        hand: &JobHand,
    ) -> Outcome {
        let running = self.discover().await?.is_some();
        let changes = self.changes_role(role);
        self.write_recovery(upstream).await?;
        let callback = match (changes, running) {
            (true, _) => None,
            (false, true) => Some(Callback::OnRestart),
            (false, false) => Some(Callback::OnStart),
        };
        if changes {
            self.memory().pending_callback = None;
        }
        let limit = timeout.filter(|timeout| !timeout.is_zero());
        let start = Start { role, limit, callback, state: State::Starting };
        let started = if running { self.stop_and_start(start, hand).await } else { self.start(start, hand).await };
        if changes && started.is_ok() {
            self.fire(Callback::OnRoleChange, role);
        }
        started.map(Into::into)
    }

    /// 24.2: from primary to standby, or between the kinds of standby; only once anybody was told anything.
    pub(crate) fn changes_role(&self, to: Role) -> bool {
        let memory = self.memory();
        let from = memory.role;
        memory.callback_called
            && match from {
                Role::Primary | Role::Demoted | Role::Promoted => true,
                Role::Replica => to == Role::StandbyLeader,
                Role::StandbyLeader => to == Role::Replica,
                Role::Uninitialized => false,
            }
    }

    /// Signal file, password file, and the parameters for the next postgresql.conf.
    pub(crate) async fn write_recovery(&self, upstream: &Upstream) -> Result<(), PgError> {
        let wanted = recovery::following(&self.config(), upstream, self.major());
        let written = wanted.clone();
        self.files(move |config| files::write_recovery(config, &written)).await?;
        self.memory().recovery = wanted.parameters;
        Ok(())
    }
}
