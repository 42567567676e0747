//! The member's brain: events in, effects out, nothing else touched.
//!
//! ```text
//!          Wake                Observed               Gathered                Wrote / Commanded
//! Resting ──────► Observing ────────────► deciding ◄──────────► Gathering
//!    ▲                ▲                      │ Plan
//!    │                └──── look again ──────┤
//!    └───────── Tell, Touch ◄──────── Acting ┘
//! ```
//!
//! One pass at a time. What happens meanwhile only sets `again`; what must not wait (fencing) does not need a pass.

mod arm;
mod event;
mod fence;
mod jobs;
mod learn;
mod pace;
mod said;
mod second_look;
mod serve;
mod told;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tamada_model::{Cluster, Mono, Now, PostgresFacts, Request, Settings};

use crate::decide::decide;
use crate::decision::{Decision, Leave, Note, Reason, Step};
use crate::lease::HeldLease;
use crate::memory::{CheckpointAfterPromote, Memory};
use crate::plan::{Act, DcsWrite, Plan, Then, WriteOutcome, plan};
use crate::plant::{Plant, is_planted};
use crate::tell::LastReading;
use crate::view::{Asked, Observation, Seen, View};

use jobs::Running;
use said::Said;
use second_look::SecondLook;

pub use arm::Arm;
pub use event::{Effect, Event, JobId, RequestId, Setup};

/// Effects are large; most events have no more than these.
const FEW: usize = 3;

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Resting,
    Observing,
    Gathering,
    Acting(Box<Acting>),
    Touching,
}

#[derive(Debug)]
struct Acting {
    acts: VecDeque<Act>,
    chores: VecDeque<Act>,
    /// The one in flight, and when it was asked for.
    asked_at: Mono,
    flying: Option<Flying>,
    then: Then,
}

#[derive(Clone, PartialEq, Debug)]
enum Flying {
    Write { write: DcsWrite, essential: bool },
    Command,
}

/// An operator's request that waits to be served.
#[derive(Debug)]
struct Waiting {
    id: RequestId,
    request: Request,
    /// The world was looked at since it came.
    seen: bool,
    /// What ran was cancelled for it: it is next.
    pressing: bool,
}

#[derive(Debug)]
pub struct Agent {
    setup: Setup,
    memory: Memory,
    stage: Stage,
    seen: Option<Observation>,
    /// When the cluster was last read, on both clocks.
    cluster_seen: Option<LastReading>,
    running: Option<Running>,
    next_job: JobId,
    waiting: VecDeque<Waiting>,
    /// A pass is to follow at once.
    again: bool,
    /// Something ended since we began to look: the look shows a world that is no more.
    overtaken: bool,
    /// At the store, before the lock is taken.
    second_look: SecondLook,
    /// A promotion, a start as primary or a primary's restart ended, and no look has shown yet how.
    promoted_unseen: bool,
    last_pass: Option<Now>,
    /// Not before then, after a failure: the same thing would only fail again.
    not_before: Option<Mono>,
    /// Long actions that failed in a row, and store writes.
    failures: u32,
    failed_writes: u32,
    /// We have left; whatever still comes in is not for us.
    left: bool,
    /// The last decision's reason, for whoever asks why.
    because: Option<Reason>,
    /// It was another one than before.
    is_news: bool,
    sentence: String,
    said: Said,
    fenced: Option<Mono>,
    /// What the guard was told last.
    armed: Option<Arm>,
    /// Until when, by what we told last, we hold the lock.
    told_lease: Option<Mono>,
    /// When we first were asked anything.
    born: Option<Mono>,
    /// Rewinds that failed in a row.
    failed_rewinds: u32,
    store_dark_since: Option<Mono>,
}

impl Agent {
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            memory: Memory::default(),
            stage: Stage::Resting,
            seen: None,
            cluster_seen: None,
            running: None,
            next_job: 1,
            waiting: VecDeque::new(),
            again: false,
            overtaken: false,
            second_look: SecondLook::NotYet,
            promoted_unseen: false,
            last_pass: None,
            not_before: None,
            failures: 0,
            failed_writes: 0,
            left: false,
            because: None,
            is_news: false,
            sentence: String::new(),
            said: Said::default(),
            fenced: None,
            armed: None,
            told_lease: None,
            born: None,
            failed_rewinds: 0,
            store_dark_since: None,
        }
    }

    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    pub fn settings(&self) -> &Settings {
        &self.setup.settings
    }

    /// Takes an event in; what is to be done about it comes back, in order.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        let mut effects = Vec::with_capacity(FEW);
        self.fence_if_late(now, &mut effects);
        match event {
            Event::Wake => self.again = true,
            Event::Tick => {}
            Event::Observed { asked_at, cluster, postgres } => {
                self.observed(asked_at, cluster, postgres, now, &mut effects)
            }
            Event::Gathered(asked) => self.gathered(*asked, now, &mut effects),
            Event::Wrote(outcome) => self.wrote(outcome, now, &mut effects),
            Event::Commanded => self.commanded(now, &mut effects),
            Event::Touched => self.touched(),
            Event::JobProgress { id, state, shut_down } => self.job_progress(id, state, shut_down),
            Event::JobEnded { .. } if is_planted(Plant::JobEndLost) && !self.is_resting() => {}
            Event::JobEnded { id, end } => self.job_ended(id, end, now, &mut effects),
            Event::Checkpointed(done) => {
                let checkpoint = if done { CheckpointAfterPromote::Done } else { CheckpointAfterPromote::Missing };
                if self.memory.checkpoint == CheckpointAfterPromote::Asked {
                    self.memory.checkpoint = checkpoint;
                }
                self.again |= done;
            }
            Event::Request(id, request) => {
                self.waiting.push_back(Waiting { id, request, seen: false, pressing: false });
                self.again = true;
            }
            Event::Setup(setup) => self.set_up(*setup, now),
            Event::Guard(state) => {
                self.memory.guard = state;
                self.again = true;
            }
            Event::Watchdog(state) => {
                self.memory.watchdog = state;
                self.again = true;
            }
            Event::Shutdown => {
                self.memory.leaving = true;
                self.again = true;
            }
        }
        self.go_on(now, &mut effects);
        self.take_back(now, &mut effects);
        self.arm(now, &mut effects);
        effects
    }

    /// 1. a holds a lease of 30 s. An operator makes it 20.
    /// 2. a writes its member key, and with it the store begins a lease of 20 s. a is killed.
    /// 3. The guard waits for the end of the 30; b leads from the end of the 20 on.
    ///
    /// Therefore a shorter ttl is believed from when we hear of it.
    ///
    /// 1. The cluster is paused; a, the leader, does not reach the store for longer than its lease.
    /// 2. It is resumed; a hears of that with the first reading after the outage, in which the lock is free.
    /// 3. a remembers a lease that has ended, and stops the primary that it could have led on with.
    ///
    /// Therefore the end of a pause forgets a lease that ended in it.
    fn set_up(&mut self, setup: Setup, now: Now) {
        let ttl = setup.settings.ttl;
        let resumed = self.setup.settings.pause && !setup.settings.pause;
        let counts = |lease: &HeldLease| !resumed || now.mono < lease.fence_at();
        self.memory.lease = self.memory.lease.map(|lease| lease.at_most(ttl, now.mono)).filter(counts);
        self.setup = setup;
        self.again = true;
    }

    pub fn is_resting(&self) -> bool {
        match self.stage {
            Stage::Resting => true,
            Stage::Observing | Stage::Gathering | Stage::Acting(_) | Stage::Touching => false,
        }
    }

    fn cluster(&self) -> Option<&Arc<Cluster>> {
        match &self.seen.as_ref()?.cluster {
            Seen::Fresh { fact, .. } => Some(fact),
            Seen::Dark { .. } => None,
        }
    }

    /// Begins a pass if one is wanted and none is under way; serves waiting requests between passes.
    fn go_on(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.is_resting() || self.left {
            return;
        }
        self.serve_requests(now, effects);
        let held_off = self.not_before.is_some_and(|not_before| now.mono < not_before);
        if held_off || now.mono < self.next_pass(now) {
            return;
        }
        self.again = false;
        self.not_before = None;
        self.last_pass = Some(now);
        self.observe(now, effects);
    }

    fn observe(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.stage = Stage::Observing;
        self.overtaken = false;
        let within = self.patience(now, self.setup.settings.retry_timeout);
        effects.push(Effect::Observe { within, leader_timeline: self.memory.leader_timeline });
    }

    fn view<'a>(&'a self, seen: &'a Observation, now: Now) -> View<'a> {
        let now = match &seen.cluster {
            Seen::Fresh { at, .. } if is_planted(Plant::OldViewReused) => Now { mono: *at, ..now },
            Seen::Fresh { .. } | Seen::Dark { .. } => now,
        };
        View {
            me: &self.setup.me,
            settings: &self.setup.settings,
            dynamic: &self.setup.dynamic,
            seen,
            memory: &self.memory,
            now,
        }
    }

    fn observed(
        &mut self,
        asked_at: Mono,
        cluster: Result<Arc<Cluster>, String>,
        postgres: Arc<PostgresFacts>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if self.overtaken && !is_planted(Plant::OvertakenLookCounts) {
            return self.observe(now, effects);
        }
        let cluster = match cluster {
            Err(_) if is_planted(Plant::OutageIsEmptyCluster) => {
                Seen::Fresh { at: asked_at, fact: Arc::new(Cluster::default()) }
            }
            Ok(fact) => {
                self.cluster_seen = Some(LastReading { cluster: fact.clone(), asked_at, told_at: now.wall });
                self.store_dark_since = None;
                self.learn_cluster(&fact, now);
                Seen::Fresh { at: asked_at, fact }
            }
            Err(because) => {
                let since = *self.store_dark_since.get_or_insert(asked_at);
                // What was waited for before says nothing about who is there when the store is back.
                self.memory.race_opened = None;
                Seen::Dark { since, because }
            }
        };
        self.learn_postgres(&postgres, now);
        self.promoted_unseen = false;
        let asked = self.answers_that_hold(&cluster);
        self.seen = Some(Observation { cluster, postgres, job: self.job_view(), asked });
        self.waiting.iter_mut().for_each(|waiting| waiting.seen = true);
        self.decide_and_act(now, effects);
    }

    fn gathered(&mut self, asked: Asked, now: Now, effects: &mut Vec<Effect>) {
        let Some(seen) = &mut self.seen else {
            return;
        };
        let own = std::mem::take(&mut seen.asked);
        seen.asked = Asked {
            peers: asked.peers.or(own.peers),
            recovery_match: asked.recovery_match.or(own.recovery_match),
            divergence: asked.divergence.or(own.divergence),
            history_file: asked.history_file.or(own.history_file),
            origin: asked.origin.or(own.origin),
            renewal: own.renewal,
        };
        self.decide_and_act(now, effects);
    }

    /// 1. A look finds PostgreSQL down; the job that starts it is at work.
    /// 2. The job ends well, and we hear of that first.
    /// 3. Then the look arrives: PostgreSQL is down and no job runs. We give the key away for a failed start.
    ///
    /// Therefore a look that was overtaken by the end of a job is thrown away, whenever that is noticed.
    fn decide_and_act(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let overtaken = self.overtaken && !is_planted(Plant::OvertakenLookCounts);
        if overtaken || self.view_is_old(now) {
            return self.observe(now, effects);
        }
        if self.serve_pressing(now, effects) {
            self.stage = Stage::Resting;
            self.again = true;
            return;
        }
        let Some(mut seen) = self.seen.take() else {
            return;
        };
        // What the job told while facts were gathered counts.
        seen.job = self.job_view();
        let step = decide(&self.view(&seen, now));
        match step {
            Step::Ask(facts) => {
                self.stage = Stage::Gathering;
                effects.push(Effect::Gather(facts));
                self.seen = Some(seen);
            }
            Step::Do(decision) if self.wants_second_look(&decision, &seen, now) => {
                self.seen = Some(seen);
                self.observe(now, effects);
            }
            Step::Do(decision) => {
                let plan = plan(&decision, &self.view(&seen, now));
                self.seen = Some(seen);
                self.begin(decision, plan, now, effects);
            }
        }
    }

    // 1. a reads the store, and is frozen for two leases. Meanwhile b leads, writes, and dies; the key is free again.
    // 2. a wakes and goes on with its old view, in which the key was its own.
    // 3. It takes the free key back, and leads on without b's commits.
    // A reading takes `retry_timeout` at the most; a view that is older was made before a gap.
    fn view_is_old(&self, now: Now) -> bool {
        if is_planted(Plant::OldViewReused) || is_planted(Plant::PromotionUnchecked) {
            return false;
        }
        let most = self.setup.settings.retry_timeout + self.setup.settings.ttl / 10;
        match self.seen.as_ref().map(|seen| &seen.cluster) {
            Some(Seen::Fresh { at, .. }) => now.mono.since(*at) > most,
            Some(Seen::Dark { .. }) | None => false,
        }
    }

    fn begin(&mut self, decision: Decision, plan: Plan, now: Now, effects: &mut Vec<Effect>) {
        for mark in &plan.marks {
            self.memory.apply(mark, now);
        }
        // A little less than `loop_wait`, so that a heartbeat that comes somewhat early is heard.
        let every = self.setup.settings.loop_wait * 4 / 5;
        let news = self.said.is_news(&decision.because, plan.sentence.as_deref(), now.mono, every);
        effects.extend(plan.notes.into_iter().filter(|note| self.said.note(note, news)).map(Effect::Log));
        // A first write that fails makes the sentence untrue; it is then spoken by whatever is decided next.
        let waits = plan.acts.first().is_some_and(|act| match act {
            Act::Dcs(_) => true,
            Act::Command(_) | Act::Start(_) | Act::Cancel | Act::Fence | Act::Leave(_) => false,
        });
        if let Some(sentence) = plan.sentence {
            self.sentence = sentence.clone();
            if !waits && news {
                effects.push(Effect::Say(sentence));
            }
        }
        self.because = Some(decision.because);
        self.is_news = news;
        self.stage = Stage::Acting(Box::new(Acting {
            acts: plan.acts.into(),
            chores: plan.chores.into(),
            asked_at: now.mono,
            flying: None,
            then: plan.then,
        }));
        self.act(now, effects);
    }

    /// Does acts until one has to be awaited, or none is left.
    fn act(&mut self, now: Now, effects: &mut Vec<Effect>) {
        loop {
            let Stage::Acting(acting) = &mut self.stage else {
                return;
            };
            let (act, essential) = match acting.acts.pop_front() {
                Some(act) => (act, true),
                None => match acting.chores.pop_front() {
                    Some(act) => (act, false),
                    None => return self.finish(now, effects),
                },
            };
            match act {
                Act::Dcs(write) => {
                    effects.extend(beginning(&write, essential).map(Effect::Log));
                    acting.asked_at = now.mono;
                    acting.flying = Some(Flying::Write { write: write.clone(), essential });
                    let within = self.patience(now, self.setup.settings.retry_timeout);
                    effects.push(Effect::Dcs { write, within });
                    return;
                }
                Act::Command(command) => {
                    acting.flying = Some(Flying::Command);
                    effects.push(Effect::Command(command));
                    return;
                }
                Act::Start(job) => self.start(job, None, now, effects),
                Act::Cancel => self.cancel(effects),
                Act::Fence => effects.push(Effect::Fence),
                Act::Leave(how) => self.leave(how, effects),
            }
        }
    }

    fn leave(&mut self, how: Leave, effects: &mut Vec<Effect>) {
        self.left = true;
        effects.push(Effect::Leave(how));
    }

    fn commanded(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if let Stage::Acting(acting) = &mut self.stage {
            acting.flying = None;
        }
        self.act(now, effects);
    }

    fn wrote(&mut self, outcome: WriteOutcome, now: Now, effects: &mut Vec<Effect>) {
        let Stage::Acting(acting) = &mut self.stage else {
            return;
        };
        let asked_at = acting.asked_at;
        let Some(Flying::Write { write, essential }) = acting.flying.take() else {
            return;
        };
        if outcome != WriteOutcome::Done && essential {
            acting.acts.clear();
        }
        self.learn_write(&write, &outcome, asked_at, now, effects);
        let Stage::Acting(acting) = &self.stage else {
            return;
        };
        if acting.then == Then::DecideAgain && acting.acts.is_empty() {
            self.decide_and_act(now, effects);
        } else {
            self.act(now, effects);
        }
    }

    /// The end of a pass: look again, or tell the world and rest.
    fn finish(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Stage::Acting(acting) = std::mem::take(&mut self.stage) else {
            return;
        };
        if acting.then == Then::LookAgain {
            self.again = true;
        }
        self.tell(now, effects);
        let dark = self.cluster().is_none();
        let unnamed = self.memory.join_aborted;
        // A pass that is followed by another at once leaves the record to that one: nobody waits for a store write
        // between winning the lock and promoting.
        if dark || unnamed || acting.then == Then::LookAgain {
            return;
        }
        if let Some(record) = self.member_record() {
            self.stage = Stage::Touching;
            let within = self.patience(now, self.setup.settings.retry_timeout.min(Duration::from_secs(2)));
            effects.push(Effect::Touch { record: Box::new(record), within });
        }
    }

    fn touched(&mut self) {
        self.stage = Stage::Resting;
    }
}

/// 12.3: what the original says when the winner of the race clears or reduces the request.
fn beginning(write: &DcsWrite, essential: bool) -> Option<Note> {
    match write {
        DcsWrite::ClearFailover(_) if essential => {
            Some(Note::info("Cleaning up failover key after acquiring leader lock..."))
        }
        DcsWrite::SetFailover { .. } => Some(Note::info("Updating failover key after acquiring leader lock...")),
        DcsWrite::ClearFailover(_)
        | DcsWrite::Acquire
        | DcsWrite::Renew { .. }
        | DcsWrite::Take
        | DcsWrite::Release { .. }
        | DcsWrite::BeginBootstrap
        | DcsWrite::SetInitialize { .. }
        | DcsWrite::DeleteInitialize
        | DcsWrite::SetConfig(_)
        | DcsWrite::SetHistory(_)
        | DcsWrite::SetSync { .. }
        | DcsWrite::DeleteSync(_) => None,
    }
}
