//! The listener's end of a connection: questions that are worked on, side by side.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::dial::Pipe;
use super::frame::{Heard, Inbox, Message, What};
use super::hello::Session;
use super::outbox::{Closed, Outbox};
use super::{BODY_MAX_BYTES, Handler, Identity, QUESTIONS_MAX, STREAM_ROOM};

/// More than a dialer may ask at once: it can have our answer, and ask again, before we have put the question away.
const AT_WORK_MAX: usize = 2 * QUESTIONS_MAX;
/// The dialer asks whether we are there every three seconds; one that does not is gone, or frozen.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Answers until the connection ends, and says why it did.
pub async fn serve(pipe: Box<dyn Pipe>, session: Session, handler: Arc<dyn Handler>) -> String {
    let Session { peer, mut sealer, opener } = session;
    let (source, mut sink) = tokio::io::split(pipe);
    let mut inbox = Inbox::new(source, opener);
    let outbox = Arc::new(Outbox::new());
    let mut service =
        Service { peer, handler, outbox: outbox.clone(), tasks: JoinSet::new(), questions: BTreeMap::new() };
    tokio::select! {
        biased;
        why = service.answer(&mut inbox) => why,
        error = outbox.pour(&mut sink, &mut sealer, || ()) => error.to_string(),
    }
}

struct Service {
    peer: Identity,
    handler: Arc<dyn Handler>,
    outbox: Arc<Outbox>,
    /// One for each question; each ends with the connection, and gives back the question's id.
    tasks: JoinSet<u64>,
    questions: BTreeMap<u64, Question>,
}

struct Question {
    task: AbortHandle,
    /// How many items more the dialer has room for.
    room: Arc<Semaphore>,
}

impl Service {
    async fn answer<R: tokio::io::AsyncRead + Unpin>(&mut self, inbox: &mut Inbox<R>) -> String {
        loop {
            tokio::select! {
                heard = tokio::time::timeout(SILENCE_MAX, inbox.next()) => match heard {
                    Ok(Ok(Heard::Whole(message))) => {
                        if let Err(why) = self.hear(message) {
                            return why;
                        }
                    }
                    Ok(Ok(Heard::Part)) => {}
                    Ok(Err(why)) => return why,
                    Err(_) => return "nothing was heard of it any more".to_owned(),
                },
                Some(ended) = self.tasks.join_next() => self.ended(ended),
            }
        }
    }

    fn hear(&mut self, message: Message) -> Result<(), String> {
        let id = message.id;
        match message.what {
            What::Call => {
                let answer = self.handler.call(&self.peer, message.kind, message.body);
                self.begin(id, |outbox, _| reply(outbox, id, answer))
            }
            What::Subscribe => {
                let items = self.handler.stream(&self.peer, message.kind, message.body);
                self.begin(id, |outbox, room| stream(outbox, id, items, room))
            }
            What::Cancel => {
                if let Some(question) = self.questions.remove(&id) {
                    question.task.abort();
                }
                Ok(())
            }
            What::Room => self.make_room(id, usize::from(message.kind)),
            What::Ping => {
                self.outbox.pong();
                Ok(())
            }
            What::Pong => Ok(()),
            What::Reply | What::Refusal | What::Opened | What::Item | What::End => {
                Err("it answers where it should ask".to_owned())
            }
        }
    }

    fn begin<F>(&mut self, id: u64, work: impl FnOnce(Arc<Outbox>, Arc<Semaphore>) -> F) -> Result<(), String>
    where
        F: Future<Output = Result<(), Closed>> + Send + 'static,
    {
        if self.questions.len() >= AT_WORK_MAX {
            return Err("it asks too many questions at once".to_owned());
        }
        let room = Arc::new(Semaphore::new(usize::from(STREAM_ROOM)));
        let work = work(self.outbox.clone(), room.clone());
        let task = self.tasks.spawn(async move {
            // A connection that is closed ends this task anyway.
            drop(work.await);
            id
        });
        match self.questions.insert(id, Question { task, room }) {
            None => Ok(()),
            Some(_) => Err("it uses a number twice".to_owned()),
        }
    }

    fn make_room(&self, id: u64, items: usize) -> Result<(), String> {
        // Of a stream that has just ended we need not know.
        let Some(question) = self.questions.get(&id) else { return Ok(()) };
        if question.room.available_permits() + items > usize::from(STREAM_ROOM) {
            return Err("it offers more room than there is".to_owned());
        }
        question.room.add_permits(items);
        Ok(())
    }

    fn ended(&mut self, ended: Result<u64, JoinError>) {
        match ended {
            Ok(id) => drop(self.questions.remove(&id)),
            Err(error) if error.is_cancelled() => {}
            Err(panic) => self.failed(&panic),
        }
    }

    /// The handler panicked: we are wrong, and whoever asked hears of it.
    fn failed(&mut self, panic: &JoinError) {
        tracing::error!(peer = %self.peer, %panic, "a question could not be answered");
        let Some(id) = self.questions.iter().find(|(_, q)| q.task.id() == panic.id()).map(|(id, _)| *id) else {
            return;
        };
        self.questions.remove(&id);
        let outbox = self.outbox.clone();
        self.tasks.spawn(async move {
            drop(outbox.send(refusal(id, "it failed while answering")).await);
            id
        });
    }
}

async fn reply(
    outbox: Arc<Outbox>,
    id: u64,
    answer: impl Future<Output = Result<Bytes, String>>,
) -> Result<(), Closed> {
    outbox
        .send(match answer.await {
            Ok(body) if body.len() > BODY_MAX_BYTES => refusal(id, &too_long(&body)),
            Ok(body) => Message::answer(What::Reply, id, body),
            Err(why) => refusal(id, &why),
        })
        .await
}

async fn stream(
    outbox: Arc<Outbox>,
    id: u64,
    items: impl Future<Output = Result<mpsc::Receiver<Bytes>, String>>,
    room: Arc<Semaphore>,
) -> Result<(), Closed> {
    let mut items = match items.await {
        Ok(items) => items,
        Err(why) => return outbox.send(refusal(id, &why)).await,
    };
    outbox.send(Message::bare(What::Opened, id)).await?;
    while let Some(item) = items.recv().await {
        if item.len() > BODY_MAX_BYTES {
            tracing::error!("a stream is ended: {}", too_long(&item));
            break;
        }
        if let Ok(place) = room.acquire().await {
            place.forget();
        }
        outbox.send(Message::answer(What::Item, id, item)).await?;
    }
    outbox.send(Message::bare(What::End, id)).await
}

fn refusal(id: u64, why: &str) -> Message {
    Message::answer(What::Refusal, id, Bytes::copy_from_slice(why.as_bytes()))
}

fn too_long(body: &Bytes) -> String {
    format!("the answer has {} bytes, more than {BODY_MAX_BYTES}", body.len())
}
