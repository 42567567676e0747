//! What every command works with: the console, the configuration, the store, the members' REST APIs.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde_json::Value;
use tamada_api::client::{Call, CallError, Client, Heard};
use tamada_dcs::{Freshness, Store, StoreError, Written};
use tamada_model::{Cluster, Member, RaftConfig};
use tamada_raft::link::Security;
use tamada_wire::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::sleep;

use crate::cli::{GROUP, Given};
use crate::clock::Deadline;
use crate::console::Console;
use crate::failure::Failure;
use crate::members::NamedCluster;
use crate::setup::Setup;
use crate::store::Accounts;
use crate::surroundings::Surroundings;

/// One write.
const STORE_WRITE: Duration = Duration::from_secs(5);
/// After this the operator is told why nothing happens.
const STORE_FIRST_TRY: Duration = Duration::from_secs(2);
/// How long an unreachable store is tried in all. The original tries for ever; a person at a terminal wants to know,
/// and a script wants an exit code. Long enough for a store that elects a leader.
const STORE_PATIENCE: Duration = Duration::from_secs(10);
const STORE_PAUSE: Duration = Duration::from_millis(500);

pub struct Tool {
    /// How we were called: `tamadactl`, `patronictl`, `tamada ctl`.
    pub prog: String,
    pub console: Console,
    pub surroundings: Surroundings,
    setup: Setup,
    hands_off: HandsOff,
    client: Option<Client>,
    stores: BTreeMap<(String, Option<i64>), Arc<dyn Store>>,
}

impl Tool {
    pub fn new(prog: &str, console: Console, surroundings: Surroundings, setup: Setup, hands_off: HandsOff) -> Self {
        Self { prog: prog.to_owned(), console, surroundings, setup, hands_off, client: None, stores: BTreeMap::new() }
    }

    /// Gives the terminal to an editor or a pager until it ends; `input` goes to its standard input. What we start for
    /// the operator gets no password that was meant for us.
    pub async fn give_terminal_to(&mut self, command: &mut Command, input: Option<&str>) -> io::Result<ExitStatus> {
        self.console.flush();
        for name in self.surroundings.configuration().recognised() {
            command.env_remove(name);
        }
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::inherit() });
        self.hands_off.0.set(true);
        let ended = run_with_input(command, input).await;
        self.hands_off.0.set(false);
        ended
    }

    /// The cluster named on the command line, else the configured scope.
    pub fn scope(&self, named: Option<&str>) -> Result<String, Failure> {
        let scope = named.map(str::to_owned).or_else(|| self.setup.scope());
        scope.ok_or_else(|| {
            Failure::command("No cluster name was provided, and the configuration has no scope. Name the cluster")
        })
    }

    pub fn configured_scope(&self) -> Option<String> {
        self.setup.scope()
    }

    /// The embedded store of the configuration, and what its nodes want to see before they talk to us.
    pub fn embedded_store(&mut self) -> Result<(RaftConfig, Security), Failure> {
        self.setup.embedded_store()
    }

    pub async fn store_accounts(&mut self) -> Result<Accounts, Failure> {
        let (raft, security) = self.embedded_store()?;
        Ok(Accounts::gather(raft.voters(), security).await)
    }

    /// As told by a majority; one that elects a leader just now is waited for.
    pub async fn store_with_majority(&mut self) -> Result<Accounts, Failure> {
        let deadline = Deadline::after(STORE_PATIENCE);
        loop {
            let accounts = self.store_accounts().await?;
            if accounts.of_majority().is_some() {
                return Ok(accounts);
            }
            let may_come = accounts.told().next().is_some() && deadline.left() > STORE_PAUSE;
            if !may_come {
                return Err(Failure::Command(accounts.why_no_majority()));
            }
            sleep(STORE_PAUSE).await;
        }
    }

    /// `--group` as given. With Citus configured one must be given: a tree of all groups at once is not read yet.
    pub fn group(&self, given: &Given) -> Result<Option<i64>, Failure> {
        match given.integer(&GROUP) {
            Some(group) => Ok(Some(group)),
            None if self.setup.citus_group().is_some() => {
                Err(Failure::command("For Citus clusters the --group must me specified"))
            }
            None => Ok(None),
        }
    }

    /// `--group`, by default the configured one.
    pub fn group_or_own(&self, given: &Given) -> Option<i64> {
        given.integer(&GROUP).or(self.setup.citus_group())
    }

    fn store(&mut self, scope: &str, group: Option<i64>) -> Result<Arc<dyn Store>, Failure> {
        let key = (scope.to_owned(), group);
        if let Some(store) = self.stores.get(&key) {
            return Ok(store.clone());
        }
        let store = self.setup.open(scope, group)?;
        self.stores.insert(key, store.clone());
        Ok(store)
    }

    /// The cluster's keys as they are now.
    pub async fn read(&mut self, scope: &str, group: Option<i64>) -> Result<NamedCluster, Failure> {
        let store = self.store(scope, group)?;
        let cluster = self.read_patiently(&*store).await?;
        if self.client.is_none() {
            self.client = Some(Client::new(&self.setup.ctl()?));
        }
        Ok(NamedCluster { scope: scope.to_owned(), group, cluster })
    }

    pub async fn read_again(&mut self, named: &NamedCluster) -> Result<NamedCluster, Failure> {
        self.read(&named.scope, named.group).await
    }

    /// An unreachable store is told once and tried again for a while.
    async fn read_patiently(&mut self, store: &dyn Store) -> Result<Cluster, Failure> {
        let deadline = Deadline::after(STORE_PATIENCE);
        let mut within = STORE_FIRST_TRY;
        let mut told = false;
        loop {
            let reason = match store.read(Freshness::Linearizable, within).await {
                Ok(cluster) => return Ok(cluster),
                Err(StoreError::Refused(reason)) => return Err(refused(&reason)),
                Err(StoreError::Unreachable(reason)) => reason,
            };
            if !told {
                let patience = STORE_PATIENCE.as_secs();
                self.console
                    .warn(format_args!("The configuration store is unreachable ({reason}), trying for {patience} s"));
                told = true;
            }
            sleep(STORE_PAUSE).await;
            within = deadline.left();
            if within < STORE_PAUSE {
                return Err(unreachable(&reason));
            }
        }
    }

    /// One write to the store of this cluster.
    pub async fn write<F>(&mut self, named: &NamedCluster, write: F) -> Result<Written, Failure>
    where
        F: for<'s> FnOnce(&'s dyn Store, Duration) -> tamada_dcs::Answer<'s, Written>,
    {
        let store = self.store(&named.scope, named.group)?;
        Ok(write(&*store, STORE_WRITE).await)
    }

    /// Sends a request to the member's REST API.
    pub async fn call(&self, member: &Member, request: Request<'_>) -> Result<Heard, CallError> {
        let url = member.api_url.as_deref().and_then(|url| endpoint(url, request.path));
        let url = url.ok_or_else(|| CallError::Impossible("the member has no usable api_url".to_owned()))?;
        let body = request.body.map(json::spaced);
        let client = self.client.as_ref().ok_or_else(|| CallError::Impossible("no cluster was read yet".to_owned()))?;
        client.send(Call { method: request.method, url, body }, request.within).await
    }
}

/// Whether somebody else has the terminal, so that interrupts are not meant for us.
#[derive(Clone, Default)]
pub struct HandsOff(Rc<Cell<bool>>);

impl HandsOff {
    pub fn is_on(&self) -> bool {
        self.0.get()
    }
}

async fn run_with_input(command: &mut Command, input: Option<&str>) -> io::Result<ExitStatus> {
    let mut child = command.spawn()?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        // Who leaves a pager early has seen enough.
        let _ = pipe.write_all(input.as_bytes()).await;
    }
    child.wait().await
}

/// What a member is asked for.
pub struct Request<'a> {
    pub method: Method,
    /// `/restart`
    pub path: &'a str,
    pub body: Option<&'a Value>,
    pub within: Duration,
}

/// Scheme and host of the member's API with another path.
fn endpoint(api_url: &str, path: &str) -> Option<String> {
    let (scheme, rest) = api_url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())?;
    Some(format!("{scheme}://{host}{path}"))
}

/// A write that must have succeeded for the command to go on.
pub fn must_be_done(written: Written, what: &str) -> Result<(), Failure> {
    match written {
        Written::Done(_) => Ok(()),
        Written::Beaten => Err(Failure::Command(format!("{what} failed: somebody else changed it meanwhile"))),
        Written::Unclear(reason) => {
            Err(Failure::Command(format!("{what}: it is not known whether it was done ({reason})")))
        }
        Written::Failed(StoreError::Unreachable(reason)) => Err(unreachable(&reason)),
        Written::Failed(StoreError::Refused(reason)) => Err(refused(&reason)),
    }
}

fn unreachable(reason: &str) -> Failure {
    Failure::Command(format!("The configuration store cannot be reached: {reason}"))
}

fn refused(reason: &str) -> Failure {
    Failure::Command(format!("The configuration store refuses to serve us: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_keep_scheme_and_host() {
        let url = |api_url| endpoint(api_url, "/restart");
        assert_eq!(url("https://[::1]:8008/patroni").as_deref(), Some("https://[::1]:8008/restart"));
        assert_eq!(url("http://h:8008").as_deref(), Some("http://h:8008/restart"));
        assert_eq!(url("http:///patroni"), None);
        assert_eq!(url("nonsense"), None);
    }
}
