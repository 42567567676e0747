//! The jobs and looks against real PostgreSQL. The programs' directory comes from `TAMADA_TEST_PG_BIN`
//! (default: Debian's PostgreSQL 15). Started as root, the whole test program becomes the user `postgres`.

mod node;

mod adoption;
mod bootstrap;
mod clone;
mod configuration;
mod crash;
mod frozen;
mod promote;
mod rewind;
mod setup;
mod slots;
mod stop;
mod template;
mod tls;
mod unread;
