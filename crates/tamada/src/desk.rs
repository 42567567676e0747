//! The counter between the REST thread and the agent: reports lie there for reading, requests are handed in.

use std::pin::Pin;
use std::sync::Arc;

use tamada_api::client::Client;
use tamada_api::server::{Asking, Desk};
use tamada_model::{Now, Reply, Report, Request};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock;

/// A request and where its answer goes.
pub type Order = (Request, oneshot::Sender<Reply>);

#[derive(Clone)]
pub struct Counter {
    pub reports: watch::Receiver<Arc<Report>>,
    pub orders: mpsc::Sender<Order>,
    /// Wishes for a fresh look at PostgreSQL; answered when the report has it.
    pub looks: mpsc::Sender<oneshot::Sender<()>>,
    pub client: Client,
}

impl Desk for Counter {
    fn report(&self) -> Arc<Report> {
        self.reports.borrow().clone()
    }

    fn reports(&self) -> watch::Receiver<Arc<Report>> {
        self.reports.clone()
    }

    fn ask(&self, request: Request) -> Asking {
        let orders = self.orders.clone();
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            if orders.try_send((request, answer)).is_err() {
                return Reply::text(503, "the agent is busy with other requests, or shutting down");
            }
            answered.await.unwrap_or_else(|_| Reply::text(503, "the agent is shutting down"))
        })
    }

    fn freshen(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let looks = self.looks.clone();
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            if looks.send(answer).await.is_ok() {
                // An error means that the agent is shutting down; the old report is served then.
                let _ = answered.await;
            }
        })
    }

    fn now(&self) -> Now {
        clock::now()
    }

    fn client(&self) -> Client {
        self.client.clone()
    }
}
