//! Whom commits wait for on the running server (postgres.md 16), and hearing at once when one of these is gone.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tamada_model::{Live, SyncNames};

use crate::clock::Deadline;
use crate::configure::files;
use crate::configure::parameters::{SYNC_NAMES, manages_sync_names};
use crate::configure::reload::Hear;
use crate::connect::Patience;
use crate::process::watched::Watched;
use crate::{PgError, Postgres};

/// A server reads its configuration within milliseconds; one that has not by then has other worries.
const IN_FORCE: Duration = Duration::from_secs(2);
const ASK_EVERY: Duration = Duration::from_millis(5);

impl Postgres {
    /// Commits are to wait for these from now on. Ends when the server says that they do.
    ///
    /// # Errors
    /// The server does not run or cannot be asked, its file cannot be written, or something stronger than our file
    /// (`ALTER SYSTEM`) says otherwise. What is wanted is remembered, and written whenever the file is.
    pub async fn set_sync_names(&self, names: SyncNames) -> Result<(), PgError> {
        let text = names.text(self.major());
        self.memory().sync_names = Some(names);
        if !manages_sync_names(&self.config()) {
            return Ok(());
        }
        self.apply(false, Hear::No).await?;
        let deadline = Deadline::after(IN_FORCE);
        let mut client = self.connect_locally("heartbeat", Patience::Short).await?;
        loop {
            let sets = client.ask("SELECT current_setting('synchronous_standby_names')").await?;
            let said = sets.first().and_then(|rows| rows.first()).map(|row| row.text(0)).unwrap_or_default();
            if said == text {
                return Ok(());
            }
            if deadline.has_passed() {
                let why = format!(
                    "{SYNC_NAMES} is '{said}' although our configuration says '{text}': is it set elsewhere, by ALTER \
                     SYSTEM perhaps?"
                );
                return Err(PgError::Misconfigured(why));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// 1. The agent is restarted, or the server; the `sync` key says that b has every commit.
    /// 2. Whom commits wait for has not been decided anew. The file is written without anybody.
    /// 3. Commits are acknowledged at once. The server is lost, and b leads without them.
    ///
    /// Therefore what stood in the file goes on until something else is decided.
    pub(crate) async fn sync_names(&self) -> String {
        let decided = self.memory().sync_names.clone();
        if let Some(names) = decided {
            return names.text(self.major());
        }
        let written = self.files(|config| Ok(files::written(config, SYNC_NAMES))).await;
        written.ok().flatten().unwrap_or_default()
    }

    pub(crate) fn watch_senders(&self, live: &Live) {
        let synchronous = live.replication.iter().filter(|sender| sender.sync_state != "async");
        let pids: Vec<i32> = synchronous.map(|sender| sender.pid).collect();
        self.0.senders.send_if_modified(|watched| {
            if watched.iter().map(|process| process.pid).eq(pids.iter().copied()) {
                return false;
            }
            *watched = pids.iter().filter_map(|pid| Watched::begin(*pid)).map(Arc::new).collect();
            true
        });
    }

    /// Resolves when the connection of a synchronous standby ends: commits may wait for it in vain.
    pub async fn sync_sender_exit(&self) {
        let mut changes = self.0.senders.subscribe();
        loop {
            let watched = changes.borrow_and_update().clone();
            tokio::select! {
                () = any_exit(&watched) => break,
                // The sender lives in ourselves, so this cannot fail.
                _ = changes.changed() => {}
            }
        }
        self.0.senders.send_modify(|watched| watched.retain(|process| process.is_alive()));
    }
}

/// Pends for ever if there are none.
async fn any_exit(watched: &[Arc<Watched>]) {
    let mut exits: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = Vec::new();
    for process in watched {
        exits.push(Box::pin(process.exited()));
    }
    poll_fn(|context| match exits.iter_mut().any(|exit| exit.as_mut().poll(context).is_ready()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}
