//! The numbers behind the question whether this data directory has left the leader's history (ha-loop.md 23.5). What
//! they mean is the core's to judge.

use std::cmp::Ordering;
use std::time::Duration;

use tamada_model::{
    Comparison, ControlState, Divergence, HistoryFile, LastWal, Lsn, PostgresConfig, Timeline, Unread, Upstream,
};

use crate::client::Client;
use crate::clock::Deadline;
use crate::connect::Patience;
use crate::inspect::last_wal::{self, Place, Stretch};
use crate::inspect::{history, standby_timeline, waldump};
use crate::{PgError, Postgres};

/// Where we are.
struct Local {
    timeline: Timeline,
    lsn: Lsn,
    in_recovery: bool,
    /// Up to here our WAL on this timeline is certainly in its files.
    written: Lsn,
}

/// The parents of a timeline, and where each was left.
type History = Vec<(Timeline, Lsn)>;

/// Where the leader is and how it got there.
pub(crate) struct Leader {
    pub timeline: Timeline,
    pub history: Option<History>,
    unready: Option<String>,
}

impl Postgres {
    pub async fn divergence(&self, leader: &Upstream, within: Duration) -> Divergence {
        match self.compare(leader, Deadline::after(within)).await {
            Ok(comparison) => Divergence::Compared(Box::new(comparison)),
            Err(unread) => Divergence::Unread(unread),
        }
    }

    /// Our own side first: what is late is told as the side that was being read.
    async fn compare(&self, upstream: &Upstream, deadline: Deadline) -> Result<Comparison, Unread> {
        let (local, newest, local_history) = ours(deadline, self.local_side(deadline)).await?;
        let leader = leaders(deadline, self.leader_position(upstream, local.timeline)).await?;
        let end = if local.in_recovery || local.timeline >= leader.timeline {
            None
        } else {
            let (tools, data_dir) = (self.tools(), self.data_dir());
            let end = waldump::checkpoint_end(tools, &data_dir, local.timeline, local.lsn);
            ours(deadline, async { Ok(end.await) }).await?
        };
        let last_wal = match &local_history {
            None => LastWal::Unknown,
            Some(history) => {
                let shared = shared_in_name(&local, newest, history, &leader);
                self.last_wal(upstream, shared, deadline).await?
            }
        };
        Ok(Comparison {
            local_timeline: local.timeline,
            local_lsn: local.lsn,
            in_recovery: local.in_recovery,
            newest_timeline: newest,
            last_wal,
            local_history,
            leader_timeline: leader.timeline,
            leader_history: leader.history,
            leader_unready: leader.unready,
            shutdown_checkpoint_end: end,
        })
    }

    async fn local_side(&self, deadline: Deadline) -> Result<(Local, Timeline, Option<History>), String> {
        let local = self.local_position(deadline).await?;
        let (newest, history) = self.heads_for(&local).await?;
        Ok((local, newest, history))
    }

    async fn local_position(&self, deadline: Deadline) -> Result<Local, String> {
        if self.discover().await.map_err(|error| error.in_words())?.is_none() {
            return self.position_in_control(deadline).await;
        }
        match self.position_of_standby().await {
            Ok(local) => Ok(local),
            Err(_) if self.state().is_starting() => {
                tracing::info!("PostgreSQL is still starting, will use pg_controldata as a fallback");
                self.position_in_control(deadline).await
            }
            Err(error) => Err(error.in_words()),
        }
    }

    /// The position first, the timeline after it: read the other way round, a standby that crosses to the leader's
    /// timeline between the two looks would seem to have gone past the switch point on the old one.
    async fn position_of_standby(&self) -> Result<Local, PgError> {
        let mut client = self.connect_locally("heartbeat", Patience::Short).await?;
        let mut replication = self.replicate_locally().await?;
        let row = client.ask_row("SELECT pg_last_wal_replay_lsn(), pg_is_in_recovery()").await?;
        let replayed = row.lsn(0).filter(|_| row.truth(1));
        let lsn = replayed.ok_or_else(|| PgError::Misconfigured("PostgreSQL runs as a primary".to_owned()))?;
        let timeline = standby_timeline::identify(&mut replication).await?.timeline;
        Ok(Local { timeline, lsn, in_recovery: true, written: lsn })
    }

    async fn position_in_control(&self, deadline: Deadline) -> Result<Local, String> {
        self.refresh_control(deadline).await;
        let control = self.memory().control.clone().ok_or("pg_control could not be read")?;
        let recovered = control.min_recovery_end_timeline.filter(|_| !control.min_recovery_end.is_zero());
        let standby = matches!(control.state, ControlState::ShutDownInRecovery | ControlState::InArchiveRecovery);
        match (control.state, recovered) {
            (_, Some(timeline)) if standby => {
                // After a rewind the end of recovery may lie in WAL that is still to come, and in its place is something
                // else. The checkpoint was read.
                // A rewound directory's pg_control was taken after its WAL, and may tell of more than that.
                let rewound = self.files_soon(|config| Ok(config.data_dir.join("backup_label").exists())).await;
                let read = control.checkpoint_timeline == Some(timeline) && rewound.is_ok_and(|rewound| !rewound);
                let written = if read { control.checkpoint } else { Lsn::ZERO };
                Ok(Local { timeline, lsn: control.min_recovery_end, in_recovery: true, written })
            }
            (ControlState::ShutDown | ControlState::ShutDownInRecovery | ControlState::InArchiveRecovery, _) => {
                let timeline = control.checkpoint_timeline.ok_or("pg_control tells no timeline")?;
                Ok(Local { timeline, lsn: control.checkpoint, in_recovery: false, written: control.checkpoint })
            }
            (
                ControlState::StartingUp
                | ControlState::ShuttingDown
                | ControlState::InCrashRecovery
                | ControlState::InProduction
                | ControlState::Unknown,
                _,
            ) => Err("PostgreSQL was not shut down cleanly".to_owned()),
        }
    }

    /// Where PostgreSQL would go on to from there: the newest timeline whose history goes through our position. Others
    /// it ignores.
    async fn heads_for(&self, local: &Local) -> Result<(Timeline, Option<History>), String> {
        let from = local.timeline;
        let newest = self.files_soon(move |config| Ok(history::newest(&config.data_dir, from))).await;
        let newest = newest.map_err(|error| error.in_words())?;
        let own = self.local_history(from).await;
        let newer = if newest == from { None } else { self.local_history(newest).await };
        let goes_on = |history: &History| {
            let same = own.as_ref().is_none_or(|own| history.starts_with(own));
            same && history::goes_through(history, newest, (from, local.lsn))
        };
        Ok(newer.filter(goes_on).map_or((from, own), |history| (newest, Some(history))))
    }

    async fn last_wal(&self, from: &Upstream, shared: Vec<Shared>, deadline: Deadline) -> Result<LastWal, Unread> {
        let mut found = LastWal::Unknown;
        for shared in shared {
            match self.last_wal_on(from, shared, deadline).await? {
                LastWal::Other(timeline) => return Ok(LastWal::Other(timeline)),
                LastWal::Same => found = LastWal::Same,
                LastWal::Unknown => {}
            }
        }
        Ok(found)
    }

    async fn last_wal_on(&self, from: &Upstream, shared: Shared, deadline: Deadline) -> Result<LastWal, Unread> {
        let Some((host, port)) = address(from) else { return Ok(LastWal::Unknown) };
        let Some((mut client, theirs)) = leaders(deadline, answered(self.end_of_wal(&host, port))).await? else {
            return Ok(LastWal::Unknown);
        };
        let Some((place, stretch)) = ours(deadline, self.our_stretch(shared, theirs)).await? else {
            return Ok(LastWal::Unknown);
        };
        let found = leaders(deadline, answered(has_same(&mut client, shared, place, &stretch))).await?;
        Ok(found.unwrap_or(LastWal::Unknown))
    }

    async fn end_of_wal(&self, host: &str, port: u16) -> Result<(Client, EndOfWal), PgError> {
        let sql = "SELECT pg_size_bytes(current_setting('wal_segment_size')), \
                   pg_size_bytes(current_setting('wal_block_size')), \
                   CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END";
        let mut client = self.connect_to(host, port).await?;
        let row = client.ask_row(sql).await?;
        Ok((client, EndOfWal { segment: row.number(0), page: row.number(1), end: row.lsn(2) }))
    }

    /// Our last bytes that the leader should have, too; `None` where there are none.
    async fn our_stretch(&self, shared: Shared, theirs: EndOfWal) -> Result<Option<(Place, Stretch)>, String> {
        let (Some(size), Some(page)) = (theirs.segment, theirs.page) else { return Ok(None) };
        let ours = match shared.end {
            Some(end) => Some(end),
            None => self.first_record_ends(shared, size, page).await.map_err(|error| error.in_words())?,
        };
        // One that was just promoted may be behind us.
        let end = ours.zip(theirs.end).map(|(ours, theirs)| ours.min(theirs)).filter(|end| *end > shared.begun);
        let Some(place) = end.and_then(|end| Place::before(end, size)) else { return Ok(None) };
        let read = move |config: &PostgresConfig| {
            let from = |timeline| last_wal::read(&config.data_dir, timeline, place).ok();
            Ok(shared.here.into_iter().flatten().find_map(from))
        };
        let stretch = self.files_soon(read).await.map_err(|error| error.in_words())?;
        Ok(stretch.filter(|stretch| !stretch.bytes.is_empty()).map(|stretch| (place, stretch)))
    }

    /// `None`: of that timeline we have nothing. For a file that is not there pg_waldump would wait five seconds.
    async fn first_record_ends(&self, shared: Shared, size: u64, page: u64) -> Result<Option<Lsn>, PgError> {
        let Some(place) = Place::at(shared.begun, size) else { return Ok(None) };
        let is_here =
            move |config: &PostgresConfig| Ok(last_wal::path(&config.data_dir, shared.timeline, place).exists());
        if !self.files_soon(is_here).await? {
            return Ok(None);
        }
        let first = waldump::first_record(self.tools(), &self.data_dir(), shared.timeline, shared.begun).await;
        Ok(first.map(|record| record.end(page)))
    }

    async fn local_history(&self, timeline: Timeline) -> Option<History> {
        match timeline == Timeline::FIRST {
            true => Some(History::new()),
            false => self.history_file(timeline).await.map(|file| history::parents_in(&file.lines)),
        }
    }

    /// Whether it is a primary comes first: one that is promoted between the two questions shows its new timeline.
    ///
    /// That question needs a login that a member without pg_rewind may not have there; the timeline and its history come
    /// over a replication connection, as following does.
    pub(crate) async fn leader_position(&self, leader: &Upstream, local: Timeline) -> Result<Leader, String> {
        let (host, port) = address(leader).ok_or("it has no address")?;
        let unready = match self.is_in_recovery(&host, port).await {
            Ok(false) => None,
            Ok(true) => {
                tracing::info!("Leader is still in_recovery and therefore can't be used for rewind");
                Some("the leader is still in recovery".to_owned())
            }
            Err(error) => Some(format!("the leader cannot be asked: {}", error.in_words())),
        };
        let in_words = |error: PgError| error.in_words();
        let mut replication = self.replicate_from(&host, port).await.map_err(in_words)?;
        let timeline = standby_timeline::identify(&mut replication).await.map_err(in_words)?.timeline;
        let history = self.leader_history(&mut replication, timeline, local).await.map_err(in_words)?;
        Ok(Leader { timeline, history, unready })
    }

    async fn is_in_recovery(&self, host: &str, port: u16) -> Result<bool, PgError> {
        Ok(self.connect_to(host, port).await?.ask_row("SELECT pg_is_in_recovery()").await?.truth(0))
    }

    async fn leader_history(
        &self,
        replication: &mut Client,
        timeline: Timeline,
        local: Timeline,
    ) -> Result<Option<History>, PgError> {
        if timeline == Timeline::FIRST {
            return Ok(Some(History::new()));
        }
        match standby_timeline::history(replication, timeline).await {
            Ok(text) => {
                tracing::info!("primary: history={}", history::around(&text, local));
                Ok(Some(history::parents(&text)))
            }
            Err(error @ PgError::Refused { .. }) => {
                tracing::error!("The leader has no history of its timeline {timeline}: {}", error.in_words());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The local history file of `timeline`.
    pub async fn history_file(&self, timeline: Timeline) -> Option<HistoryFile> {
        self.files_soon(move |config| Ok(history::read(&config.data_dir, timeline))).await.ok().flatten()
    }

    /// Whether pg_control shows the timeline we write on; a CHECKPOINT sees to it if not (23.11). Until then nobody can
    /// be rewound from us.
    pub async fn checkpoint_after_promote(&self) -> Result<bool, PgError> {
        let mut client = self.connect_locally("heartbeat", Patience::Long).await?;
        let sql = "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int = timeline_id \
                   FROM pg_control_checkpoint() WHERE NOT pg_is_in_recovery()";
        if client.ask_row(sql).await?.truth(0) {
            return Ok(true);
        }
        client.ask("CHECKPOINT").await?;
        Ok(client.ask_row(sql).await?.truth(0))
    }

    /// A standby paused because a parameter was too small goes on (11.7).
    pub async fn resume_replay(&self) {
        tracing::info!("Resuming paused WAL replay for PostgreSQL 14+");
        let resumed = async {
            let mut client = self.connect_locally("heartbeat", Patience::Short).await?;
            client.ask("SELECT pg_wal_replay_resume()").await
        };
        if let Err(error) = resumed.await {
            tracing::warn!("WAL replay could not be resumed: {}", error.in_words());
        }
    }
}

/// WAL that we and the leader have in common if the histories tell all.
#[derive(Clone, Copy)]
struct Shared {
    timeline: Timeline,
    begun: Lsn,
    /// Up to here we certainly have it. `None`: we have received some of it at the most.
    end: Option<Lsn>,
    /// In whose files it is. Where a timeline was left in the middle of a segment, the next one has a copy of that.
    here: [Option<Timeline>; 2],
    there: [Option<Timeline>; 2],
}

/// The last timeline on which both were; and, if we may only have received that one, the last that we have replayed. The
/// first timeline needs no such look: there is only one.
fn shared_in_name(local: &Local, newest: Timeline, history: &History, leader: &Leader) -> Vec<Shared> {
    let Some(theirs) = &leader.history else { return Vec::new() };
    let both = history.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count();
    // Behind the forks that both know, either side is on a timeline, which it has left since or not.
    let (here, our_end) = on(history, both, newest);
    let (there, their_end) = on(theirs, both, leader.timeline);
    let certainly = |timeline: Timeline, left: Option<Lsn>| match timeline.cmp(&local.timeline) {
        Ordering::Less => left,
        Ordering::Equal => Some(left.map_or(local.written, |left| left.min(local.written))),
        Ordering::Greater => None,
    };
    let shared = |forks: usize, left, here: [Option<Timeline>; 2], there| {
        let (timeline, begun) = (here[0]?, history[forks.checked_sub(1)?].1);
        let end = certainly(timeline, left).filter(|end| *end > begun);
        Some(Shared { timeline, begun, end, here, there })
    };
    let next = |history: &History, last, at: usize| history.get(at + 1).map_or(last, |(timeline, _)| *timeline);
    let left_by_both = |at: usize| {
        let (timeline, left) = history[at];
        let here = [Some(timeline), Some(next(history, newest, at))];
        let there = [Some(timeline), Some(next(theirs, leader.timeline, at))];
        shared(at, Some(left), here, there)
    };
    let last = match here[0] == there[0] {
        true => shared(both, [our_end, their_end].into_iter().flatten().min(), here, there),
        false => both.checked_sub(1).and_then(left_by_both),
    };
    let replayed = history[..both].iter().position(|(timeline, _)| *timeline == local.timeline).and_then(left_by_both);
    let other_than_last = replayed.filter(|replayed| last.is_none_or(|last| last.timeline != replayed.timeline));
    last.into_iter().chain(other_than_last).collect()
}

/// The timeline behind that many forks, the next one, and where it was left for that.
fn on(history: &History, forks: usize, last: Timeline) -> ([Option<Timeline>; 2], Option<Lsn>) {
    let at = |index: usize| history.get(index).map_or(last, |(timeline, _)| *timeline);
    match history.get(forks) {
        Some((timeline, left)) => ([Some(*timeline), Some(at(forks + 1))], Some(*left)),
        None => ([Some(last), None], None),
    }
}

/// Asked file by file: which of them is there, only the leader knows.
async fn has_same(client: &mut Client, shared: Shared, place: Place, stretch: &Stretch) -> Result<LastWal, PgError> {
    for timeline in shared.there.into_iter().flatten() {
        let sql = format!(
            "SELECT encode(pg_read_binary_file('pg_wal/{}', {}, {}, true), 'hex')",
            place.file_name(timeline),
            stretch.begins,
            stretch.bytes.len(),
        );
        if let Some(theirs) = client.ask_row(&sql).await?.get(0) {
            let same = theirs == last_wal::hex(&stretch.bytes);
            return Ok(if same { LastWal::Same } else { LastWal::Other(shared.timeline) });
        }
    }
    Ok(LastWal::Unknown)
}

/// What the leader says of its WAL: how it is cut, and where it ends.
#[derive(Clone, Copy)]
struct EndOfWal {
    segment: Option<u64>,
    page: Option<u64>,
    end: Option<Lsn>,
}

async fn ours<T>(deadline: Deadline, look: impl Future<Output = Result<T, String>>) -> Result<T, Unread> {
    deadline.bound(look).await.unwrap_or_else(|| Err(LATE.to_owned())).map_err(Unread::Ours)
}

async fn leaders<T>(deadline: Deadline, answer: impl Future<Output = Result<T, String>>) -> Result<T, Unread> {
    deadline.bound(answer).await.unwrap_or_else(|| Err(LATE.to_owned())).map_err(Unread::Leaders)
}

const LATE: &str = "no answer in time";

/// `None`: the leader has answered that it will not say, to this user at least.
async fn answered<T>(asked: impl Future<Output = Result<T, PgError>>) -> Result<Option<T>, String> {
    match asked.await {
        Ok(answer) => Ok(Some(answer)),
        Err(error @ PgError::Refused { .. }) => {
            tracing::debug!("The end of our WAL could not be compared with the leader's: {}", error.in_words());
            Ok(None)
        }
        Err(error) => Err(error.in_words()),
    }
}

pub(crate) fn address(upstream: &Upstream) -> Option<(String, u16)> {
    match upstream {
        Upstream::Nobody => None,
        Upstream::Member(member) => Some((member.host.clone(), member.port)),
        Upstream::Remote(remote) => Some((remote.host.clone()?, remote.port.unwrap_or(5432))),
    }
}
