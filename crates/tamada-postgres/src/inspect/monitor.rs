//! The monitoring query: one round trip that tells all a pass needs to know of a live server (postgres.md 3).

use tamada_model::{
    Live, PgMajor, Slot, Standby, Standing, SyncCommits, SyncNames, Synchronous, WalReceiver, WalSender,
};

use crate::PgError;
use crate::client::{Client, Row, Rows};

/// Everything but the standby's timeline, which needs a replication connection.
pub(crate) async fn ask(client: &mut Client) -> Result<Live, PgError> {
    let version = client.version;
    let mut sets = client.ask(&sql(version.major())).await?.into_iter();
    let mut next = || sets.next().unwrap_or_default();
    let (state, senders, slots) = (next(), next(), next());
    let row = state.into_iter().next().unwrap_or_default();
    Ok(Live {
        server_version: version,
        postmaster_start_time: row.wall(6).unwrap_or_default(),
        standing: standing(&row),
        replication: senders.iter().map(sender).collect(),
        slots: slots_from(&slots),
        restore_command: row.text(7),
        synchronous: synchronous(&row),
    })
}

/// The checkpointer reads its configuration whenever it is about to wait for one of these.
fn synchronous(row: &Row) -> Synchronous {
    let waits_for = row.get(16).unwrap_or_default();
    Synchronous {
        names: SyncNames::parse(&row.text(14)),
        commits: SyncCommits::parse(&row.text(15)),
        checkpointer_heard: ["CheckpointerMain", "CheckpointWriteDelay"].contains(&waits_for),
    }
}

/// Whether the server follows somebody may change between two function calls, so each asks again before it would fail.
const STATE: &str = "\
SELECT CASE WHEN pg_is_in_recovery() THEN 0
       ELSE ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int END,
       CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END,
       pg_last_wal_replay_lsn(), pg_last_wal_receive_lsn(),
       CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END,
       (extract(epoch from pg_last_xact_replay_timestamp()) * 1000000)::bigint,
       (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint,
       current_setting('restore_command'),
       status, received_tli, written_lsn, slot_name, conninfo, latest_end_lsn,
       current_setting('synchronous_standby_names'), current_setting('synchronous_commit'),
       CASE WHEN current_setting('synchronous_standby_names') <> ''
       THEN (SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'checkpointer') END
  FROM pg_stat_get_wal_receiver();";

const SENDERS: &str = "\
SELECT pid, usename, application_name, client_addr, state, sync_state, sync_priority, write_lsn, flush_lsn, replay_lsn
  FROM pg_stat_replication;";

const SLOTS: &str = "\
SELECT slot_name, slot_type, active, xmin, catalog_xmin, restart_lsn, confirmed_flush_lsn, database, plugin, wal_status
  FROM pg_replication_slots WHERE NOT temporary";

fn sql(major: PgMajor) -> String {
    // A slot that PostgreSQL itself keeps in step with the primary is not ours to look after (15.7).
    let synced = if major >= PgMajor::of(17) { " AND NOT (failover AND synced)" } else { "" };
    format!("{STATE}\n{SENDERS}\n{SLOTS}{synced}")
}

fn standing(row: &Row) -> Standing {
    match (row.timeline(0), row.lsn(1)) {
        (Some(timeline), Some(flushed)) => Standing::Primary { timeline, flushed },
        (Some(_) | None, _) => Standing::Standby(Box::new(standby(row))),
    }
}

fn standby(row: &Row) -> Standby {
    let received = row.lsn(3).max(row.lsn(10)).filter(|lsn| !lsn.is_zero());
    Standby {
        received,
        replayed: row.lsn(2),
        replayed_at: row.wall(5),
        replay_paused: row.truth(4),
        receiver: row.get(8).map(|_| receiver(row)),
        timeline: None,
    }
}

/// Its timeline means something only once it has heard from its upstream, which on an idle one may take long.
fn receiver(row: &Row) -> WalReceiver {
    let latest_end = row.lsn(13);
    WalReceiver {
        status: row.text(8),
        timeline: row.timeline(9).filter(|_| latest_end.is_some()),
        slot_name: row.text(11),
        conninfo: row.text(12),
        latest_end,
    }
}

fn sender(row: &Row) -> WalSender {
    WalSender {
        pid: row.number(0).unwrap_or_default(),
        usename: row.text(1),
        application_name: row.text(2),
        client_addr: row.get(3).map(str::to_owned),
        state: row.text(4),
        sync_state: row.text(5),
        sync_priority: row.number(6).unwrap_or_default(),
        written: row.lsn(7),
        flushed: row.lsn(8),
        replayed: row.lsn(9),
    }
}

fn slots_from(rows: &Rows) -> Vec<Slot> {
    let slot = |row: &Row| Slot {
        name: row.text(0),
        logical: row.get(1) == Some("logical"),
        active: row.truth(2),
        xmin: row.number(3),
        catalog_xmin: row.number(4),
        restart_lsn: row.lsn(5),
        confirmed_flush_lsn: row.lsn(6),
        database: row.get(7).map(str::to_owned),
        plugin: row.get(8).map(str::to_owned),
        wal_status: row.get(9).map(str::to_owned),
    };
    rows.iter().map(slot).collect()
}

/// The slots alone, for whoever works on them.
pub(crate) async fn slots(client: &mut Client) -> Result<Vec<Slot>, PgError> {
    let synced = if client.version.major() >= PgMajor::of(17) { " AND NOT (failover AND synced)" } else { "" };
    let sets = client.ask(&format!("{SLOTS}{synced}")).await?;
    Ok(sets.first().map(slots_from).unwrap_or_default())
}
