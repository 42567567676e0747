//! How commands, answers and the messages between nodes look in bytes.
