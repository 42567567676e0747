//! Watches: many watchers share one stream in each direction.
//!
//! The stream is a loop that hears orders and changes in turn and has no task of its own: it runs when the client takes
//! what it says. A client that stops listening stops the loop, the store's own bounds end its watchers, and they are
//! told to begin anew.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, Stream, StreamExt};
use tamada_raft::{Changes, Keys, Watch, WatchEnd};
use tokio::task::coop::unconstrained;
use tokio::time::{Interval, interval};
use tokio_stream::StreamMap;
use tonic::{Status, Streaming};
use tracing::debug;

use super::{ANSWER_WITHIN, Server, unserved};
use crate::errors::NO_LEADER;
use crate::messages::{
    WatchCancelRequest, WatchCreateRequest, WatchEventKind, WatchFilter, WatchOrder, WatchRequest, WatchResponse,
};
use crate::translate::{keys, signed, tell};

/// On one stream. etcd's client library puts all of a process on one.
const WATCHERS_MAX: usize = 256;

/// To those who want to know that nothing has happened. As often as etcd.
const TELL_PROGRESS_EVERY: Duration = Duration::from_secs(600);

/// The id that means no watcher, or all of them.
const NO_WATCHER: i64 = -1;

const EMPTY_RANGE: &str = "mvcc: watcher range is empty";
const DUPLICATE_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";
const TOO_MANY: &str = "mvcc: too many watchers on one stream";

/// One stream of a client.
pub struct Watching {
    server: Arc<Server>,
    orders: Streaming<WatchRequest>,
    watchers: BTreeMap<i64, Watcher>,
    changes: StreamMap<i64, Heard>,
    next_id: i64,
    progress: Interval,
    /// What is to be said next.
    answers: VecDeque<WatchResponse>,
}

type Heard = Pin<Box<dyn Stream<Item = Result<Changes, WatchEnd>> + Send>>;

/// What a watcher wants to hear.
struct Watcher {
    from: u64,
    with_previous: bool,
    silent_about: Vec<WatchEventKind>,
    wants_progress: bool,
}

impl Watching {
    pub fn new(server: Arc<Server>, orders: Streaming<WatchRequest>) -> Self {
        Self {
            server,
            orders,
            watchers: BTreeMap::new(),
            changes: StreamMap::new(),
            next_id: 0,
            progress: interval(TELL_PROGRESS_EVERY),
            answers: VecDeque::new(),
        }
    }

    /// What the client hears.
    pub fn answers(self) -> impl Stream<Item = Result<WatchResponse, Status>> {
        stream::try_unfold(self, |mut watching| async move {
            let answer = watching.next().await?;
            Ok(answer.map(|answer| (answer, watching)))
        })
    }

    async fn next(&mut self) -> Result<Option<WatchResponse>, Status> {
        loop {
            if let Some(answer) = self.answers.pop_front() {
                return Ok(Some(answer));
            }
            tokio::select! {
                order = self.orders.message() => match order? {
                    Some(WatchRequest { order: Some(order) }) => self.obey(order).await?,
                    Some(WatchRequest { order: None }) => {}
                    None => return Ok(None),
                },
                Some((id, heard)) = self.changes.next(), if !self.changes.is_empty() => self.hear(id, heard)?,
                _ = self.progress.tick() => self.tell_progress(self.who_wants_progress())?,
            }
        }
    }

    async fn obey(&mut self, order: WatchOrder) -> Result<(), Status> {
        match order {
            WatchOrder::Create(request) => self.create(request).await,
            WatchOrder::Cancel(WatchCancelRequest { watch_id }) => {
                self.cancel(watch_id);
                Ok(())
            }
            WatchOrder::Progress(_) => self.tell_progress([NO_WATCHER]),
        }
    }

    async fn create(&mut self, request: WatchCreateRequest) -> Result<(), Status> {
        let id = match self.id_for(&request) {
            Ok(id) => id,
            Err(why) => {
                self.refuse(why);
                return Ok(());
            }
        };
        let from = u64::try_from(request.start_revision).ok().filter(|revision| *revision != 0);
        let watch = self.server.store.watch(watched(&request), from, ANSWER_WITHIN).await.map_err(unserved)?;
        let now = watch.began_at();
        self.watchers.insert(id, Watcher::new(&request, from.unwrap_or(now + 1)));
        self.changes.insert(id, heard(watch));
        let header = Some(self.server.header(now));
        self.answers.push_back(WatchResponse { header, watch_id: id, created: true, ..WatchResponse::default() });
        Ok(())
    }

    fn id_for(&mut self, request: &WatchCreateRequest) -> Result<i64, &'static str> {
        if let Keys::Between(from, to) = watched(request)
            && from >= to
        {
            return Err(EMPTY_RANGE);
        }
        if self.watchers.len() >= WATCHERS_MAX {
            return Err(TOO_MANY);
        }
        if request.watch_id != 0 {
            return if self.watchers.contains_key(&request.watch_id) {
                Err(DUPLICATE_ID)
            } else {
                Ok(request.watch_id)
            };
        }
        while self.watchers.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        let id = self.next_id;
        self.next_id += 1;
        Ok(id)
    }

    fn refuse(&mut self, why: &str) {
        let header = Some(self.server.place());
        self.answers.push_back(WatchResponse {
            header,
            watch_id: NO_WATCHER,
            created: true,
            canceled: true,
            cancel_reason: why.to_owned(),
            ..WatchResponse::default()
        });
    }

    /// One that is not there is not worth a word, as with etcd.
    fn cancel(&mut self, id: i64) {
        if self.watchers.contains_key(&id) {
            let header = Some(self.server.place());
            self.end(id, WatchResponse { header, canceled: true, ..WatchResponse::default() });
        }
    }

    fn end(&mut self, id: i64, last: WatchResponse) {
        self.watchers.remove(&id);
        self.changes.remove(&id);
        self.answers.push_back(WatchResponse { watch_id: id, ..last });
    }

    fn hear(&mut self, id: i64, heard: Result<Changes, WatchEnd>) -> Result<(), Status> {
        match heard {
            Ok(changes) => {
                self.tell(id, changes);
                Ok(())
            }
            Err(WatchEnd::Compacted { oldest }) => {
                // Without our revision, as etcd tells it: the client is to go by the other one.
                let (header, compact_revision) = (Some(self.server.header(0)), signed(oldest));
                self.end(id, WatchResponse { header, canceled: true, compact_revision, ..WatchResponse::default() });
                Ok(())
            }
            // The client takes up all its watchers anew, each where it broke.
            Err(WatchEnd::Lost(why)) => {
                debug!("a watch broke: {why}");
                Err(NO_LEADER.into())
            }
        }
    }

    fn tell(&mut self, id: i64, changes: Changes) {
        let Some(watcher) = self.watchers.get(&id) else { return };
        let events: Vec<_> = changes
            .changes
            .into_iter()
            .filter(|change| change.now.modified >= watcher.from)
            .map(|change| tell::event(change, watcher.with_previous))
            .filter(|event| !watcher.silent_about.contains(&event.kind()))
            .collect();
        if !events.is_empty() {
            let header = Some(self.server.header(changes.revision));
            self.answers.push_back(WatchResponse { header, watch_id: id, events, ..WatchResponse::default() });
        }
    }

    /// Says that everything up to our revision was told, to one watcher or (`NO_WATCHER`) about all of them. First it is
    /// told: whatever has happened lies in the watchers' queues, and must be taken from there without being put off.
    fn tell_progress(&mut self, ids: impl IntoIterator<Item = i64>) -> Result<(), Status> {
        let header = self.server.place();
        while let Some(Some((id, heard))) = unconstrained(self.changes.next()).now_or_never() {
            self.hear(id, heard)?;
        }
        let progress = |watch_id| WatchResponse { header: Some(header), watch_id, ..WatchResponse::default() };
        self.answers.extend(ids.into_iter().map(progress));
        Ok(())
    }

    fn who_wants_progress(&self) -> Vec<i64> {
        self.watchers.iter().filter(|(_, watcher)| watcher.wants_progress).map(|(id, _)| *id).collect()
    }
}

impl Watcher {
    fn new(request: &WatchCreateRequest, from: u64) -> Self {
        let silent_about = request.filters().map(|filter| match filter {
            WatchFilter::NoPut => WatchEventKind::Put,
            WatchFilter::NoDelete => WatchEventKind::Delete,
        });
        Self {
            from,
            with_previous: request.prev_kv,
            silent_about: silent_about.collect(),
            wants_progress: request.progress_notify,
        }
    }
}

fn heard(watch: Watch) -> Heard {
    // The last thing it tells is why it ended.
    Box::pin(stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        let heard = watch.next().await;
        let goes_on = heard.is_ok();
        Some((heard, Some(watch).filter(|_| goes_on)))
    }))
}

/// Without a key: all keys.
fn watched(request: &WatchCreateRequest) -> Keys {
    let key = if request.key.is_empty() { &[0][..] } else { &request.key };
    keys(key, &request.range_end)
}
