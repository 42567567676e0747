//! Whole clusters: the real binary, real PostgreSQL, a real etcd, processes killed with -9.

mod everyday;
mod losses;
mod refusals;
mod town;
