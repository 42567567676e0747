//! The server and the client over real sockets.

mod access;
mod bytes;
mod client;
mod desk;
mod listen;
mod orders;
mod patience;
mod switchover;
