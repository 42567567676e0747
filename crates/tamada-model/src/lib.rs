//! The words of the field as types: names, positions, the cluster as the store tells it, what PostgreSQL said,
//! the checked settings. Data only: no I/O, no clock, no wire format (those are in `tamada-wire`), no decisions.

pub mod cluster;
pub mod document;
pub mod job;
pub mod member;
pub mod names;
pub mod position;
pub mod postgres;
pub mod report;
pub mod request;
pub mod settings;
pub mod synchronous;
pub mod time;
pub mod units;
pub mod version;

pub use cluster::*;
pub use document::Document;
pub use job::*;
pub use member::*;
pub use names::*;
pub use position::*;
pub use postgres::*;
pub use report::*;
pub use request::*;
pub use settings::*;
pub use synchronous::*;
pub use time::*;
pub use version::*;
