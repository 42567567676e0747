//! From files, environment and the store's dynamic configuration to checked settings.
//!
//! `load` reads what one member was told, `check` turns it into types or into a list of all complaints with their
//! places. Nothing else validates. This crate does not know the store, PostgreSQL or the agent; apart from reading
//! the files it touches the machine only in `probe`, for `--validate-config`.

mod accept;
mod address;
mod check;
mod complaint;
mod controlled;
mod effective;
mod environment;
mod legacy;
mod local;
mod path;
mod probe;
mod python;
mod reference;
pub mod rows;
mod sample;
pub mod timing;
mod validate;
pub mod yaml;

pub use check::{Checked, CtlChecked, VoterChecked, check, check_for_ctl, check_for_voter, store_of_url};
pub use complaint::{Complaint, LoadFailure, Place, lines};
pub use environment::Environment;
pub use local::{Local, Source, load};
pub use probe::ListenPorts;
pub use reference::reference_markdown;
pub use sample::{sample, write_sample};
pub use validate::validate;
