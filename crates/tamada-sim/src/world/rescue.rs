//! The operator who is called when the faults are over and the cluster cannot be whole by itself.
//!
//! Some things no agent may decide: to lose more than the settings allow, to lead in spite of a tag, to throw away data
//! that cannot be rewound. A person may. So that nothing else hides behind this, the person comes only if it is true, by
//! what everybody really has, and if a member says what is wanted; does the least that helps; and then the cluster has
//! to heal within its bound like any other.

use std::time::Duration;

use tamada_model::{Lsn, MemberName};
use tamada_wire::keys::{HISTORY, INITIALIZE, parse_history};

use super::World;
use crate::fault::{Fault, LostKey, Operation, Switch};
use crate::script::Synchronous;
use crate::{Host, Moment};

/// What keeps the cluster from being whole, and no agent may mend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plight {
    /// Everybody who may lead is too far behind, and this one, who has the most, may not: it has the tag.
    Tagged(Host),
    /// Everybody who may lead is further behind than the settings allow; this one least.
    Behind(Host),
    /// The cluster's identity is gone from the store, and everybody with data is a standby whose agent has forgotten it;
    /// this one has the most.
    Nameless(Host),
    /// The end of the pause got lost with the configuration.
    StillPaused,
    /// Nobody else has any data, and this one's was not the last leader's.
    Alone(Host),
    /// Somebody leads another cluster: identity and all were gone from the store, and a new one was made.
    Foreign(Host),
    /// Somebody leads whom this one will never follow with the data that it has.
    NeedsCopy(Host),
}

/// Who looks, and what they have seen.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    sees: Option<(Plight, Moment)>,
    /// How often help was needed.
    pub acts: u64,
}

impl World {
    /// Once a second; helps when everything is to be well.
    pub(super) fn look_after(&mut self) {
        if self.now < Moment::new(self.script.faults_end) {
            return;
        }
        let plight = self.plight();
        match (plight, self.operator.sees) {
            (Some(plight), Some((seen, since))) if plight == seen => {
                let for_long = self.now.since(since) >= self.patience();
                if for_long && self.operator.acts < self.most_acts() && self.is_told(plight) {
                    self.help(plight);
                }
            }
            (Some(plight), _) => self.operator.sees = Some((plight, self.now)),
            (None, _) => self.operator.sees = None,
        }
    }

    pub(crate) fn plight(&self) -> Option<Plight> {
        if self.is_still_paused() {
            return Some(Plight::StillPaused);
        }
        match self.store.leader() {
            None => self.nobody_may_lead(),
            Some((leader, _)) => {
                let leader = self.host(leader.as_str()).filter(|leader| self.fleet.is_writable(*leader))?;
                let mut others = self.hosts().filter(|host| *host != leader && self.fleet.data(*host).is_some());
                others.find_map(|host| self.is_hopeless(host, leader))
            }
        }
    }

    fn nobody_may_lead(&self) -> Option<Plight> {
        let with_data: Vec<Host> = self.hosts().filter(|host| self.fleet.is_whole(*host)).collect();
        let rank = |host: &Host| (!self.is_beside(*host), self.has_enough(*host), self.timeline_and_end(*host));
        let best = with_data.iter().copied().max_by_key(rank)?;
        if self.store.raw(INITIALIZE).is_none() && !with_data.iter().any(|host| self.will_name_it(*host)) {
            return Some(Plight::Nameless(best));
        }
        if with_data == [best] && !self.is_tagged(best) {
            return Some(Plight::Alone(best));
        }
        if with_data.iter().any(|host| self.may_lead(*host)) {
            return None;
        }
        Some(if self.is_tagged(best) { Plight::Tagged(best) } else { Plight::Behind(best) })
    }

    /// A leader that had not read it yet has written back what it knew.
    fn is_still_paused(&self) -> bool {
        let lost = |fault: &Fault| *fault == Fault::StoreLoses(LostKey::Config);
        self.is_paused() && self.script.faults.iter().any(|planned| lost(&planned.fault))
    }

    fn may_lead(&self, host: Host) -> bool {
        !self.is_tagged(host) && self.has_enough(host) && !self.is_of_no_use(host) && self.is_electable(host)
    }

    /// Where commits wait for standbys: it is one, or as many of these are left as it takes to know that it lacks nothing.
    fn is_electable(&self, host: Host) -> bool {
        let Some(sync) = self.sync_key() else { return true };
        let includes = |host: &Host| {
            let name = MemberName::new(host.name());
            sync.lists(&name) || sync.leader.as_ref() == Some(&name)
        };
        match self.script.synchronous {
            Synchronous::Off => true,
            Synchronous::On { .. } => includes(&host),
            Synchronous::Quorum { .. } => {
                let end = |host| self.fleet.data(host).map(|(_, end)| end);
                let not_ahead = |other: &Host| self.fleet.is_whole(*other) && end(*other) <= end(host);
                let votes = self.hosts().filter(|other| *other != host && includes(other) && not_ahead(other));
                let led = sync.leader.as_ref().is_some_and(|leader| leader.as_str() == host.name());
                led || votes.count() >= sync.quorum as usize + usize::from(!includes(&host))
            }
        }
    }

    /// Its agent has read the cluster's identity before, and writes it down as soon as it leads; or at once, if the data is
    /// a primary's or does not run.
    fn will_name_it(&self, host: Host) -> bool {
        let is_standby = self.fleet.is_running(host) && !self.fleet.is_primary(host);
        self.members[host.0].agent().is_some() && (self.may_lead(host) || !is_standby)
    }

    fn timeline_and_end(&self, host: Host) -> Option<(u32, Lsn)> {
        let (branch, end) = self.fleet.data(host)?;
        Some((self.fleet.wal().timeline(branch).number(), end))
    }

    /// What was published, but for the lag that is allowed, and on the last leader's timeline if that is to be checked.
    fn has_enough(&self, host: Host) -> bool {
        let Some((branch, end)) = self.fleet.data(host) else { return false };
        let (wal, published) = (self.fleet.wal(), self.published());
        let history = parse_history(self.store.raw(HISTORY).unwrap_or_default().as_bytes()).unwrap_or_default();
        let last = history.last().map_or(1, |entry| entry.timeline + 1);
        let (shared, on_it) = match self.led_on() {
            Some(led_on) => {
                (wal.fork((led_on, published), (branch, end)).1, wal.limit(led_on, (branch, end)).is_some())
            }
            None => (end, true),
        };
        let reaches = published <= Lsn::new(shared.bytes().saturating_add(self.script.maximum_lag));
        let is_in_time = on_it && wal.timeline(branch).number() >= last;
        reaches && (is_in_time || !self.script.check_timeline)
    }

    /// It has found that another member was promoted to a timeline of a number that it came through, and there was one.
    fn is_of_no_use(&self, host: Host) -> bool {
        let wal = self.fleet.wal();
        let Some(own) = self.fleet.data(host) else { return false };
        let alike = |timeline| wal.branches().iter().filter(move |branch| branch.timeline == timeline);
        let has_namesakes = wal.path(own).any(|(branch, _)| alike(wal.timeline(branch)).nth(1).is_some());
        has_namesakes && self.says(host, "name it in a manual failover")
    }

    /// It has been on another timeline of a number that the last leader was on.
    fn is_beside(&self, host: Host) -> bool {
        let wal = self.fleet.wal();
        let leaders = self.led_on().map(|branch| (branch, wal.branch(branch).end));
        let both = self.fleet.data(host).zip(leaders);
        both.is_some_and(|(own, leaders)| wal.were_namesakes(own, leaders))
    }

    fn says(&self, host: Host, words: &str) -> bool {
        self.members[host.0].report.as_ref().is_some_and(|report| report.because.contains(words))
    }

    /// It has left the leader's history or is about to, and no rewind helps; or it lacks WAL that the leader has no more, or
    /// is a mixture.
    fn is_hopeless(&self, host: Host, leader: Host) -> Option<Plight> {
        if self.fleet.system_id(host) != self.fleet.system_id(leader) {
            return Some(Plight::Foreign(host));
        }
        let (here, there) = self.fleet.data(host).zip(self.fleet.data(leader))?;
        let astray = !self.fleet.wal().is_ancestor(here, there) && !self.fleet.will_be_rewound(host, leader);
        let never = self.fleet.never_streams(host, leader) || self.fleet.heads_elsewhere(host, leader);
        let needs_copy = astray || !self.fleet.is_whole(host) || never;
        needs_copy.then_some(Plight::NeedsCopy(host))
    }

    /// By the member whom it is about, or, where that is PostgreSQL's alone to know, by its log.
    fn is_told(&self, plight: Plight) -> bool {
        let says = |host, words| self.says(host, words);
        match plight {
            Plight::StillPaused => self.hosts().any(|host| says(host, "paused")),
            // They refuse to run, and say so in their logs. Who has the most need not be among them: it may have a tag.
            Plight::Nameless(_) => self.hosts().any(|host| self.members[host.0].agent().is_none()),
            Plight::Foreign(host) => self.members[host.0].agent().is_none(),
            Plight::Tagged(host) => says(host, "forbids this member to lead"),
            Plight::Behind(host) | Plight::Alone(host) => says(host, "manual failover"),
            Plight::NeedsCopy(host) => {
                let leader = self.store.leader().and_then(|(leader, _)| self.host(leader.as_str()));
                let logged = leader.is_some_and(|leader| self.fleet.never_streams(host, leader));
                logged || says(host, "reinitialize this member")
            }
        }
    }

    /// What each member says about itself.
    pub(super) fn note_why(&mut self) {
        for member in &self.members {
            let because = member.report.as_ref().map_or("nobody", |report| &report.because);
            self.diary.note(self.now, Some(member.host), || format!("why: {because}"));
        }
    }

    fn help(&mut self, plight: Plight) {
        self.note_why();
        self.diary.note(self.now, None, || format!("THE OPERATOR: {plight:?}"));
        self.operator.sees = None;
        self.operator.acts += 1;
        self.ends = self.ends.max(self.now + self.script.heals_within);
        let number = 1000 + self.operator.acts as usize;
        match plight {
            Plight::StillPaused => self.resume_cluster(),
            Plight::Nameless(host) => {
                let id = self.fleet.system_id(host).map(|id| id.to_string()).unwrap_or_default();
                self.store.put_raw(INITIALIZE, &id, self.now);
                self.store_changed();
            }
            Plight::Foreign(host) => self.with_fleet(|fleet, now, _| fleet.wipe_data(host, now)),
            Plight::Tagged(host) => {
                self.script.nofailover.retain(|tagged| *tagged != host);
                self.operator(number, Operation::Tag { host, nofailover: Switch::Off });
            }
            Plight::Behind(host) | Plight::Alone(host) => self.operator(number, Operation::Failover { to: host }),
            Plight::NeedsCopy(host) => self.operator(number, Operation::Reinitialize(host)),
        }
    }

    /// Somebody to lead, with and without a tag, and a copy for everybody else, twice if the first one failed.
    fn most_acts(&self) -> u64 {
        2 + 2 * self.script.members as u64
    }

    /// Whatever the agents can do they have begun by then, and most of it is done.
    fn patience(&self) -> Duration {
        let times = self.script.settings;
        Duration::from_secs_f64(2.0 * (times.ttl + times.loop_wait) + 30.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diary::Diary;
    use crate::fault::{Planned, When};
    use crate::member::Runs;
    use crate::plant::Plants;
    use crate::script::{Script, Times};

    const A: Host = Host(0);
    const B: Host = Host(1);
    const C: Host = Host(2);

    /// `a` leads, `b` and `c` follow, and the faults are over.
    fn whole() -> World {
        let script = Script { faults_end: Duration::from_secs(30), ..Script::calm(1, Times::QUICK) };
        let mut world = World::new(script, Plants::none(), Diary::Closed);
        world.passes(Duration::from_secs(60));
        assert_eq!(world.plight(), None);
        world
    }

    impl World {
        /// PostgreSQL alone goes on.
        fn stand_still(&mut self) {
            for member in &mut self.members {
                member.agent_runs = Runs::Still;
                member.guard.lives = false;
            }
        }
    }

    fn without_leader() -> World {
        let mut world = whole();
        world.store.delete_raw("leader", world.now);
        world
    }

    #[test]
    fn as_long_as_somebody_may_lead_nobody_helps() {
        let mut world = without_leader();
        assert_eq!(world.plight(), None);
        world.script.nofailover = vec![A, B];
        assert_eq!(world.plight(), None, "c may");
    }

    #[test]
    fn where_the_best_has_the_tag_and_the_others_are_too_far_behind_the_tag_goes() {
        let mut world = without_leader();
        world.script.nofailover = vec![A, B, C];
        let plight = world.plight().expect("nobody may lead");
        assert!(matches!(plight, Plight::Tagged(_)), "{plight:?}");
        world.help(plight);
        assert_eq!(world.script.nofailover.len(), 2);
    }

    #[test]
    fn who_is_further_behind_than_the_settings_allow_leads_if_an_operator_wants_it() {
        let mut world = without_leader();
        world.store.put_raw("status", r#"{"optime": 99999999999}"#, world.now);
        let plight = world.plight().expect("nobody may lead");
        assert!(matches!(plight, Plight::Behind(_)), "{plight:?}");
        assert!(!world.is_told(plight), "nobody has said so yet");
        world.help(plight);
        assert!(world.store.raw("failover").is_some());
    }

    #[test]
    fn of_no_use_is_who_says_so_and_came_through_a_timeline_of_which_there_are_two() {
        let mut world = whole();
        world.stand_still();
        for member in &mut world.members {
            let mut report = (**member.report.as_ref().expect("it has told")).clone();
            report.because = "reinitialize this member, or name it in a manual failover".to_owned();
            member.report = Some(report.into());
        }
        world.store.delete_raw("leader", world.now);
        assert_eq!(world.plight(), None, "they say so, and it is not true");
        for host in [B, C] {
            world.with_fleet(|fleet, now, _| fleet.promote_by_hand(host, now));
            world.passes(Duration::from_secs(10));
        }
        world.with_fleet(|fleet, now, _| fleet.kill_postmaster(A, now));
        assert!(!world.is_of_no_use(A));
        assert!(world.is_of_no_use(B) && world.is_of_no_use(C));
    }

    #[test]
    fn a_pause_whose_end_got_lost_is_ended_whoever_leads() {
        let mut world = whole();
        world.members[B.0].setup.settings.pause = true;
        assert_eq!(world.plight(), None, "nobody has deleted anything");
        let lost = Fault::StoreLoses(LostKey::Config);
        world.script.faults.push(Planned { at: Duration::ZERO, when: When::Then, lasts: Duration::ZERO, fault: lost });
        assert_eq!(world.plight(), Some(Plight::StillPaused));
        world.help(Plight::StillPaused);
        assert!(world.store.raw("config").is_some_and(|config| config.contains(r#""pause":false"#)));
    }

    #[test]
    fn whose_timeline_is_not_the_last_leaders_is_not_the_one_to_lead() {
        let mut world = whole();
        world.script.nofailover = vec![A, B, C];
        world.stand_still();
        let leader = world.hosts().find(|host| world.fleet.is_writable(*host)).expect("it is whole");
        let others: Vec<Host> = world.hosts().filter(|host| *host != leader).collect();
        for host in &others {
            world.with_fleet(|fleet, now, _| fleet.promote_by_hand(*host, now));
            world.passes(Duration::from_secs(10));
        }
        world.gives_the_lock_to(others[0]);
        world.store.delete_raw("leader", world.now);
        assert_eq!(world.plight(), Some(Plight::Tagged(others[0])));
    }

    #[test]
    fn whose_data_has_left_the_leaders_history_needs_a_copy() {
        let mut world = whole();
        world.stand_still();
        world.with_fleet(|fleet, now, _| fleet.promote_by_hand(B, now));
        world.passes(Duration::from_secs(10));
        world.gives_the_lock_to(A);
        assert!(world.fleet.is_writable(A) && world.fleet.is_writable(B));
        assert_eq!(world.plight(), Some(Plight::NeedsCopy(B)));
    }
}
