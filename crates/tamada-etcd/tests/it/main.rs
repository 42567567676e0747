//! The endpoint as clients see it: beside a real etcd, with etcd's own tools, and in trouble.

mod access;
mod caller;
mod differential;
mod etcd;
mod etcdctl;
mod store;
mod trouble;
mod watch;
