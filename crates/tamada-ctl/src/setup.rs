//! The configuration as this tool needs it (ctl.md 1).
//!
//! It is checked when a command first needs the store or a member: `version` works without any configuration, and a
//! missing store is told by the command that misses it.

use std::path::Path;
use std::sync::Arc;

use tamada_config::{Complaint, CtlChecked, Local, check_for_ctl, lines, load, rows, store_of_url};
use tamada_dcs::embedded::security;
use tamada_dcs::{Store, StoreError};
use tamada_model::{CtlConfig, RaftConfig, StoreConfig};
use tamada_raft::link::Security;

use crate::cli::{CONFIG_FILE, DCS_URL, Given, INSECURE};
use crate::failure::Failure;
use crate::surroundings::Surroundings;

pub struct Setup {
    local: Local,
    dcs_url: Option<String>,
    insecure: bool,
    checked: Option<CtlChecked>,
}

impl Setup {
    /// Finds and reads the configuration; the options before the command win over variables.
    pub fn load(global: &Given, surroundings: &Surroundings) -> Result<Self, Failure> {
        let environment = surroundings.configuration();
        let named = global.text(&CONFIG_FILE).or_else(|| surroundings.get("PATRONICTL_CONFIG_FILE"));
        let local = match named {
            Some(file) if std::fs::metadata(file).is_ok() => load(Some(Path::new(file)), environment),
            Some(file) => return Err(missing(file)),
            None => {
                let default = surroundings.default_config_file();
                load(default.as_deref().filter(|file| std::fs::File::open(file).is_ok()), environment)
            }
        };
        let local = local.map_err(|failure| unusable(&failure.complaints))?;
        let dcs_url = global.text(&DCS_URL).or_else(|| surroundings.get("DCS_URL")).map(str::to_owned);
        if let Some(url) = &dcs_url {
            store_of_url(url).map_err(Failure::Command)?;
        }
        Ok(Self { local, dcs_url, insecure: global.flag(&INSECURE), checked: None })
    }

    pub fn scope(&self) -> Option<String> {
        let scope = self.local.document().get("scope")?;
        Some(tamada_model::document::scalar_text(scope)).filter(|scope| !scope.is_empty())
    }

    pub fn citus_group(&self) -> Option<i64> {
        self.local.document().get("citus")?.get("group")?.as_i64()
    }

    /// How to talk to members.
    pub fn ctl(&mut self) -> Result<CtlConfig, Failure> {
        let insecure = self.insecure;
        let mut ctl = self.checked()?.ctl.clone();
        ctl.insecure |= insecure;
        Ok(ctl)
    }

    /// The keys of one cluster; with `group` those of one of its Citus groups.
    pub fn open(&mut self, cluster: &str, group: Option<i64>) -> Result<Arc<dyn Store>, Failure> {
        let checked = self.checked()?;
        let mut scope = checked.store_scope(cluster);
        if let Some(group) = group {
            scope.base = format!("{}/{group}", scope.base);
        }
        tamada_dcs::open(&checked.store, scope).map_err(|error| match error {
            StoreError::Unreachable(why) | StoreError::Refused(why) => Failure::Command(why),
        })
    }

    /// The section `raft`, if that is the store.
    pub fn embedded_store(&mut self) -> Result<(RaftConfig, Security), Failure> {
        match &self.checked()?.store {
            StoreConfig::Raft(raft) => Ok((raft.clone(), security(raft))),
            StoreConfig::Etcd3(_) => Err(Failure::command(
                "The store of this configuration is etcd, which has tools of its own; `store` is for the embedded one",
            )),
        }
    }

    fn checked(&mut self) -> Result<&CtlChecked, Failure> {
        if self.checked.is_none() {
            self.checked = Some(self.check()?);
        }
        self.checked.as_ref().ok_or_else(|| Failure::command("the configuration was not checked"))
    }

    fn check(&self) -> Result<CtlChecked, Failure> {
        let has_store = rows::STORES.iter().any(|store| self.local.document().contains_key(*store));
        if !has_store && self.dcs_url.is_none() {
            return Err(Failure::command(
                "Can not find suitable configuration of distributed configuration store\nAvailable implementations: etcd3, raft",
            ));
        }
        check_for_ctl(&self.local, self.dcs_url.as_deref()).map_err(|complaints| unusable(&complaints))
    }
}

fn missing(file: &str) -> Failure {
    Failure::Command(format!(
        "Provided config file {file} not existing or no read rights. Check the -c/--config-file parameter"
    ))
}

fn unusable(complaints: &[Complaint]) -> Failure {
    Failure::Command(lines(complaints))
}
