//! What a person writes, and what a member makes of it.

mod bench;
mod complaints;
mod environment;
mod files;
mod generated;
mod merging;
mod raft;
mod scene;
mod sections;
mod settings;
mod store;
mod validator;
mod yaml;
