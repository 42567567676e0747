//! One question to the store, whichever node answers it, under one deadline.
//!
//! A call is a row of tries. Each try has a share of the time that is left, so that a node which is dead, frozen or
//! behind a black hole costs a part of the deadline and not all of it; after each failed try the next node is asked.
//! What the caller learns in the end is not only the answer but whether an earlier try may have been carried out
//! unheard: only the caller knows what that means for its question.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tamada_etcd::messages::{Call, Headed, ResponseHeader, StatusRequest};
use tamada_model::Etcd3Config;
use tonic::Status;
use tracing::{debug, info, warn};

use super::endpoints::{Endpoint, Endpoints};
use super::guard::{Belief, Guard, Hearing, Seen, Standing, Vouched};
use super::login::Login;
use super::rpc::{Answers, Connection, HTTP2, Token};
use super::sort::{Sorted, sort, words};
use super::topology::Asked;
use super::tries::Tries;
use crate::StoreError;
use crate::clock::{Deadline, mono};
use crate::dns::Dns;
use crate::names::Names;

/// A living node of ours answers a connection attempt within this, or is not worth waiting for.
const CONNECT_AT_MOST: Duration = Duration::from_secs(1);
/// How often a call logs in anew before it believes the refusal.
const LOGINS_AT_MOST: u32 = 2;

/// An answer, and whether the question may have been carried out before without our hearing of it.
#[derive(Debug)]
pub struct Heard<A> {
    pub answer: A,
    pub maybe_before: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// No try got as far as sending the request, or each was told that nothing was done.
    NotSent(String),
    /// At least one try was sent and not clearly answered.
    Unclear(String),
    /// etcd answered with this error. The flag: an earlier try may have been carried out.
    Said(Box<Status>, bool),
    /// etcd will not serve us until an operator acts.
    Refused(String),
}

impl Trouble {
    /// For reads and leases, where it makes no difference whether the request arrived.
    pub fn into_error(self) -> StoreError {
        match self {
            Trouble::NotSent(why) | Trouble::Unclear(why) => StoreError::Unreachable(why),
            Trouble::Said(status, _) => StoreError::Refused(words(&status)),
            Trouble::Refused(why) => StoreError::Refused(why),
        }
    }
}

/// The configured time-outs; they follow the dynamic configuration.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub ttl: Duration,
    pub retry_timeout: Duration,
}

pub struct Client {
    pub(super) config: Etcd3Config,
    pub(super) myself: Weak<Client>,
    pub(super) dns: Dns,
    pub(super) names: Names,
    pub(super) endpoints: Mutex<Endpoints>,
    pub(super) asked: Mutex<Asked>,
    live: Mutex<Option<Live>>,
    /// Held while a connection is made: one is enough for everybody.
    connecting: tokio::sync::Mutex<()>,
    guard: Mutex<Guard>,
    login: Login,
    times: Mutex<Times>,
}

/// The connection in use.
#[derive(Clone)]
pub struct Live {
    pub endpoint: Endpoint,
    connection: Connection,
}

/// How one try ended without a usable answer.
enum Failed {
    /// Ask another node; the flag: the request may have been carried out.
    Elsewhere {
        why: String,
        maybe_done: bool,
    },
    /// Ask again with a new token.
    WithNewToken(String),
    Final(Trouble),
}

impl Failed {
    fn unsent(why: String) -> Self {
        Failed::Elsewhere { why, maybe_done: false }
    }
}

impl Client {
    pub fn new(config: Etcd3Config, times: Times) -> Arc<Self> {
        let configured = configured(&config);
        Arc::new_cyclic(|myself| Self {
            login: Login::new(config.username.clone(), config.password.clone()),
            config,
            myself: myself.clone(),
            dns: Dns::System,
            names: Names::default(),
            asked: Mutex::default(),
            endpoints: Mutex::new(Endpoints::new(configured)),
            live: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            guard: Mutex::default(),
            times: Mutex::new(times),
        })
    }

    pub fn times(&self) -> Times {
        *locked(&self.times)
    }

    pub fn set_times(&self, times: Times) {
        *locked(&self.times) = times;
    }

    /// How far the store's history has come, as far as we were told.
    pub fn seen(&self) -> Seen {
        locked(&self.guard).seen()
    }

    /// A question whose answer is ordered by the majority.
    pub async fn call<C: Call>(&self, request: C, deadline: Deadline) -> Result<Heard<C::Answer>, Trouble> {
        self.call_as(request, Standing::Ordered, deadline).await
    }

    /// A question that the node may answer from what it knows itself.
    pub async fn call_local<C: Call>(&self, request: C, deadline: Deadline) -> Result<C::Answer, Trouble> {
        self.call_as(request, Standing::Local, deadline).await.map(|heard| heard.answer)
    }

    async fn call_as<C: Call>(
        &self,
        request: C,
        standing: Standing,
        deadline: Deadline,
    ) -> Result<Heard<C::Answer>, Trouble> {
        let mut tries = Tries::new(deadline);
        let mut logins = 0;
        loop {
            let Some(share) = tries.next(locked(&self.endpoints).count()) else { return Err(tries.end()) };
            match self.attempt(&request, standing, share).await {
                Ok(answer) => return Ok(Heard { answer, maybe_before: tries.maybe_done() }),
                Err(Failed::Final(trouble)) => return Err(tries.after(trouble)),
                Err(Failed::Elsewhere { why, maybe_done }) => {
                    tries.failed(why, maybe_done);
                    tries.pause().await;
                }
                Err(Failed::WithNewToken(why)) => {
                    logins += 1;
                    if logins > LOGINS_AT_MOST {
                        return Err(tries.after(Trouble::Refused(self.login.refusal(&why))));
                    }
                }
            }
        }
    }

    async fn attempt<C: Call>(&self, request: &C, standing: Standing, share: Deadline) -> Result<C::Answer, Failed> {
        let live = self.connection(share).await?;
        let token = self.token(&live, share).await?;
        let before = self.seen();
        match share.limit(live.connection.call(request.clone(), token.as_ref())).await {
            Some(Ok(answer)) => match self.judge(&live.endpoint, answer.header(), before, standing) {
                Ok(()) => Ok(answer),
                Err(why) => Err(Failed::Elsewhere { why: self.abandon(&live, &why), maybe_done: true }),
            },
            Some(Err(status)) => Err(self.failed_with(&live, token.as_ref(), status)),
            None => Err(Failed::Elsewhere { why: self.abandon(&live, "no answer in time"), maybe_done: true }),
        }
    }

    fn failed_with(&self, live: &Live, token: Option<&Token>, status: Status) -> Failed {
        match sort(&status) {
            Sorted::Said => Failed::Final(Trouble::Said(Box::new(status), false)),
            Sorted::LogIn => {
                self.login.forget(token);
                Failed::WithNewToken(status.message().to_owned())
            }
            Sorted::Elsewhere => Failed::Elsewhere { why: self.abandon(live, status.message()), maybe_done: false },
            Sorted::Unclear => Failed::Elsewhere { why: self.abandon(live, status.message()), maybe_done: true },
        }
    }

    /// Opens a stream of answers, once; whoever reads it comes again when it ends.
    pub async fn subscribe<Q, A>(
        &self,
        path: &'static str,
        request: Q,
        deadline: Deadline,
    ) -> Result<(Live, Answers<A>), String>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + Send + 'static,
    {
        let told = |failed| match failed {
            Failed::Elsewhere { why, .. } | Failed::WithNewToken(why) => why,
            Failed::Final(trouble) => trouble.into_error().to_string(),
        };
        let live = self.connection(deadline).await.map_err(told)?;
        let token = self.token(&live, deadline).await.map_err(told)?;
        match deadline.limit(live.connection.subscribe(path, request, token.as_ref())).await {
            Some(Ok(answers)) => Ok((live, answers)),
            Some(Err(status)) => Err(told(self.failed_with(&live, token.as_ref(), status))),
            None => Err(self.abandon(&live, "no answer in time")),
        }
    }

    /// A stream on this connection told of trouble: log in anew or leave the node, as for a call.
    pub fn stream_failed(&self, live: &Live, status: Status) {
        match sort(&status) {
            Sorted::LogIn => self.login.forget(None),
            Sorted::Said => {}
            Sorted::Elsewhere | Sorted::Unclear => drop(self.abandon(live, status.message())),
        }
    }

    pub fn judge(
        &self,
        endpoint: &Endpoint,
        header: Option<&ResponseHeader>,
        before: Seen,
        standing: Standing,
    ) -> Result<(), String> {
        let Some(header) = header else { return Ok(()) };
        let vouched = match locked(&self.endpoints).is_configured(endpoint) {
            true => Vouched::ByConfiguration,
            false => Vouched::ByClusterOnly,
        };
        let hearing = Hearing { before, standing, vouched, ttl: self.times().ttl, now: mono() };
        match locked(&self.guard).judge(header, hearing) {
            Belief::Believed => Ok(()),
            Belief::Disbelieved(why) => Err(format!("not believed: {why}")),
            Belief::NewHistory(why) => {
                warn!("etcd tells another history than before ({why}); accepting it, as no node tells the old one");
                Ok(())
            }
        }
    }

    /// Leaves a node after a failure; the result names it and the reason.
    fn abandon(&self, live: &Live, why: &str) -> String {
        let mut in_use = locked(&self.live);
        if in_use.as_ref().is_some_and(|other| other.connection.is(&live.connection)) {
            *in_use = None;
            if let Some(next) = self.move_on(&live.endpoint) {
                info!("Retrying on {next}");
            }
        }
        live.connection.close();
        debug!("left {}: {why}", live.endpoint);
        format!("{}: {why}", live.endpoint)
    }

    /// The node whose turn it is, if it is another one.
    fn move_on(&self, from: &Endpoint) -> Option<Endpoint> {
        locked(&self.asked).members = None;
        let mut endpoints = locked(&self.endpoints);
        endpoints.failed(from);
        endpoints.current().filter(|next| *next != from).cloned()
    }

    async fn token(&self, live: &Live, share: Deadline) -> Result<Option<Token>, Failed> {
        match share.limit(self.login.token(&live.connection)).await {
            Some(Ok(token)) => Ok(token),
            Some(Err(Trouble::Said(status, _))) => Err(self.failed_with(live, None, *status)),
            Some(Err(trouble)) => Err(Failed::Final(trouble)),
            None => Err(Failed::unsent(self.abandon(live, "no answer to the login in time"))),
        }
    }

    /// The connection in use, or a new one to the first node of the row.
    async fn connection(&self, share: Deadline) -> Result<Live, Failed> {
        if let Some(live) = self.usable() {
            self.ask_members_if_due();
            return Ok(live);
        }
        let Some(_one_at_a_time) = share.limit(self.connecting.lock()).await else {
            return Err(Failed::unsent("still connecting".to_owned()));
        };
        if let Some(live) = self.usable() {
            return Ok(live);
        }
        self.find_nodes(share).await.map_err(Failed::unsent)?;
        let Some(endpoint) = locked(&self.endpoints).current().cloned() else {
            return Err(Failed::unsent("no etcd node is known".to_owned()));
        };
        match self.connect(&endpoint, share).await {
            Ok(live) => Ok(live),
            Err(why) => {
                self.move_on(&endpoint);
                Err(Failed::unsent(format!("{endpoint}: {why}")))
            }
        }
    }

    fn usable(&self) -> Option<Live> {
        locked(&self.live).clone().filter(|live| !live.connection.is_closed())
    }

    async fn connect(&self, endpoint: &Endpoint, share: Deadline) -> Result<Live, String> {
        let tls = if endpoint.https { Some(self.tls(HTTP2, share).await?) } else { None };
        let limit = Deadline::after((share.left() / 2).min(CONNECT_AT_MOST));
        let opened = limit.limit(Connection::open(endpoint, &self.names, tls.as_ref(), limit)).await;
        let connection = opened.ok_or("no connection in time")??;
        self.greet(endpoint, &connection, share).await?;
        let live = Live { endpoint: endpoint.clone(), connection };
        *locked(&self.live) = Some(live.clone());
        info!("Selected new etcd server {endpoint}");
        self.ask_members_if_due();
        Ok(live)
    }

    /// Hears where a node stands before anything is written to it: a foreign or cut-off node would carry it out.
    async fn greet(&self, endpoint: &Endpoint, connection: &Connection, share: Deadline) -> Result<(), String> {
        let before = self.seen();
        match share.limit(connection.call(StatusRequest {}, None)).await {
            Some(Ok(status)) if status.leader == 0 => Err("it knows no raft leader".to_owned()),
            Some(Ok(status)) => self.judge(endpoint, status.header(), before, Standing::Local),
            Some(Err(status)) if sort(&status) == Sorted::LogIn => Ok(()),
            Some(Err(status)) => Err(status.message().to_owned()),
            None => Err("no answer in time".to_owned()),
        }
    }
}

/// The addresses that stand in the configuration.
pub(super) fn configured(config: &Etcd3Config) -> Vec<Endpoint> {
    let endpoint = |(host, port): &(String, u16)| Endpoint { https: config.https, host: host.clone(), port: *port };
    config.endpoints.hosts.iter().map(endpoint).collect()
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
