//! The port of the real stores, over a client of the model store.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tamada_core::{DcsWrite, WriteOutcome};
use tamada_dcs::{Answer, Freshness, Renewal, Store, StoreError, Written};
use tamada_model::{
    Cluster, Document, FailoverRequest, HistoryEntry, Lsn, MemberName, Mono, Stamp, Status, SyncState, SystemId,
};
use tamada_sim::store::{Changes, Client, Heard, Request};
use tamada_wire::keys::{CONFIG, STATUS, SYNC, config_json, status_json, sync_json};
use tokio::sync::watch;

use super::{Delivery, World, locked};

/// How far a voter lags where it may.
const BEHIND: Duration = Duration::from_millis(20);

pub struct Member {
    world: Arc<World>,
    client: Mutex<Client>,
    bell: OnceLock<watch::Sender<u64>>,
}

/// What asking came to.
enum Ended {
    Cluster(Arc<Cluster>),
    Written(Written),
}

impl Member {
    pub fn open(world: Arc<World>, name: &str, ttl: Duration, number: u64) -> Arc<Self> {
        let client = Mutex::new(Client::new(MemberName::new(name), ttl, number));
        let member = Arc::new(Self { world, client, bell: OnceLock::new() });
        locked(&member.world.listeners).push(Arc::downgrade(&member));
        member
    }

    pub fn hear_bell(&self, changes: Changes) {
        let leads = locked(&self.client).is_leading();
        if let Some(bell) = self.bell.get().filter(|_| changes.concern(leads)) {
            bell.send_modify(|times| *times += 1);
        }
    }

    /// Carries messages there and back until there is an outcome.
    async fn ask(&self, mut request: Request, freshness: Freshness) -> Ended {
        loop {
            let (asked, answer) = self.deliver(request, freshness).await;
            let mut client = locked(&self.client);
            match client.hear(&asked, answer, self.world.mono()) {
                Heard::Next(next) => request = next,
                Heard::Cluster(cluster) => return Ended::Cluster(cluster),
                Heard::Written(outcome) => return Ended::Written(written(outcome, client.done_at())),
            }
        }
    }

    /// What was asked in the end, and the answer to it.
    async fn deliver(&self, request: Request, freshness: Freshness) -> (Request, tamada_sim::store::Answer) {
        let world = &self.world;
        let handle = |request: &Request| {
            world.with_store(|store, now| match freshness {
                Freshness::Linearizable => store.handle(request, now),
                Freshness::Monotonic => store.handle_behind(request, BEHIND, now),
            })
        };
        world.travel().await;
        let mut asked = request;
        let mut answer = handle(&asked);
        match world.delivery {
            Delivery::Once => {}
            Delivery::Twice => {
                world.travel().await;
                handle(&asked);
            }
            Delivery::AnswerLost => {
                world.travel().await;
                asked = asked.again();
                answer = handle(&asked);
            }
        }
        world.travel().await;
        (asked, answer)
    }

    fn write(&self, request: impl FnOnce(&mut Client, Mono) -> Request) -> Answer<'_, Written> {
        let request = request(&mut locked(&self.client), self.world.mono());
        Box::pin(async move {
            match self.ask(request, Freshness::Linearizable).await {
                Ended::Written(written) => written,
                Ended::Cluster(_) => panic!("a write was answered with a cluster"),
            }
        })
    }
}

fn written(outcome: WriteOutcome, at: u64) -> Written {
    match outcome {
        WriteOutcome::Done => Written::Done(Stamp::new(at.to_string())),
        WriteOutcome::Beaten => Written::Beaten,
        WriteOutcome::Unclear(why) => Written::Unclear(why),
        WriteOutcome::Failed(why) => Written::Failed(StoreError::Unreachable(why)),
    }
}

impl Store for Member {
    fn read(&self, freshness: Freshness, _within: Duration) -> Answer<'_, Result<Cluster, StoreError>> {
        let request = locked(&self.client).read(self.world.mono());
        Box::pin(async move {
            match self.ask(request, freshness).await {
                Ended::Cluster(cluster) => Ok((*cluster).clone()),
                Ended::Written(_) => panic!("a reading was answered with an outcome"),
            }
        })
    }

    fn acquire_leader(&self, _within: Duration) -> Answer<'_, Written> {
        self.write(|client, now| client.write(&DcsWrite::Acquire, now))
    }

    fn renew_leader(&self, renewal: Renewal, _within: Duration) -> Answer<'_, Written> {
        self.write(|client, now| client.renew(renewal.status.as_ref(), renewal.failsafe.as_ref(), now))
    }

    fn take_leader(&self, _within: Duration) -> Answer<'_, Written> {
        self.write(|client, now| client.write(&DcsWrite::Take, now))
    }

    fn release_leader(&self, last: Option<Lsn>, _within: Duration) -> Answer<'_, Written> {
        self.write(|client, now| client.write(&DcsWrite::Release { last }, now))
    }

    fn touch_member(&self, record: &tamada_model::Member, _within: Duration) -> Answer<'_, Written> {
        let mut client = locked(&self.client);
        let request = client.touch(record, self.world.mono());
        let known = client.done_at();
        drop(client);
        match request {
            Some(request) => self.write(|_, _| request),
            None => Box::pin(async move { written(WriteOutcome::Done, known) }),
        }
    }

    fn delete_member(&self, _within: Duration) -> Answer<'_, Written> {
        self.write(Client::delete_member)
    }

    fn begin_bootstrap(&self, _within: Duration) -> Answer<'_, Written> {
        self.write(|client, now| client.write(&DcsWrite::BeginBootstrap, now))
    }

    fn set_initialize(&self, id: SystemId, over_existing: bool, _within: Duration) -> Answer<'_, Written> {
        self.write(|client, now| client.write(&DcsWrite::SetInitialize { id, over_existing }, now))
    }

    fn delete_initialize(&self, _within: Duration) -> Answer<'_, Written> {
        self.write(|client, now| client.write(&DcsWrite::DeleteInitialize, now))
    }

    fn set_config(&self, config: &Document, judged: Option<&Stamp>, _within: Duration) -> Answer<'_, Written> {
        self.write(|client, now| client.put(CONFIG, &config_json(config), judged, now))
    }

    fn set_failover(&self, wanted: &FailoverRequest, judged: Option<&Stamp>, _within: Duration) -> Answer<'_, Written> {
        self.write(|client, now| client.set_failover(wanted, judged, now))
    }

    fn set_sync(&self, sync: &SyncState, judged: Option<&Stamp>, _within: Duration) -> Answer<'_, Written> {
        self.write(|client, now| client.put(SYNC, &sync_json(sync), judged, now))
    }

    fn delete_sync(&self, judged: Option<&Stamp>, _within: Duration) -> Answer<'_, Written> {
        self.write(|client, now| client.delete(SYNC, judged, now))
    }

    fn set_history(&self, history: &[HistoryEntry], _within: Duration) -> Answer<'_, Written> {
        self.write(|client, now| client.write(&DcsWrite::SetHistory(history.to_vec()), now))
    }

    fn set_status(&self, status: &Status, _within: Duration) -> Answer<'_, Written> {
        self.write(|client, now| client.put(STATUS, &status_json(status), None, now))
    }

    fn delete_cluster(&self, _within: Duration) -> Answer<'_, Written> {
        self.write(Client::delete_cluster)
    }

    /// Rings once at its beginning.
    fn changed(&self) -> watch::Receiver<u64> {
        let mut begun = None;
        let bell = self.bell.get_or_init(|| {
            let (bell, receiver) = watch::channel(0);
            begun = Some(receiver);
            bell.send_modify(|times| *times += 1);
            bell
        });
        begun.unwrap_or_else(|| bell.subscribe())
    }

    fn set_times(&self, ttl: Duration, _loop_wait: Duration, _retry_timeout: Duration) {
        locked(&self.client).set_ttl(ttl);
    }
}
