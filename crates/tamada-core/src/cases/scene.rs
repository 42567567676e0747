//! One scene: the world in words, decided once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tamada_model::{
    Asks, Cluster, Divergence, Document, FailoverRequest, HistoryEntry, HistoryFile, Initialize, Me, MemberName,
    Members, Mono, Now, Origin, PeerAnswer, PostgresFacts, RecoveryMatch, Schedule, Settings, Stamp, Stamped, Tags,
    Upstream, Wall,
};

use super::describe::{other, other_system_id, our_system_id, ours};
use super::words::Words;
use super::{clues, show};
use crate::decide::decide;
use crate::plan::{WriteOutcome, plan};
use crate::view::{Asked, JobView, Observation, Seen, View};
use crate::{Fact, HeldLease, Memory, Step, Verdict};

pub struct Scene {
    pub me: Me,
    pub settings: Settings,
    pub dynamic: Document,
    pub now: Now,
    pub cluster: Cluster,
    pub dark: Option<String>,
    pub facts: PostgresFacts,
    pub answers: BTreeMap<MemberName, PeerAnswer>,
    /// Members that were there when somebody led.
    pub former: Members,
    pub former_leader: Option<MemberName>,
    pub recovery: Option<RecoveryMatch>,
    pub origin: Option<Option<Origin>>,
    pub divergence: Option<Divergence>,
    pub history_file: Option<Option<HistoryFile>>,
    pub renewal: Option<WriteOutcome>,
    pub memory: Memory,
    pub job: JobView,
    /// When our lease was asked for; `None`: we hold none.
    pub lease: Option<Mono>,
}

/// 2026-07-23 12:26:40 UTC, an hour and a half after boot.
pub fn beginning() -> Now {
    Now { mono: Mono::new(Duration::from_secs(5400)), wall: Wall::from_micros(1_784_809_600_000_000) }
}

impl Default for Scene {
    fn default() -> Self {
        let me = Me {
            name: "me".into(),
            scope: "batman".into(),
            tags: Tags::default(),
            conn_url: String::new(),
            api_url: String::new(),
            proxy_url: None,
            may_bootstrap: true,
            has_leaderless_method: false,
        };
        let config: Document = [("ttl".to_owned(), 30.into())].into_iter().collect();
        let cluster = Cluster {
            initialize: Initialize::Done(our_system_id()),
            config: Some(stamped(config.clone())),
            ..Cluster::default()
        };
        let facts = ours(&mut Words::new("down"), &mut me.clone());
        Self {
            me,
            settings: Settings::default(),
            dynamic: config,
            now: beginning(),
            cluster,
            dark: None,
            facts,
            answers: BTreeMap::new(),
            former: Members::new(),
            former_leader: None,
            recovery: None,
            origin: None,
            divergence: None,
            history_file: None,
            renewal: None,
            memory: Memory::default(),
            job: JobView::Idle,
            lease: None,
        }
    }
}

pub fn stamped<T>(value: T) -> Stamped<T> {
    Stamped { stamp: Stamp::new("1"), value }
}

impl Scene {
    /// Takes in one line of the world.
    pub fn apply(&mut self, line: &str) {
        let (key, words) = line.split_once(':').unwrap_or((line, ""));
        let mut words = Words::new(words);
        match key.split_once(' ').unwrap_or((key, "")) {
            ("me", name) => self.set_me(name, &mut words),
            ("leader", "") => self.set_leader(&mut words),
            ("peer", name) => self.set_other(name, &mut words, true),
            ("member", name) => self.set_other(name, &mut words, false),
            ("initialize", "") => self.set_initialize(&mut words),
            ("request", "") => self.set_request(&mut words),
            ("origin", "") => self.origin = Some(clues::origin_or_none(&mut words)),
            ("published", "origin") => self.cluster.status.origin = Some(clues::origin(&mut words)),
            ("published", "") => self.cluster.status.optime = words.lsn(),
            ("slots", "") => {
                let at = tamada_model::Lsn::default();
                self.cluster.status.slots = words.rest().split(", ").map(|name| (name.to_owned(), at)).collect();
            }
            ("kept", "slots") => self.cluster.status.retain_slots = words.rest().split(", ").map(Into::into).collect(),
            ("sync", "") => self.cluster.sync = clues::sync(&mut words),
            ("commits", "") => clues::commits(&mut words, &mut self.facts),
            ("sender", name) => clues::sender(name, &mut words, &mut self.facts),
            ("history", "") => self.set_history(&mut words),
            ("history", "file") => self.history_file = Some(clues::history_file(&mut words)),
            ("config", "absent") => self.cluster.config = None,
            ("settings", "") => clues::settings(&mut words, &mut self.settings),
            ("configured", "") => clues::configured(&mut words, &mut self.me),
            ("lease", "") => self.set_lease(&mut words),
            ("renewal", "") => self.renewal = Some(clues::outcome(&mut words)),
            ("store", "") => self.dark = (!words.eat("back")).then(|| words.rest().to_owned()),
            ("upstream", "") => self.recovery = Some(clues::recovery(&mut words)),
            ("divergence", "") => self.divergence = Some(clues::divergence(&mut words)),
            ("guard", "") => self.memory.guard = clues::guard(&mut words),
            ("watchdog", "") => self.memory.watchdog = clues::watchdog(&mut words),
            ("memory", "") => clues::memory(&mut words, &mut self.memory, self.now),
            ("job", "") => self.job = clues::job(&mut words, self.now),
            _ => panic!("do not understand: {line}"),
        }
    }

    fn set_me(&mut self, name: &str, words: &mut Words<'_>) {
        if !name.is_empty() {
            self.me.name = name.into();
            self.me.conn_url = format!("postgres://{name}:5432/postgres");
            self.me.api_url = format!("http://{name}:8008/patroni");
        }
        self.facts = ours(words, &mut self.me);
    }

    fn set_leader(&mut self, words: &mut Words<'_>) {
        let leader = if words.eat("none") { None } else { Some(words.member()) };
        if words.eat("was") {
            self.former_leader = Some(words.member());
        }
        if leader.as_ref() == Some(&self.me.name) {
            self.lease = Some(self.now.mono - Duration::from_secs(1));
        }
        self.cluster.leader = leader.map(stamped);
    }

    fn set_other(&mut self, name: &str, words: &mut Words<'_>, answers: bool) {
        let name = MemberName::new(name);
        let other = other(&name, words);
        let record = Arc::new(other.record);
        self.former.insert(name.clone(), record.clone());
        match other.gone {
            true => self.cluster.members.remove(&name),
            false => self.cluster.members.insert(name.clone(), record),
        };
        if answers {
            self.answers.insert(name, other.answer);
        }
    }

    fn set_initialize(&mut self, words: &mut Words<'_>) {
        self.cluster.initialize = match words.rest() {
            "absent" => Initialize::Absent,
            "underway" => Initialize::Underway,
            "invalid" => Initialize::Invalid("x".into()),
            "another cluster" => Initialize::Done(other_system_id()),
            "ours" => Initialize::Done(our_system_id()),
            other => panic!("initialize cannot be {other}"),
        };
    }

    fn set_request(&mut self, words: &mut Words<'_>) {
        if words.eat("none") {
            self.cluster.failover = None;
            return;
        }
        let mut request = FailoverRequest::default();
        assert!(words.eat("switchover") || words.eat("manual failover"), "switchover or manual failover?");
        while !words.is_empty() {
            if words.eat("from") {
                request.leader = Some(words.member());
            } else if words.eat("to") {
                request.candidate = Some(words.member());
            } else {
                request.scheduled_at = Some(clues::schedule(words, self.now));
            }
        }
        self.cluster.failover = Some(Stamped { stamp: Stamp::new("7"), value: request });
    }

    /// `1 at 0/300, 2 at 0/400 incomplete`
    fn set_history(&mut self, words: &mut Words<'_>) {
        if words.eat("none") {
            self.cluster.history = None;
            return;
        }
        let mut entries = Vec::new();
        words.eat("empty");
        while !words.is_empty() {
            let timeline = words.number() as u32;
            assert!(words.eat("at"), "a history entry is `1 at 0/300`");
            let lsn = words.lsn();
            let known = !words.eat("incomplete");
            let anothers = words.eat("by another");
            entries.push(HistoryEntry {
                timeline,
                lsn,
                reason: "no recovery target specified".into(),
                at: known.then(|| "2026-07-20T10:00:00+00:00".into()),
                new_leader: known
                    .then(|| if words.is_empty() && !anothers { self.me.name.clone() } else { "x".into() }),
            });
        }
        self.cluster.history = Some(stamped(entries));
    }

    fn set_lease(&mut self, words: &mut Words<'_>) {
        self.lease = match words.eat("none") {
            true => None,
            false => {
                assert!(words.eat("asked"), "a lease is `none`, or `asked 5 s ago`");
                let ago = words.seconds();
                words.eat("ago");
                Some(self.now.mono - ago)
            }
        };
    }

    /// The core's answer, or what it asks for that the scene does not tell.
    pub fn decided(mut self) -> Vec<String> {
        self.memory.lease = self.lease.map(|asked_at| HeldLease { asked_at, ttl: self.settings.ttl });
        self.memory.cluster_with_leader = self.cluster_with_leader();
        // The parameter is no news.
        for _ in 0..2 {
            self.facts.answers.live().into_iter().for_each(|live| self.memory.sync_proof.look(live));
        }
        let cluster = match &self.dark {
            Some(because) => Seen::Dark { since: self.now.mono, because: because.clone() },
            None => Seen::Fresh { at: self.now.mono, fact: Arc::new(self.cluster.clone()) },
        };
        let postgres = Arc::new(self.facts.clone());
        let mut seen = Observation { cluster, postgres, job: self.job.clone(), asked: Asked::default() };
        // Facts, then the renewal, then facts again: more rounds than that would never end.
        for _ in 0..8 {
            let view = View {
                me: &self.me,
                settings: &self.settings,
                dynamic: &self.dynamic,
                seen: &seen,
                memory: &self.memory,
                now: self.now,
            };
            match decide(&view) {
                Step::Ask(facts) => match self.answer(&facts, &mut seen.asked) {
                    Ok(()) => {}
                    Err(unanswered) => return unanswered,
                },
                Step::Do(decision) => match (&decision.verdict, self.renewal.take()) {
                    (Verdict::Renew, Some(outcome)) => self.renewed(outcome, &mut seen.asked),
                    (_, _) => return show::decision(&decision, &plan(&decision, &view)),
                },
            }
        }
        vec!["asks for ever".to_owned()]
    }

    fn cluster_with_leader(&self) -> Option<Arc<Cluster>> {
        let mut former = self.cluster.clone();
        if former.is_unlocked() {
            former.members = self.former.clone();
            former.leader = Some(stamped(self.former_leader.clone()?));
        }
        Some(Arc::new(former))
    }

    fn renewed(&mut self, outcome: WriteOutcome, asked: &mut Asked) {
        match outcome {
            WriteOutcome::Done => {
                self.memory.lease = Some(HeldLease { asked_at: self.now.mono, ttl: self.settings.ttl });
            }
            WriteOutcome::Beaten => self.memory.lease = None,
            WriteOutcome::Unclear(_) | WriteOutcome::Failed(_) => {}
        }
        asked.renewal = Some(outcome);
    }

    /// `Err`: the questions to which the scene has no answer, as text.
    pub fn answer(&self, facts: &std::collections::BTreeSet<Fact>, asked: &mut Asked) -> Result<(), Vec<String>> {
        let mut unanswered = Vec::new();
        for fact in facts {
            if !self.answer_one(fact, asked) {
                unanswered.push(format!("Ask {}", show::fact(fact)));
            }
        }
        if unanswered.is_empty() { Ok(()) } else { Err(unanswered) }
    }

    fn answer_one(&self, fact: &Fact, asked: &mut Asked) -> bool {
        match fact {
            Fact::Peers(questions) => {
                let answers = questions.iter().map(|question| {
                    let answer = self.answers.get(&question.name)?;
                    Some((question.name.clone(), answer.clone()))
                });
                asked.peers = answers.collect();
                asked.peers.is_some()
            }
            Fact::RecoveryMatch(upstream) => {
                let found = self.recovery.map(|found| match (found, upstream) {
                    (RecoveryMatch::Reload(Asks::Nobody), Upstream::Nobody) => RecoveryMatch::Same,
                    (found, _) => found,
                });
                asked.recovery_match = found.map(|found| (upstream.clone(), found));
                asked.recovery_match.is_some()
            }
            Fact::Divergence(_) => {
                asked.divergence = self.divergence.clone();
                asked.divergence.is_some()
            }
            Fact::HistoryFile(_) => {
                asked.history_file = self.history_file.clone();
                asked.history_file.is_some()
            }
            Fact::Origin(_) => {
                asked.origin = self.origin;
                asked.origin.is_some()
            }
        }
    }
}

/// `2026-07-23T12:27:10+00:00` for half a minute after the beginning.
pub fn schedule_at(now: Now, seconds: i64) -> Schedule {
    let at = Wall::from_micros(now.wall.micros() + seconds * 1_000_000);
    let of_day = at.seconds().rem_euclid(86_400);
    let text = format!("2026-07-23T{:02}:{:02}:{:02}+00:00", of_day / 3600, of_day / 60 % 60, of_day % 60);
    Schedule { text, at: Some(at) }
}
