//! Requests of operators, served between passes.

use tamada_model::{Now, Reply};

use super::{Agent, Effect};
use crate::memory::Rewind;
use crate::requests;

impl Agent {
    pub(super) fn serve_requests(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some((id, request)) = self.waiting.pop_front() {
            let Some(seen) = self.seen.take() else {
                effects.push(Effect::Reply(id, Reply::text(503, "not ready: the cluster has not been seen yet")));
                continue;
            };
            let busy = self.running.as_ref().map(|running| running.job.text());
            let answer = requests::serve(&self.view(&seen, now), &request, busy.as_deref());
            self.seen = Some(seen);
            match answer {
                requests::Answer::Reply(reply) => effects.push(Effect::Reply(id, reply)),
                requests::Answer::Note(reply, note) => {
                    effects.push(Effect::Log(note));
                    effects.push(Effect::Reply(id, reply));
                }
                requests::Answer::Plan(plan) => {
                    self.memory.scheduled_restart = plan;
                    self.again = true;
                    let text = if self.memory.scheduled_restart.is_some() {
                        (202, "Restart scheduled")
                    } else {
                        (200, "scheduled restart deleted")
                    };
                    effects.push(Effect::Reply(id, Reply::text(text.0, text.1)));
                }
                requests::Answer::Restart(job) => {
                    self.memory.recovering = true;
                    self.start(job, Some(id), now, effects);
                    self.again = true;
                }
                requests::Answer::Reinitialize(job) => {
                    self.memory.rewind = Rewind::Unsuspected;
                    self.start(job, None, now, effects);
                    effects.push(Effect::Reply(id, Reply::text(200, "reinitialize started")));
                    self.again = true;
                }
                requests::Answer::CancelFirst => {
                    effects.extend(self.running.as_ref().map(|running| Effect::Cancel(running.id)));
                    self.waiting.push_front((id, request));
                    return;
                }
            }
        }
    }
}
