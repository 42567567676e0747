//! Physical replication slots of the members (postgres.md 15.7–15.11).
//!
//! A slot keeps WAL for a member that is away. Too few, and the member must be cloned again; one too many, and the disk
//! fills up. So we make them equal to the plan, and leave alone what the operator says is not ours.

use postgres_protocol::escape::escape_literal;
use tamada_model::document::scalar_text;
use tamada_model::{Document, Lsn, Slot};

use crate::client::Client;
use crate::inspect::monitor;
use crate::{PgError, Postgres};

/// The slots that shall exist on this node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlotPlan {
    pub wanted: Vec<WantedSlot>,
    /// Paused: unknown slots are not dropped.
    pub keep_unknown: bool,
    /// Matchers of slots that are not ours (15.7).
    pub ignore: Vec<Document>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WantedSlot {
    pub name: String,
    /// Its member is expected to stream from us.
    pub active_here: bool,
    /// How far its member is known to be; a slot nobody uses here is advanced to it.
    pub lsn: Option<Lsn>,
    /// A leftover `xmin` of a slot nobody uses here may be cleaned (15.11): the cluster has a leader, and it is not us,
    /// or we are primary.
    pub may_clean: bool,
}

/// What has to be done to one slot.
#[derive(Clone, Debug, PartialEq)]
enum Act {
    Create(String),
    Drop(String),
    /// Dropped and made anew: its `xmin` is a leftover that vacuum waits for.
    Renew(String),
    Advance(String, Lsn),
}

impl Postgres {
    /// Makes the slots as planned. In a quiet pass the last look shows that nothing is to be done, and nobody is asked.
    pub async fn sync_slots(&self, plan: SlotPlan) -> Result<(), PgError> {
        let seen = self.memory().slots.clone();
        if seen.is_some_and(|existing| acts(&plan, &existing).is_empty()) {
            return Ok(());
        }
        let Some(postmaster) = self.postmaster() else { return Ok(()) };
        let mut client = self.heartbeat(postmaster.pid).await?;
        let existing = monitor::slots(&mut client).await?;
        self.memory().slots = None;
        for act in acts(&plan, &existing) {
            perform(&mut client, act).await?;
        }
        self.keep_heartbeat(postmaster.pid, client);
        Ok(())
    }
}

/// Drops first: a slot of the wrong kind is in the way of the right one.
fn acts(plan: &SlotPlan, existing: &[Slot]) -> Vec<Act> {
    let unwanted = unwanted(plan, existing);
    let found = |wanted: &WantedSlot| {
        existing.iter().filter(|slot| !unwanted.contains(&slot.name)).find(|slot| slot.name == wanted.name)
    };
    let made = plan.wanted.iter().filter_map(|wanted| match found(wanted) {
        None => Some(Act::Create(wanted.name.clone())),
        Some(slot) => upkeep(wanted, slot),
    });
    unwanted.iter().cloned().map(Act::Drop).chain(made).collect()
}

/// A slot that somebody uses here looks after itself.
fn upkeep(wanted: &WantedSlot, slot: &Slot) -> Option<Act> {
    if wanted.active_here || slot.active {
        return None;
    }
    if slot.xmin.is_some() {
        return wanted.may_clean.then(|| Act::Renew(wanted.name.clone()));
    }
    match (slot.restart_lsn, wanted.lsn) {
        // Made by a stranger, without reserving anything.
        (None, _) => Some(Act::Drop(wanted.name.clone())),
        (Some(at), Some(known)) if known > at => Some(Act::Advance(wanted.name.clone(), known)),
        (Some(_), Some(_) | None) => None,
    }
}

async fn perform(client: &mut Client, act: Act) -> Result<(), PgError> {
    match act {
        Act::Create(name) => create(client, &name).await,
        Act::Drop(name) => drop_slot(client, &name).await.map(drop),
        Act::Advance(name, to) => advance(client, &name, to).await,
        Act::Renew(name) => {
            if drop_slot(client, &name).await? {
                tracing::warn!("Replication slot '{name}' had an obsolete xmin and was recreated");
                create(client, &name).await?;
            }
            Ok(())
        }
    }
}

/// Not in the plan, of the wrong kind, or useless because its WAL is gone.
fn unwanted(plan: &SlotPlan, existing: &[Slot]) -> Vec<String> {
    let unwanted = |slot: &&Slot| match plan.wanted.iter().find(|wanted| wanted.name == slot.name) {
        Some(_) => slot.logical || (!plan.keep_unknown && slot.wal_status.as_deref() == Some("lost")),
        None => !plan.keep_unknown,
    };
    let ours = |slot: &&Slot| !plan.ignore.iter().any(|matcher| matches(matcher, slot));
    existing.iter().filter(ours).filter(unwanted).map(|slot| slot.name.clone()).collect()
}

/// Every attribute that the matcher names equals the slot's; a matcher that names none matches nothing.
fn matches(matcher: &Document, slot: &Slot) -> bool {
    let kind = if slot.logical { "logical" } else { "physical" };
    let attribute = |key: &str| match key {
        "name" => Some(slot.name.as_str()),
        "type" => Some(kind),
        "database" => slot.database.as_deref(),
        "plugin" => slot.plugin.as_deref(),
        _ => None,
    };
    let named: Vec<_> =
        ["name", "type", "database", "plugin"].iter().filter(|key| matcher.contains_key(**key)).collect();
    !named.is_empty() && named.iter().all(|key| attribute(key) == matcher.get(**key).map(scalar_text).as_deref())
}

/// An active slot cannot be dropped; the next pass tries again.
async fn drop_slot(client: &mut Client, name: &str) -> Result<bool, PgError> {
    let sql = format!(
        "SELECT slot_name, active, pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
         WHERE slot_name = {} AND NOT active",
        escape_literal(name)
    );
    match client.ask_row(&sql).await {
        Ok(row) if row.get(0).is_some() => {
            tracing::info!("Dropped unknown replication slot '{name}'");
            Ok(true)
        }
        Ok(_) | Err(PgError::Refused { .. }) => {
            tracing::warn!("Unable to drop replication slot '{name}', slot is active");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

async fn create(client: &mut Client, name: &str) -> Result<(), PgError> {
    let name = escape_literal(name);
    let sql = format!(
        "SELECT pg_create_physical_replication_slot({name}, true) \
         WHERE NOT EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = {name})"
    );
    client.ask(&sql).await.map(drop)
}

async fn advance(client: &mut Client, name: &str, to: Lsn) -> Result<(), PgError> {
    let sql = format!("SELECT pg_replication_slot_advance({}, '{to}')", escape_literal(name));
    match client.ask(&sql).await {
        // Somebody came to use it, or it lies ahead of what we have; another time.
        Err(PgError::Refused { message, .. }) => {
            tracing::debug!("Replication slot '{name}' could not be advanced to {to}: {message}");
            Ok(())
        }
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn matcher(value: Value) -> Document {
        match value {
            Value::Object(map) => map,
            other => panic!("not an object: {other}"),
        }
    }

    fn slot(name: &str) -> Slot {
        Slot { name: name.into(), ..Slot::default() }
    }

    fn wanted(name: &str) -> WantedSlot {
        WantedSlot { name: name.into(), active_here: true, lsn: None, may_clean: false }
    }

    #[test]
    fn what_is_not_in_the_plan_goes_unless_it_is_not_ours() {
        let existing = [slot("a"), slot("b"), slot("backup"), Slot { logical: true, ..slot("cdc") }];
        let plan = SlotPlan {
            wanted: vec![wanted("a")],
            keep_unknown: false,
            ignore: vec![matcher(json!({"name": "backup"})), matcher(json!({"type": "logical", "plugin": "x"}))],
        };
        assert_eq!(unwanted(&plan, &existing), ["b", "cdc"]);
        assert!(unwanted(&SlotPlan { keep_unknown: true, ..plan }, &existing).is_empty());
    }

    #[test]
    fn a_slot_that_lost_its_wal_is_made_anew() {
        let lost = Slot { wal_status: Some("lost".into()), ..slot("a") };
        let plan = SlotPlan { wanted: vec![wanted("a")], ..SlotPlan::default() };
        assert_eq!(unwanted(&plan, &[lost]), ["a"]);
    }

    #[test]
    fn only_what_differs_is_done() {
        let quiet =
            |name: &str| WantedSlot { active_here: false, lsn: Some(Lsn::new(10)), may_clean: true, ..wanted(name) };
        let at = |name: &str, lsn| Slot { restart_lsn: Some(Lsn::new(lsn)), ..slot(name) };
        let plan = SlotPlan { wanted: vec![quiet("a"), quiet("b"), quiet("c"), wanted("d")], ..SlotPlan::default() };
        let existing = [at("a", 5), at("b", 10), Slot { xmin: Some(7), ..at("c", 10) }];
        let expected = [Act::Advance("a".into(), Lsn::new(10)), Act::Renew("c".into()), Act::Create("d".into())];
        assert_eq!(acts(&plan, &existing), expected);
        assert!(acts(&SlotPlan { wanted: vec![wanted("b")], ..plan }, &[at("b", 10)]).is_empty());
    }

    #[test]
    fn a_matcher_must_name_something() {
        assert!(!matches(&matcher(json!({})), &slot("a")));
        assert!(!matches(&matcher(json!({"name": "a", "database": "x"})), &slot("a")));
        assert!(matches(&matcher(json!({"name": "a", "type": "physical"})), &slot("a")));
    }
}
