//! The dialer's end of a connection: questions that wait for their answers.
//!
//! A peer that is frozen, or a network that swallows everything, looks like a peer that thinks for a long time. So while
//! a question is open and nothing is heard we ask "are you there?", which every peer answers at once whatever else it is
//! busy with; who does not is given up, and everything that waits is told. At rest we ask too, now and then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;

use super::dial::Pipe;
use super::frame::{Heard, Inbox, Message, What};
use super::hello::Session;
use super::outbox::{Closed, Outbox};
use super::seal::{Opener, Sealer};
use super::{BODY_MAX_BYTES, CallError, Identity, QUESTIONS_MAX, STREAM_ROOM};
use crate::clock::{self, Deadline};

/// So long after a question without a word we ask whether anybody is there.
const PING_AFTER: Duration = Duration::from_millis(300);
/// And so long after the last word when there is no question. The listener counts on it.
const PING_AT_REST: Duration = Duration::from_secs(3);
/// A machine whose cores are all busy answers within this; a longer wait would be felt by whoever waits for an answer.
const PONG_WITHIN: Duration = Duration::from_millis(900);
/// If we look that much too late, it is we who were not running, and the silence proves nothing.
const OVERSLEPT: Duration = Duration::from_millis(200);

const OUT_OF_TURN: &str = "it answers what was not asked";
const GIVEN_UP: &str = "the connection was given up";

/// A connection to a peer, in use. It ends when nobody holds it any more.
pub struct Line {
    pub peer: Identity,
    desk: Arc<Desk>,
    driver: AbortHandle,
}

struct Desk {
    address: String,
    outbox: Outbox,
    /// As many questions as the other side takes at once.
    places: Arc<Semaphore>,
    questions: Mutex<Questions>,
    /// Rings when a question is asked after a rest.
    asked: Notify,
}

struct Questions {
    next_id: u64,
    waiting: BTreeMap<u64, Waiting>,
    /// Why the connection has ended.
    ended: Option<String>,
    heard: Duration,
    /// Since when we wait for any sign. Set by the first question after a rest, moved on by everything we hear.
    listening: Option<Duration>,
    pinged: Option<Duration>,
}

enum Waiting {
    Call(oneshot::Sender<Result<Bytes, CallError>>),
    Subscription(oneshot::Sender<Result<(), CallError>>, mpsc::Sender<Event>),
    Stream(mpsc::Sender<Event>),
}

impl Waiting {
    fn fail(self, why: CallError) {
        match self {
            Self::Call(answer) => drop(answer.send(Err(why))),
            Self::Subscription(answer, _) => drop(answer.send(Err(why))),
            // It hears that there is nobody left who could send.
            Self::Stream(items) => drop(items),
        }
    }

    fn is_question(&self) -> bool {
        match self {
            Self::Call(_) | Self::Subscription(..) => true,
            Self::Stream(_) => false,
        }
    }
}

enum Event {
    Item(Bytes),
    End,
}

impl Line {
    /// Drives the connection on the runtime it is called on.
    pub fn open(address: String, pipe: Box<dyn Pipe>, session: Session) -> Arc<Self> {
        let desk = Arc::new(Desk::new(address));
        let Session { peer, sealer, opener } = session;
        let driver = tokio::spawn(drive(desk.clone(), pipe, sealer, opener)).abort_handle();
        Arc::new(Self { peer, desk, driver })
    }

    pub fn has_ended(&self) -> bool {
        self.desk.lock().ended.is_some() || self.driver.is_finished()
    }

    pub async fn call(self: &Arc<Self>, kind: u16, body: Bytes, limit: Deadline) -> Result<Bytes, CallError> {
        let (answer, answered) = oneshot::channel();
        let message = Message { what: What::Call, kind, id: 0, body };
        let question = self.ask(message, Waiting::Call(answer), limit).await?;
        question.answer(answered, limit).await
    }

    pub async fn subscribe(self: &Arc<Self>, kind: u16, body: Bytes, limit: Deadline) -> Result<Stream, CallError> {
        let (answer, answered) = oneshot::channel();
        // One place more than items may come: for the end.
        let (items, events) = mpsc::channel(usize::from(STREAM_ROOM) + 1);
        let message = Message { what: What::Subscribe, kind, id: 0, body };
        let question = self.ask(message, Waiting::Subscription(answer, items), limit).await?;
        question.answer(answered, limit).await?;
        Ok(Stream { events, question, taken: 0, has_ended: false })
    }

    async fn ask(self: &Arc<Self>, message: Message, waiting: Waiting, limit: Deadline) -> Result<Question, CallError> {
        let desk = &self.desk;
        if message.body.len() > BODY_MAX_BYTES {
            return Err(CallError::NotSent(format!("{} bytes are more than {BODY_MAX_BYTES}", message.body.len())));
        }
        let places = async {
            let among_questions = desk.places.clone().acquire_owned().await.map_err(|_| Closed)?;
            Ok((among_questions, desk.outbox.place_for(&message).await?))
        };
        match limit.limit(places).await {
            Some(Ok((among_questions, to_be_sent))) => {
                let id = desk.enter(waiting)?;
                let question = Question { line: self.clone(), id, _place: among_questions };
                desk.outbox.push(Message { id, ..message }, to_be_sent);
                Ok(question)
            }
            Some(Err(Closed)) => Err(CallError::NotSent(desk.why_ended())),
            None => Err(CallError::NotSent(format!("{}: too many questions wait", desk.address))),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A question that was asked. When it is dropped without an answer, the other side is told not to bother.
struct Question {
    line: Arc<Line>,
    id: u64,
    /// Among the questions that the other side takes at once.
    _place: OwnedSemaphorePermit,
}

impl Question {
    async fn answer<T>(
        &self,
        answered: oneshot::Receiver<Result<T, CallError>>,
        limit: Deadline,
    ) -> Result<T, CallError> {
        let desk = &self.line.desk;
        match limit.limit(answered).await {
            Some(Ok(answer)) => answer,
            Some(Err(_)) => Err(CallError::Lost(desk.why_ended())),
            None => match desk.give_up(self.id) {
                GivenUp::Unsent => Err(CallError::NotSent(format!("{}: could not be sent in time", desk.address))),
                GivenUp::Sent => Err(CallError::Lost(format!("{}: no answer in time", desk.address))),
            },
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.line.desk.give_up(self.id);
    }
}

/// Many answers to one question. Dropping it ends it on both sides.
pub struct Stream {
    events: mpsc::Receiver<Event>,
    question: Question,
    /// Items taken since we last told the other side that there is room again.
    taken: u16,
    has_ended: bool,
}

impl Stream {
    /// The next item; `None`: the other side has ended it. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        if self.has_ended {
            return Ok(None);
        }
        match self.events.recv().await {
            Some(Event::Item(item)) => {
                self.make_room();
                Ok(Some(item))
            }
            Some(Event::End) => {
                self.has_ended = true;
                Ok(None)
            }
            None => Err(CallError::Lost(self.question.line.desk.why_ended())),
        }
    }

    fn make_room(&mut self) {
        self.taken += 1;
        if self.taken >= STREAM_ROOM / 2 {
            self.question.line.desk.outbox.room_for(self.question.id, self.taken);
            self.taken = 0;
        }
    }
}

enum GivenUp {
    /// The other side has certainly not heard all of it, and never will.
    Unsent,
    Sent,
}

async fn drive(desk: Arc<Desk>, pipe: Box<dyn Pipe>, mut sealer: Sealer, opener: Opener) {
    let at_last = AtLast(&desk);
    let (source, mut sink) = tokio::io::split(pipe);
    let mut inbox = Inbox::new(source, opener);
    let why = tokio::select! {
        // First what we were told: if we have been frozen ourselves, the answers have come meanwhile.
        biased;
        why = listen(&desk, &mut inbox) => why,
        why = doubt(&desk) => why,
        error = desk.outbox.pour(&mut sink, &mut sealer, || desk.note_sign_of_life()) => error.to_string(),
    };
    desk.end(why);
    drop(at_last);
}

/// Whoever waits is told, even if the runtime that drives the connection goes away.
struct AtLast<'a>(&'a Desk);

impl Drop for AtLast<'_> {
    fn drop(&mut self) {
        self.0.end(GIVEN_UP.to_owned());
    }
}

async fn listen<R: tokio::io::AsyncRead + Unpin>(desk: &Desk, inbox: &mut Inbox<R>) -> String {
    loop {
        let heard = match inbox.next().await {
            Ok(heard) => heard,
            Err(why) => return why,
        };
        let heard = match heard {
            Heard::Whole(message) => desk.hear(message),
            Heard::Part => Ok(()),
        };
        if let Err(why) = heard {
            return why;
        }
        desk.note_sign_of_life();
    }
}

/// Ends when the peer must be taken for frozen or cut off.
async fn doubt(desk: &Desk) -> String {
    loop {
        match desk.patience() {
            Patience::For(wait) => {
                let asked = desk.asked.notified();
                drop(tokio::time::timeout(wait, asked).await);
            }
            Patience::Over => return "it does not answer any more".to_owned(),
        }
    }
}

enum Patience {
    For(Duration),
    Over,
}

impl Desk {
    fn new(address: String) -> Self {
        let questions = Questions {
            next_id: 1,
            waiting: BTreeMap::new(),
            ended: None,
            heard: clock::now(),
            listening: None,
            pinged: None,
        };
        Self {
            address,
            outbox: Outbox::new(),
            places: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            questions: Mutex::new(questions),
            asked: Notify::new(),
        }
    }

    fn enter(&self, waiting: Waiting) -> Result<u64, CallError> {
        let mut questions = self.lock();
        if questions.ended.is_some() {
            drop(questions);
            return Err(CallError::NotSent(self.why_ended()));
        }
        let id = questions.next_id;
        questions.next_id += 1;
        questions.waiting.insert(id, waiting);
        if questions.listening.is_none() {
            questions.listening = Some(clock::now());
            self.asked.notify_one();
        }
        Ok(id)
    }

    fn hear(&self, message: Message) -> Result<(), String> {
        match message.what {
            What::Reply => self.replied(message.id, message.body)?,
            What::Refusal => self.refused(message.id, &message.body),
            What::Opened => self.opened(message.id)?,
            What::Item => return self.item(message.id, Event::Item(message.body)),
            What::End => {
                self.item(message.id, Event::End)?;
                self.lock().waiting.remove(&message.id);
            }
            What::Ping => self.outbox.pong(),
            What::Pong => {}
            What::Call | What::Subscribe | What::Cancel | What::Room => {
                return Err("it asks where it should answer".to_owned());
            }
        }
        Ok(())
    }

    fn replied(&self, id: u64, body: Bytes) -> Result<(), String> {
        match self.lock().waiting.remove(&id) {
            Some(Waiting::Call(answer)) => drop(answer.send(Ok(body))),
            Some(Waiting::Subscription(..) | Waiting::Stream(_)) => return Err(OUT_OF_TURN.to_owned()),
            // Given up meanwhile.
            None => {}
        }
        Ok(())
    }

    fn opened(&self, id: u64) -> Result<(), String> {
        let mut questions = self.lock();
        match questions.waiting.remove(&id) {
            Some(Waiting::Subscription(answer, items)) => {
                questions.waiting.insert(id, Waiting::Stream(items));
                drop(answer.send(Ok(())));
                Ok(())
            }
            Some(Waiting::Call(_) | Waiting::Stream(_)) => Err(OUT_OF_TURN.to_owned()),
            // Given up meanwhile.
            None => Ok(()),
        }
    }

    fn refused(&self, id: u64, why: &Bytes) {
        if let Some(waiting) = self.lock().waiting.remove(&id) {
            waiting.fail(CallError::Refused(String::from_utf8_lossy(why).into_owned()));
        }
    }

    fn item(&self, id: u64, event: Event) -> Result<(), String> {
        match self.lock().waiting.get(&id) {
            Some(Waiting::Stream(items)) => match items.try_send(event) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => Err("it sends more than there is room for".to_owned()),
            },
            Some(Waiting::Call(_) | Waiting::Subscription(..)) => Err(OUT_OF_TURN.to_owned()),
            // Given up meanwhile.
            None => Ok(()),
        }
    }

    fn give_up(&self, id: u64) -> GivenUp {
        let Some(_) = self.lock().waiting.remove(&id) else { return GivenUp::Sent };
        if self.outbox.withdraw(id) {
            return GivenUp::Unsent;
        }
        self.outbox.cancel(id);
        GivenUp::Sent
    }

    fn note_sign_of_life(&self) {
        let mut questions = self.lock();
        questions.heard = clock::now();
        questions.pinged = None;
        questions.listening = questions.waiting.values().any(Waiting::is_question).then_some(questions.heard);
    }

    /// How long to wait before looking again. Pings when that is due.
    fn patience(&self) -> Patience {
        let mut questions = self.lock();
        let now = clock::now();
        let due = match (questions.pinged, questions.listening) {
            (Some(pinged), _) => pinged + PONG_WITHIN,
            (None, Some(since)) => since + PING_AFTER,
            (None, None) => questions.heard + PING_AT_REST,
        };
        if now < due {
            return Patience::For(due - now);
        }
        if questions.pinged.is_some() && now < due + OVERSLEPT {
            return Patience::Over;
        }
        questions.pinged = Some(now);
        self.outbox.ping();
        Patience::For(PONG_WITHIN)
    }

    /// Only the first reason counts.
    fn end(&self, why: String) {
        let unsent = self.outbox.close();
        self.places.close();
        let mut questions = self.lock();
        questions.ended.get_or_insert(why);
        let waiting = std::mem::take(&mut questions.waiting);
        drop(questions);
        for (id, waiting) in waiting {
            let lost = if unsent.contains(&id) { CallError::NotSent } else { CallError::Lost };
            waiting.fail(lost(self.why_ended()));
        }
    }

    fn why_ended(&self) -> String {
        let questions = self.lock();
        format!("{}: {}", self.address, questions.ended.as_deref().unwrap_or(GIVEN_UP))
    }

    fn lock(&self) -> MutexGuard<'_, Questions> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinged_ago(time: Duration) -> Desk {
        let desk = Desk::new("a:1".to_owned());
        desk.lock().pinged = Some(clock::now() - time);
        desk
    }

    #[test]
    fn who_does_not_answer_in_time_is_given_up() {
        assert!(matches!(pinged_ago(PONG_WITHIN).patience(), Patience::Over));
        assert!(matches!(pinged_ago(Duration::ZERO).patience(), Patience::For(_)));
    }

    #[test]
    fn after_a_sleep_of_our_own_the_peer_is_asked_again() {
        let desk = pinged_ago(PONG_WITHIN + OVERSLEPT);
        assert!(matches!(desk.patience(), Patience::For(_)));
        desk.note_sign_of_life();
        assert!(desk.lock().pinged.is_none());
    }
}
