//! What has to happen before and around the agent: standing in as a container's first process, a small memory, and
//! words with the service manager.

mod clock;
mod memory;
mod notify;
mod pid_1;

pub use memory::slim_memory;
pub use notify::{notify_ready, notify_reloading, notify_stopping};
pub use pid_1::as_pid_1;
