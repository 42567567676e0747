//! What a store does for those who use it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tamada_raft::link::Security;
use tamada_raft::{Client, Keys, Op, Reading, Refusal, Txn, WatchEnd};

use crate::voters::{LIMIT, Voters, absent, done, put, read, simple, value};

#[tokio::test]
async fn one_voter_alone_is_a_store() {
    let voters = Voters::new(1).await;
    let client = voters.client(0);
    done(&client, put("a", "1")).await;
    assert_eq!(value(&client, "a").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn what_one_writes_all_read() {
    let voters = Voters::new(3).await;
    for place in 0..3 {
        let name = format!("from {place}");
        done(&voters.client(place), put("a", &name)).await;
        for reader in 0..3 {
            assert_eq!(value(&voters.client(reader), "a").await, Some(name.clone()));
        }
    }
}

#[tokio::test]
async fn what_was_written_outlives_all() {
    let mut voters = Voters::new(3).await;
    let written = done(&voters.client(0), put("a", "1")).await;
    (0..3).for_each(|place| voters.stop(place));
    (0..3).for_each(|place| voters.start(place));
    let client = voters.client(2);
    assert_eq!(value(&client, "a").await.as_deref(), Some("1"));
    assert_eq!(read(&client, "a", Reading::AtLeast(written.revision)).await.as_deref(), Some("1"));
}

#[tokio::test]
async fn two_of_three_go_on_without_their_leader() {
    let mut voters = Voters::new(3).await;
    done(&voters.client(0), put("a", "1")).await;
    let leader = voters.leader(0).await;
    voters.stop(leader);
    let other = (leader + 1) % 3;
    assert_eq!(value(&voters.client(other), "a").await.as_deref(), Some("1"));
    done(&voters.client(other), put("a", "2")).await;
    voters.start(leader);
    assert_eq!(value(&voters.client(leader), "a").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn who_has_lost_its_own_voter_asks_the_others() {
    let mut voters = Voters::new(3).await;
    let client = voters.client(0);
    done(&client, put("a", "1")).await;
    voters.stop(0);
    assert_eq!(value(&client, "a").await.as_deref(), Some("1"));
    done(&client, put("a", "2")).await;
    assert_eq!(value(&voters.client(1), "a").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn one_of_three_knows_that_it_is_alone() {
    let mut voters = Voters::new(3).await;
    done(&voters.client(0), put("a", "1")).await;
    voters.stop(1);
    voters.stop(2);
    voters.until(0, "it hears no majority", |status| !status.quorum).await;
    let client = voters.client(0);
    let brief = Duration::from_millis(500);
    for how in [Reading::Linearizable, Reading::AtLeast(0)] {
        let why = client.read(vec![], how, brief).await.expect_err("nobody confirms").to_string();
        assert!(why.contains("no majority") && why.contains(&voters.address(1)), "{why}");
    }
}

#[tokio::test]
async fn a_client_far_away_needs_only_addresses() {
    let mut voters = Voters::new(3).await;
    let addresses = vec!["127.0.0.1:1".to_owned(), voters.address(0), voters.address(1), voters.address(2)];
    let client = Client::remote(addresses, Security::default());
    done(&client, put("a", "1")).await;
    voters.stop(0);
    assert_eq!(value(&client, "a").await.as_deref(), Some("1"));
    assert_eq!(client.status(LIMIT).await.expect("a status").members.len(), 3);
}

#[tokio::test]
async fn a_watch_tells_every_change_once_and_in_order() {
    let voters = Voters::new(3).await;
    let first = done(&voters.client(0), put("a/0", "0")).await.revision;
    let near = voters.client(1).watch(Keys::prefix(b"a/"), Some(first), LIMIT).await.expect("a watch");
    let far = Client::remote(vec![voters.address(2)], Security::default());
    let far = far.watch(Keys::prefix(b"a/"), Some(first), LIMIT).await.expect("a watch");
    for number in 1..50 {
        done(&voters.client(number % 3), put(&format!("a/{number}"), &number.to_string())).await;
        done(&voters.client(number % 3), put("elsewhere", "x")).await;
    }
    for mut watch in [near, far] {
        for number in 0..50 {
            let changes = tokio::time::timeout(LIMIT, watch.next()).await.expect("in time").expect("a change");
            assert_eq!(changes.changes.len(), 1);
            assert_eq!(changes.changes[0].now.value, number.to_string());
        }
    }
}

#[tokio::test]
async fn a_lease_ends_when_it_is_not_renewed_and_takes_its_keys_along() {
    let voters = Voters::new(3).await;
    let client = voters.client(0);
    let ttl = Duration::from_millis(500);
    let take = Txn { then: vec![Op::Grant { id: 7, ttl }, Op::Put(simple("leader", "me", 7))], ..Txn::default() };
    let mut watch = client.watch(Keys::prefix(b"leader"), None, LIMIT).await.expect("a watch");
    let asked = Instant::now();
    assert!(done(&client, take).await.result.is_ok());
    watch.next().await.expect("it is taken");
    let gone = tokio::time::timeout(LIMIT, watch.next()).await.expect("in time").expect("a change");
    assert!(asked.elapsed() >= ttl, "it ended after {:?}", asked.elapsed());
    assert_eq!(gone.changes[0].now.key, "leader");
    let renew = Txn { then: vec![Op::KeepAlive(7)], ..Txn::default() };
    assert_eq!(done(&client, renew).await.result, Err(Refusal::LeaseNotFound));
}

/// The new leader counts from when it received the renewal itself: not earlier than the holder asked, and not anew.
#[tokio::test]
async fn a_lease_outlives_a_change_of_leaders_and_is_not_begun_anew() {
    let mut voters = Voters::new(3).await;
    let ttl = Duration::from_secs(300);
    let take = Txn { then: vec![Op::Grant { id: 7, ttl }, Op::Put(simple("leader", "me", 7))], ..Txn::default() };
    let asked = Instant::now();
    done(&voters.client(0), take).await;
    let answered = Instant::now();
    let leader = voters.leader(0).await;
    voters.stop(leader);
    let client = voters.client((leader + 1) % 3);
    assert_eq!(value(&client, "leader").await.as_deref(), Some("me"));
    let before = Instant::now();
    let lease = client.lease(7, LIMIT).await.expect("an answer").expect("it lives");
    let passed = ttl - lease.left;
    assert_eq!((lease.ttl, lease.keys), (ttl, vec![Bytes::from_static(b"leader")]));
    assert!(passed <= asked.elapsed(), "the holder believes in it for longer: {passed:?}");
    // A follower may receive what was committed without it a moment after the answer.
    assert!(passed + Duration::from_millis(500) >= before - answered, "it was begun anew: {passed:?}");
}

#[tokio::test]
async fn of_many_who_race_one_wins() {
    let voters = Voters::new(3).await;
    let race = |runner: usize| {
        let client = voters.client(runner % 3);
        let then = vec![Op::Put(simple("leader", &runner.to_string(), 0))];
        async move { done(&client, Txn { when: vec![absent("leader")], then, otherwise: vec![] }).await }
    };
    let outcomes = futures_util::future::join_all((0..30).map(race)).await;
    let won = outcomes.iter().filter(|outcome| outcome.result.as_ref().is_ok_and(|reply| reply.held)).count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_watch_ends_when_its_voter_hears_nobody_any_more() {
    let mut voters = Voters::new(3).await;
    let mut watch = voters.client(0).watch(Keys::prefix(b"a"), None, LIMIT).await.expect("a watch");
    voters.stop(1);
    voters.stop(2);
    let end = tokio::time::timeout(LIMIT, watch.next()).await.expect("in time");
    assert!(matches!(&end, Err(WatchEnd::Lost(why)) if why.contains("no majority")), "{end:?}");
}

#[tokio::test]
async fn a_watch_ends_with_its_voter() {
    let mut voters = Voters::new(3).await;
    let client = voters.client(0);
    let mut watch = client.watch(Keys::prefix(b"a"), None, LIMIT).await.expect("a watch");
    voters.stop(0);
    let end = tokio::time::timeout(LIMIT, watch.next()).await.expect("in time");
    assert!(matches!(end, Err(WatchEnd::Lost(_))), "{end:?}");
    let mut watch = client.watch(Keys::prefix(b"a"), None, LIMIT).await.expect("a watch through another");
    done(&client, put("a", "1")).await;
    assert_eq!(watch.next().await.expect("a change").changes[0].now.value, "1");
}

/// The leader and one follower of five: the follower hears its leader, and that is not enough.
#[tokio::test]
async fn two_of_five_know_that_they_are_a_minority_even_if_one_of_them_leads() {
    let mut voters = Voters::new(5).await;
    let leader = voters.leader(0).await;
    for step in 1..4 {
        voters.stop((leader + step) % 5);
    }
    let follower = (leader + 4) % 5;
    for place in [leader, follower] {
        voters.until(place, "it knows that it is in the minority", |status| !status.quorum).await;
    }
}
