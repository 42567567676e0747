//! The REST bodies (rest-api.md 2, 4, 5; ha-loop.md 12.9).
//!
//! What a member says about itself is computed once, in [`Shown`]; the status document, the metrics and the health
//! checks all ask there, so they cannot disagree. Whatever depends on the time (does the lease run, is the view fresh)
//! is judged at the moment of the answer and never stored.

mod cluster;
mod history;
mod metrics;
mod peer;
mod shown;
mod status;

#[cfg(test)]
mod tests;

pub use cluster::{ClusterMode, cluster_document};
pub use history::history_document;
pub use metrics::metrics_text;
pub use peer::peer_answer;
pub use shown::{Shown, ShownState, Timing};
pub use status::status_document;
