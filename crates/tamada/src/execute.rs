//! The agent's hands: each effect becomes a task of its own whose end comes back as an event. Nothing here decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tamada_api::client::Client;
use tamada_core::{Command, DcsWrite, Effect, Event, JobId, Leave, Note, NoteLevel, RequestId, WriteOutcome};
use tamada_dcs::{Renewal, Store, Written};
use tamada_model::{FailoverRequest, Job, MemberName, Mono, Reply, Report, Role, State};
use tamada_postgres::{Callback, CancelToken, JobHand, JobProgress, Postgres, SlotPlan, WantedSlot};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::guard::Keeper;
use crate::watchdog::Watchdog;
use crate::{clock, gather};

pub struct Hands {
    pub name: MemberName,
    pub store: Arc<dyn Store>,
    pub postgres: Postgres,
    pub client: Client,
    pub events: mpsc::Sender<Event>,
    /// Told when a task ends in a panic: its event will never come, and the agent would wait for it for ever.
    pub broken: Arc<Notify>,
    pub reports: watch::Sender<Arc<Report>>,
    pub guard: Keeper,
    pub watchdog: Watchdog,
    pub running: BTreeMap<JobId, (String, CancelToken)>,
    pub replies: BTreeMap<RequestId, oneshot::Sender<Reply>>,
    /// Who led when the store was last read; for the log's `Lock owner` line.
    pub leader: Option<MemberName>,
    pub store_is_readable: bool,
    pub paused: bool,
    pub loop_wait: Duration,
    /// The explanation told last.
    pub explained: String,
    /// The last sentence and when it was said.
    pub said: Option<(String, Mono)>,
    /// The slots wanted last; worked on beside the passes.
    pub slots: watch::Sender<Option<SlotPlan>>,
}

impl Hands {
    /// `Some`: the process is to end.
    pub fn execute(&mut self, effect: Effect) -> Option<Leave> {
        match effect {
            Effect::Observe { within, leader_timeline } => {
                self.watchdog.look();
                let (store, postgres) = (self.store.clone(), self.postgres.clone());
                self.spawn(async move { gather::observe(&*store, &postgres, within, leader_timeline).await });
            }
            Effect::Gather(facts) => {
                let (postgres, client) = (self.postgres.clone(), self.client.clone());
                self.spawn(async move { gather::gather(facts, &postgres, &client).await });
            }
            Effect::Dcs { write, within } => {
                let store = self.store.clone();
                self.spawn(async move { Event::Wrote(write_to(&*store, write, within).await) });
            }
            Effect::Command(command) => self.command(command),
            Effect::Start(id, job) => self.start(id, job),
            Effect::Cancel(id) => self.cancel(id),
            Effect::Fence => self.postgres.stop_now(),
            Effect::Guard(arm) => {
                self.guard.publish(arm);
                self.watchdog.publish(arm);
            }
            Effect::Reply(id, reply) => {
                if let Some(answer) = self.replies.remove(&id) {
                    // Whoever asked may have gone meanwhile.
                    let _ = answer.send(reply);
                }
            }
            Effect::Log(note) => log(&note),
            Effect::Say(sentence) => self.say(&sentence),
            Effect::Tell(report) => {
                self.explain(&report);
                self.reports.send_replace(report);
            }
            Effect::Touch { record, within } => {
                let store = self.store.clone();
                self.spawn(async move {
                    // A record that could not be written is written by the next pass.
                    let _ = store.touch_member(&record, within).await;
                    Event::Touched
                });
            }
            Effect::Leave(how) => return Some(how),
        }
        None
    }

    fn spawn(&self, work: impl Future<Output = Event> + Send + 'static) {
        tokio::spawn(tell(self.events.clone(), self.broken.clone(), work));
    }

    /// One line per `loop_wait` in quiet times, as monitoring counts on (log-lines.md 1.5): passes are more frequent
    /// here than the original's cycles, and one that has nothing new to say does not say it again.
    fn say(&mut self, sentence: &str) {
        let now = clock::now().mono;
        let quiet = self.loop_wait.mul_f64(0.9);
        if self.said.as_ref().is_some_and(|(said, at)| said == sentence && now.since(*at) < quiet) {
            return;
        }
        self.said = Some((sentence.to_owned(), now));
        if self.store_is_readable {
            let owner = self.leader.as_ref().map_or("None", MemberName::as_str);
            tracing::info!("Lock owner: {owner}; I am {}", self.name);
        }
        let pause = if self.paused { "PAUSE: " } else { "" };
        tracing::info!("{pause}{sentence}");
    }

    /// The numbers behind a sentence, and what comes next: once, when they are new, and not for a healthy heartbeat.
    fn explain(&mut self, report: &Report) {
        let news = report.because != self.explained && report.because != report.sentence;
        if news && !report.sentence.starts_with("no action") {
            tracing::info!("Why: {}", report.because);
        }
        self.explained.clone_from(&report.because);
    }

    fn start(&mut self, id: JobId, job: Job) {
        let hand = JobHand::new(first_state(&job, self.postgres.state()));
        self.running.insert(id, (job.text(), hand.cancel.clone()));
        let ends_postgres = matches!(job, Job::Stop { .. });
        self.follow_progress(id, hand.progress.subscribe(), ends_postgres);
        let postgres = self.postgres.clone();
        self.spawn(async move { Event::JobEnded { id, end: postgres.run(job, hand).await } });
    }

    fn follow_progress(&self, id: JobId, mut progress: watch::Receiver<JobProgress>, ends_postgres: bool) {
        let (events, watchdog) = (self.events.clone(), self.watchdog.clone());
        tokio::spawn(async move {
            // Ends when the job drops its side.
            while progress.changed().await.is_ok() {
                let progress = *progress.borrow_and_update();
                if ends_postgres && !matches!(progress, JobProgress::Working(_)) {
                    watchdog.no_clients();
                }
                let event = match progress {
                    JobProgress::Working(state) => Event::JobProgress { id, state: Some(state), shut_down: None },
                    JobProgress::ShutDown(position) => {
                        Event::JobProgress { id, state: None, shut_down: Some(position) }
                    }
                    JobProgress::NoClients => continue,
                };
                if events.send(event).await.is_err() {
                    return;
                }
            }
        });
    }

    fn cancel(&mut self, id: JobId) {
        if let Some((action, token)) = self.running.get(&id) {
            tracing::warn!("Cancelling long running task {action}");
            token.cancel();
        }
    }

    pub fn job_ended(&mut self, id: JobId) {
        self.running.remove(&id);
        self.watchdog.job_ended();
    }

    fn command(&self, command: Command) {
        let postgres = self.postgres.clone();
        match command {
            Command::Repoint { upstream, role } => self.spawn(async move {
                if let Err(error) = postgres.change_upstream_by_reload(&upstream, role).await {
                    tracing::error!("could not point PostgreSQL to its new upstream: {}", error.in_words());
                }
                Event::Commanded
            }),
            Command::SetRole(role) => {
                postgres.set_role(role);
                self.spawn(async { Event::Commanded });
            }
            Command::FireRoleChange(role) => self.fire(Callback::OnRoleChange, role),
            Command::FireOnStart => self.fire(Callback::OnStart, postgres.role()),
            Command::ResumeReplay => self.spawn(async move {
                postgres.resume_replay().await;
                Event::Commanded
            }),
            Command::SyncSlots(plan) => {
                self.slots.send_replace(Some(slot_plan(plan)));
                self.spawn(async { Event::Commanded });
            }
            Command::SetSyncNames(names) => self.spawn(async move {
                if let Err(error) = postgres.set_sync_names(names).await {
                    tracing::error!("synchronous_standby_names could not be set: {}", error.in_words());
                }
                Event::Commanded
            }),
            Command::CheckpointAfterPromote => {
                self.spawn(async move {
                    let done = postgres.checkpoint_after_promote().await;
                    Event::Checkpointed(done.unwrap_or(false))
                });
                self.spawn(async { Event::Commanded });
            }
        }
    }

    fn fire(&self, callback: Callback, role: Role) {
        self.postgres.fire(callback, role);
        self.spawn(async { Event::Commanded });
    }
}

/// Does the work and tells its event, or that there will be none.
async fn tell(events: mpsc::Sender<Event>, broken: Arc<Notify>, work: impl Future<Output = Event>) {
    let watch = Watch(broken);
    let event = work.await;
    drop(watch);
    // The receiver is gone only when the process is about to end.
    let _ = events.send(event).await;
}

struct Watch(Arc<Notify>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.notify_one();
        }
    }
}

/// Makes the slots what was wanted last, one round after the other: a slow server must not hold up anything that
/// matters, and no plan is forgotten, for a standby may already wait for its slot.
pub async fn keep_slots(postgres: Postgres, mut plans: watch::Receiver<Option<SlotPlan>>) {
    while plans.changed().await.is_ok() {
        let plan = plans.borrow_and_update().clone();
        if let Some(plan) = plan
            && let Err(error) = postgres.sync_slots(plan).await
        {
            tracing::error!("Exception when changing replication slots: {}", error.in_words());
        }
    }
}

/// What a job shows before it says anything itself.
fn first_state(job: &Job, present: State) -> State {
    match job {
        Job::Bootstrap => State::InitDb,
        Job::Clone { .. } | Job::Reinitialize { .. } => State::CreatingReplica,
        Job::StartPrimary { .. } | Job::StartStandby { .. } => State::Starting,
        Job::ChangeUpstream { .. } | Job::Restart { .. } => State::Restarting,
        Job::Stop(_) => State::Stopping,
        Job::PostBootstrap
        | Job::Promote { .. }
        | Job::CrashRecovery
        | Job::Rewind { .. }
        | Job::AbandonBootstrap
        | Job::RemoveData => present,
    }
}

/// The core plans slots only for a running primary and for a standby whose leader is known: leftovers may be cleaned.
fn slot_plan(plan: tamada_core::slots::SlotPlan) -> SlotPlan {
    let wanted = plan
        .wanted
        .into_iter()
        .map(|slot| WantedSlot { name: slot.name, active_here: slot.active_here, lsn: slot.lsn, may_clean: true })
        .collect();
    SlotPlan { wanted, keep_unknown: plan.keep_unknown, ignore: plan.ignore }
}

fn log(note: &Note) {
    match note.level {
        NoteLevel::Info => tracing::info!("{}", note.text),
        NoteLevel::Warning => tracing::warn!("{}", note.text),
        NoteLevel::Error => tracing::error!("{}", note.text),
        NoteLevel::Critical => tracing::error!(critical = true, "{}", note.text),
    }
}

async fn write_to(store: &dyn Store, write: DcsWrite, within: Duration) -> WriteOutcome {
    let written = match write {
        DcsWrite::Acquire => store.acquire_leader(within).await,
        DcsWrite::Renew { status } => store.renew_leader(Renewal { status, failsafe: None }, within).await,
        DcsWrite::Take => store.take_leader(within).await,
        DcsWrite::Release { last } => store.release_leader(last, within).await,
        DcsWrite::BeginBootstrap => store.begin_bootstrap(within).await,
        DcsWrite::SetInitialize { id, over_existing } => store.set_initialize(id, over_existing, within).await,
        DcsWrite::DeleteInitialize => store.delete_initialize(within).await,
        DcsWrite::SetConfig(config) => store.set_config(&config, None, within).await,
        DcsWrite::ClearFailover(judged) => store.set_failover(&FailoverRequest::default(), Some(&judged), within).await,
        DcsWrite::SetFailover { request, judged } => store.set_failover(&request, Some(&judged), within).await,
        DcsWrite::SetSync { sync, judged } => store.set_sync(&sync, judged.as_ref(), within).await,
        DcsWrite::DeleteSync(judged) => store.delete_sync(Some(&judged), within).await,
        DcsWrite::SetHistory(history) => store.set_history(&history, within).await,
    };
    match written {
        Written::Done(_) => WriteOutcome::Done,
        Written::Beaten => WriteOutcome::Beaten,
        Written::Unclear(why) => WriteOutcome::Unclear(why),
        Written::Failed(error) => WriteOutcome::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_noticed_and_one_that_ends_is_not() {
        let (events, mut inbox) = mpsc::channel(1);
        let broken = Arc::new(Notify::new());
        tokio::spawn(tell(events.clone(), broken.clone(), async { Event::Commanded }));
        assert_eq!(inbox.recv().await, Some(Event::Commanded));
        tokio::spawn(tell(events, broken.clone(), async { panic!("on purpose") }));
        broken.notified().await;
        assert_eq!(inbox.recv().await, None);
    }
}
