//! The replicated state machine: what a command does to the keys.
