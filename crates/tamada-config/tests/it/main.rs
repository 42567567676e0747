//! What a person writes, and what a member makes of it.

mod bench;
mod scene;
