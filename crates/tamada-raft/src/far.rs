//! The store from outside: through any voter that answers, which passes on what only the leader may do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::ask::{Ask, Errand, Failure, Hop, Reply, WatchNews};
use crate::client::{Trouble, Watch, WatchEnd};
use crate::clock;
use crate::link::{CallError, Identity, Role, Security, Stream};
use crate::peers::{Kind, Peers};
use crate::{Keys, Range, Revision};

/// The least that one voter is given before the next is tried.
const SHARE_MIN: Duration = Duration::from_millis(500);
/// Changes that wait for a slow reader.
const QUEUE: usize = 64;

#[derive(Clone)]
pub(crate) struct Far(Arc<Inner>);

struct Inner {
    addresses: Vec<String>,
    peers: Peers,
    /// The place of the voter to ask first: one that answered, or the next one after one that did not.
    first: AtomicUsize,
}

impl Far {
    pub fn new(addresses: Vec<String>, security: Security) -> Self {
        let software = concat!("tamada ", env!("CARGO_PKG_VERSION")).to_owned();
        let client = Identity { role: Role::Client, cluster: None, node: 0, address: String::new(), software };
        let introduce = Arc::new(move || client.clone());
        Self(Arc::new(Inner { addresses, peers: Peers::new(security, introduce), first: AtomicUsize::new(0) }))
    }

    pub fn knows_nobody(&self) -> bool {
        self.0.addresses.is_empty()
    }

    /// Each voter in turn, until one answers or the write is sent.
    pub async fn ask(&self, ask: Ask, within: Duration) -> Result<Reply, Failure> {
        let deadline = clock::now() + within;
        let mut last = Failure::Trouble(Trouble::Unreachable("no address of a voter is known".to_owned()));
        let mut left = self.0.addresses.len();
        for place in self.in_turn() {
            let errand = Errand { ask: ask.clone(), within: share(deadline, left), hop: Hop::First };
            left -= 1;
            match self.try_at(place, &errand).await {
                Err(failure @ Failure::Trouble(Trouble::Unreachable(_))) => last = failure,
                answer => return answer,
            }
        }
        Err(last)
    }

    async fn try_at(&self, place: usize, errand: &Errand) -> Result<Reply, Failure> {
        let address = &self.0.addresses[place];
        let answer = self.0.peers.at(address).run(errand).await;
        let first = match &answer {
            Ok(Ok(_) | Err(Failure::Trouble(Trouble::Refused(_)))) => place,
            // It is gone or frozen, or cut off from the others; the next one may not be.
            Ok(Err(Failure::Trouble(Trouble::Unreachable(_)) | Failure::Unclear(_) | Failure::NotLeader)) | Err(_) => {
                place + 1
            }
        };
        self.0.first.store(first, Ordering::Relaxed);
        let unreachable = |why: String| Err(Failure::Trouble(Trouble::Unreachable(why)));
        match answer {
            Ok(answer) => answer,
            Err(CallError::Refused(why)) => Err(Failure::Trouble(Trouble::Refused(why))),
            Err(CallError::NotSent(why)) => unreachable(why),
            Err(CallError::Lost(why)) if errand.ask.may_happen_late() => Err(Failure::Unclear(why)),
            Err(CallError::Lost(why)) => unreachable(why),
        }
    }

    pub async fn watch(&self, keys: Keys, from: Option<Revision>, within: Duration) -> Result<Watch, Trouble> {
        let deadline = clock::now() + within;
        let what = crate::codec::encode_range(&Range { at: from, ..Range::of(keys) });
        let mut last = Trouble::Unreachable("no address of a voter is known".to_owned());
        let mut left = self.0.addresses.len();
        for place in self.in_turn() {
            let within = share(deadline, left);
            left -= 1;
            let address = &self.0.addresses[place];
            match self.0.peers.at(address).peer().open_stream(Kind::Watch as u16, what.clone().into(), within).await {
                Ok(stream) => match begin(stream, within).await {
                    Ok(watch) => return Ok(watch),
                    Err(why) => last = Trouble::Unreachable(why),
                },
                Err(CallError::Refused(why)) => last = Trouble::Refused(why),
                Err(CallError::NotSent(why) | CallError::Lost(why)) => last = Trouble::Unreachable(why),
            }
            self.0.first.store(place + 1, Ordering::Relaxed);
        }
        Err(last)
    }

    fn in_turn(&self) -> impl Iterator<Item = usize> + use<> {
        let (count, first) = (self.0.addresses.len(), self.0.first.load(Ordering::Relaxed));
        (0..count).map(move |step| (first + step) % count)
    }
}

fn share(deadline: Duration, tries_left: usize) -> Duration {
    let left = deadline.saturating_sub(clock::now());
    (left / u32::try_from(tries_left.max(1)).unwrap_or(u32::MAX)).max(SHARE_MIN.min(left))
}

/// The watch has begun when the other side says from where.
async fn begin(mut stream: Stream, within: Duration) -> Result<Watch, String> {
    let first = tokio::time::timeout(within, news(&mut stream)).await;
    let began_at = match first {
        Ok(WatchNews::Began(revision)) => revision,
        Ok(WatchNews::End(end)) => return Ok(Watch::ended(end)),
        Ok(WatchNews::Changes(_)) => return Err("the watch began in the middle".to_owned()),
        Err(_) => return Err("no answer in time".to_owned()),
    };
    let (teller, changes) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        loop {
            let news = tokio::select! {
                news = news(&mut stream) => news,
                () = teller.closed() => return,
            };
            let told = match news {
                WatchNews::Began(_) => continue,
                WatchNews::Changes(changes) => teller.send(Ok(changes)).await,
                WatchNews::End(end) => {
                    let _ = teller.send(Err(end)).await;
                    return;
                }
            };
            if told.is_err() {
                return;
            }
        }
    });
    Ok(Watch { began_at, changes })
}

async fn news(stream: &mut Stream) -> WatchNews {
    let lost = |why: String| WatchNews::End(WatchEnd::Lost(why));
    match stream.next().await {
        Ok(Some(item)) => WatchNews::from_bytes(&item).unwrap_or_else(|error| lost(error.to_string())),
        Err(error) => lost(error.to_string()),
        Ok(None) => lost("the watch was closed by the other side".to_owned()),
    }
}
