//! The store from outside: nodes that talk over real sockets.

mod link;
