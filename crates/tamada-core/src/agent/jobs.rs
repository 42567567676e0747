//! The long action: begun, heard of, told to stop, ended. At most one runs at a time.

use tamada_model::{Job, JobEnd, Mono, Now, ShutdownPosition, State};

use super::{Agent, Effect, JobId, RequestId};
use crate::decision::Note;
use crate::memory::Bootstrap;
use crate::plant::{Plant, is_planted};
use crate::requests;
use crate::view::JobView;

#[derive(Clone, Debug)]
pub struct Running {
    pub id: JobId,
    pub job: Job,
    pub since: Mono,
    pub state: Option<State>,
    pub shut_down: Option<ShutdownPosition>,
    /// Whoever asked for it by REST and waits for the outcome.
    pub asked_by: Option<RequestId>,
    /// It was told to stop; once is enough.
    pub cancelled: bool,
}

impl Agent {
    pub(super) fn start(&mut self, job: Job, asked_by: Option<RequestId>, now: Now, effects: &mut Vec<Effect>) {
        assert!(self.running.is_none() || is_planted(Plant::TwoJobs), "one long action at a time");
        let id = self.next_job;
        self.next_job += 1;
        if job == Job::Bootstrap {
            self.memory.bootstrap = Some(Bootstrap::Creating);
        }
        let (job_, since) = (job.clone(), now.mono);
        self.running = Some(Running { id, job: job_, since, state: None, shut_down: None, asked_by, cancelled: false });
        effects.push(Effect::Start(id, job));
    }

    pub(super) fn cancel(&mut self, effects: &mut Vec<Effect>) {
        if let Some(running) = self.running.as_mut().filter(|running| !running.cancelled) {
            running.cancelled = true;
            effects.push(Effect::Cancel(running.id));
        }
    }

    pub(super) fn job_progress(&mut self, id: JobId, state: Option<State>, shut_down: Option<ShutdownPosition>) {
        if let Some(running) = self.running.as_mut().filter(|running| running.id == id) {
            running.state = state.or(running.state);
            running.shut_down = shut_down.or(running.shut_down);
            self.again = true;
        }
    }

    pub(super) fn job_ended(&mut self, id: JobId, end: JobEnd, now: Now, effects: &mut Vec<Effect>) {
        let Some(running) = self.running.take_if(|running| running.id == id) else {
            return;
        };
        if let Some(asked_by) = running.asked_by {
            effects.push(Effect::Reply(asked_by, requests::restart_reply(&end)));
        }
        self.memory.was_running = false;
        self.again = true;
        self.overtaken = true;
        self.promoted_unseen |= self.makes_primary(&running.job);
        match &end {
            JobEnd::Failed(why) => {
                effects.push(Effect::Log(Note::error(format!("{} failed: {why}", running.job.text()))));
                self.hold_off(&running.job, now);
            }
            JobEnd::NotNow(why) => {
                effects.push(Effect::Log(Note::info(why.clone())));
                self.wait_a_second(now);
            }
            JobEnd::Done | JobEnd::StillStarting | JobEnd::Stopped(_) => self.failures = 0,
            JobEnd::PrePromoteRefused | JobEnd::Cancelled => {}
        }
        self.learn_job_end(&running.job, &end, effects);
    }

    pub(super) fn job_view(&self) -> JobView {
        match &self.running {
            None => JobView::Idle,
            Some(running) => JobView::Running {
                job: running.job.clone(),
                since: running.since,
                state: running.state,
                shut_down: running.shut_down,
            },
        }
    }
}
