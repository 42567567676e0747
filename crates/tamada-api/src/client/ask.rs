//! Asking many peers at once, each answer delivered as it comes.
//!
//! A race must not wait for the slowest: whoever asked may stop as soon as the missing answers cannot change the
//! outcome. Dropping [`Asked`] ends all questions that are still open.

use std::time::Duration;

use tamada_model::{MemberName, PeerAnswer};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::Client;

/// Questions under way.
#[derive(Debug)]
pub struct Asked(JoinSet<(MemberName, PeerAnswer)>);

impl Asked {
    /// The next answer; `None` when all have come. Takes no longer than the time given for the questions.
    pub async fn next(&mut self) -> Option<(MemberName, PeerAnswer)> {
        loop {
            match self.0.join_next().await? {
                Ok(answer) => return Some(answer),
                // A question cannot fail but by a fault of ours; the member then counts as silent by its absence.
                Err(error) => warn!("asking a member ended without an answer: {error}"),
            }
        }
    }
}

impl Client {
    /// Asks `GET` of every URL at once (ha-loop.md 12.9): no retries, and the HTTP status does not matter.
    pub fn ask_peers(&self, urls: &[(MemberName, String)], within: Duration) -> Asked {
        let mut asked = JoinSet::new();
        for (name, url) in urls {
            let (client, name, url) = (self.clone(), name.clone(), url.clone());
            asked.spawn(async move {
                let answer = client.ask_peer(&name, &url, within).await;
                (name, answer)
            });
        }
        Asked(asked)
    }

    async fn ask_peer(&self, name: &MemberName, url: &str, within: Duration) -> PeerAnswer {
        match self.get(url, within).await {
            Ok(heard) => {
                info!("Got response from {name} {url}: {}", heard.text());
                tamada_wire::rest::peer_answer(&heard.body)
            }
            Err(error) => {
                warn!("Request failed to {name}: GET {url} ({error})");
                PeerAnswer::Silent { because: error.to_string() }
            }
        }
    }
}
