//! The store as a whole: real voters in this process, each on a thread, a port and a folder of its own; and its parts on
//! real sockets and files.

mod durability;
mod link;
mod members;
mod together;
mod voters;
