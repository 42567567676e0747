//! What the model claims of PostgreSQL, rule by rule.

mod chaos;
mod commits;
mod deaths;
mod jobs;
mod looks;
mod rewinds;
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tamada_core::slots::{SlotPlan, WantedSlot};
use tamada_core::{Command, JobId};
use tamada_model::{
    Answers, CheckpointFirst, CloneSource, Job, JobEnd, MemberName, Now, PostgresFacts, Role, Stop, StopMode, Timeline,
    Upstream, UpstreamMember,
};

use super::{Fleet, Net, News, Step, Traits, WriteId};
use crate::wal::Point;
use crate::{Chance, Host, Moment};

const A: Host = Host(0);
const B: Host = Host(1);
const C: Host = Host(2);
const HOSTS: [Host; 3] = [A, B, C];

/// Everybody reaches everybody within a millisecond, but for what is cut.
#[derive(Default)]
struct Wires(BTreeSet<(Host, Host)>);

impl Net for Wires {
    fn delay(&mut self, from: Host, to: Host) -> Option<Duration> {
        let cut = self.0.contains(&(from, to)) || self.0.contains(&(to, from));
        (!cut).then_some(Duration::from_millis(1))
    }
}

/// Three hosts and a little world around them.
struct Scene {
    fleet: Fleet,
    wires: Wires,
    now: Moment,
    queue: BTreeMap<(Moment, u64), Step>,
    steps: u64,
    news: Vec<News>,
    jobs: JobId,
    writes: WriteId,
}

impl Scene {
    fn empty(seed: u64) -> Self {
        let traits = Traits::default();
        Self {
            fleet: Fleet::new(HOSTS.len(), Chance::new(seed), traits),
            wires: Wires::default(),
            now: Moment::default(),
            queue: BTreeMap::new(),
            steps: 0,
            news: Vec::new(),
            jobs: 0,
            writes: 0,
        }
    }

    /// A primary on `a` with two standbys that stream from it.
    fn cluster(seed: u64) -> Self {
        let mut scene = Self::empty(seed);
        assert_eq!(scene.does(A, Job::Bootstrap), JobEnd::Done);
        assert_eq!(scene.does(A, Job::PostBootstrap), JobEnd::Done);
        scene.gives_slots(A);
        for standby in [B, C] {
            assert_eq!(scene.does(standby, clone_from(A)), JobEnd::Done);
        }
        scene.passes(10);
        assert!(scene.streams(B) && scene.streams(C));
        scene.writes(A);
        scene.passes(1);
        scene
    }

    fn gather(&mut self) {
        for (moment, _, step) in self.fleet.take_agenda() {
            self.steps += 1;
            self.queue.insert((moment, self.steps), step);
        }
        self.news.extend(self.fleet.take_news());
    }

    /// The next thing happens, if it does until then.
    fn step(&mut self, until: Moment) -> bool {
        self.gather();
        let Some((&(moment, number), _)) = self.queue.first_key_value() else { return false };
        if moment > until {
            return false;
        }
        let step = self.queue.remove(&(moment, number)).unwrap();
        self.now = self.now.max(moment);
        self.fleet.happen(step, self.now, &mut self.wires);
        self.gather();
        true
    }

    fn passes(&mut self, seconds: u64) {
        self.passes_millis(seconds * 1000);
    }

    fn passes_millis(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        while self.step(until) {}
        self.now = until;
    }

    /// Until it is so; everything here is over within ten minutes.
    fn until(&mut self, is_so: impl Fn(&Scene) -> bool) {
        let limit = self.now + Duration::from_secs(600);
        while !is_so(self) {
            assert!(self.step(limit), "it never came to that");
        }
    }

    fn begins(&mut self, host: Host, job: Job) -> JobId {
        self.jobs += 1;
        self.fleet.begin(host, self.jobs, &job, self.now, &mut self.wires);
        self.gather();
        self.jobs
    }

    fn end_of(&self, job: JobId) -> Option<JobEnd> {
        self.news.iter().find_map(|news| match news {
            News::JobEnded { id, end, .. } if *id == job => Some(end.clone()),
            _ => None,
        })
    }

    fn does(&mut self, host: Host, job: Job) -> JobEnd {
        let id = self.begins(host, job);
        self.until(|scene| scene.end_of(id).is_some());
        self.end_of(id).unwrap()
    }

    fn commands(&mut self, host: Host, command: Command) {
        self.fleet.command(host, &command, self.now, &mut self.wires);
        self.gather();
    }

    fn gives_slots(&mut self, host: Host) {
        let others = HOSTS.iter().filter(|other| **other != host);
        let slot = |other: &Host| WantedSlot { name: other.name().to_owned(), active_here: true, lsn: None };
        let plan = SlotPlan { wanted: others.map(slot).collect(), ..SlotPlan::default() };
        self.commands(host, Command::SyncSlots(plan));
    }

    fn follows(&mut self, host: Host, upstream: Host) {
        self.gives_slots(upstream);
        self.commands(host, Command::Repoint { upstream: member(upstream), role: Role::Replica });
    }

    /// A client writes; tells what it wrote.
    fn writes(&mut self, host: Host) -> WriteId {
        self.writes += 1;
        assert!(self.fleet.write(host, self.writes, self.now, &mut self.wires), "{host:?} takes no writes");
        self.gather();
        self.writes
    }

    fn is_acked(&self, write: WriteId) -> bool {
        self.news.iter().any(|news| matches!(news, News::Acked { write: acked, .. } if *acked == write))
    }

    fn is_in_doubt(&self, write: WriteId) -> bool {
        self.news.iter().any(|news| matches!(news, News::Failed { write: failed, certain: false } if *failed == write))
    }

    fn promotes(&mut self, host: Host) {
        assert_eq!(self.does(host, Job::Promote { wait: Duration::from_secs(10) }), JobEnd::Done);
    }

    fn cuts(&mut self, host: Host) {
        for other in HOSTS.into_iter().filter(|other| *other != host) {
            self.wires.0.insert((host, other));
        }
    }

    fn mends(&mut self) {
        self.wires.0.clear();
    }

    fn holds(&self, host: Host, write: WriteId) -> bool {
        self.fleet.data(host).is_some_and(|data| self.fleet.wal().holds(data, write))
    }

    fn facts(&self, host: Host) -> PostgresFacts {
        self.fleet.facts(host, Now::default(), None)
    }

    fn streams(&self, host: Host) -> bool {
        self.facts(host).answers.live().is_some_and(|live| live.is_streaming())
    }

    fn point(&self, host: Host) -> Point {
        self.fleet.data(host).unwrap()
    }

    fn timeline(&self, host: Host) -> Timeline {
        self.fleet.wal().timeline(self.point(host).0)
    }
}

fn member(host: Host) -> Upstream {
    Upstream::Member(UpstreamMember { name: MemberName::new(host.name()), host: host.name().to_owned(), port: 5432 })
}

fn source(host: Host) -> CloneSource {
    let Upstream::Member(member) = member(host) else { unreachable!("a member was asked for") };
    CloneSource::Member { member, is_leader: true }
}

fn clone_from(host: Host) -> Job {
    Job::Clone { source: source(host), then_follow: member(host) }
}

fn stop(mode: StopMode, timeout: Option<Duration>) -> Job {
    Job::Stop(Stop {
        mode,
        checkpoint: CheckpointFirst::No,
        timeout,
        report_shutdown: true,
        purpose: "demotion".to_owned(),
    })
}

fn stop_fast() -> Job {
    stop(StopMode::Fast, None)
}

fn start_as_standby_of(host: Host) -> Job {
    Job::StartStandby { upstream: member(host), role: Role::Replica, timeout: None }
}

fn start_as_primary() -> Job {
    Job::StartPrimary { timeout: Duration::ZERO }
}

fn rewind_from(host: Host) -> Job {
    Job::Rewind { from: member(host), from_agent_can_be_trusted: true }
}

fn is_live(facts: &PostgresFacts) -> bool {
    matches!(facts.answers, Answers::Live(_))
}
