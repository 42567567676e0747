//! What the server needs from the agent.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tamada_model::{Now, Reply, Report, Request};
use tokio::sync::watch;

use crate::client::Client;

/// An answer to come.
pub type Asking = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// The counter between the server and the agent: reports lie there for reading, requests are handed in.
pub trait Desk: Clone + Send + Sync + 'static {
    /// The latest report; never waits.
    fn report(&self) -> Arc<Report>;

    /// The reports as they come out.
    fn reports(&self) -> watch::Receiver<Arc<Report>>;

    /// Hands a request to the agent. What it answers goes to the client as it is, but for `SetFailover`: there any
    /// status of success means that the key is written, and the end is awaited here.
    fn ask(&self, request: Request) -> Asking;

    /// Asks for a look at PostgreSQL before its position is told to somebody who may decide by it. Ends when a report
    /// with it is out; whoever asks limits the wait.
    fn freshen(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }

    fn now(&self) -> Now;

    /// To ask peers whether one of them could take over.
    fn client(&self) -> Client;
}
