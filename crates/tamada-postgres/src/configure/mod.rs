//! What PostgreSQL is told: parameters, access lists, recovery configuration, and the files that hold them.

pub(crate) mod compare;
pub(crate) mod controlled;
pub(crate) mod files;
pub(crate) mod parameters;
pub(crate) mod recovery;
pub(crate) mod reload;
pub(crate) mod units;
pub(crate) mod upstream;
pub(crate) mod validate;
