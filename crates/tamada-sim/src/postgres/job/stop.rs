//! Stopping the server, harder and harder.

use std::time::Duration;

use tamada_model::{CheckpointFirst, JobEnd, ShutdownPosition, State, Stop, StopMode};

use super::{Doing, Tell, Turn};
use crate::Host;
use crate::postgres::Fleet;

/// How long a postmaster that is to quit at once may take before it is killed.
const QUIT: Duration = Duration::from_secs(1);

impl Fleet {
    pub(super) fn stop(&mut self, host: Host, stop: Stop, tell: Tell) -> Turn {
        let node = self.node(host);
        if node.server.is_none() {
            self.stopped(host, &stop, tell, false);
            return Turn::Next;
        }
        if stop.checkpoint == CheckpointFirst::Yes && node.notes.state == State::Running && node.answers() {
            let takes = self.takes(host, 20, 500);
            let takes = stop.timeout.map_or(takes, |limit| takes.min(limit));
            return self.works(host, takes, Doing::Checkpointing(stop, tell));
        }
        self.signal_stop(host, stop, tell)
    }

    pub(super) fn signal_stop(&mut self, host: Host, stop: Stop, tell: Tell) -> Turn {
        if tell == Tell::Yes {
            self.enter(host, State::Stopping);
        }
        let limit = match stop.mode {
            StopMode::Fast => stop.timeout,
            StopMode::Immediate => Some(stop.timeout.unwrap_or(QUIT)),
        };
        let mode = stop.mode;
        self.waits_for(host, Doing::Stopping { stop, tell, quit: mode == StopMode::Immediate }, limit);
        match mode {
            StopMode::Fast => self.stop_fast(host),
            StopMode::Immediate => self.quit(host),
        }
        Turn::Waits
    }

    /// It has not ended in time.
    pub(super) fn stop_harder(&mut self, host: Host, stop: Stop, tell: Tell, quit: bool) {
        if quit {
            return self.kill(host);
        }
        let again = stop.timeout.unwrap_or_default();
        self.waits_for(host, Doing::Stopping { stop, tell, quit: true }, Some(again));
        self.quit(host);
    }

    /// pg_control says "shut down", the postmaster still lives.
    pub(super) fn shutdown_told(&mut self, host: Host, stop: &Stop, position: ShutdownPosition) {
        if !stop.report_shutdown || stop.mode == StopMode::Immediate {
            return;
        }
        if let Some(work) = &mut self.node_mut(host).work {
            work.told = Some(position);
        }
        self.show(host, None, Some(position));
    }

    /// The server is gone; `ran`: it was there when we came.
    pub(super) fn stopped(&mut self, host: Host, stop: &Stop, tell: Tell, ran: bool) {
        let told = self.node(host).work.as_ref().and_then(|work| work.told);
        let asked = stop.mode == StopMode::Fast && tell == Tell::Yes;
        let position = told.or_else(|| self.shutdown_position(host).filter(|_| asked));
        if asked {
            let control = self.node(host).files().map(|files| files.control);
            self.node_mut(host).notes.control = control;
        }
        if self.node(host).notes.state != State::Restarting {
            self.enter(host, State::Stopped);
        }
        if ran && tell == Tell::Yes {
            self.node_mut(host).notes.fire();
        }
        if let Some(work) = self.node_mut(host).work.as_mut().filter(|work| work.is_stop) {
            work.end = JobEnd::Stopped(position);
        }
    }
}
