//! Requests of operators, served between passes, and never on a view older than the request: data is not removed for a
//! copy from a leader that may be gone.

use tamada_model::{Job, Now, Reply};

use super::{Agent, Effect, Waiting};
use crate::memory::{Mark, Rewind};
use crate::requests;

impl Agent {
    /// 1. A restart is asked for while a rewind is under way.
    /// 2. The rewind ends; what was seen last is the standby that ran before it.
    /// 3. We restart "it": what the rewind left has no standby.signal, and starts as a second primary on the leader's
    ///    timeline.
    ///
    /// Therefore nothing is served on a look that the end of a job has overtaken.
    pub(super) fn serve_requests(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.overtaken {
            return;
        }
        while let Some(waiting) = self.waiting.pop_front() {
            let Some(seen) = self.seen.take_if(|_| waiting.seen) else {
                return self.waiting.push_front(waiting);
            };
            let busy = self.running.as_ref().map(|running| running.job.text());
            let answer = requests::serve(&self.view(&seen, now), &waiting.request, busy.as_deref());
            self.seen = Some(seen);
            let id = waiting.id;
            match answer {
                requests::Answer::Reply(reply) => effects.push(Effect::Reply(id, reply)),
                requests::Answer::Note(reply, note) => {
                    effects.push(Effect::Log(note));
                    effects.push(Effect::Reply(id, reply));
                }
                requests::Answer::Plan(plan) => {
                    let (status, text) = match &plan {
                        Some(_) => (202, "Restart scheduled"),
                        None => (200, "scheduled restart deleted"),
                    };
                    self.memory.scheduled_restart = plan;
                    self.again = true;
                    effects.push(Effect::Reply(id, Reply::text(status, text)));
                }
                requests::Answer::Restart(job) => self.restart(id, job, now, effects),
                requests::Answer::Reinitialize(job) => {
                    self.memory.rewind = Rewind::Unsuspected;
                    self.start(job, None, now, effects);
                    effects.push(Effect::Reply(id, Reply::text(200, "reinitialize started")));
                    self.again = true;
                }
                requests::Answer::CancelFirst => {
                    self.cancel(effects);
                    let pressing = self.running.is_some();
                    return self.waiting.push_front(Waiting { pressing, ..waiting });
                }
            }
        }
    }

    /// A request for which something was cancelled goes before what we would begin ourselves. Whether it began.
    pub(super) fn serve_pressing(&mut self, now: Now, effects: &mut Vec<Effect>) -> bool {
        let idle = self.running.is_none();
        let Some(waiting) = self.waiting.front_mut().filter(|waiting| idle && waiting.pressing) else {
            return false;
        };
        waiting.pressing = false;
        self.serve_requests(now, effects);
        self.running.is_some()
    }

    /// 19.2
    fn restart(&mut self, id: super::RequestId, job: Job, now: Now, effects: &mut Vec<Effect>) {
        if let Job::Restart { timeout } = &job {
            self.memory.apply(&Mark::StartTimeout(*timeout), now);
        }
        self.memory.apply(&Mark::Recovering, now);
        self.start(job, Some(id), now, effects);
        self.again = true;
    }
}
