//! Stories by chance: whatever happens in whatever order, nothing is promoted without a lease, the agent rests between
//! events, and once everything is well again it leads.
//!
//! One member and a world of puppets, not the simulator: it finds what nobody thought of writing down. A failure names its
//! seed and tells the story.

use tamada_model::{DataDir, Job, JobEnd, Role};

use super::*;

/// A small generator of numbers; the same seed gives the same story.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len() as u64) as usize]
    }
}

/// What may happen, besides the passing of time and the ends of jobs.
const EVENTS: &[&str] = &[
    "leader: none",
    "leader: none",
    "leader: c",
    "store: etcd did not answer",
    "store: back",
    "store: back",
    "writes: failed",
    "writes: unclear",
    "writes: done",
    "writes: done",
    "request: switchover from a to b",
    "request: switchover from a",
    "request: manual failover to a",
    "request: manual failover to b",
    "request: none",
    "settings: paused",
    "settings: not paused",
    "settings: not paused",
    "operator: restart",
    "operator: reinitialize",
    "operator: reinitialize by force",
    "operator: plan restart in 4 s",
    "peer b: standby tl 1 at 0/5000",
    "peer b: standby tl 1 at 0/9000",
    "peer b: silent",
    "peer c: primary tl 3 at 0/6000",
    "peer c: standby tl 1 at 0/5000",
    "peer c: silent gone",
    "upstream: fits",
    "upstream: needs reload",
    "upstream: needs reload, asks another",
    "upstream: needs restart",
    "divergence: leader cannot be asked: it does not answer",
    "divergence: standby tl 1 at 0/5000 leader tl 3 history 1 at 0/5000",
    "divergence: standby tl 1 at 0/5100 leader tl 3 history 1 at 0/5000",
    "initialize: absent",
    "initialize: ours",
    "bell",
    "crash",
    "hang",
    "wake up",
    "looks are slow",
    "the look ends",
    "the look ends",
    "the look ends",
];

/// Where a story may begin, and under which settings.
const BEGINNINGS: &[&[&str]] = &[
    &["me a: primary tl 1 at 0/5000 can rewind", "leader: a"],
    &["me a: primary tl 1 at 0/5000 can rewind", "leader: none"],
    &["me a: standby tl 1 at 0/5000 can rewind recovery configured", "leader: c"],
    &["me a: standby tl 1 at 0/5000 can rewind recovery configured", "leader: none, was c"],
    &["me a: down in production can rewind", "leader: a", "lease: none"],
    &["me a: down shut down can rewind", "leader: c"],
    &["me a: no data", "leader: c"],
    &["me a: no data", "leader: none", "initialize: absent"],
];

const SETTINGS: &[&str] = &[
    "settings: remove_data_directory_on_rewind_failure, primary_start_timeout 20",
    "settings: remove_data_directory_on_rewind_failure, primary_start_timeout 0",
    "settings: remove_data_directory_on_rewind_failure, primary_race_backoff 4, ttl 10, loop_wait 2, retry_timeout 3",
    "settings: remove_data_directory_on_rewind_failure, check_timeline, ttl 5, loop_wait 1, retry_timeout 2",
];

impl Story {
    /// The last lines, for whoever reads the failure.
    fn ending(&self) -> String {
        let last = self.told.len().saturating_sub(60);
        self.told[last..].join("\n")
    }

    pub(super) fn is_primary(&self) -> bool {
        self.scene.facts.answers.live().is_some_and(|live| live.is_primary())
    }

    pub(super) fn is_down(&self) -> bool {
        !self.scene.facts.process.is_running()
    }

    /// Our PostgreSQL becomes this; what it was called stays, unless the words say so.
    fn become_(&mut self, words: &str) {
        let role = self.scene.facts.role;
        let called = self.scene.facts.callback_called;
        self.scene.apply(&format!("me: {words} can rewind"));
        if !words.contains("role") {
            self.scene.facts.role = role;
        }
        self.scene.facts.callback_called = called || !words.contains("down");
    }

    pub(super) fn crash(&mut self) {
        let words = if self.is_primary() { "down in production" } else { "down in archive recovery" };
        self.become_(words);
    }

    /// PostgreSQL is writable without a lease, and nobody is about to stop it.
    fn is_rogue(&mut self) -> bool {
        let paused = self.scene.settings.pause;
        let stops = |job: &Job| job.is_stop() || matches!(job, Job::Reinitialize { .. } | Job::Rewind { .. });
        let stopping = self.job_begun.as_ref().is_some_and(stops) || self.cancelling;
        let bootstrapping = self.agent().memory().bootstrap.is_some();
        let looking = self.slow.as_ref().is_some_and(|looks| !looks.is_empty());
        !looking && self.is_primary() && !paused && !stopping && !bootstrapping && !self.left && !self.may_lead()
    }

    fn by_chance(&mut self, event: &str) {
        self.told.push(format!("> {event}"));
        match event {
            "crash" if !self.is_down() => self.crash(),
            "hang" if !self.is_down() && !self.is_primary() => self.become_("silent"),
            "wake up" if !self.is_down() && !self.is_primary() => self.become_("standby tl 1 at 0/5000"),
            "crash" | "hang" | "wake up" => return,
            "looks are slow" if self.slow.is_some() => return,
            "the look ends" if self.slow.as_ref().is_none_or(VecDeque::is_empty) => return,
            _ => return self.all_at_once(&[event]),
        }
        self.happen(Event::Wake);
    }

    /// What PostgreSQL is when the job has done its work.
    fn done(&mut self, job: &Job) -> JobEnd {
        let (words, end) = match job {
            Job::Bootstrap | Job::PostBootstrap => ("primary tl 1 at 0/1500 role primary", JobEnd::Done),
            Job::Clone { .. } | Job::Reinitialize { .. } | Job::StartStandby { .. } | Job::ChangeUpstream { .. } => {
                ("standby tl 1 at 0/5000 role replica recovery configured", JobEnd::Done)
            }
            Job::StartPrimary { .. } => ("primary tl 1 at 0/5000 role primary", JobEnd::Done),
            Job::Restart { .. } if self.scene.facts.role == Role::Primary => ("primary tl 1 at 0/5000", JobEnd::Done),
            Job::Restart { .. } => ("standby tl 1 at 0/5000 recovery configured", JobEnd::Done),
            Job::Promote { .. } => ("primary tl 1 at 0/5000 role primary", JobEnd::Done),
            Job::CrashRecovery => ("down shut down", JobEnd::Done),
            Job::Rewind { .. } => ("down in archive recovery", JobEnd::Done),
            Job::Stop(_) if self.is_primary() => {
                let position = clues::shutdown_position(&mut Words::new("0/5078 publish 0/5060"));
                ("down shut down", JobEnd::Stopped(Some(position)))
            }
            Job::Stop(_) => ("down shut down in recovery", JobEnd::Stopped(None)),
            Job::AbandonBootstrap | Job::RemoveData => ("no data role uninitialized", JobEnd::Done),
        };
        if *job != Job::PostBootstrap || !self.is_down() {
            self.become_(words);
        }
        end
    }

    fn end_job(&mut self, chance: &mut Chance, well: bool) {
        let (Some(id), Some(job)) = (self.job.take(), self.job_begun.take()) else {
            return;
        };
        self.cancelling = false;
        let end = match chance.below(10) {
            _ if well => self.done(&job),
            0 | 1 => JobEnd::Failed("by chance".into()),
            2 => JobEnd::Cancelled,
            3 if self.is_down() && matches!(job, Job::StartPrimary { .. }) => {
                self.become_("starting role primary");
                JobEnd::StillStarting
            }
            4 if matches!(job, Job::Rewind { .. }) => JobEnd::NotNow("by chance".into()),
            5 if matches!(job, Job::Rewind { .. }) => {
                self.become_("down in archive recovery cut-short rewind");
                JobEnd::Failed("half way".into())
            }
            6 if matches!(job, Job::Promote { .. }) => JobEnd::PrePromoteRefused,
            _ => self.done(&job),
        };
        self.told.push(format!("> {} ends: {end:?}", job.text()));
        self.happen(Event::JobEnded { id, end });
    }

    /// Everything is well, for long enough.
    fn heal(&mut self, chance: &mut Chance) {
        while let Some(look) = self.slow.as_mut().and_then(VecDeque::pop_front) {
            self.happen(look);
        }
        self.slow = None;
        for event in [
            "store: back",
            "writes: done",
            "settings: not paused",
            "request: none",
            "peer b: silent",
            "peer c: silent",
            "upstream: fits",
            "initialize: ours",
            "divergence: standby tl 1 at 0/5000 leader tl 1",
        ] {
            self.by_chance(event);
        }
        if self.scene.facts.answers.live().is_none() && !self.is_down() {
            self.become_(if self.scene.facts.role.is_primary() {
                "primary tl 1 at 0/5000"
            } else {
                "standby tl 1 at 0/5000"
            });
        }
        for _ in 0..120 {
            match &self.scene.facts.data {
                // Whoever has no data needs somebody to copy.
                DataDir::Empty => self.scene.apply("leader: c"),
                DataDir::Present(_) | DataDir::Unreadable(_) => {
                    self.scene.cluster.leader =
                        self.scene.cluster.leader.take().filter(|name| name.value == self.scene.me.name);
                }
            }
            self.end_job(chance, true);
            self.pass_time(Duration::from_secs(1));
            if let DataDir::Present(present) = &mut self.scene.facts.data
                && present.unfinished_rewind
            {
                present.unfinished_rewind = false;
            }
        }
    }
}

#[test]
fn whatever_happens_nobody_writes_without_a_lease_and_in_the_end_somebody_leads() {
    for seed in 0..120 {
        let mut chance = Chance(seed * 7919 + 17);
        let mut story = begun(&mut chance);
        let mut rogue_since: Option<Mono> = None;
        for _ in 0..80 {
            something_happens(&mut story, &mut chance);
            let now = story.scene.now.mono;
            rogue_since = story.is_rogue().then(|| rogue_since.unwrap_or(now));
            let for_long = rogue_since.is_some_and(|since| now.since(since) > Duration::from_millis(1500));
            assert!(!for_long, "seed {seed}: a primary without lease:\n{}", story.ending());
            for sin in ["NEVER RESTS", "WITHOUT A LEASE", "WITHOUT A GUARD", "NO GUARD FOR A PRIMARY", "NO ANSWER"] {
                assert!(!story.ending().contains(sin), "seed {seed}:\n{}", story.ending());
            }
        }
        story.heal(&mut chance);
        let leads = story.is_primary() && story.scene.cluster.leader_name() == Some(&story.scene.me.name);
        assert!(leads || story.left, "seed {seed} does not lead:\n{}", story.ending());
    }
}

fn begun(chance: &mut Chance) -> Story {
    let mut story = Story::new();
    story.by_chance = true;
    let beginning = BEGINNINGS[chance.below(BEGINNINGS.len() as u64) as usize];
    let always = [
        "upstream: fits",
        "peer b: standby tl 1 at 0/5000",
        "peer c: standby tl 1 at 0/5000",
        "divergence: standby tl 1 at 0/5000 leader tl 1",
        "history file: missing",
        chance.pick(SETTINGS),
    ];
    story.begin(&[beginning, &always].concat());
    story
}

fn something_happens(story: &mut Story, chance: &mut Chance) {
    match chance.below(4) {
        0 | 1 => story.by_chance(chance.pick(EVENTS)),
        2 => story.end_job(chance, false),
        3 if chance.below(200) == 0 => story.by_chance("shutdown"),
        _ => {
            let millis = chance.below(6000);
            story.told.push(format!("> {millis} ms pass"));
            story.pass_time(Duration::from_millis(millis));
        }
    }
}
