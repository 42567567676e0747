//! What the tests of several crates need, where the obvious way fails now and then.

mod ports;
mod scripts;

pub use ports::free_port;
pub use scripts::write_script;
