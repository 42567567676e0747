//! What waits to be sent on a connection, and in which order it goes.
//!
//! Two lanes. What is short and urgent (heartbeats, most calls and answers) goes first; long bodies, and everything
//! that belongs to a stream and must stay in order, follow in pieces between it. Each lane has room for so much; who
//! comes later waits, and may give up waiting. Signs without a body need no room: there is at most one of each.
//!
//! The rejected idea: a second connection for long bodies. It doubles the handshakes and the files that are open, and
//! two connections to one peer can be in two states.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::frame::{Message, What};
use super::seal::Sealer;

const QUICK_ROOM: usize = 256;
/// Each may be as long as a body may be, so not many.
const LONG_ROOM: usize = 4;
/// How much goes out at once. What becomes urgent meanwhile waits for it.
const BATCH_BYTES: usize = 32 * 1024;

pub struct Outbox {
    queues: Mutex<Queues>,
    filled: Notify,
    quick_room: Arc<Semaphore>,
    long_room: Arc<Semaphore>,
}

#[derive(Default)]
struct Queues {
    ping: bool,
    pong: bool,
    cancels: BTreeSet<u64>,
    /// How many items more there is room for, by stream.
    room: BTreeMap<u64, u16>,
    quick: VecDeque<Letter>,
    long: VecDeque<Letter>,
    /// The first of `long` has been sent in part.
    long_begun: bool,
}

struct Letter {
    message: Message,
    /// Its right to be here; given back when the letter has gone.
    _place: Place,
}

/// The right to put one message into its lane.
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// The connection has ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lane {
    Quick,
    Long,
}

fn lane(message: &Message) -> Lane {
    match message.what {
        What::Opened | What::Item | What::End => Lane::Long,
        What::Call | What::Subscribe | What::Reply | What::Refusal if !message.is_small() => Lane::Long,
        What::Call | What::Subscribe | What::Reply | What::Refusal => Lane::Quick,
        What::Cancel | What::Room | What::Ping | What::Pong => Lane::Quick,
    }
}

impl Outbox {
    pub fn new() -> Self {
        Self {
            queues: Mutex::default(),
            filled: Notify::new(),
            quick_room: Arc::new(Semaphore::new(QUICK_ROOM)),
            long_room: Arc::new(Semaphore::new(LONG_ROOM)),
        }
    }

    /// Waits until there is room for this message.
    pub async fn place_for(&self, message: &Message) -> Result<Place, Closed> {
        let room = match lane(message) {
            Lane::Quick => &self.quick_room,
            Lane::Long => &self.long_room,
        };
        room.clone().acquire_owned().await.map(|permit| Place { _permit: permit }).map_err(|_| Closed)
    }

    pub fn push(&self, message: Message, place: Place) {
        let mut queues = self.lock();
        if self.quick_room.is_closed() {
            return;
        }
        match lane(&message) {
            Lane::Quick => queues.quick.push_back(Letter { message, _place: place }),
            Lane::Long => queues.long.push_back(Letter { message, _place: place }),
        }
        drop(queues);
        self.filled.notify_one();
    }

    pub async fn send(&self, message: Message) -> Result<(), Closed> {
        let place = self.place_for(&message).await?;
        self.push(message, place);
        Ok(())
    }

    pub fn ping(&self) {
        self.sign(|queues| queues.ping = true);
    }

    pub fn pong(&self) {
        self.sign(|queues| queues.pong = true);
    }

    pub fn cancel(&self, id: u64) {
        self.sign(|queues| {
            queues.cancels.insert(id);
        });
    }

    pub fn room_for(&self, id: u64, items: u16) {
        self.sign(|queues| *queues.room.entry(id).or_default() += items);
    }

    /// Takes back a message that has not been sent, or not to its end. False: all of it is on its way.
    pub fn withdraw(&self, id: u64) -> bool {
        let mut queues = self.lock();
        let is_meant = |letter: &Letter| letter.message.id == id;
        if let Some(place) = queues.quick.iter().position(is_meant) {
            return queues.quick.remove(place).is_some();
        }
        let Some(place) = queues.long.iter().position(is_meant) else { return false };
        queues.long.remove(place);
        if place == 0 && std::mem::take(&mut queues.long_begun) {
            // The other side keeps what it has of it until it hears this.
            queues.cancels.insert(id);
            drop(queues);
            self.filled.notify_one();
        }
        true
    }

    /// Nothing is accepted or sent any more. Tells whose messages were not sent, or not to their end.
    pub fn close(&self) -> BTreeSet<u64> {
        self.quick_room.close();
        self.long_room.close();
        let queues = std::mem::take(&mut *self.lock());
        queues.quick.iter().chain(&queues.long).map(|letter| letter.message.id).collect()
    }

    /// Sends what comes, until the connection fails; `progressed` is told whenever a part of a long body has gone.
    pub async fn pour(
        &self,
        sink: &mut (impl AsyncWrite + Unpin),
        sealer: &mut Sealer,
        progressed: impl Fn(),
    ) -> std::io::Error {
        let mut buffer = BytesMut::new();
        loop {
            self.filled.notified().await;
            while let Progress::Made { of_long } = self.seal_batch(sealer, &mut buffer) {
                if let Err(error) = sink.write_all(&buffer).await {
                    return error;
                }
                buffer.clear();
                if of_long {
                    progressed();
                }
            }
            if let Err(error) = sink.flush().await {
                return error;
            }
            // At rest a connection keeps no buffer.
            buffer = BytesMut::new();
        }
    }

    fn seal_batch(&self, sealer: &mut Sealer, buffer: &mut BytesMut) -> Progress {
        self.lock().seal_batch(sealer, buffer)
    }

    fn sign(&self, change: impl FnOnce(&mut Queues)) {
        change(&mut self.lock());
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Progress {
    Made { of_long: bool },
    NothingToDo,
}

impl Queues {
    fn seal_batch(&mut self, sealer: &mut Sealer, buffer: &mut BytesMut) -> Progress {
        for mut sign in self.signs() {
            sign.seal_frame(sealer, buffer);
        }
        while buffer.len() < BATCH_BYTES
            && let Some(mut letter) = self.quick.pop_front()
        {
            letter.message.seal_frame(sealer, buffer);
        }
        // The long lane gets its turn in every batch: much of the one never shuts out the other.
        let of_long = self.seal_long(sealer, buffer);
        if buffer.is_empty() { Progress::NothingToDo } else { Progress::Made { of_long } }
    }

    /// One frame at least, and more small ones while the batch has room.
    fn seal_long(&mut self, sealer: &mut Sealer, buffer: &mut BytesMut) -> bool {
        let mut sealed_any = false;
        while let Some(first) = self.long.front_mut() {
            if sealed_any && buffer.len() >= BATCH_BYTES {
                break;
            }
            sealed_any = true;
            self.long_begun = !first.message.seal_frame(sealer, buffer);
            if self.long_begun {
                break;
            }
            self.long.pop_front();
        }
        sealed_any
    }

    fn signs(&mut self) -> Vec<Message> {
        let ping = std::mem::take(&mut self.ping).then(|| Message::bare(What::Ping, 0));
        let pong = std::mem::take(&mut self.pong).then(|| Message::bare(What::Pong, 0));
        let cancels = std::mem::take(&mut self.cancels).into_iter().map(|id| Message::bare(What::Cancel, id));
        let room = std::mem::take(&mut self.room).into_iter().map(|(id, kind)| Message {
            what: What::Room,
            kind,
            id,
            body: Bytes::new(),
        });
        ping.into_iter().chain(pong).chain(cancels).chain(room).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::CHUNK_BYTES;
    use super::super::seal::{Hellos, KeyPair};
    use super::*;

    fn sealer() -> Sealer {
        let [one, other] = [(); 2].map(|()| KeyPair::generate().unwrap());
        one.agree(&other.share, None, &Hellos { dialer: b"", listener: b"" }).unwrap().of_dialer().0
    }

    async fn put(outbox: &Outbox, what: What, id: u64, body_bytes: usize) {
        let message = Message { what, kind: 0, id, body: vec![0; body_bytes].into() };
        outbox.send(message).await.unwrap();
    }

    /// How many bytes go out in the next batch.
    fn batch(outbox: &Outbox, sealer: &mut Sealer) -> usize {
        let mut buffer = BytesMut::new();
        outbox.seal_batch(sealer, &mut buffer);
        buffer.len()
    }

    #[tokio::test]
    async fn what_is_short_does_not_wait_for_what_is_long() {
        let (outbox, mut sealer) = (Outbox::new(), sealer());
        put(&outbox, What::Call, 1, 10 * CHUNK_BYTES).await;
        put(&outbox, What::Call, 2, 10).await;
        assert!(batch(&outbox, &mut sealer) < 2 * CHUNK_BYTES);
        assert!(!outbox.withdraw(2), "it has gone with the first part of the long one");
        assert!(outbox.withdraw(1));
    }

    #[tokio::test]
    async fn what_is_long_gets_its_turn() {
        let (outbox, mut sealer) = (Outbox::new(), sealer());
        put(&outbox, What::Call, 1, 2 * CHUNK_BYTES).await;
        for id in 2..20 {
            put(&outbox, What::Call, id, CHUNK_BYTES).await;
        }
        batch(&outbox, &mut sealer);
        batch(&outbox, &mut sealer);
        assert!(!outbox.withdraw(1), "two batches carry it");
        assert!(outbox.withdraw(19));
    }

    #[tokio::test]
    async fn items_of_a_stream_keep_their_order() {
        let (outbox, mut sealer) = (Outbox::new(), sealer());
        put(&outbox, What::Opened, 1, 0).await;
        put(&outbox, What::Item, 1, 2 * CHUNK_BYTES).await;
        put(&outbox, What::Item, 1, 10).await;
        assert!(batch(&outbox, &mut sealer) > CHUNK_BYTES);
        assert_eq!(outbox.lock().long.len(), 2, "the short item is behind the long one");
    }

    #[tokio::test]
    async fn what_did_not_go_to_its_end_is_told() {
        let (outbox, mut sealer) = (Outbox::new(), sealer());
        put(&outbox, What::Call, 1, 10).await;
        put(&outbox, What::Call, 2, 2 * CHUNK_BYTES).await;
        put(&outbox, What::Call, 3, 2 * CHUNK_BYTES).await;
        batch(&outbox, &mut sealer);
        put(&outbox, What::Call, 4, 10).await;
        assert_eq!(outbox.close(), BTreeSet::from([2, 3, 4]));
        assert_eq!(outbox.send(Message::bare(What::Call, 5)).await, Err(Closed));
    }

    #[tokio::test]
    async fn a_long_one_that_is_taken_back_half_way_is_cancelled() {
        let (outbox, mut sealer) = (Outbox::new(), sealer());
        put(&outbox, What::Call, 1, 2 * CHUNK_BYTES).await;
        put(&outbox, What::Call, 2, 2 * CHUNK_BYTES).await;
        batch(&outbox, &mut sealer);
        assert!(outbox.withdraw(1));
        assert_eq!(outbox.lock().cancels, BTreeSet::from([1]));
        assert!(outbox.withdraw(2));
        assert_eq!(outbox.lock().cancels, BTreeSet::from([1]), "nothing of the second one had gone");
    }

    #[tokio::test]
    async fn who_comes_when_a_lane_is_full_waits_for_room() {
        let (outbox, mut sealer) = (Outbox::new(), sealer());
        for id in 0..LONG_ROOM as u64 {
            put(&outbox, What::Call, id, CHUNK_BYTES + 1).await;
        }
        let late = Message { what: What::Call, kind: 0, id: 9, body: vec![0; CHUNK_BYTES + 1].into() };
        let mut waiting = Box::pin(outbox.place_for(&late));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        put(&outbox, What::Call, 10, 10).await;
        while outbox.lock().long.len() == LONG_ROOM {
            batch(&outbox, &mut sealer);
        }
        assert!(waiting.await.is_ok());
    }
}
