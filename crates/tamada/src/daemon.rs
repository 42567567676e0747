//! From a configuration file to a running agent: parse, check, build, run, drain (ha-loop.md 2.1). Nothing is touched
//! before everything that can be checked was checked.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tamada_api::client::Client;
use tamada_api::server::{self, Listener};
use tamada_config::Checked;
use tamada_core::{Agent, HeldLease, Leave};
use tamada_dcs::{Freshness, Store, StoreError};
use tamada_model::{Cluster, RestApiConfig};
use tamada_postgres::Postgres;
use tokio::sync::{mpsc, watch};

use crate::configuration::Configuration;
use crate::desk::Counter;
use crate::drive::Driver;
use crate::execute::Hands;
use crate::guard::Keeper;
use crate::life::{self, Refusal};
use crate::store::Opened;
use crate::watchdog::Watchdog;
use crate::{claim, clock, execute, gather, init, log, orphan, store};

/// How long a member of our name may take to show that it lives (2.2).
const NAMESAKE: Duration = Duration::from_secs(3);
/// How long to wait between attempts to reach the store at start.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// Events and requests that may wait for the agent; more would mean that it hangs.
const WAITING: usize = 64;

pub fn run(path: Option<PathBuf>) -> ExitCode {
    let configuration = match Configuration::load(path.as_deref()) {
        Ok(configuration) => configuration,
        Err(unusable) => {
            eprintln!("{unusable}");
            return ExitCode::FAILURE;
        }
    };
    let config = configuration.checked().log.clone();
    life::live(&config, |log| start(configuration, log))
}

async fn start(mut configuration: Configuration, log: log::Handle) -> Result<Leave, Refusal> {
    configuration.say_adjustments();
    let checked = configuration.checked();
    let postgres = Postgres::open(checked.postgres.clone()).await.map_err(Refusal::because)?;
    // Before the store is waited for: whoever waits in vain stops the primary it finds (`orphan.rs`).
    let _ours = claim::claim(&checked.postgres.data_dir).map_err(Refusal::because)?;
    let Opened { store, part } = match store::open(&checked.store, checked.store_scope.clone()).await {
        Ok(opened) => opened,
        Err(why) => return Err(leave(why, checked, &postgres).await),
    };
    let client = Client::new(&checked.ctl);
    let cluster = first_reading(&*store, checked, &postgres).await?;
    refuse_namesake(&cluster, &configuration, &client).await?;
    if let Some(config) = &cluster.config {
        configuration.follow_store(config);
    }
    let checked = configuration.checked();
    let settings = &checked.settings;
    store.set_times(settings.ttl, settings.loop_wait, settings.retry_timeout);
    // The last thing that can fail, before the first that touches anything.
    let listener = Listener::bind(&checked.restapi).map_err(Refusal::because)?;
    postgres.reconfigure(checked.postgres.clone(), false).await;
    postgres.adopt().await;
    let ended = assemble(configuration, log, store, postgres, client, listener)?.drive().await;
    // Not before the agent: until it has left, it may need the store.
    if let Some(part) = part {
        part.end().await;
    }
    ended.map_err(Refusal::because)
}

fn assemble(
    configuration: Configuration,
    log: log::Handle,
    store: Arc<dyn Store>,
    postgres: Postgres,
    client: Client,
    listener: Listener,
) -> Result<Driver, Refusal> {
    let agent = Agent::new(configuration.setup());
    let (events, event_inbox) = mpsc::channel(WAITING);
    let (orders, order_inbox) = mpsc::channel(WAITING);
    let (reports, latest) = watch::channel(Arc::new(agent.report(clock::now())));
    let (slots, plans) = watch::channel(None);
    tokio::spawn(execute::keep_slots(postgres.clone(), plans));
    let checked = configuration.checked();
    let (restapi, restapi_config) = watch::channel(Arc::new(checked.restapi.clone()));
    let mut guard = Keeper::new(&checked.postgres, events.clone());
    guard.set_mode(checked.settings.guard);
    let watchdog = Watchdog::new(events.clone(), &checked.watchdog, &checked.settings);
    let hands = Hands {
        name: checked.me.name.clone(),
        store,
        postgres,
        client: client.clone(),
        events,
        broken: Default::default(),
        reports,
        guard,
        watchdog,
        running: Default::default(),
        replies: Default::default(),
        leader: None,
        store_is_readable: false,
        paused: checked.settings.pause,
        loop_wait: checked.settings.loop_wait,
        said: None,
        explained: String::new(),
        slots,
    };
    let (looks, wishes) = mpsc::channel(WAITING);
    tokio::spawn(gather::look_on_demand(hands.postgres.clone(), wishes, hands.reports.clone()));
    let desk = Counter { reports: latest, orders, looks, client };
    serve_rest(listener, restapi_config, desk)?;
    init::notify_ready();
    Ok(Driver { agent, hands, events: event_inbox, orders: order_inbox, configuration, restapi, log })
}

/// A thread and a runtime of its own: a flood of health checks can slow itself down, but not the lease.
fn serve_rest(listener: Listener, config: watch::Receiver<Arc<RestApiConfig>>, desk: Counter) -> Result<(), Refusal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Refusal::because)?;
    std::thread::Builder::new()
        .name("rest".into())
        .stack_size(512 * 1024)
        .spawn(move || runtime.block_on(server::serve_on(listener, config, desk)))
        .map_err(Refusal::because)?;
    Ok(())
}

/// The store is waited for as long as it takes. One that answers and refuses us will not change its mind; but if our
/// predecessor left a primary running, it is stopped first, as for a store that is away: the others may be let in, and
/// one of them is promoted.
async fn first_reading(store: &dyn Store, checked: &Checked, postgres: &Postgres) -> Result<Cluster, Refusal> {
    let settings = &checked.settings;
    let mut told: Option<String> = None;
    let predecessors = HeldLease { asked_at: clock::now().mono, ttl: settings.ttl };
    let give_up = predecessors.give_up_at(settings.retry_timeout);
    loop {
        let left = clock::now().mono.until(give_up);
        let within = if left.is_zero() { settings.retry_timeout } else { left.min(settings.retry_timeout) };
        match store.read(Freshness::Linearizable, within).await {
            Ok(cluster) => return Ok(cluster),
            Err(StoreError::Refused(why)) if settings.pause || !orphan::runs(postgres).await => {
                return Err(Refusal(why));
            }
            Err(StoreError::Refused(why)) if clock::now().mono.until(give_up).is_zero() => {
                return Err(leave(why, checked, postgres).await);
            }
            Err(StoreError::Refused(why)) => {
                if told.as_ref() != Some(&why) {
                    tracing::error!("{why}");
                }
                told = Some(why);
            }
            Err(StoreError::Unreachable(why)) => {
                if told.as_ref() != Some(&why) {
                    tracing::warn!("Can not get cluster from dcs: {why}");
                    tracing::info!("waiting on {}", checked.store.name());
                }
                told = Some(why);
            }
        }
        let left = clock::now().mono.until(give_up);
        if left.is_zero() && !settings.pause {
            orphan::stop(postgres, settings.retry_timeout).await;
        }
        tokio::time::sleep(if left.is_zero() { STORE_RETRY } else { left.min(STORE_RETRY) }).await;
    }
}

/// For an agent that will never be able to use the store: nobody comes after it who would stop a primary.
async fn leave(why: String, checked: &Checked, postgres: &Postgres) -> Refusal {
    let settings = &checked.settings;
    while !settings.pause && orphan::runs(postgres).await {
        tracing::error!("{why}");
        orphan::stop(postgres, settings.retry_timeout).await;
        tokio::time::sleep(STORE_RETRY).await;
    }
    Refusal(why)
}

/// 2.2: any HTTP answer from the address under our name means that another agent uses it.
async fn refuse_namesake(cluster: &Cluster, configuration: &Configuration, client: &Client) -> Result<(), Refusal> {
    let name = &configuration.checked().me.name;
    let Some(url) = cluster.members.get(name).and_then(|member| member.api_url.as_deref()) else {
        return Ok(());
    };
    let liveness = format!("{}/liveness", url.trim_end_matches("/patroni"));
    match client.get(&liveness, NAMESAKE).await {
        Ok(_) => Err(Refusal(format!("Can't start; there is already a node named '{name}' running"))),
        Err(_) => Ok(()),
    }
}
