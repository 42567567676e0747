//! Looking at the world on the agent's behalf: the store, PostgreSQL, the peers. Each look has a deadline; what could
//! not be seen in time is told as such.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tamada_api::client::Client;
use tamada_core::{Asked, Event, Fact, PeerQuestion};
use tamada_dcs::{Freshness, Store};
use tamada_model::{MemberName, PeerAnswer, Report, Timeline};
use tamada_postgres::{Look, Postgres};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock;

/// No look at PostgreSQL takes longer: what has not answered by then is told as silent.
const LOOK: Duration = Duration::from_secs(2);
/// A leader that was lost a moment ago does not answer. A standby that waits for it misses the race; what it wanted to
/// know it asks again in a later pass.
const DIVERGENCE: Duration = Duration::from_secs(2);

pub async fn observe(store: &dyn Store, postgres: &Postgres, within: Duration, leader: Option<Timeline>) -> Event {
    let asked_at = clock::now().mono;
    let look = Look { leader_timeline: leader, within: LOOK.min(within) };
    let (cluster, facts) = tokio::join!(store.read(Freshness::Linearizable, within), postgres.look(look));
    Event::Observed {
        asked_at,
        cluster: cluster.map(Arc::new).map_err(|error| error.to_string()),
        postgres: Arc::new(facts),
    }
}

/// Looks at PostgreSQL whenever somebody is about to judge by its position, and puts the answer into the report. Wishes
/// that came while a look was under way are served by the next one together. Who asks sees nobody lead, whatever we saw
/// last: a standby's timeline is asked anew.
pub async fn look_on_demand(
    postgres: Postgres,
    mut wishes: mpsc::Receiver<oneshot::Sender<()>>,
    reports: watch::Sender<Arc<Report>>,
) {
    let mut waiting = Vec::new();
    while wishes.recv_many(&mut waiting, 64).await > 0 {
        let facts = Arc::new(postgres.look(Look { leader_timeline: None, within: LOOK }).await);
        reports.send_modify(|report| Arc::make_mut(report).postgres = Some(facts));
        for wish in waiting.drain(..) {
            // Whoever asked may have stopped waiting.
            let _ = wish.send(());
        }
    }
}

pub async fn gather(facts: BTreeSet<Fact>, postgres: &Postgres, client: &Client) -> Event {
    let mut asked = Asked::default();
    for fact in facts {
        match fact {
            Fact::Peers(questions) => asked.peers = Some(ask_peers(client, &questions).await),
            Fact::RecoveryMatch(upstream) => {
                let found = postgres.recovery_match(&upstream).await;
                asked.recovery_match = Some((upstream, found));
            }
            Fact::Divergence(upstream) => {
                asked.divergence = Some(postgres.divergence(&upstream, DIVERGENCE).await);
            }
            Fact::Origin(timeline) => asked.origin = Some(postgres.origin(timeline).await),
            Fact::HistoryFile(timeline) => asked.history_file = Some(postgres.history_file(timeline).await),
        }
    }
    Event::Gathered(Box::new(asked))
}

/// All at once, each for as long as its answer is worth. Who has not answered by then is silent.
async fn ask_peers(client: &Client, questions: &BTreeSet<PeerQuestion>) -> BTreeMap<MemberName, PeerAnswer> {
    let mut by_patience: BTreeMap<Duration, Vec<(MemberName, String)>> = BTreeMap::new();
    for question in questions {
        by_patience.entry(question.patience).or_default().push((question.name.clone(), question.api_url.clone()));
    }
    let mut rounds: Vec<_> = by_patience.iter().map(|(patience, urls)| client.ask_peers(urls, *patience)).collect();
    let mut answers: BTreeMap<MemberName, PeerAnswer> = questions
        .iter()
        .map(|question| (question.name.clone(), PeerAnswer::Silent { because: "no answer in time".into() }))
        .collect();
    for round in &mut rounds {
        while let Some((name, answer)) = round.next().await {
            answers.insert(name, answer);
        }
    }
    answers
}
