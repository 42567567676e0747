//! Member keys.

use tamada_model::{Member, MemberName};

use super::{Checked, SOON, Scene, done, holds, look, record, same};
use crate::Store;
use std::sync::Arc;

/// The record of member a, without what the store adds.
async fn published(store: &Arc<dyn Store>) -> Result<Option<Member>, String> {
    let member = look(store).await?.members.remove(&MemberName::from("a"));
    Ok(member.map(|member| Member { session: None, ..(*member).clone() }))
}

pub async fn touching_publishes_the_record(scene: Scene) -> Checked {
    let (a, b) = (scene.open("a"), scene.open("b"));
    done(a.touch_member(&record(1), SOON).await)?;
    same("member a", published(&b).await?, Some(record(1)))?;
    done(a.touch_member(&record(2), SOON).await)?;
    same("member a", published(&b).await?, Some(record(2)))
}

pub async fn touching_again_changes_nothing(scene: Scene) -> Checked {
    let a = scene.open("a");
    let first = done(a.touch_member(&record(1), SOON).await)?;
    same("stamp", done(a.touch_member(&record(1), SOON).await)?, first)
}

pub async fn a_dead_members_key_disappears(scene: Scene) -> Checked {
    let (a, b) = (scene.open_brief("a"), scene.open("b"));
    done(a.touch_member(&record(1), SOON).await)?;
    drop(a);
    scene.until("member a is gone", &b, |cluster| cluster.members.is_empty()).await
}

pub async fn a_deleted_member_is_gone(scene: Scene) -> Checked {
    let (a, b) = (scene.open("a"), scene.open("b"));
    done(a.touch_member(&record(1), SOON).await)?;
    done(a.delete_member(SOON).await)?;
    same("member a", published(&b).await?, None)?;
    done(a.touch_member(&record(1), SOON).await)?;
    holds("member a is back", published(&b).await?.is_some())
}

/// The member learns of the loss at its next keep-alive, which a renewal or a touch after `loop_wait` brings.
pub async fn a_member_key_survives_the_loss_of_its_session(scene: Scene) -> Checked {
    let a = scene.open_brief("a");
    done(a.touch_member(&record(1), SOON).await)?;
    let session = look(&a).await?.members.into_values().find_map(|member| member.session.clone());
    scene.bench.end_session(&session.ok_or("a member shows no session")?).await;
    scene.pass(scene.bench.shortest_ttl() / 3).await;
    done(a.touch_member(&record(1), SOON).await)?;
    same("member a", published(&a).await?, Some(record(1)))
}

pub async fn a_member_key_deleted_by_hand_comes_back(scene: Scene) -> Checked {
    let (a, operator) = (scene.open("a"), scene.open("a"));
    done(a.touch_member(&record(1), SOON).await)?;
    done(operator.delete_member(SOON).await)?;
    same("member a", published(&a).await?, None)?;
    done(a.touch_member(&record(1), SOON).await)?;
    same("member a", published(&a).await?, Some(record(1)))
}
