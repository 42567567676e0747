//! PostgreSQL as processes of this machine: who is the postmaster, who are its children, how it is launched so that it
//! outlives us, and how programs are run that must not.

pub(crate) mod child;
pub(crate) mod launch;
pub(crate) mod orphans;
pub(crate) mod pid_file;
pub(crate) mod postmaster;
pub(crate) mod table;
pub(crate) mod watched;
