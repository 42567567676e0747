//! The log and the machine, under the library's own tests and under the library itself.

mod cluster;
mod elections;
mod leases;
mod logs;
mod messages;
mod renewals;
mod restarts;
mod suite;
mod watching;
