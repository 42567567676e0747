//! How a pass runs in production: events go to the agent, its effects to the hands, until it says leave.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tamada_core::{Agent, Event, Leave, RequestId};
use tamada_model::{Cluster, LogConfig, Request, RestApiConfig};
use tokio::sync::{mpsc, watch};

use crate::alarm::Alarm;
use crate::configuration::{Change, Configuration, write_cache};
use crate::desk::Order;
use crate::execute::Hands;
use crate::signals::{Signals, Told};
use crate::{clock, init, log, orders};

pub struct Driver {
    pub agent: Agent,
    pub hands: Hands,
    pub events: mpsc::Receiver<Event>,
    pub orders: mpsc::Receiver<Order>,
    pub configuration: Configuration,
    pub restapi: watch::Sender<Arc<RestApiConfig>>,
    pub log: log::Handle,
}

/// What woke the loop.
enum Woken {
    Event(Event),
    Order(Order),
    Told(Told),
    /// A part of us ended that may not.
    Broken,
}

impl Driver {
    pub async fn drive(mut self) -> io::Result<Leave> {
        let mut signals = Signals::new()?;
        let alarm = Alarm::new()?;
        let mut bell = self.hands.store.changed();
        let mut next_request: RequestId = 1;
        self.watch_postmaster();
        self.watch_synchronous_standbys();
        loop {
            let wake = self.agent.next_wake(clock::now());
            let woken = tokio::select! {
                // The order matters only when several are ready: what was done goes before what is to be done.
                biased;
                () = self.hands.broken.notified() => Woken::Broken,
                Some(event) = self.events.recv() => Woken::Event(event),
                told = signals.next() => Woken::Told(told),
                Some(order) = self.orders.recv() => Woken::Order(order),
                Ok(()) = bell.changed() => Woken::Event(Event::Wake),
                rung = alarm.rings_at(wake) => rung.map(|()| Woken::Event(Event::Tick))?,
            };
            let left = match woken {
                Woken::Event(event) => self.event(event),
                Woken::Told(Told::Stop) => self.event(Event::Shutdown),
                Woken::Told(Told::Reload) => self.reload(),
                Woken::Order(order) => {
                    next_request += 1;
                    self.order(order, next_request)
                }
                Woken::Broken => return Err(self.break_off()),
            };
            if let Some(leave) = left {
                self.say_farewell().await;
                return Ok(leave);
            }
        }
    }

    fn event(&mut self, event: Event) -> Option<Leave> {
        match &event {
            Event::Observed { cluster, .. } => {
                self.hands.store_is_readable = cluster.is_ok();
                if let Ok(cluster) = cluster {
                    let cluster = cluster.clone();
                    if let Some(leave) = self.learn(&cluster) {
                        return Some(leave);
                    }
                }
            }
            Event::JobEnded { id, .. } => self.hands.job_ended(*id),
            Event::Wake
            | Event::Tick
            | Event::Gathered(_)
            | Event::Wrote(_)
            | Event::Commanded
            | Event::Touched
            | Event::JobProgress { .. }
            | Event::Checkpointed(_)
            | Event::Request(..)
            | Event::Setup(_)
            | Event::Guard(_)
            | Event::Watchdog(_)
            | Event::Shutdown => {}
        }
        self.handle(event)
    }

    /// An agent that is wrong about itself cannot be trusted with a primary.
    fn break_off(&self) -> io::Error {
        if self.hands.postgres.role().is_primary() && !self.hands.paused {
            tracing::error!("stopping PostgreSQL immediately: nobody would stop it when the lease ends");
            self.hands.postgres.stop_now();
        }
        io::Error::other("a part of the agent failed, which is a bug; standard error says where")
    }

    fn handle(&mut self, event: Event) -> Option<Leave> {
        // After a panic the agent is not asked again.
        let Ok(effects) = catch_unwind(AssertUnwindSafe(|| self.agent.handle(event, clock::now()))) else {
            self.hands.broken.notify_one();
            return None;
        };
        let mut left = None;
        for effect in effects {
            left = self.hands.execute(effect).or(left);
        }
        left
    }

    /// A freshly read cluster brings its configuration along; it is in force before anything is decided.
    fn learn(&mut self, cluster: &Cluster) -> Option<Leave> {
        self.hands.leader = cluster.leader_name().cloned();
        let config = cluster.config.as_ref()?;
        match self.configuration.follow_store(config) {
            Change::Nothing => None,
            Change::Something => self.apply(Force::No),
        }
    }

    fn reload(&mut self) -> Option<Leave> {
        init::notify_reloading();
        let change = self.configuration.reload();
        let left = match change {
            Change::Something => self.apply(Force::Yes),
            Change::Nothing => {
                // A rotated log file is opened anew, and PostgreSQL's files are written anew, all the same.
                self.apply_log(&self.configuration.checked().log);
                let checked = self.configuration.checked();
                self.hands.watchdog.configure(&checked.watchdog, &checked.settings);
                self.reconfigure_postgres(Force::Yes);
                None
            }
        };
        init::notify_ready();
        left
    }

    /// Hands the configuration in force to everybody who uses it (configuration.md 6).
    fn apply(&mut self, force: Force) -> Option<Leave> {
        let checked = self.configuration.checked();
        let settings = &checked.settings;
        self.hands.paused = settings.pause;
        self.hands.loop_wait = settings.loop_wait;
        self.hands.guard.set_mode(settings.guard);
        self.hands.watchdog.configure(&checked.watchdog, settings);
        self.hands.store.set_times(settings.ttl, settings.loop_wait, settings.retry_timeout);
        let restapi = Arc::new(checked.restapi.clone());
        self.restapi.send_if_modified(|old| {
            let differs = *old != restapi;
            *old = restapi.clone();
            differs
        });
        self.apply_log(&checked.log);
        self.reconfigure_postgres(force);
        self.save_cache();
        self.handle(Event::Setup(Box::new(self.configuration.setup())))
    }

    fn apply_log(&self, config: &LogConfig) {
        if let Err(error) = self.log.apply(config) {
            tracing::error!("the log configuration could not be applied: {error}");
        }
    }

    fn reconfigure_postgres(&self, force: Force) {
        let (postgres, config) = (self.hands.postgres.clone(), self.configuration.checked().postgres.clone());
        let events = self.hands.events.clone();
        tokio::spawn(async move {
            postgres.reconfigure(config, force == Force::Yes).await;
            let _ = events.send(Event::Wake).await;
        });
    }

    fn save_cache(&self) {
        let (file, text) = self.configuration.cache();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = write_cache(&file, &text) {
                tracing::warn!("could not write {}: {error}", file.display());
            }
        });
    }

    fn order(&mut self, (request, answer): Order, id: RequestId) -> Option<Leave> {
        match request {
            Request::Reload => {
                let _ = answer.send(tamada_model::Reply::text(202, "reload scheduled"));
                self.reload()
            }
            Request::Restart(_)
            | Request::ScheduleRestart(..)
            | Request::CancelScheduledRestart
            | Request::Reinitialize(_) => {
                self.hands.replies.insert(id, answer);
                self.handle(Event::Request(id, request))
            }
            Request::SetFailover(_) | Request::ClearFailover | Request::PatchConfig(_) | Request::PutConfig(_) => {
                let (store, events) = (self.hands.store.clone(), self.hands.events.clone());
                let within = self.agent.settings().retry_timeout;
                tokio::spawn(async move {
                    if let Some(reply) = orders::write(&*store, &request, within).await {
                        // Whoever asked may have gone; the write counts all the same.
                        let _ = answer.send(reply);
                    }
                    let _ = events.send(Event::Wake).await;
                });
                None
            }
        }
    }

    /// The postmaster's end is heard at once, whoever started it.
    fn watch_postmaster(&self) {
        let (postgres, events) = (self.hands.postgres.clone(), self.hands.events.clone());
        tokio::spawn(async move {
            loop {
                postgres.postmaster_exit().await;
                if events.send(Event::Wake).await.is_err() {
                    return;
                }
            }
        });
    }

    /// So is the end of a synchronous standby's connection: commits may wait for it.
    fn watch_synchronous_standbys(&self) {
        let (postgres, events) = (self.hands.postgres.clone(), self.hands.events.clone());
        tokio::spawn(async move {
            loop {
                postgres.sync_sender_exit().await;
                if events.send(Event::Wake).await.is_err() {
                    return;
                }
            }
        });
    }

    /// The record shows how PostgreSQL was left (21.5); its key then runs out with our lease.
    async fn say_farewell(&self) {
        init::notify_stopping();
        let Some(record) = self.agent.farewell() else {
            return;
        };
        let _ = self.hands.store.touch_member(&record, Duration::from_secs(1)).await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Force {
    Yes,
    No,
}
