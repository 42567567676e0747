//! A copy of the cluster for this member: the replica methods in order, then the start as a standby (postgres.md 13,
//! ha-loop.md 7.6).

use tamada_model::{CloneSource, Role, State, Upstream};

use super::remove::immediately;
use super::stop::Tell;
use super::{JobHand, Outcome};
use crate::configure::files;
use crate::dsn::{self, Dsn};
use crate::pgpass;
use crate::{PgError, Postgres};

/// Where a copy comes from, as methods and programs want to hear it.
pub(super) struct Source {
    /// Without password; empty when nobody needs to be running.
    pub dsn: String,
    /// The file that holds the password, if there is one.
    pub passfile: Option<std::path::PathBuf>,
}

impl Postgres {
    pub(super) async fn clone_and_follow(&self, source: &CloneSource, upstream: &Upstream, hand: &JobHand) -> Outcome {
        self.check_empty(hand).await?;
        let methods = self.methods(source);
        self.clone_by(&methods, source, upstream, hand).await
    }

    /// ha-loop.md 20.3
    pub(super) async fn reinitialize(
        &self,
        source: &CloneSource,
        upstream: &Upstream,
        only_basebackup: bool,
        hand: &JobHand,
    ) -> Outcome {
        self.stop(&immediately(Some(self.config().retry_timeout)), Tell::Yes, hand).await?;
        let methods = if only_basebackup { vec!["basebackup".to_owned()] } else { self.methods(source) };
        self.clone_by(&methods, source, upstream, hand).await
    }

    async fn clone_by(&self, methods: &[String], source: &CloneSource, upstream: &Upstream, hand: &JobHand) -> Outcome {
        self.enter(State::CreatingReplica, hand);
        self.forget_data();
        self.set_role(Role::Uninitialized);
        let copied = self.copy(methods, source, hand).await;
        self.enter(State::Stopped, hand);
        if let Err(error) = copied {
            self.remove_data_dir().await?;
            return Err(error);
        }
        self.after_copy().await?;
        self.follow(upstream, Role::Replica, None, hand).await
    }

    /// 13.1
    fn methods(&self, source: &CloneSource) -> Vec<String> {
        let config = self.config();
        let configured = match source {
            CloneSource::Remote(remote) => remote.create_replica_methods.clone(),
            CloneSource::Member { .. } | CloneSource::WithoutLeader => None,
        };
        let methods = configured.unwrap_or_else(|| config.create_replica_methods.clone());
        let methods = if methods.is_empty() { vec!["basebackup".to_owned()] } else { methods };
        match source {
            CloneSource::WithoutLeader => {
                methods.into_iter().filter(|method| self.works_without_leader(method)).collect()
            }
            CloneSource::Member { .. } | CloneSource::Remote(_) => methods,
        }
    }

    fn works_without_leader(&self, method: &str) -> bool {
        let config = self.config();
        let section = config.methods.get(method).filter(|_| method != "basebackup");
        section.and_then(|section| section.get("no_leader")).is_some_and(tamada_model::document::truthy)
    }

    /// The methods one after the other until one works (13.3).
    async fn copy(&self, methods: &[String], source: &CloneSource, hand: &JobHand) -> Result<(), PgError> {
        let source = self.source(source).await?;
        let mut last = PgError::Misconfigured("no replica method can be used".to_owned());
        for method in methods {
            let section = self.config().methods.get(method).cloned();
            let done = match (method.as_str(), section) {
                ("basebackup", _) => self.basebackup(&source, hand).await,
                (name, section) => self.custom_method(name, &section.unwrap_or_default(), &source, hand).await,
            };
            match done {
                Ok(()) => {
                    tracing::info!("replica has been created using {method}");
                    return Ok(());
                }
                Err(PgError::Cancelled) => return Err(PgError::Cancelled),
                Err(error) => {
                    tracing::error!("Error creating replica using method {method}: {}", error.in_words());
                    last = error;
                }
            }
        }
        Err(last)
    }

    /// 13.2
    async fn source(&self, source: &CloneSource) -> Result<Source, PgError> {
        let config = self.config();
        let dsn = match source {
            CloneSource::Member { member, .. } => Some((dsn::replication(&config, member), member.port)),
            CloneSource::Remote(remote) => remote.host.as_ref().map(|host| {
                let port = remote.port.unwrap_or(5432);
                (dsn::to_server(host, port, &config.replication), port)
            }),
            CloneSource::WithoutLeader => None,
        };
        let Some((dsn, port)) = dsn else { return Ok(Source { dsn: String::new(), passfile: None }) };
        let lines =
            pgpass::lines(&pgpass::Server { host: dsn.get("host").unwrap_or_default(), port }, &config.replication);
        let has_password = self.files(move |config| {
            pgpass::write(&config.pgpass, &lines).map_err(PgError::file("writing the password file", &config.pgpass))
        });
        let passfile = has_password.await?.then(|| config.pgpass.clone());
        Ok(Source { dsn: self.connection_string(dsn), passfile })
    }

    fn connection_string(&self, mut dsn: Dsn) -> String {
        if dsn.get("dbname").is_none() {
            dsn.set("dbname", self.config().database.as_str());
        }
        dsn.text(self.0.program_version.major())
    }

    /// 13.6
    async fn after_copy(&self) -> Result<(), PgError> {
        self.files(|config| {
            files::restore_backups(config)?;
            files::remove_trigger(config)
        })
        .await?;
        self.reread_version().await
    }
}
