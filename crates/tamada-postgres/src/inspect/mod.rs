//! Looking without touching: the data directory, what pg_control says, what a running server answers.

pub(crate) mod control;
pub(crate) mod data_dir;
pub(crate) mod history;
pub(crate) mod last_wal;
pub(crate) mod monitor;
pub(crate) mod origin;
pub(crate) mod standby_timeline;
pub(crate) mod waldump;
