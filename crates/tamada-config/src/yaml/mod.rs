//! YAML 1.1 as PyYAML's safe loader and dumper speak it.
//!
//! Configuration files rely on that dialect: `on` is true, `0644` is an octal number, `<<` merges, the last of two
//! equal keys wins. The parser library knows YAML 1.2 structure and leaves the meaning of scalars to us, which is just
//! the part that differs. What JSON cannot hold (dates, endless floats, binary) becomes its text.

mod dump;
mod load;
mod scalar;

pub use dump::{Dump, Keys, Layout, dump, dump_flow, dump_with};
pub use load::{Loaded, YamlError, load, parse};
