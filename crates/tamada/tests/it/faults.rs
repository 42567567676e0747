//! The embedded store under faults: real voters, killed, frozen, cut off and filled up, while clients use them.
//!
//! A test is a scene (`killed`, `cut`, `full`, `wrong`, `soak`): some [`voters`], each on a [`machine`](crate::ground) and maybe in a
//! network of its own; a [`workload`] of clients; and what happens to the voters meanwhile. In the end all is well
//! again, and what the clients were told is judged: by [`linear`], by [`revisions`], and by whether a lease ended early.

mod client;
mod cut;
mod full;
mod history;
mod killed;
mod lease;
mod linear;
mod revisions;
mod soak;
mod voters;
mod watcher;
mod workload;
mod wrong;
