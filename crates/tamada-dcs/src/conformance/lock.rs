//! The leader lock.

use std::collections::BTreeMap;
use std::time::Duration;

use tamada_model::{Lsn, MemberName, Origin, Status, Timeline};

use super::{Checked, LONG, SOON, Scene, beaten, done, holds, leader, look, record, same};
use crate::{Renewal, Written};

pub async fn only_one_acquires(scene: Scene) -> Checked {
    let (a, b) = (scene.open("a"), scene.open("b"));
    let stamp = done(a.acquire_leader(SOON).await)?;
    beaten(b.acquire_leader(SOON).await)?;
    let cluster = look(&b).await?;
    same("leader", cluster.leader_name(), Some(&MemberName::from("a")))?;
    same("stamp", cluster.leader.map(|leader| leader.stamp), Some(stamp))
}

pub async fn of_many_at_once_only_one_acquires(scene: Scene) -> Checked {
    let stores: Vec<_> = (0..5).map(|n| scene.open(&format!("m{n}"))).collect();
    let asked = stores.iter().map(|store| store.acquire_leader(SOON));
    let answers = futures_util::future::join_all(asked).await;
    let won = answers.iter().filter(|answer| matches!(answer, Written::Done(_))).count();
    let lost = answers.iter().filter(|answer| matches!(answer, Written::Beaten)).count();
    same("winners and losers", (won, lost), (1, 4))
}

/// A renewal may re-create the lock, so it runs in the same race.
pub async fn renewing_and_acquiring_at_once_have_one_winner(scene: Scene) -> Checked {
    let (a, b, c) = (scene.open("a"), scene.open("b"), scene.open("c"));
    for round in 0..20 {
        let renewed = a.renew_leader(Renewal::default(), SOON);
        let (a_has, b_has, c_has) = tokio::join!(renewed, b.acquire_leader(SOON), c.acquire_leader(SOON));
        let won = [&a_has, &b_has, &c_has].iter().filter(|answer| matches!(answer, Written::Done(_))).count();
        same(&format!("winners of round {round}"), won, 1)?;
        for store in [&a, &b, &c] {
            store.release_leader(None, SOON).await;
        }
    }
    Ok(())
}

pub async fn acquiring_what_is_ours_succeeds(scene: Scene) -> Checked {
    let a = scene.open("a");
    let first = done(a.acquire_leader(SOON).await)?;
    same("stamp", done(a.acquire_leader(SOON).await)?, first)
}

/// Another process of the same name is another holder, until it takes over knowingly by renewing.
pub async fn a_namesake_does_not_acquire(scene: Scene) -> Checked {
    let (a, namesake) = (scene.open("a"), scene.open("a"));
    done(a.acquire_leader(SOON).await)?;
    beaten(namesake.acquire_leader(SOON).await)
}

pub async fn renewing_keeps_the_lock_beyond_its_ttl(scene: Scene) -> Checked {
    let (a, b) = (scene.open_brief("a"), scene.open("b"));
    let ttl = scene.bench.shortest_ttl();
    done(a.acquire_leader(SOON).await)?;
    let begun = scene.bench.now();
    while scene.bench.now() < begun + ttl * 2 + scene.bench.late_by() {
        scene.pass(ttl / 3).await;
        done(a.renew_leader(Renewal::default(), SOON).await)?;
        same("leader", leader(&b).await?, Some("a".to_owned()))?;
    }
    beaten(b.acquire_leader(SOON).await)
}

/// The holder counts from its question. This is the promise on which everything stands.
pub async fn a_silent_holder_loses_the_lock_after_its_ttl_and_not_before(scene: Scene) -> Checked {
    let (a, b) = (scene.open_brief("a"), scene.open("b"));
    done(a.touch_member(&record(1), SOON).await)?;
    scene.pass(scene.bench.shortest_ttl() / 2).await;
    let asked = scene.bench.now();
    done(a.acquire_leader(SOON).await)?;
    drop(a);
    let end = asked + scene.bench.shortest_ttl();
    loop {
        let answer = b.acquire_leader(SOON).await;
        let now = scene.bench.now();
        match answer {
            Written::Done(_) if now < end => return Err(format!("lost {:?} too early", end - now)),
            Written::Done(_) => return Ok(()),
            Written::Beaten if now < end + scene.bench.late_by() + SOON => scene.pass(Duration::from_millis(50)).await,
            other @ (Written::Beaten | Written::Unclear(_) | Written::Failed(_)) => {
                return Err(format!("{:?} after its end: {other:?}", now.saturating_sub(end)));
            }
        }
    }
}

pub async fn renewing_never_overwrites_another_holder(scene: Scene) -> Checked {
    let (a, b) = (scene.open_brief("a"), scene.open("b"));
    done(a.acquire_leader(SOON).await)?;
    scene.until("the lock is free", &b, |cluster| cluster.leader.is_none()).await?;
    done(b.acquire_leader(SOON).await)?;
    let renewal = Renewal { status: Some(status(77)), failsafe: None };
    beaten(a.renew_leader(renewal, SOON).await)?;
    let cluster = look(&a).await?;
    same("leader", cluster.leader_name(), Some(&MemberName::from("b")))?;
    same("status", cluster.status, Status::default())
}

pub async fn renewing_recreates_a_lock_that_vanished(scene: Scene) -> Checked {
    let a = scene.open_brief("a");
    done(a.acquire_leader(SOON).await)?;
    scene.until("the lock is free", &a, |cluster| cluster.leader.is_none()).await?;
    let stamp = done(a.renew_leader(Renewal::default(), SOON).await)?;
    same("stamp", look(&a).await?.leader.map(|leader| leader.stamp), Some(stamp))
}

/// Its old session ends; the key must not end with it.
pub async fn a_restarted_holder_keeps_its_lock(scene: Scene) -> Checked {
    let before = scene.open_brief("a");
    done(before.acquire_leader(SOON).await)?;
    drop(before);
    let after = scene.open("a");
    done(after.renew_leader(Renewal::default(), SOON).await)?;
    scene.outwait().await;
    same("leader", leader(&after).await?, Some("a".to_owned()))
}

pub async fn taking_overwrites(scene: Scene) -> Checked {
    let (a, b) = (scene.open("a"), scene.open("b"));
    done(a.take_leader(SOON).await)?;
    done(b.take_leader(SOON).await)?;
    same("leader", leader(&a).await?, Some("b".to_owned()))?;
    beaten(a.renew_leader(Renewal::default(), SOON).await)
}

pub async fn releasing_frees_the_lock_and_tells_the_last_position(scene: Scene) -> Checked {
    let (a, b) = (scene.open("a"), scene.open("b"));
    done(a.acquire_leader(SOON).await)?;
    done(a.renew_leader(Renewal { status: Some(status(100)), failsafe: None }, SOON).await)?;
    done(a.release_leader(Some(Lsn::new(200)), SOON).await)?;
    let cluster = look(&b).await?;
    same("leader", cluster.leader, None)?;
    same("status", cluster.status, Status { optime: Lsn::new(200), ..status(100) })?;
    done(b.acquire_leader(SOON).await)?;
    done(b.release_leader(None, SOON).await)?;
    same("position", look(&a).await?.status.optime, Lsn::new(200))
}

pub async fn releasing_what_is_not_ours_changes_nothing(scene: Scene) -> Checked {
    let (a, b) = (scene.open("a"), scene.open("b"));
    beaten(b.release_leader(None, SOON).await)?;
    done(a.acquire_leader(SOON).await)?;
    beaten(b.release_leader(Some(Lsn::new(5)), SOON).await)?;
    let cluster = look(&a).await?;
    same("leader", cluster.leader_name(), Some(&MemberName::from("a")))?;
    same("position", cluster.status.optime, Lsn::ZERO)
}

pub async fn renewing_writes_status_and_failsafe_along(scene: Scene) -> Checked {
    let (a, b) = (scene.open("a"), scene.open("b"));
    done(a.acquire_leader(SOON).await)?;
    let members = [("a".to_owned(), "http://10.0.0.1:8008/patroni".into())].into_iter().collect();
    done(a.renew_leader(Renewal { status: Some(status(100)), failsafe: Some(members) }, SOON).await)?;
    let cluster = look(&b).await?;
    same("status", cluster.status, status(100))?;
    let expected = BTreeMap::from([(MemberName::from("a"), "http://10.0.0.1:8008/patroni".to_owned())]);
    same("failsafe", cluster.failsafe, Some(expected))?;
    done(a.renew_leader(Renewal { status: Some(status(101)), failsafe: None }, SOON).await)?;
    let cluster = look(&b).await?;
    same("position", cluster.status.optime, Lsn::new(101))?;
    holds("failsafe is left as it was", cluster.failsafe.is_some())
}

/// What we wrote in an earlier reign says nothing about what stands there now.
pub async fn a_new_reign_writes_its_status_anew(scene: Scene) -> Checked {
    let (a, b) = (scene.open("a"), scene.open("b"));
    for (store, position) in [(&a, 100), (&b, 200), (&a, 100)] {
        done(store.acquire_leader(SOON).await)?;
        done(store.renew_leader(Renewal { status: Some(status(position)), failsafe: None }, SOON).await)?;
        same("status", look(&b).await?.status, status(position))?;
        done(store.release_leader(None, SOON).await)?;
    }
    Ok(())
}

pub async fn a_new_ttl_holds_from_the_next_renewal(scene: Scene) -> Checked {
    let (a, b) = (scene.open("a"), scene.open("b"));
    done(a.touch_member(&record(1), SOON).await)?;
    done(a.acquire_leader(SOON).await)?;
    let ttl = scene.bench.shortest_ttl();
    a.set_times(ttl, ttl / 3, ttl / 3);
    done(a.renew_leader(Renewal::default(), SOON).await)?;
    done(a.touch_member(&record(1), SOON).await)?;
    drop(a);
    scene.until("the lock is free", &b, |cluster| cluster.leader.is_none()).await?;
    scene.until("the member is gone", &b, |cluster| cluster.members.is_empty()).await?;
    b.set_times(LONG, ttl / 3, ttl / 3);
    done(b.acquire_leader(SOON).await).map(drop)
}

pub async fn a_lock_survives_the_loss_of_its_session(scene: Scene) -> Checked {
    let a = scene.open("a");
    done(a.touch_member(&record(1), SOON).await)?;
    done(a.acquire_leader(SOON).await)?;
    let session = look(&a).await?.members.into_values().find_map(|member| member.session.clone());
    scene.bench.end_session(&session.ok_or("a member shows no session")?).await;
    same("leader", leader(&a).await?, None)?;
    done(a.renew_leader(Renewal::default(), SOON).await)?;
    same("leader", leader(&a).await?, Some("a".to_owned()))
}

fn status(position: u64) -> Status {
    Status {
        optime: Lsn::new(position),
        slots: BTreeMap::from([("b".to_owned(), Lsn::new(90))]),
        retain_slots: vec!["b".to_owned()],
        origin: Some(Origin { timeline: Timeline::FIRST.next(), checksum: 0xC0FFEE }),
    }
}
