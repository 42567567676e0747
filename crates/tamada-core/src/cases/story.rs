//! A story: the whole agent driven through what happens, with the store and the hands played by the scene.
//!
//! Store writes and commands are carried out at once and answered; jobs end when the story says so. A write fails while
//! the store is dark, and ends as `writes:` says otherwise.

mod chance;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tamada_model::{
    Asks, Initialize, Job, JobEnd, Mono, RecoveryMatch, Reinitialize, ReplyBody, Request, State, Upstream,
};

use super::scene::{Scene, beginning, stamped};
use super::words::Words;
use super::{clues, show};
use crate::plan::{Command, DcsWrite, WriteOutcome};
use crate::view::Asked;
use crate::{Agent, Arm, Effect, Event, JobId, Setup};

/// More passes than this without time going by, and we would never rest.
const ENDLESS: usize = 40;

pub struct Story {
    scene: Scene,
    agent: Option<Agent>,
    job: Option<JobId>,
    job_begun: Option<Job>,
    /// Nobody tells what becomes of a killed PostgreSQL: it is down.
    by_chance: bool,
    cancelling: bool,
    left: bool,
    requests: u64,
    /// How writes end while the store is not dark; `None`: as the store's content says.
    writes: Option<WriteOutcome>,
    /// A repointing by reload does nothing.
    reload_is_lost: bool,
    /// Looks take their time: what was seen is handed over only when the story says so.
    slow: Option<VecDeque<Event>>,
    /// The same for answers to what a decision asks for.
    slow_answers: Option<VecDeque<Event>>,
    told: Vec<String>,
    record: String,
    slots: String,
    /// The guard is armed.
    guarded: bool,
    /// That the guard is armed and let go is told, too.
    tells_orders: bool,
    /// What our reports say of the lock, once that is told.
    reports: Option<Option<Mono>>,
}

impl Story {
    pub fn new() -> Self {
        Self {
            scene: Scene::default(),
            agent: None,
            job: None,
            job_begun: None,
            by_chance: false,
            cancelling: false,
            left: false,
            requests: 0,
            writes: None,
            reload_is_lost: false,
            slow: None,
            slow_answers: None,
            told: Vec::new(),
            record: String::new(),
            slots: String::new(),
            guarded: false,
            tells_orders: false,
            reports: None,
        }
    }

    pub fn begin(&mut self, lines: &[&str]) -> Vec<String> {
        // Nobody is there yet to hear of it.
        lines.iter().for_each(|line| drop(self.event(line)));
        self.agent = Some(Agent::new(self.setup()));
        self.happen(Event::Wake);
        std::mem::take(&mut self.told)
    }

    fn setup(&self) -> Setup {
        Setup { me: self.scene.me.clone(), settings: self.scene.settings.clone(), dynamic: self.scene.dynamic.clone() }
    }

    /// `then` begins something that happens; `and` lines belong to it.
    pub fn go_on(&mut self, lines: &[&str]) -> Vec<String> {
        let mut group: Vec<&str> = Vec::new();
        for line in lines {
            match (line.strip_prefix("then "), line.strip_prefix("and ")) {
                (Some(what), _) => {
                    self.all_at_once(&group);
                    group = vec![what];
                }
                (None, Some(what)) => group.push(what),
                (None, None) => panic!("a story goes on with `then` and `and`: {line}"),
            }
        }
        self.all_at_once(&group);
        std::mem::take(&mut self.told)
    }

    /// The world changes first, then whatever the agent hears of it.
    fn all_at_once(&mut self, group: &[&str]) {
        if group.is_empty() {
            return;
        }
        let mut events: VecDeque<Event> = group.iter().filter_map(|line| self.event(line)).collect();
        let seconds = group.iter().find_map(|line| line.strip_suffix(" s pass"));
        if events.is_empty() && seconds.is_none() {
            events.push_back(Event::Wake);
        }
        events.into_iter().for_each(|event| self.happen(event));
        if let Some(seconds) = seconds {
            let seconds: f64 = seconds.parse().expect("a number of seconds passes");
            self.pass_time(Duration::from_secs_f64(seconds));
        }
    }

    /// What the agent hears because of this line; `None` where only the world changes.
    fn event(&mut self, line: &str) -> Option<Event> {
        let (key, words) = line.split_once(": ").unwrap_or((line, ""));
        let mut words = Words::new(words);
        match key {
            "bell" => Some(Event::Wake),
            "guard" => Some(Event::Guard(clues::guard(&mut words))),
            "watchdog" => Some(Event::Watchdog(clues::watchdog(&mut words))),
            "shutdown" => Some(Event::Shutdown),
            "job ends" => {
                let Some(id) = self.job.take() else {
                    self.tell("NO JOB RUNS THAT COULD END");
                    return None;
                };
                Some(Event::JobEnded { id, end: job_end(&mut words) })
            }
            "job says" => self.progress(&mut words),
            "checkpoint ends" => Some(Event::Checkpointed(words.eat("done"))),
            "operator" => {
                self.requests += 1;
                Some(Event::Request(self.requests, self.request(&mut words)))
            }
            "settings" => {
                self.scene.apply(line);
                Some(Event::Setup(Box::new(self.setup())))
            }
            "writes" => {
                let outcome = clues::outcome(&mut words);
                self.writes = (outcome != WriteOutcome::Done).then_some(outcome);
                None
            }
            "reloads" => {
                self.reload_is_lost = words.eat("do nothing");
                None
            }
            "the guard is watched" => {
                self.tells_orders = true;
                None
            }
            "reports are watched" => {
                self.reports = Some(None);
                None
            }
            "looks are slow" => {
                self.slow = Some(VecDeque::new());
                None
            }
            "the look ends" => {
                let seen = self.slow.as_mut().and_then(VecDeque::pop_front);
                if seen.is_none() {
                    self.tell("NO LOOK IS UNDER WAY");
                }
                seen
            }
            "answers are slow" => {
                self.slow_answers = Some(VecDeque::new());
                None
            }
            "the answers come" => {
                let answers = self.slow_answers.as_mut().and_then(VecDeque::pop_front);
                if answers.is_none() {
                    self.tell("NOBODY WAS ASKED");
                }
                answers
            }
            _ if line.ends_with(" s pass") => None,
            _ if line.starts_with("frozen for ") => {
                let mut words = Words::new(line.trim_start_matches("frozen for "));
                self.set_clock(self.scene.now.mono + words.seconds());
                None
            }
            _ => {
                self.scene.apply(line);
                None
            }
        }
    }

    fn progress(&mut self, words: &mut Words<'_>) -> Option<Event> {
        let Some(id) = self.job else {
            self.tell("NO JOB RUNS THAT COULD SAY ANYTHING");
            return None;
        };
        if words.eat("shut down at") {
            let shut_down = Some(clues::shutdown_position(words));
            return Some(Event::JobProgress { id, state: None, shut_down });
        }
        let wanted = words.rest();
        let state = State::ALL.into_iter().find(|state| state.text() == wanted);
        assert!(state.is_some(), "no such state: {wanted}");
        Some(Event::JobProgress { id, state, shut_down: None })
    }

    fn request(&self, words: &mut Words<'_>) -> Request {
        if words.eat("restart") {
            Request::Restart(clues::conditions(words))
        } else if words.eat("plan restart") {
            let schedule = clues::schedule(words, self.scene.now);
            Request::ScheduleRestart(clues::conditions(words), schedule)
        } else if words.eat("cancel restart") {
            Request::CancelScheduledRestart
        } else if words.eat("reinitialize") {
            let force = words.eat("by force");
            Request::Reinitialize(Reinitialize { force, from_leader: words.eat("from leader") })
        } else {
            words.lost()
        }
    }

    fn agent(&mut self) -> &mut Agent {
        self.agent.as_mut().expect("the story has begun")
    }

    /// Time goes by; the agent is woken whenever it wanted to be.
    fn pass_time(&mut self, time: Duration) {
        let until = self.scene.now.mono + time;
        let mut repeated = Repeated::default();
        loop {
            let now = self.scene.now;
            let wake = self.agent().next_wake(now).max(now.mono);
            if wake > until {
                break;
            }
            self.set_clock(wake);
            let before = self.told.len();
            self.happen(Event::Tick);
            let lines = self.told.split_off(before);
            let at = wake.since(beginning().mono).as_secs_f64();
            self.told.extend(repeated.told(at, lines));
        }
        self.told.extend(repeated.end());
        self.set_clock(until);
    }

    fn set_clock(&mut self, mono: Mono) {
        let passed = mono.since(self.scene.now.mono).as_micros() as i64;
        self.scene.now.wall = tamada_model::Wall::from_micros(self.scene.now.wall.micros() + passed);
        self.scene.now.mono = mono;
    }

    /// Hands the event over and plays the world's part until the agent rests.
    fn happen(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        for _ in 0..ENDLESS * 10 {
            let now = self.scene.now;
            let event = match events.pop_front() {
                Some(event) => event,
                None if self.agent().next_wake(now) <= now.mono => Event::Tick,
                None => return,
            };
            for effect in self.agent().handle(event, now) {
                events.extend(self.play(effect));
            }
        }
        self.tell("NEVER RESTS");
    }

    fn tell(&mut self, line: impl Into<String>) {
        self.told.push(line.into());
    }

    fn play(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Observe { .. } => {
                let seen = self.observed();
                match &mut self.slow {
                    Some(looks) => looks.push_back(seen),
                    None => return Some(seen),
                }
            }
            Effect::Gather(facts) => {
                let mut asked = Asked::default();
                for fact in &facts {
                    self.told.push(format!("asks {}", show::fact(fact)));
                }
                match self.scene.answer(&facts, &mut asked) {
                    Ok(()) => match &mut self.slow_answers {
                        Some(answers) => answers.push_back(Event::Gathered(Box::new(asked))),
                        None => return Some(Event::Gathered(Box::new(asked))),
                    },
                    Err(unanswered) => self.tell(format!("NO ANSWER: {}", unanswered.join("; "))),
                }
            }
            Effect::Dcs { write, .. } => {
                let outcome = self.write(&write);
                self.tell(format!("store: {}: {}", show::write(&write), show::outcome(&outcome)));
                return Some(Event::Wrote(outcome));
            }
            Effect::Command(command) => {
                self.command(&command);
                return Some(Event::Commanded);
            }
            Effect::Start(id, job) => {
                assert!(self.job.is_none(), "one long action at a time");
                self.job = Some(id);
                if job.makes_primary() && !self.may_lead() {
                    self.tell("WITHOUT A LEASE");
                }
                if job.makes_primary() && !self.guarded && !self.scene.settings.pause {
                    self.tell("WITHOUT A GUARD");
                }
                self.job_begun = Some(job.clone());
                self.tell(format!("job: {}", show::job(&job)));
            }
            Effect::Cancel(_) => {
                self.cancelling = true;
                self.tell("cancels the job");
            }
            Effect::Fence => {
                self.tell("KILLS PostgreSQL at once");
                if self.by_chance && !self.is_down() {
                    self.crash();
                }
            }
            Effect::Guard(arm) => self.order_guard(arm),
            Effect::Reply(_, reply) => self.tell(format!("replies {}: {}", reply.status, body(reply.body))),
            Effect::Log(note) => self.tell(show::note(&note)),
            Effect::Say(sentence) => self.tell(format!("says: {sentence}")),
            Effect::Tell(report) => self.reported(report.lease_until),
            Effect::Touch { record, .. } => {
                let text = show::member(&record);
                if self.record != text {
                    self.tell(format!("member key: {text}"));
                    self.record = text;
                }
                let name = self.scene.me.name.clone();
                self.scene.cluster.members.insert(name, Arc::from(record));
                return Some(Event::Touched);
            }
            Effect::Leave(how) => {
                self.left = true;
                self.tell(format!("leaves {how:?}"));
            }
        }
        None
    }

    fn may_lead(&mut self) -> bool {
        let now = self.scene.now.mono;
        self.agent().memory().lease_runs(now).is_some()
    }

    fn order_guard(&mut self, arm: Arm) {
        let armed = match arm {
            Arm::Until { .. } => true,
            Arm::Off => false,
        };
        if !armed && self.is_primary() && !self.scene.settings.pause && !self.has_given_the_key_away() {
            self.tell("NO GUARD FOR A PRIMARY");
        }
        if self.tells_orders && armed != self.guarded {
            self.tell(if armed { "the guard is armed" } else { "the guard rests" });
        }
        self.guarded = armed;
    }

    /// PostgreSQL's WAL has ended; only its archiving is waited for.
    fn has_given_the_key_away(&mut self) -> bool {
        self.agent().memory().has_released()
    }

    fn reported(&mut self, lease_until: Option<Mono>) {
        if self.reports.is_none_or(|told| told == lease_until) {
            return;
        }
        self.reports = Some(lease_until);
        let left = |until: Mono| format!("for {} s", until.since(self.scene.now.mono).as_secs_f64());
        self.tell(format!("reports that it leads {}", lease_until.map_or("no more".into(), left)));
    }

    fn observed(&self) -> Event {
        let cluster = match &self.scene.dark {
            Some(because) => Err(because.clone()),
            None => Ok(Arc::new(self.scene.cluster.clone())),
        };
        let postgres = Arc::new(self.scene.facts.clone());
        Event::Observed { asked_at: self.scene.now.mono, cluster, postgres }
    }

    fn command(&mut self, command: &Command) {
        let text = show::command(command);
        match command {
            Command::SetRole(role) => self.scene.facts.role = *role,
            Command::FireOnStart => self.scene.facts.callback_called = true,
            Command::Repoint { upstream, .. } if !self.reload_is_lost => {
                let lets_go = *upstream == Upstream::Nobody;
                self.scene.recovery =
                    Some(if lets_go { RecoveryMatch::Reload(Asks::Nobody) } else { RecoveryMatch::Same });
            }
            Command::SetSyncNames(names) => clues::live(&mut self.scene.facts).synchronous.names = names.clone(),
            Command::SyncSlots(_) if self.slots == text => return,
            Command::SyncSlots(_) => self.slots = text.clone(),
            Command::Repoint { .. }
            | Command::FireRoleChange(_)
            | Command::ResumeReplay
            | Command::CheckpointAfterPromote => {}
        }
        self.tell(text);
    }

    /// What the store makes of a write.
    fn write(&mut self, write: &DcsWrite) -> WriteOutcome {
        if let Some(because) = &self.scene.dark {
            return WriteOutcome::Failed(because.clone());
        }
        if let Some(outcome) = &self.writes {
            return outcome.clone();
        }
        let me = self.scene.me.name.clone();
        let cluster = &mut self.scene.cluster;
        let ours = cluster.leader_name() == Some(&me);
        let accepted = match write {
            DcsWrite::Acquire => cluster.is_unlocked(),
            DcsWrite::Renew { .. } => cluster.is_unlocked() || ours,
            DcsWrite::Release { .. } => ours,
            DcsWrite::BeginBootstrap | DcsWrite::SetInitialize { over_existing: false, .. } => {
                cluster.initialize == Initialize::Absent
            }
            DcsWrite::ClearFailover(judged) | DcsWrite::SetFailover { judged, .. } => {
                cluster.failover.as_ref().is_some_and(|request| request.stamp == *judged)
            }
            DcsWrite::SetSync { judged, .. } => cluster.sync.as_ref().map(|sync| &sync.stamp) == judged.as_ref(),
            DcsWrite::DeleteSync(judged) => cluster.sync.as_ref().is_some_and(|sync| sync.stamp == *judged),
            DcsWrite::Take
            | DcsWrite::SetInitialize { over_existing: true, .. }
            | DcsWrite::DeleteInitialize
            | DcsWrite::SetConfig(_)
            | DcsWrite::SetHistory(_) => true,
        };
        if !accepted {
            return WriteOutcome::Beaten;
        }
        match write {
            DcsWrite::Acquire | DcsWrite::Take => cluster.leader = Some(stamped(me)),
            DcsWrite::Renew { status } => {
                cluster.leader = Some(stamped(me));
                cluster.status = status.clone().unwrap_or(cluster.status.clone());
            }
            DcsWrite::Release { last } => {
                cluster.leader = None;
                cluster.status.optime = last.unwrap_or(cluster.status.optime);
            }
            DcsWrite::BeginBootstrap => cluster.initialize = Initialize::Underway,
            DcsWrite::SetInitialize { id, .. } => cluster.initialize = Initialize::Done(*id),
            DcsWrite::DeleteInitialize => cluster.initialize = Initialize::Absent,
            DcsWrite::SetConfig(config) => cluster.config = Some(stamped(config.clone())),
            DcsWrite::ClearFailover(_) => cluster.failover = None,
            DcsWrite::SetFailover { request, .. } => cluster.failover = Some(stamped(request.clone())),
            DcsWrite::SetSync { sync, .. } => cluster.sync = Some(stamped(sync.clone())),
            DcsWrite::DeleteSync(_) => cluster.sync = None,
            DcsWrite::SetHistory(entries) => cluster.history = Some(stamped(entries.clone())),
        }
        WriteOutcome::Done
    }
}

/// What happens again and again while time passes is told once, and how often.
#[derive(Default)]
struct Repeated {
    lines: Vec<String>,
    times: usize,
    last: f64,
}

impl Repeated {
    fn told(&mut self, at: f64, lines: Vec<String>) -> Vec<String> {
        if lines.is_empty() {
            return lines;
        }
        if lines == self.lines {
            self.times += 1;
            self.last = at;
            return Vec::new();
        }
        let mut told: Vec<String> = self.end().into_iter().collect();
        self.lines = lines.clone();
        told.push(format!("[{at:.1} s]"));
        told.extend(lines);
        told
    }

    fn end(&mut self) -> Option<String> {
        let times = std::mem::take(&mut self.times);
        (times > 0).then(|| format!("[{times} times more until {:.1} s]", self.last))
    }
}

fn job_end(words: &mut Words<'_>) -> JobEnd {
    if words.eat("done") {
        JobEnd::Done
    } else if words.eat("still starting") {
        JobEnd::StillStarting
    } else if words.eat("stopped at") {
        JobEnd::Stopped(Some(clues::shutdown_position(words)))
    } else if words.eat("stopped") {
        JobEnd::Stopped(None)
    } else if words.eat("pre_promote refused") {
        JobEnd::PrePromoteRefused
    } else if words.eat("cancelled") {
        JobEnd::Cancelled
    } else if words.eat("not now because") {
        JobEnd::NotNow(words.rest().to_owned())
    } else if words.eat("failed because") {
        JobEnd::Failed(words.rest().to_owned())
    } else {
        words.lost()
    }
}

fn body(body: ReplyBody) -> String {
    match body {
        ReplyBody::Text(text) => text,
        ReplyBody::Json(value) => value.to_string(),
        ReplyBody::Page => "(page)".into(),
    }
}
