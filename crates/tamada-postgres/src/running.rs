//! Is a server running, which one, and telling it to stop without waiting for anything.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use crate::client::Client;
use crate::process::pid_file::{self, PidFile};
use crate::process::postmaster::{Postmaster, is_postmaster};
use crate::tools::Tool;
use crate::{PgError, Postgres};

/// Reading one small file of the data directory.
const READ: Duration = Duration::from_secs(5);
/// A postmaster that hears SIGQUIT has ended its backends within milliseconds; no lease leaves more than this.
const QUIT: Duration = Duration::from_millis(100);

impl Postgres {
    /// The running postmaster: the one we know, else the one that the pid file names (postgres.md 7.1, 7.2).
    pub(crate) async fn discover(&self) -> Result<Option<Arc<Postmaster>>, PgError> {
        if let Some(known) = self.postmaster() {
            return Ok(Some(known));
        }
        let data_dir = self.data_dir();
        let file = self.0.disk.work(READ, move || pid_file::read(&data_dir)).await?;
        Ok(self.recognise(file.as_ref()))
    }

    /// Remembers the postmaster that `file` names, if it is ours; forgets one that is gone.
    pub(crate) fn recognise(&self, file: Option<&PidFile>) -> Option<Arc<Postmaster>> {
        if let Some(known) = self.postmaster() {
            return Some(self.with_port(known, file));
        }
        let data_dir = self.data_dir();
        let found = file
            .filter(|file| !file.single_user && is_postmaster(file, &data_dir, self.tools().file_name(Tool::Postgres)))
            .and_then(|file| Postmaster::watch(file.pid, file.started, file.port))
            .map(Arc::new);
        self.set_postmaster(found.clone());
        found
    }

    /// A server that we launched has no port yet; it writes it down a moment later.
    fn with_port(&self, known: Arc<Postmaster>, file: Option<&PidFile>) -> Arc<Postmaster> {
        let told = file.filter(|file| file.pid == known.pid && file.port.is_some());
        let (None, Some(file)) = (known.port, told) else { return known };
        let Some(complete) = Postmaster::watch(file.pid, file.started, file.port).map(Arc::new) else { return known };
        // Same pid, so nobody who waits for its end needs to hear of it.
        self.0.postmaster.send_if_modified(|current| {
            *current = Some(Arc::clone(&complete));
            false
        });
        complete
    }

    /// SIGQUIT to the postmaster at once, without awaiting anything: fencing.
    ///
    /// 1. The postmaster is frozen, or hangs on its disk; its backends go on committing.
    /// 2. The lease ends; we tell the postmaster to quit, and it does not hear us.
    /// 3. Another member is promoted while clients still write here.
    ///
    /// Therefore whatever is left of the server a moment later is killed.
    pub fn stop_now(&self) {
        let Some(postmaster) = self.postmaster() else { return };
        if let Err(error) = postmaster.signal(Signal::QUIT) {
            tracing::error!("Could not tell postmaster {} to quit: {error}", postmaster.pid);
        }
        let server = self.clone();
        tokio::spawn(async move {
            if !postmaster.exited_within(QUIT).await {
                server.kill(&postmaster).await;
            }
        });
    }

    /// Takes the kept connection out, if it belongs to the running server.
    pub(crate) fn take_heartbeat(&self, pid: i32) -> Option<Client> {
        let kept = self.0.heartbeat.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.filter(|(owner, _)| *owner == pid).map(|(_, client)| client)
    }

    pub(crate) fn keep_heartbeat(&self, pid: i32, client: Client) {
        *self.0.heartbeat.lock().unwrap_or_else(PoisonError::into_inner) = Some((pid, client));
    }

    /// Nothing of ours may talk to a server that is about to go (postgres.md 2.4).
    pub(crate) fn close_connections(&self) {
        let kept = self.0.heartbeat.lock().unwrap_or_else(PoisonError::into_inner).take();
        if kept.is_some() {
            tracing::info!("closed patroni connections to postgres");
        }
    }

    /// The kept connection, or a new one.
    pub(crate) async fn heartbeat(&self, pid: i32) -> Result<Client, PgError> {
        if let Some(client) = self.take_heartbeat(pid) {
            return Ok(client);
        }
        tracing::info!("establishing a new patroni heartbeat connection to postgres");
        self.connect_locally("heartbeat", crate::connect::Patience::Short).await
    }

    /// The postgresql.conf that the server is started with.
    pub(crate) fn conf_path(&self) -> PathBuf {
        crate::supervisor::conf_path(&self.config())
    }
}
