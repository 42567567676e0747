//! The store and its clients: first what late writes come to, made when it is time and handed in when it is not any more.

use std::sync::Arc;
use std::time::Duration;

use tamada_core::{DcsWrite, WriteOutcome};
use tamada_model::{Cluster, Document, FailoverRequest, Initialize, Lsn, Member, MemberName, Mono, Status};
use tamada_wire::keys::{self, CONFIG, HISTORY, INITIALIZE, LEADER, STATUS, SYNC};

use super::txn::{Found, Refusal, stamp};
use super::{Answer, Changed, Client, Heard, Request, Store};
use crate::{Chance, Moment};

const TTL: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

/// A store, and the time, which is the same for everybody.
struct Scene {
    store: Store,
    now: Moment,
    members: u64,
}

impl Scene {
    fn new() -> Self {
        Self { store: Store::default(), now: Moment::default(), members: 0 }
    }

    fn member(&mut self, name: &str) -> Client {
        self.members += 1;
        Client::new(MemberName::new(name), TTL, self.members)
    }

    /// The time that everybody's clock shows.
    fn mono(&self) -> Mono {
        Mono::new(self.now.since(Moment::default()))
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.store.expire(self.now);
    }

    fn asks(&self, client: &mut Client, write: &DcsWrite) -> Request {
        client.write(write, self.mono())
    }

    /// Carries messages until there is an outcome.
    fn carry(&mut self, client: &mut Client, mut request: Request) -> WriteOutcome {
        loop {
            let answer = self.store.handle(&request, self.now);
            match client.hear(&request, answer, self.mono()) {
                Heard::Next(next) => request = next,
                Heard::Written(outcome) => return outcome,
                Heard::Cluster(_) => panic!("a write was answered with a cluster"),
            }
        }
    }

    fn writes(&mut self, client: &mut Client, write: &DcsWrite) -> WriteOutcome {
        let request = self.asks(client, write);
        self.carry(client, request)
    }

    fn done(&mut self, client: &mut Client, write: &DcsWrite) {
        assert_eq!(self.writes(client, write), WriteOutcome::Done, "{write:?}");
    }

    fn touch(&mut self, client: &mut Client) {
        if let Some(request) = client.touch(&record(1), self.mono()) {
            assert_eq!(self.carry(client, request), WriteOutcome::Done);
        }
    }

    fn read(&mut self, client: &mut Client) -> Arc<Cluster> {
        let request = client.read(self.mono());
        let answer = self.store.handle(&request, self.now);
        heard_cluster(client.hear(&request, answer, self.mono()))
    }

    fn carry_out_late(&mut self, late: &Request) -> Result<bool, Refusal> {
        match self.store.handle(late, self.now) {
            Answer::Written(outcome) => outcome.result.map(|reply| reply.held),
            Answer::Cluster { .. } => panic!("a write was answered with a cluster"),
        }
    }

    fn leader(&self) -> Option<&str> {
        self.store.leader().map(|(name, _)| name.as_str())
    }

    fn key(&self, key: &str) -> Option<Found> {
        self.store.entries.get(key).cloned()
    }
}

fn heard_cluster(heard: Heard) -> Arc<Cluster> {
    match heard {
        Heard::Cluster(cluster) => cluster,
        Heard::Written(_) | Heard::Next(_) => panic!("a reading was not answered with a cluster"),
    }
}

fn record(position: u64) -> Member {
    Member { state: Some("running".into()), xlog_location: Some(Lsn::new(position)), ..Member::default() }
}

fn status(position: u64) -> Option<Status> {
    Some(Status { optime: Lsn::new(position), ..Status::default() })
}

const RENEW: DcsWrite = DcsWrite::Renew { status: None };
const RELEASE: DcsWrite = DcsWrite::Release { last: None };

#[test]
fn an_acquisition_that_we_gave_up_is_not_carried_out() {
    for write in [DcsWrite::Acquire, DcsWrite::Take] {
        let mut scene = Scene::new();
        let mut a = scene.member("a");
        scene.touch(&mut a);
        let late = scene.asks(&mut a, &write);
        assert!(matches!(a.unanswered(&late), WriteOutcome::Unclear(_)));
        scene.touch(&mut a);
        assert_eq!(scene.carry_out_late(&late), Err(Refusal::LeaseNotFound));
        assert_eq!(scene.leader(), None);
    }
}

#[test]
fn a_lock_that_we_gave_up_to_create_anew_is_not_created_late() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.touch(&mut a);
    let renewal = scene.asks(&mut a, &RENEW);
    let answer = scene.store.handle(&renewal, scene.now);
    let Heard::Next(late) = a.hear(&renewal, answer, scene.mono()) else { panic!("the lock is free to be taken") };
    a.unanswered(&late);
    scene.done(&mut a, &RENEW);
    scene.done(&mut a, &RELEASE);
    assert_eq!(scene.carry_out_late(&late), Err(Refusal::LeaseNotFound));
    assert_eq!(scene.leader(), None);
}

#[test]
fn an_acquisition_that_nobody_follows_up_ends_with_its_lease() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.touch(&mut a);
    let late = scene.asks(&mut a, &DcsWrite::Acquire);
    drop(a);
    scene.pass(TTL);
    assert_eq!(scene.carry_out_late(&late), Err(Refusal::LeaseNotFound));
}

#[test]
fn a_release_ends_what_was_asked_before() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.touch(&mut a);
    let late = scene.asks(&mut a, &DcsWrite::Acquire);
    a.unanswered(&late);
    scene.done(&mut a, &DcsWrite::Take);
    scene.done(&mut a, &RELEASE);
    assert_eq!(scene.carry_out_late(&late), Err(Refusal::LeaseNotFound));
    assert_eq!(scene.leader(), None);
}

#[test]
fn an_acquisition_that_was_carried_out_unheard_comes_along() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.touch(&mut a);
    let unheard = scene.asks(&mut a, &DcsWrite::Acquire);
    assert_eq!(scene.carry_out_late(&unheard), Ok(true));
    a.unanswered(&unheard);
    let before = scene.key(LEADER).expect("it was carried out");
    scene.touch(&mut a);
    let after = scene.key(LEADER).expect("it came along");
    assert_eq!(after.created, before.created);
    assert_ne!(after.lease, before.lease);
    scene.done(&mut a, &RENEW);
    assert_eq!(scene.leader(), Some("a"));
}

#[test]
fn taking_the_lock_late_spares_whoever_has_it_since() {
    let mut scene = Scene::new();
    let (mut a, mut b) = (scene.member("a"), scene.member("b"));
    scene.touch(&mut a);
    let late = scene.asks(&mut a, &DcsWrite::Take);
    scene.done(&mut b, &DcsWrite::Acquire);
    assert_eq!(scene.carry_out_late(&late), Ok(false));
    assert_eq!(scene.leader(), Some("b"));
}

#[test]
fn a_late_renewal_keeps_alive_only_what_is_alive_and_ours() {
    let mut scene = Scene::new();
    let (mut a, mut b) = (scene.member("a"), scene.member("b"));
    scene.done(&mut a, &DcsWrite::Acquire);
    let late = scene.asks(&mut a, &RENEW);
    scene.pass(TTL / 2);
    assert_eq!(scene.carry_out_late(&late), Ok(true));
    assert_eq!(scene.store.leader().map(|(_, end)| end), Some(scene.now + TTL));
    scene.pass(TTL);
    assert_eq!(scene.carry_out_late(&late), Ok(false));
    assert_eq!(scene.leader(), None);
    scene.done(&mut b, &DcsWrite::Acquire);
    assert_eq!(scene.carry_out_late(&late), Ok(false));
    assert_eq!(scene.leader(), Some("b"));
}

#[test]
fn a_late_renewal_may_bring_an_older_status_back_until_the_next() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.done(&mut a, &DcsWrite::Acquire);
    let late = scene.asks(&mut a, &DcsWrite::Renew { status: status(100) });
    scene.done(&mut a, &DcsWrite::Renew { status: status(200) });
    assert_eq!(scene.carry_out_late(&late), Ok(true));
    assert_eq!(scene.read(&mut a).status.optime, Lsn::new(100));
    scene.done(&mut a, &DcsWrite::Renew { status: status(200) });
    assert_eq!(scene.read(&mut a).status.optime, Lsn::new(200));
}

#[test]
fn a_late_release_spares_the_next_reign() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.done(&mut a, &DcsWrite::Acquire);
    let look = scene.asks(&mut a, &DcsWrite::Release { last: Some(Lsn::new(100)) });
    let answer = scene.store.handle(&look, scene.now);
    let Heard::Next(late) = a.hear(&look, answer, scene.mono()) else { panic!("there is a reign to end") };
    scene.done(&mut a, &RELEASE);
    scene.done(&mut a, &DcsWrite::Acquire);
    assert_eq!(scene.carry_out_late(&late), Ok(false));
    assert_eq!((scene.leader(), scene.key(STATUS)), (Some("a"), None));
}

#[test]
fn a_late_compare_and_swap_is_refused_when_anybody_was_faster() {
    let mut scene = Scene::new();
    let (mut a, mut operator) = (scene.member("a"), Client::operator(100));
    scene.store.put_raw(SYNC, "{}", scene.now);
    let judged = stamp(scene.key(SYNC).expect("it was written").modified);
    let late = a.put(SYNC, r#"{"leader":"a"}"#, Some(&judged), scene.mono());
    let faster = operator.put(SYNC, r#"{"leader":"b"}"#, Some(&judged), scene.mono());
    assert_eq!(scene.carry(&mut operator, faster), WriteOutcome::Done);
    assert_eq!(scene.carry_out_late(&late), Ok(false));
    assert_eq!(scene.store.raw(SYNC), Some(r#"{"leader":"b"}"#));
}

#[test]
fn what_compares_nothing_happens_however_late() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    let (begin, history) = (DcsWrite::BeginBootstrap, DcsWrite::SetHistory(Vec::new()));
    let late = [scene.asks(&mut a, &begin), scene.asks(&mut a, &history)];
    scene.pass(TTL * 10);
    assert!(late.iter().all(|late| scene.carry_out_late(late) == Ok(true)));
    assert_eq!((scene.store.raw(INITIALIZE), scene.store.raw(HISTORY)), (Some(""), Some("[]")));
}

/// Nobody sees a member go and come, or the lock free.
#[test]
fn a_new_ttl_takes_the_keys_along() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.touch(&mut a);
    scene.done(&mut a, &DcsWrite::Acquire);
    let before = scene.key(LEADER).expect("the lock is taken");
    scene.store.take_changes();
    a.set_ttl(TTL * 2);
    scene.done(&mut a, &RENEW);
    let (leader, member) = (scene.key(LEADER).expect("still ours"), scene.key("members/a").expect("still there"));
    assert_eq!((leader.created, leader.lease), (before.created, member.lease));
    assert_ne!(leader.lease, before.lease);
    assert_eq!(scene.store.next_expiry(), Some(scene.now + TTL * 2), "the old lease has ended");
    assert!(!scene.store.take_changes().has(Changed::Members));
}

#[test]
fn a_lease_that_ended_is_replaced() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.touch(&mut a);
    scene.done(&mut a, &DcsWrite::Acquire);
    scene.pass(TTL);
    assert_eq!((scene.leader(), scene.key("members/a")), (None, None));
    scene.done(&mut a, &RENEW);
    scene.touch(&mut a);
    assert_eq!(scene.leader(), Some("a"));
    assert!(scene.key("members/a").is_some());
}

#[test]
fn a_lease_that_was_begun_unheard_is_left_to_run_out() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    let begin = scene.asks(&mut a, &DcsWrite::Acquire);
    assert_eq!(scene.carry_out_late(&begin), Ok(true));
    assert!(matches!(a.unanswered(&begin), WriteOutcome::Failed(_)), "the lock was not asked for yet");
    assert_eq!(scene.carry(&mut a, begin.again()), WriteOutcome::Done);
    scene.pass(TTL / 2);
    scene.done(&mut a, &RENEW);
    scene.pass(TTL / 2);
    assert_eq!((scene.leader(), scene.store.leases.len()), (Some("a"), 1));
}

#[test]
fn whoever_asks_again_finds_what_the_first_try_did() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.touch(&mut a);
    let acquire = scene.asks(&mut a, &DcsWrite::Acquire);
    assert_eq!(scene.carry_out_late(&acquire), Ok(true));
    assert_eq!(scene.carry(&mut a, acquire.again()), WriteOutcome::Done);
    scene.store.put_raw(SYNC, "{}", scene.now);
    let judged = stamp(scene.store.revision());
    let swap = a.put(SYNC, r#"{"leader":"a"}"#, Some(&judged), scene.mono());
    assert_eq!(scene.carry_out_late(&swap), Ok(true));
    assert_eq!(scene.carry(&mut a, swap.again()), WriteOutcome::Done);
    let begin = scene.asks(&mut a, &DcsWrite::BeginBootstrap);
    assert_eq!(scene.carry_out_late(&begin), Ok(true));
    assert!(matches!(scene.carry(&mut a, begin.again()), WriteOutcome::Unclear(_)), "others write the same");
}

#[test]
fn a_lease_lasts_its_ttl_from_when_the_store_hears_and_ends_when_it_is_taken_away() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.touch(&mut a);
    let acquire = scene.asks(&mut a, &DcsWrite::Acquire);
    scene.pass(SECOND);
    assert_eq!(scene.carry(&mut a, acquire), WriteOutcome::Done);
    let end = scene.now + TTL;
    assert_eq!(scene.store.next_expiry(), Some(end));
    scene.store.expire(end - Duration::from_nanos(1));
    assert_eq!(scene.leader(), Some("a"));
    scene.now = end + SECOND;
    assert_eq!(scene.leader(), Some("a"), "a store may be late");
    scene.store.expire(scene.now);
    assert_eq!(scene.leader(), None);
    assert!(scene.store.take_changes().has(Changed::Leader));
}

#[test]
fn leases_begin_anew_when_the_store_elects_a_leader() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.done(&mut a, &DcsWrite::Acquire);
    scene.pass(TTL - SECOND);
    scene.store.new_leader(scene.now);
    scene.pass(TTL - SECOND);
    assert_eq!(scene.leader(), Some("a"));
    scene.pass(SECOND);
    assert_eq!(scene.leader(), None);
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.done(&mut a, &DcsWrite::Acquire);
    let late = scene.asks(&mut a, &DcsWrite::Renew { status: status(100) });
    scene.pass(TTL);
    scene.store.put_raw(LEADER, "b", scene.now);
    let before = (scene.store.entries.clone(), scene.store.revision());
    assert_eq!(scene.carry_out_late(&late), Ok(false));
    let touch = a.touch(&record(1), scene.mono()).expect("there is something to write");
    assert_eq!(scene.carry_out_late(&touch), Err(Refusal::LeaseNotFound));
    assert_eq!((scene.store.entries.clone(), scene.store.revision()), before);
}

#[test]
fn a_member_key_is_written_when_it_or_the_lease_needs_it() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.touch(&mut a);
    assert!(a.touch(&record(1), scene.mono()).is_none());
    assert!(a.touch(&record(2), scene.mono()).is_some());
    scene.pass(TTL / 3);
    let renewal = a.touch(&record(1), scene.mono()).expect("the lease is due");
    let revision = scene.store.revision();
    assert_eq!(scene.carry(&mut a, renewal), WriteOutcome::Done);
    assert_eq!(scene.store.revision(), revision, "the key was as it should be");
    assert!(a.touch(&record(1), scene.mono()).is_none());
    scene.store.delete_raw("members/a", scene.now);
    scene.read(&mut a);
    assert!(a.touch(&record(1), scene.mono()).is_some());
}

#[test]
fn a_renewal_that_tells_nothing_new_changes_nothing_that_is_shown() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.done(&mut a, &DcsWrite::Acquire);
    scene.done(&mut a, &DcsWrite::Renew { status: status(100) });
    let before = scene.store.cluster();
    scene.store.take_changes();
    scene.done(&mut a, &DcsWrite::Renew { status: status(100) });
    assert!(Arc::ptr_eq(&before, &scene.store.cluster()));
    assert!(scene.store.take_changes().is_empty());
}

#[test]
fn the_bell_is_silent_about_a_leaders_own_status_and_what_members_tell_of_themselves() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.touch(&mut a);
    assert!(scene.store.take_changes().concern(true));
    scene.store.put_raw("members/a", "{}", scene.now);
    assert!(!scene.store.take_changes().concern(false));
    scene.store.put_raw(STATUS, "1", scene.now);
    let changes = scene.store.take_changes();
    assert!(changes.concern(false) && !changes.concern(true));
}

/// Some texts that are right, and some that are not.
const TEXTS: [&str; 6] = ["", "a", "{}", "7277694203142172922", r#"{"leader":"a","member":"b"}"#, r#"{"optime":5}"#];
const KEYS: [&str; 10] = [
    LEADER,
    CONFIG,
    STATUS,
    SYNC,
    HISTORY,
    INITIALIZE,
    keys::FAILOVER,
    keys::FAILSAFE,
    keys::LEADER_OPTIME,
    "members/a",
];

#[test]
fn reading_what_changed_comes_to_the_same_as_reading_all() {
    let (mut chance, mut scene) = (Chance::new(1), Scene::new());
    for _ in 0..2000 {
        let key = *chance.pick(&KEYS);
        match chance.happens(1, 3) {
            true => scene.store.delete_raw(key, scene.now),
            false => scene.store.put_raw(key, chance.pick::<&str>(&TEXTS), scene.now),
        }
        if chance.happens(1, 2) {
            let entries = scene.store.entries.iter().map(|(key, entry)| keys::Entry {
                key,
                value: entry.value.as_bytes(),
                stamp: stamp(entry.modified),
                session: None,
            });
            let all = keys::parse_cluster(entries);
            assert_eq!(*scene.store.cluster(), all);
            assert_eq!(scene.leader(), all.leader_name().map(MemberName::as_str));
        }
    }
}

#[test]
fn a_voter_that_lags_shows_what_was_and_never_less_than_it_showed_before() {
    let mut scene = Scene::new();
    let (mut a, mut b) = (scene.member("a"), scene.member("b"));
    for position in 1..=3 {
        scene.store.put_raw(STATUS, &position.to_string(), scene.now);
        scene.store.cluster();
        scene.pass(SECOND);
    }
    let mut shown = |client: &mut Client, behind: Duration| {
        let request = client.read(scene.mono());
        let answer = scene.store.handle_behind(&request, behind, scene.now);
        heard_cluster(client.hear(&request, answer, scene.mono())).status.optime
    };
    assert_eq!(shown(&mut a, SECOND * 2), Lsn::new(2));
    assert_eq!(shown(&mut b, SECOND * 5 / 2), Lsn::new(1));
    assert_eq!(shown(&mut a, SECOND * 5 / 2), Lsn::new(2));
    assert_eq!(shown(&mut a, Duration::ZERO), Lsn::new(3));
    assert_eq!(shown(&mut a, SECOND * 2), Lsn::new(3));
}

#[test]
fn a_store_that_is_restored_shows_its_past_and_goes_on_from_there() {
    let mut scene = Scene::new();
    let mut a = scene.member("a");
    scene.done(&mut a, &DcsWrite::BeginBootstrap);
    let backup = scene.store.snapshot();
    scene.touch(&mut a);
    scene.done(&mut a, &DcsWrite::Acquire);
    scene.store.restore(&backup, scene.now);
    assert!(scene.store.take_changes().has(Changed::Leader));
    let cluster = scene.read(&mut a);
    assert_eq!((&cluster.initialize, cluster.members.len()), (&Initialize::Underway, 0));
    assert_eq!(scene.leader(), None);
    scene.done(&mut a, &RENEW);
    assert_eq!(scene.leader(), Some("a"));
    scene.store.wipe(scene.now);
    assert_eq!(*scene.read(&mut a), Cluster::default());
    assert_eq!(scene.store.revision(), 0);
}

#[test]
fn an_operator_needs_no_lease() {
    let mut scene = Scene::new();
    let mut operator = Client::operator(100);
    let config: Document = [("pause".to_owned(), true.into())].into_iter().collect();
    scene.done(&mut operator, &DcsWrite::SetConfig(config));
    let request = FailoverRequest { candidate: Some(MemberName::new("b")), ..FailoverRequest::default() };
    let asked = operator.set_failover(&request, None, scene.mono());
    assert_eq!(scene.carry(&mut operator, asked), WriteOutcome::Done);
    let cluster = scene.read(&mut operator);
    assert_eq!(cluster.failover.as_ref().map(|failover| &failover.value), Some(&request));
    assert_eq!(scene.store.next_expiry(), None);
}
