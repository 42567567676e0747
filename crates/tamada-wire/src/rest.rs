//! The REST bodies (rest-api.md 2, 4, 5; ha-loop.md 12.9).

mod history;

pub use history::history_document;
