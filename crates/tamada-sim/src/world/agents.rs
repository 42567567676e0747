//! The agents' processes: started, woken, asked to end, killed; and what becomes of each effect.

use std::sync::Arc;
use std::time::Duration;

use tamada_core::{Agent, Arm, Effect, Event, HeldLease, Leave, Setup};
use tamada_model::{
    CheckpointFirst, Cluster, Document, Job, Me, Mono, Settings, Stop, StopMode, SynchronousMode, Tags, WalBytes,
};

use super::{Due, World};
use crate::fault::Cue;
use crate::member::{AskKind, Guard, Heard, Life, Look, Member, ORPHAN, Runs, Waking};
use crate::script::{Script, Synchronous};
use crate::store::Client;
use crate::{Clock, Host, Moment};

/// How long a command to a running PostgreSQL takes.
const COMMAND: (Duration, Duration) = (Duration::from_micros(300), Duration::from_millis(5));
/// systemd starts a failed agent again.
const AGAIN: Duration = Duration::from_secs(5);

pub(super) fn new_member(host: Host, clock: Clock, tags: Tags, script: &Script) -> Member {
    let name = host.name();
    let me = Me {
        name: name.into(),
        scope: "sim".into(),
        tags,
        conn_url: format!("postgres://{name}:5432/postgres"),
        api_url: format!("http://{name}:8008/patroni"),
        proxy_url: None,
        may_bootstrap: true,
        has_leaderless_method: false,
    };
    let dynamic = first_configuration(script);
    let settings = settings(&dynamic);
    let ttl = settings.ttl;
    Member {
        host,
        clock,
        setup: Setup { me, settings, dynamic },
        life: Life::Dead,
        epoch: 0,
        store: Client::new(name.into(), ttl, host.0 as u64 + 1),
        asks: Default::default(),
        next_ask: 0,
        config: None,
        report: None,
        kept_down: 0,
        agent_runs: Runs::On,
        host_runs: Runs::On,
        held: Vec::new(),
        tick: None,
        guard: Guard { arm: Arm::Off, lives: true, rests_in_pause: false, version: 0 },
        woke: None,
        renewed: None,
        passes: 0,
    }
}

pub(super) fn first_configuration(script: &Script) -> Document {
    let times = script.settings;
    [
        ("ttl".to_owned(), times.ttl.into()),
        ("loop_wait".to_owned(), times.loop_wait.into()),
        ("retry_timeout".to_owned(), times.retry_timeout.into()),
        ("maximum_lag_on_failover".to_owned(), script.maximum_lag.into()),
        ("check_timeline".to_owned(), script.check_timeline.into()),
    ]
    .into_iter()
    .chain(synchronous(script.synchronous))
    .collect()
}

fn synchronous(synchronous: Synchronous) -> Vec<(String, serde_json::Value)> {
    let (mode, strict, count) = match synchronous {
        Synchronous::Off => return Vec::new(),
        Synchronous::On { strict, count } => (true.into(), strict, count),
        Synchronous::Quorum { strict, count } => ("quorum".into(), strict, count),
    };
    vec![
        ("synchronous_mode".to_owned(), mode),
        ("synchronous_mode_strict".to_owned(), strict.into()),
        ("synchronous_node_count".to_owned(), count.into()),
    ]
}

/// What the store's `/config` means. The checks of `tamada-config` are not simulated: whoever changes it here does it
/// well.
pub(super) fn settings(dynamic: &Document) -> Settings {
    let seconds = |key: &str, usual: f64| {
        Duration::from_secs_f64(dynamic.get(key).and_then(serde_json::Value::as_f64).unwrap_or(usual))
    };
    let flag = |key: &str| dynamic.get(key).and_then(serde_json::Value::as_bool).unwrap_or(false);
    let lag = dynamic.get("maximum_lag_on_failover").and_then(serde_json::Value::as_u64).unwrap_or(1_048_576);
    Settings {
        ttl: seconds("ttl", 30.0),
        loop_wait: seconds("loop_wait", 10.0),
        retry_timeout: seconds("retry_timeout", 10.0),
        maximum_lag_on_failover: WalBytes::new(lag),
        check_timeline: flag("check_timeline"),
        pause: flag("pause"),
        synchronous_mode: match dynamic.get("synchronous_mode") {
            Some(mode) if mode.as_bool() == Some(true) => SynchronousMode::On,
            Some(mode) if mode.as_str() == Some("quorum") => SynchronousMode::Quorum,
            Some(_) | None => SynchronousMode::Off,
        },
        synchronous_mode_strict: flag("synchronous_mode_strict"),
        synchronous_node_count: dynamic.get("synchronous_node_count").and_then(serde_json::Value::as_u64).unwrap_or(1)
            as u32,
        use_pg_rewind: true,
        ..Settings::default()
    }
}

impl World {
    // --- processes

    pub(super) fn start_agent(&mut self, host: Host, epoch: u32) {
        let member = &mut self.members[host.0];
        let dead = match member.life {
            Life::Dead => true,
            Life::Waking(_) | Life::Up(_) => false,
        };
        if !dead || member.epoch != epoch || member.kept_down > 0 {
            return;
        }
        self.diary.note(self.now, Some(host), || "the agent is started".into());
        // Its predecessor may have asked for something with its last breath, which is not answered to this one.
        member.epoch += 1;
        let since = member.clock.mono(self.now);
        member.life = Life::Waking(Waking { since, stopping: false });
        let id = u64::from(member.epoch) * 16 + host.0 as u64 + 1;
        member.store = Client::new(host.name().into(), member.setup.settings.ttl, id);
        // The guard runs on, or is started with the agent.
        member.guard.lives = true;
        self.ask_first(host);
    }

    fn ask_first(&mut self, host: Host) {
        let member = &mut self.members[host.0];
        let (retry, waited) = (member.setup.settings.retry_timeout, member.waited(self.now));
        let left = member.patience_with_orphan().saturating_sub(waited);
        let within = if left.is_zero() { retry } else { left.min(retry) };
        let request = member.store.read(member.clock.mono(self.now));
        self.send(host, request, AskKind::First, within);
    }

    /// As `orphan.rs` in the program: a primary that a predecessor left is stopped before a lease has passed.
    pub(super) fn first_reading_failed(&mut self, host: Host) {
        let now = self.now;
        let member = &mut self.members[host.0];
        let late = member.waited(now) >= member.patience_with_orphan() && !member.setup.settings.pause;
        let Life::Waking(waking) = &mut member.life else {
            return;
        };
        let facts = self.fleet.facts(host, member.clock.now(now), None);
        if late && facts.may_be_writable() && !waking.stopping {
            waking.stopping = true;
            self.diary.note(now, Some(host), || "stops the primary that it found: the store is away".into());
            let stop = Stop {
                mode: StopMode::Fast,
                checkpoint: CheckpointFirst::No,
                timeout: Some(Duration::from_secs(5)),
                report_shutdown: false,
                purpose: "demotion".into(),
            };
            return self.with_fleet(|fleet, now, net| fleet.begin(host, ORPHAN, &Job::Stop(stop), now, net));
        }
        let again = Duration::from_secs(1).min(member.setup.settings.retry_timeout);
        let epoch = member.epoch;
        self.queue.put(now + again, Due::Hear(host, Heard { epoch, event: Box::new(Event::Wake) }));
    }

    pub(super) fn orphan_stopped(&mut self, host: Host) {
        if let Life::Waking(waking) = &mut self.members[host.0].life {
            waking.stopping = false;
            self.ask_first(host);
        }
    }

    pub(super) fn first_reading(&mut self, host: Host, cluster: &Arc<Cluster>) {
        match self.members[host.0].life {
            Life::Waking(waking) if !waking.stopping => {}
            Life::Waking(_) | Life::Dead | Life::Up(_) => return,
        }
        self.with_fleet(|fleet, now, _| fleet.adopt(host, now));
        let member = &mut self.members[host.0];
        let setup = member.setup.clone();
        member.life = Life::Up(Box::new(Agent::new(setup)));
        member.config = None;
        member.report = None;
        self.cue(Cue::Starts(host));
        self.follow_configuration(host, cluster);
        self.hear(host, Event::Wake);
    }

    pub(super) fn kill_agent(&mut self, host: Host, how: &str) {
        let now = self.now;
        let member = &mut self.members[host.0];
        self.diary.note(now, Some(host), || format!("the agent {how}"));
        member.life = Life::Dead;
        member.epoch += 1;
        member.asks.clear();
        member.held.retain(|due| matches!(due, Due::Postgres(..) | Due::Guard { .. }));
        member.tick = None;
        member.report = None;
        member.renewed = None;
        self.fleet.agent_dies(host, now);
        self.watch(|promises, _| promises.dies(host));
    }

    fn leave(&mut self, host: Host, leave: Leave) {
        self.kill_agent(host, "leaves");
        let epoch = self.members[host.0].epoch;
        let again = match leave {
            Leave::AsAsked => Duration::ZERO,
            Leave::Refusing => AGAIN,
        };
        self.queue.put(self.now + again, Due::StartAgent { host, epoch });
    }

    // --- events

    pub(super) fn tick(&mut self, host: Host, epoch: u32, at: Moment) {
        let member = &mut self.members[host.0];
        if member.epoch != epoch || member.tick != Some(at) {
            return;
        }
        member.tick = None;
        self.hear(host, Event::Tick);
    }

    pub(super) fn hear_if_same(&mut self, host: Host, heard: Heard) {
        let member = &self.members[host.0];
        if member.epoch != heard.epoch {
            return;
        }
        match &member.life {
            Life::Dead => {}
            Life::Waking(waking) if waking.stopping => {}
            Life::Waking(_) => self.ask_first(host),
            Life::Up(_) => self.hear(host, *heard.event),
        }
    }

    pub(super) fn hear_later(&mut self, host: Host, after: Duration, event: Event) {
        let epoch = self.members[host.0].epoch;
        self.queue.put(self.now + after, Due::Hear(host, Heard { epoch, event: Box::new(event) }));
    }

    pub(super) fn hear(&mut self, host: Host, event: Event) {
        if let Event::Observed { cluster: Ok(cluster), .. } = &event {
            let cluster = cluster.clone();
            self.follow_configuration(host, &cluster);
        }
        let now = self.now;
        let member = &mut self.members[host.0];
        let at = member.now(now);
        let Some(agent) = member.agent_mut() else {
            return;
        };
        let effects = agent.handle(event, at);
        for effect in effects {
            self.carry_out(host, effect);
        }
        self.plan_tick(host);
    }

    fn follow_configuration(&mut self, host: Host, cluster: &Cluster) {
        let member = &mut self.members[host.0];
        let Some(config) = cluster.config.as_ref().filter(|config| member.config.as_ref() != Some(&config.stamp))
        else {
            return;
        };
        member.config = Some(config.stamp.clone());
        if member.setup.dynamic == config.value || config.value.is_empty() {
            return;
        }
        member.setup.dynamic = config.value.clone();
        let paused = std::mem::replace(&mut member.setup.settings, settings(&config.value)).pause;
        // What was left running in pause is only now anybody's business again.
        if paused && !member.setup.settings.pause {
            self.watch(|promises, world| promises.meddled(world));
        }
        let member = &mut self.members[host.0];
        member.store.set_ttl(member.setup.settings.ttl);
        self.set_up(host);
    }

    /// What is in force then, not when the signal was sent: to one that stands still it comes late.
    pub(super) fn reload(&mut self, host: Host, epoch: u32) {
        if self.members[host.0].epoch == epoch {
            self.set_up(host);
        }
    }

    fn set_up(&mut self, host: Host) {
        let setup = Box::new(self.members[host.0].setup.clone());
        self.hear(host, Event::Setup(setup));
    }

    fn plan_tick(&mut self, host: Host) {
        let now = self.now;
        let member = &mut self.members[host.0];
        let Some(agent) = member.agent() else {
            return;
        };
        let wake = agent.next_wake(member.now(now));
        let at = member.clock.moment(wake).max(now);
        // One that comes early does no harm, and plans anew.
        if member.tick.is_none_or(|planned| at < planned) {
            member.tick = Some(at);
            let epoch = member.epoch;
            self.queue.put(at, Due::Tick { host, epoch, at });
        }
    }

    // --- effects

    fn carry_out(&mut self, host: Host, effect: Effect) {
        match effect {
            Effect::Observe { within, leader_timeline } => self.observe(host, within, leader_timeline),
            Effect::Gather(facts) => self.gather(host, &facts),
            Effect::Dcs { write, within } => {
                self.diary.note(self.now, Some(host), || format!("asks the store: {write:?}"));
                self.write(host, &write, within);
            }
            Effect::Touch { record, within } => self.touch(host, &record, within),
            Effect::Command(command) => {
                self.diary.note(self.now, Some(host), || format!("commands {command:?}"));
                self.with_fleet(|fleet, now, net| fleet.command(host, &command, now, net));
                let after = self.chance.between(COMMAND.0, COMMAND.1);
                self.hear_later(host, after, Event::Commanded);
            }
            Effect::Start(id, job) => {
                self.diary.note(self.now, Some(host), || format!("begins: {}", job.text()));
                self.cue(cue_of(host, &job));
                self.watch(|promises, world| promises.begins(host, &job, world));
                self.with_fleet(|fleet, now, net| fleet.begin(host, id, &job, now, net));
            }
            Effect::Cancel(id) => {
                self.diary.note(self.now, Some(host), || "cancels what it had begun".into());
                self.with_fleet(|fleet, now, _| fleet.cancel(host, id, now));
            }
            Effect::Fence => {
                self.diary.note(self.now, Some(host), || "SIGQUIT to PostgreSQL".into());
                self.with_fleet(|fleet, now, _| fleet.fence(host, now));
            }
            Effect::Guard(arm) => self.arm_guard(host, arm),
            Effect::Reply(_, reply) => self.diary.note(self.now, Some(host), || format!("replies {}", reply.status)),
            Effect::Log(note) => self.diary.note(self.now, Some(host), || format!("logs: {}", note.text)),
            Effect::Say(sentence) => self.diary.note(self.now, Some(host), || format!("says: {sentence}")),
            Effect::Tell(report) => {
                let member = &mut self.members[host.0];
                member.passes += 1;
                member.report = Some(report);
                self.watch(|promises, world| promises.told(host, world));
            }
            Effect::Leave(how) => self.leave(host, how),
        }
    }

    fn observe(&mut self, host: Host, within: Duration, leader_timeline: Option<tamada_model::Timeline>) {
        self.cue(Cue::Reads(host));
        let early = self.chance.happens(1, 2);
        let member = &mut self.members[host.0];
        let now = member.now(self.now);
        let facts = match early {
            true => Look::Early(Arc::new(self.fleet.facts(host, now, leader_timeline))),
            false => Look::Late { leader_timeline },
        };
        let request = member.store.read(now.mono);
        self.send(host, request, AskKind::Observe { asked_at: now.mono, facts }, within);
    }
}

fn cue_of(host: Host, job: &Job) -> Cue {
    match job {
        Job::Promote { .. } => Cue::Promotes(host),
        Job::Stop(_) => Cue::Stops(host),
        Job::Bootstrap
        | Job::PostBootstrap
        | Job::Clone { .. }
        | Job::Reinitialize { .. }
        | Job::StartPrimary { .. }
        | Job::StartStandby { .. }
        | Job::ChangeUpstream { .. }
        | Job::Restart { .. }
        | Job::CrashRecovery
        | Job::Rewind { .. }
        | Job::AbandonBootstrap
        | Job::RemoveData => Cue::Works(host),
    }
}

impl Member {
    fn waited(&self, at: Moment) -> Duration {
        match &self.life {
            Life::Waking(waking) => self.clock.mono(at).since(waking.since),
            Life::Dead | Life::Up(_) => Duration::ZERO,
        }
    }

    fn patience_with_orphan(&self) -> Duration {
        let lease = HeldLease { asked_at: Mono::default(), ttl: self.setup.settings.ttl };
        lease.give_up_at(self.setup.settings.retry_timeout).since_boot()
    }
}
