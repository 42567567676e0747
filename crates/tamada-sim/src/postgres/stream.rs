//! Streaming: a standby connects to its upstream, is let in or refused, and gets what the upstream has flushed.
//!
//! PostgreSQL compares numbers only: timelines, and where they were left. Whether the histories behind them are the same
//! it cannot see, and neither does a standby that is let in by mistake.

use std::time::Duration;

use tamada_model::{Lsn, Role, Slot, Upstream};

use super::node::{Link, Phase, Receiving};
use super::{Fleet, Net, News, Serial, What};
use crate::Host;
use crate::wal::{BranchId, Point, segment_start};

/// How an upstream answers a standby.
enum Admission {
    Welcome,
    Refused(&'static str),
    /// Let in, though it has another history.
    Mistaken,
}

/// Said of a standby that is broken from then on.
const MISTAKEN: &str = "it streamed another history under the number of its own";

/// TCP tries again after this, then after twice as long, and so on.
const FIRST_RESEND: Duration = Duration::from_millis(200);
const LAST_RESEND: Duration = Duration::from_secs(2);

impl Fleet {
    /// From now on it tries to stream; first after a moment, or when its interval has passed.
    pub(super) fn seek(&mut self, host: Host, pause: Duration) {
        let moment = self.takes(host, 2, 20);
        let node = self.node_mut(host);
        node.serial += 1;
        let serial = node.serial;
        let wanted = node.files().is_some_and(|files| files.upstream.is_some());
        let Some(recovery) = node.recovery_mut() else { return };
        recovery.receiving = if wanted { Receiving::Waiting(serial) } else { Receiving::Off };
        if wanted {
            self.later(host, pause + moment, What::Connect(serial));
        }
    }

    /// A failed attempt is followed by the next one an interval after it began.
    fn seek_again(&mut self, host: Host) {
        let retry = self.traits.retry;
        let tried = self.node(host).recovery().and_then(|recovery| recovery.tried);
        let pause = tried.map_or(Duration::ZERO, |tried| retry.saturating_sub(self.now.since(tried)));
        self.seek(host, pause);
    }

    fn waits(&self, host: Host, serial: Serial) -> bool {
        let node = self.node(host);
        let running = node.server.as_ref().is_some_and(|server| server.phase == Phase::Running);
        running
            && node.recovery().is_some_and(|recovery| match recovery.receiving {
                Receiving::Waiting(waiting) => waiting == serial,
                Receiving::Off | Receiving::Streaming(_) => false,
            })
    }

    pub(super) fn connect(&mut self, host: Host, serial: Serial, net: &mut dyn Net) {
        if !self.waits(host, serial) {
            return;
        }
        let now = self.now;
        let node = self.node_mut(host);
        let upstream = node.files().and_then(|files| files.upstream).filter(|upstream| *upstream != host);
        if let Some(recovery) = node.recovery_mut() {
            recovery.tried = Some(now);
        }
        let Some(upstream) = upstream else { return self.seek(host, self.traits.retry) };
        match net.delay(host, upstream).zip(net.delay(upstream, host)) {
            Some((there, back)) => {
                let moment = self.takes(host, 1, 5);
                self.later(host, there + back + moment, What::Accept(serial, upstream));
            }
            None => self.refused(host, "the upstream cannot be reached"),
        }
    }

    fn refused(&mut self, host: Host, why: &'static str) {
        let Some(recovery) = self.node_mut(host).recovery_mut() else { return };
        if recovery.refused != Some(why) {
            recovery.refused = Some(why);
            self.note(host, format!("cannot stream: {why}"));
        }
        self.seek(host, self.traits.retry);
    }

    pub(super) fn accept(&mut self, host: Host, serial: Serial, upstream: Host, net: &mut dyn Net) {
        if !self.waits(host, serial) {
            return;
        }
        self.learn_timelines(host, upstream);
        self.move_to_twin(host, upstream);
        match self.admission(host, upstream) {
            Admission::Refused(why) => self.refused(host, why),
            Admission::Mistaken => {
                if self.node(host).recovery().is_some_and(|recovery| recovery.refused != Some(MISTAKEN)) {
                    self.tell(News::Mixed { host, upstream });
                }
                self.refused(host, MISTAKEN);
            }
            Admission::Welcome => self.stream(host, serial, upstream, net),
        }
    }

    fn move_to_twin(&mut self, host: Host, upstream: Host) {
        let points = self.node(host).point().zip(self.node(upstream).point());
        if let Some(twin) = points.and_then(|(own, theirs)| self.wal.twin(own, theirs))
            && let Some(files) = self.node_mut(host).files_mut()
        {
            files.end = twin;
        }
    }

    /// The history files of the upstream's timelines are fetched, whether or not they help; not those whose names are
    /// here already.
    fn learn_timelines(&mut self, host: Host, upstream: Host) {
        if !self.node(upstream).answers() {
            return;
        }
        let Some(files) = self.node(upstream).files() else { return };
        let theirs = files.end.0;
        self.learn_timeline(host, theirs);
    }

    pub(super) fn learn_timeline(&mut self, host: Host, branch: BranchId) {
        let timeline = self.wal.timeline(branch);
        let is_new = self.node(host).files().is_some_and(|files| self.wal.timeline(files.newest) < timeline);
        if let Some(files) = self.node_mut(host).files_mut().filter(|_| is_new) {
            files.newest = branch;
        }
    }

    fn admission(&self, host: Host, upstream: Host) -> Admission {
        let (standby, up) = (self.node(host), self.node(upstream));
        if !up.answers() {
            return Admission::Refused("the upstream does not run, or lets nobody in");
        }
        let (Some(own), Some(files), Some(theirs)) = (standby.files(), up.files(), up.point()) else {
            return Admission::Refused("the upstream has no data");
        };
        if own.system_id != files.system_id {
            return Admission::Refused("the upstream belongs to another cluster");
        }
        if self.traits.use_slots && !files.slots.contains_key(host.name()) {
            return Admission::Refused("its replication slot does not exist");
        }
        if own.end.1 < files.wal_from {
            return Admission::Refused("requested WAL segment has already been removed");
        }
        self.compare(own.end, theirs)
    }

    /// Whatever any agent does short of a new copy: the WAL it needs is gone, or it knows a later timeline and stays with
    /// that, or it has begun to mix two histories.
    pub fn never_streams(&self, host: Host, upstream: Host) -> bool {
        let mixes = self.node(host).recovery().is_some_and(|recovery| recovery.refused == Some(MISTAKEN));
        let (Some(own), Some(theirs)) = (self.node(host).files(), self.node(upstream).files()) else { return false };
        mixes || own.end.1 < theirs.wal_from || self.wal.timeline(own.newest) > self.wal.timeline(theirs.end.0)
    }

    /// It has a history file of another timeline of a number that the upstream has been on, and its next start would go
    /// on to that one.
    pub fn heads_elsewhere(&self, host: Host, upstream: Host) -> bool {
        let (Some(own), Some(theirs)) = (self.node(host).files(), self.node(upstream).files()) else { return false };
        let Ok(local) = self.local_position(host) else { return false };
        let heads_for = self.heads_for(own, local.timeline, local.lsn);
        let namesake = self.wal.on_timeline(self.wal.timeline(heads_for), theirs.end);
        namesake.is_some_and(|(branch, _)| self.wal.history(branch) != self.wal.history(heads_for))
    }

    /// By numbers, as PostgreSQL does it.
    fn compare(&self, own: Point, theirs: Point) -> Admission {
        let timeline = self.wal.timeline(own.0);
        if self.wal.timeline(theirs.0) < timeline {
            return Admission::Refused("the upstream's timeline is behind");
        }
        let Some((branch, left)) = self.wal.on_timeline(timeline, theirs) else {
            return Admission::Refused("its timeline is not in the upstream's history");
        };
        let current = self.wal.timeline(theirs.0) == timeline;
        let reached = if current { segment_start(own.1) <= left } else { own.1 <= left };
        let same = branch == own.0 || self.wal.is_ancestor(own, theirs);
        match (reached, same) {
            (true, true) => Admission::Welcome,
            (true, false) => Admission::Mistaken,
            (false, _) if current => Admission::Refused("it is ahead of the upstream"),
            (false, _) => Admission::Refused("the upstream's timeline was left before its own position"),
        }
    }

    fn stream(&mut self, host: Host, serial: Serial, upstream: Host, net: &mut dyn Net) {
        let up = self.node(upstream);
        let (life, latest_end, now) = (up.life, up.point().map_or(Lsn::ZERO, |(_, end)| end), self.now);
        let node = self.node_mut(host);
        let end = node.point().map_or(Lsn::ZERO, |(_, end)| end);
        let Some(recovery) = node.recovery_mut() else { return };
        recovery.refused = None;
        recovery.received.get_or_insert(segment_start(end));
        recovery.receiving = Receiving::Streaming(Link {
            serial,
            upstream,
            life,
            in_flight: None,
            stalled: None,
            heard: now,
            confirmed: None,
            latest_end,
        });
        if let Some(server) = &mut self.node_mut(upstream).server {
            server.ghosts.remove(&host);
        }
        self.use_slot(upstream, host, true);
        self.later(host, self.traits.silence / 2, What::Keepalive(serial));
        self.report(host, net);
        self.send(host, net);
    }

    fn use_slot(&mut self, upstream: Host, standby: Host, active: bool) {
        let slot = self.node_mut(upstream).files_mut().and_then(|files| files.slots.get_mut(standby.name()));
        if let Some(slot) = slot {
            slot.active = active;
        }
    }

    /// What is new here goes to all who stream from here.
    pub(super) fn feed(&mut self, host: Host, net: &mut dyn Net) {
        for standby in self.hosts() {
            if self.sender(host, standby).is_some() {
                self.send(standby, net);
            }
        }
    }

    /// Sends a standby all that its upstream has, unless something is on its way already.
    fn send(&mut self, standby: Host, net: &mut dyn Net) {
        let Some(link) = self.node(standby).link() else { return };
        if link.in_flight.is_some() || link.stalled.is_some() {
            return;
        }
        let (serial, upstream) = (link.serial, link.upstream);
        let Some((to, from)) = self.node(upstream).point().zip(self.node(standby).point()) else { return };
        if self.wal.is_ancestor(to, from) {
            return;
        }
        if !self.wal.is_ancestor(from, to) {
            // The upstream went another way; the standby has to ask anew, and hears so.
            return self.later(standby, Duration::from_millis(1), What::Lost(serial));
        }
        match net.delay(upstream, standby) {
            Some(delay) => {
                let moment = self.now + delay;
                if let Some(link) = self.node_mut(standby).link_mut(serial) {
                    link.in_flight = Some(moment);
                }
                self.at(moment, standby, What::Arrive(serial, to));
            }
            None => self.stall(standby, serial),
        }
    }

    fn stall(&mut self, standby: Host, serial: Serial) {
        let Some(link) = self.node_mut(standby).link_mut(serial) else { return };
        let again = link.stalled.map_or(FIRST_RESEND, |last| (last * 2).min(LAST_RESEND));
        link.stalled = Some(again);
        self.later(standby, again, What::Resend(serial));
    }

    /// Whatever did not get through, in both directions.
    pub(super) fn resend(&mut self, standby: Host, serial: Serial, net: &mut dyn Net) {
        let Some(link) = self.node(standby).link().filter(|link| link.serial == serial) else { return };
        let (upstream, gone) = (link.upstream, self.node(link.upstream).life != link.life);
        match net.delay(upstream, standby).zip(net.delay(standby, upstream)) {
            None => self.stall(standby, serial),
            Some((delay, _)) if gone => self.later(standby, delay, What::Lost(serial)),
            Some(_) => {
                if let Some(link) = self.node_mut(standby).link_mut(serial) {
                    link.stalled = None;
                }
                self.report(standby, net);
                self.send(standby, net);
            }
        }
    }

    /// WAL reaches a standby, which flushes it and says so.
    pub(super) fn arrive(&mut self, standby: Host, serial: Serial, to: Point, net: &mut dyn Net) {
        if self.node(standby).faults.disk_full {
            return self.die(standby);
        }
        let Some(link) = self.node_mut(standby).link_mut(serial) else { return };
        link.in_flight = None;
        link.latest_end = to.1;
        self.flushed(standby, to);
        if let Some(recovery) = self.node_mut(standby).recovery_mut() {
            recovery.received = Some(to.1);
        }
        self.catch_up(standby);
        self.report(standby, net);
        self.feed(standby, net);
        self.send(standby, net);
    }

    /// Tells the upstream what is flushed here.
    fn report(&mut self, standby: Host, net: &mut dyn Net) {
        let Some((link, (_, flushed))) = self.node(standby).link().zip(self.node(standby).point()) else { return };
        let (serial, upstream) = (link.serial, link.upstream);
        match net.delay(standby, upstream) {
            Some(delay) => self.later(standby, delay, What::Confirm(serial, flushed)),
            None if self.node(standby).link().is_some_and(|link| link.stalled.is_none()) => {
                self.stall(standby, serial);
            }
            None => {}
        }
    }

    pub(super) fn confirm(&mut self, standby: Host, serial: Serial, flushed: Lsn) {
        let now = self.now;
        let Some(link) = self.node_mut(standby).link_mut(serial) else { return };
        link.heard = now;
        link.confirmed = link.confirmed.max(Some(flushed));
        let upstream = link.upstream;
        if self.sender(upstream, standby).is_none() {
            return;
        }
        let slot = self.node_mut(upstream).files_mut().and_then(|files| files.slots.get_mut(standby.name()));
        if let Some(slot) = slot {
            slot.restart_lsn = slot.restart_lsn.max(Some(flushed));
        }
        self.release(upstream);
        self.check_sent(upstream);
    }

    /// Both sides ask whether the other is still there, and give up when they have heard nothing for too long.
    pub(super) fn keepalive(&mut self, standby: Host, serial: Serial, net: &mut dyn Net) {
        let Some(link) = self.node(standby).link().filter(|link| link.serial == serial) else { return };
        let (upstream, gone) = (link.upstream, self.node(link.upstream).life != link.life);
        let silent = self.now.since(link.heard) >= self.traits.silence;
        let through = net.delay(upstream, standby).and_then(|_| net.delay(standby, upstream)).is_some();
        let still = [standby, upstream].iter().any(|host| self.node(*host).faults.stands_still());
        if through && gone {
            self.lost(standby, serial);
        } else if through && !still {
            let now = self.now;
            if let Some(link) = self.node_mut(standby).link_mut(serial) {
                link.heard = now;
            }
            self.later(standby, self.traits.silence / 2, What::Keepalive(serial));
        } else if silent {
            self.note(standby, "nothing heard for too long: the connection is given up");
            self.lost(standby, serial);
        } else {
            self.later(standby, self.traits.silence / 2, What::Keepalive(serial));
        }
    }

    /// The upstream's server is gone, or has done with this timeline: its host says so, if it can still be heard.
    pub(super) fn closed(&mut self, standby: Host, serial: Serial, net: &mut dyn Net) {
        let Some(link) = self.node(standby).link().filter(|link| link.serial == serial) else { return };
        match net.delay(link.upstream, standby) {
            Some(delay) => {
                let behind_all = link.in_flight.map_or(self.now, |moment| moment + Duration::from_nanos(1));
                self.at(behind_all.max(self.now + delay), standby, What::Lost(serial));
            }
            // Otherwise it is found out when something else is sent again.
            None if link.stalled.is_none() => self.stall(standby, serial),
            None => {}
        }
    }

    /// The standby's side of a connection ends.
    pub(super) fn lost(&mut self, standby: Host, serial: Serial) {
        if self.node(standby).link().is_some_and(|link| link.serial == serial) {
            self.hang_up(standby);
            self.seek_again(standby);
        }
    }

    /// The WAL receiver ends. The upstream hears it, unless the host is gone with it.
    pub(super) fn hang_up(&mut self, standby: Host) {
        let Some(link) = self.node(standby).link() else {
            if let Some(recovery) = self.node_mut(standby).recovery_mut() {
                recovery.receiving = Receiving::Off;
            }
            return;
        };
        let upstream = link.upstream;
        let fed = self.sender(upstream, standby).is_some();
        if let Some(recovery) = self.node_mut(standby).recovery_mut() {
            recovery.receiving = Receiving::Off;
        }
        if !fed {
            return;
        }
        let (silent, until) = (self.node(standby).faults.off, self.now + self.traits.silence);
        self.use_slot(upstream, standby, false);
        if silent && let Some(server) = &mut self.node_mut(upstream).server {
            server.ghosts.insert(standby, until);
        }
        self.release(upstream);
        self.check_sent(upstream);
    }

    /// Everybody who streams from here is told that it is over.
    pub(super) fn close_standbys(&mut self, host: Host) {
        for standby in self.hosts() {
            let Some(serial) = self.sender(host, standby).map(|link| link.serial) else { continue };
            if !self.node(host).faults.off {
                self.later(standby, Duration::ZERO, What::Closed(serial));
            }
        }
    }

    // Replay.

    /// Replay follows what is flushed, at once or with the lag it has.
    pub(super) fn catch_up(&mut self, host: Host) {
        let node = self.node_mut(host);
        let (life, lag, end) = (node.life, node.faults.replay_lag, node.point().map(|(_, end)| end));
        let Some((recovery, end)) = node.recovery_mut().zip(end) else { return };
        if recovery.paused || recovery.replaying || recovery.replayed == end {
            return;
        }
        if lag.is_zero() {
            return self.replay_to_end(host);
        }
        recovery.replaying = true;
        self.later(host, lag, What::Replay(life));
    }

    pub(super) fn replay(&mut self, host: Host) {
        if let Some(recovery) = self.node_mut(host).recovery_mut() {
            recovery.replaying = false;
            if !recovery.paused {
                self.replay_to_end(host);
            }
        }
    }

    fn replay_to_end(&mut self, host: Host) {
        let now = self.now;
        let node = self.node_mut(host);
        let end = node.point().map(|(_, end)| end);
        if let Some((recovery, end)) = node.recovery_mut().zip(end) {
            recovery.replayed = end;
            recovery.replayed_at = Some(now);
        }
    }

    pub(super) fn resume_replay(&mut self, host: Host) {
        if !self.node(host).answers() {
            return;
        }
        if let Some(recovery) = self.node_mut(host).recovery_mut() {
            recovery.paused = false;
            self.catch_up(host);
        }
    }

    // What the agent changes.

    /// The recovery configuration is rewritten and reloaded.
    pub(super) fn repoint(&mut self, host: Host, upstream: &Upstream, role: Role) {
        self.write_recovery(host, upstream);
        let node = self.node_mut(host);
        node.notes.role = role;
        node.notes.callback_called = true;
        let running = node.server.as_ref().is_some_and(|server| server.phase == Phase::Running);
        if running && node.recovery().is_some() {
            self.hang_up(host);
            self.seek(host, Duration::ZERO);
        }
    }

    pub(super) fn write_recovery(&mut self, host: Host, upstream: &Upstream) {
        let upstream = self.host_of(upstream);
        if let Some(files) = self.node_mut(host).files_mut() {
            files.signal = true;
            files.upstream = upstream;
        }
    }

    /// Makes the slots as planned, as far as the server does it.
    pub(super) fn sync_slots(&mut self, host: Host, plan: &tamada_core::slots::SlotPlan) {
        if !self.node(host).answers() {
            return;
        }
        let Some(files) = self.node_mut(host).files_mut() else { return };
        let (end, oldest) = (files.end.1, files.wal_from);
        let wanted = |name: &String| plan.wanted.iter().any(|wanted| wanted.name == *name);
        let lost = |slot: &Slot| slot.wal_status.as_deref() == Some("lost");
        let of_use = |name: &String, slot: &Slot| plan.keep_unknown || (wanted(name) && !lost(slot));
        files.slots.retain(|name, slot| of_use(name, slot) || slot.active);
        for wanted in &plan.wanted {
            let new = || Slot {
                name: wanted.name.clone(),
                restart_lsn: Some(segment_start(end).max(oldest)),
                wal_status: Some("reserved".to_owned()),
                ..Slot::default()
            };
            let slot = files.slots.entry(wanted.name.clone()).or_insert_with(new);
            let known = wanted.lsn.filter(|known| !slot.active && !wanted.active_here && *known <= end);
            slot.restart_lsn = slot.restart_lsn.max(known);
        }
    }
}
