//! What an agent asks for when a decision needs it: its peers, and its own PostgreSQL more closely.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tamada_core::{Asked, Event, Fact, PeerQuestion};
use tamada_model::PeerAnswer;
use tamada_wire::{json, rest};

use super::World;
use crate::Host;
use crate::member::{Life, Runs};
use crate::net::{Place, Road};

/// A look at files and settings.
const NEAR: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(20));

impl World {
    pub(super) fn gather(&mut self, host: Host, facts: &BTreeSet<Fact>) {
        let mut asked = Asked::default();
        let mut takes = Duration::ZERO;
        for fact in facts {
            let took = match fact {
                Fact::Peers(questions) => self.ask_peers(host, questions, &mut asked),
                Fact::RecoveryMatch(upstream) => {
                    asked.recovery_match = Some((upstream.clone(), self.fleet.recovery_match(host, upstream)));
                    self.near()
                }
                Fact::Divergence(upstream) => {
                    let found = self.with_fleet(|fleet, _, net| fleet.divergence(host, upstream, net));
                    self.diary.note(self.now, Some(host), || format!("compares histories: {found:?}"));
                    asked.divergence = Some(found);
                    self.near()
                }
                Fact::Origin(timeline) => {
                    asked.origin = Some(self.fleet.origin_of(host, *timeline));
                    self.near()
                }
                Fact::HistoryFile(timeline) => {
                    asked.history_file = Some(self.fleet.history_file(host, *timeline));
                    self.near()
                }
            };
            takes = takes.max(took);
        }
        self.hear_later(host, takes, Event::Gathered(Box::new(asked)));
    }

    fn near(&mut self) -> Duration {
        self.chance.between(NEAR.0, NEAR.1)
    }

    /// All at once; whoever is silent costs its patience.
    fn ask_peers(&mut self, host: Host, questions: &BTreeSet<PeerQuestion>, asked: &mut Asked) -> Duration {
        let mut takes = Duration::ZERO;
        let answers = asked.peers.get_or_insert_default();
        for question in questions {
            let (took, answer) = self.ask_peer(host, question);
            self.diary.note(self.now, Some(host), || format!("asks {}: {}", question.name, in_short(&answer)));
            takes = takes.max(took);
            answers.insert(question.name.clone(), answer);
        }
        takes
    }

    fn ask_peer(&mut self, host: Host, question: &PeerQuestion) -> (Duration, PeerAnswer) {
        let silent = PeerAnswer::Silent { because: "no answer in time".into() };
        let Some(peer) = self.host(question.name.as_str()) else {
            return (question.patience, silent);
        };
        let trip = self.net.round_trip(Place::Host(host), Place::Host(peer), Road::Rest);
        let Some(trip) = trip.filter(|trip| *trip < question.patience) else {
            return (question.patience, silent);
        };
        let member = &self.members[peer.0];
        match (&member.life, member.host_runs) {
            // Nobody listens: refused at once.
            (Life::Dead | Life::Waking(_), Runs::On) => {
                (trip, PeerAnswer::Silent { because: "connection refused".into() })
            }
            (Life::Up(_), Runs::On) if member.answers() => (trip, self.status_of(peer).unwrap_or(silent)),
            (Life::Dead | Life::Waking(_) | Life::Up(_), Runs::On | Runs::Still | Runs::Off) => {
                (question.patience, silent)
            }
        }
    }

    /// `GET /patroni` of a peer, as bytes on the wire, and read by our own reader.
    fn status_of(&self, peer: Host) -> Option<PeerAnswer> {
        let member = &self.members[peer.0];
        let now = member.now(self.now);
        let mut report = (**member.report.as_ref()?).clone();
        report.postgres = Some(Arc::new(self.fleet.facts(peer, now, None)));
        let body = json::compact(&rest::status_document(&report, now.mono));
        Some(rest::peer_answer(body.as_bytes()))
    }
}

fn in_short(answer: &PeerAnswer) -> String {
    match answer {
        PeerAnswer::Silent { because } => because.clone(),
        PeerAnswer::Answered(status) => {
            let kind = if status.in_recovery { "standby" } else { "primary" };
            format!("{kind} at {} on {:?}", status.position, status.timeline)
        }
    }
}
