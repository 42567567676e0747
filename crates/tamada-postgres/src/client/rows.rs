//! Rows as text, with readers for the few kinds of value we ask for.

use std::io;

use postgres_protocol::message::backend::DataRowBody;
use tamada_model::{Lsn, Timeline, Wall};

pub(crate) type Rows = Vec<Row>;

/// One row; columns are read by position, and one that is missing reads as null.
#[derive(Debug, Default, Clone)]
pub(crate) struct Row(Vec<Option<String>>);

impl Row {
    pub fn read(body: &DataRowBody) -> io::Result<Self> {
        use fallible_iterator::FallibleIterator as _;
        let bytes = body.buffer();
        let text = |range: Option<std::ops::Range<usize>>| {
            Ok(range.map(|range| String::from_utf8_lossy(&bytes[range]).into_owned()))
        };
        body.ranges().map(text).collect().map(Self)
    }

    pub fn get(&self, column: usize) -> Option<&str> {
        self.0.get(column).and_then(Option::as_deref)
    }

    /// Empty when null.
    pub fn text(&self, column: usize) -> String {
        self.get(column).unwrap_or_default().to_owned()
    }

    pub fn number<N: std::str::FromStr>(&self, column: usize) -> Option<N> {
        self.get(column).and_then(|text| text.trim().parse().ok())
    }

    pub fn truth(&self, column: usize) -> bool {
        self.get(column) == Some("t")
    }

    pub fn lsn(&self, column: usize) -> Option<Lsn> {
        self.get(column).and_then(Lsn::parse)
    }

    pub fn timeline(&self, column: usize) -> Option<Timeline> {
        self.number(column).and_then(Timeline::new)
    }

    /// A column that holds microseconds since 1970.
    pub fn wall(&self, column: usize) -> Option<Wall> {
        self.number(column).map(Wall::from_micros)
    }
}
