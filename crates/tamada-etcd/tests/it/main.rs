//! The endpoint as clients see it: beside a real etcd, with etcd's own tools, and in trouble.

mod caller;
mod differential;
mod etcd;
mod store;
