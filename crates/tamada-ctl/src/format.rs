//! One sheet of values, printed in the formats of ctl.md 2.

use serde_json::{Map, Value};
use tamada_config::yaml;
use tamada_model::document::scalar_text;
use tamada_wire::json;

use crate::cli::{FORMAT, Given};
use crate::console::Console;
use crate::table::{Align, Column, Table};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    #[default]
    Pretty,
    /// As pretty, members in tree order.
    Topology,
    Tsv,
    Json,
    Yaml,
}

impl Format {
    /// `--format`; the grammar lets no other words through.
    pub fn given(given: &Given) -> Self {
        match given.text(&FORMAT) {
            Some("tsv") => Format::Tsv,
            Some("json") => Format::Json,
            Some("yaml" | "yml") => Format::Yaml,
            Some(_) | None => Format::Pretty,
        }
    }

    /// A table for people.
    pub fn is_table(self) -> bool {
        match self {
            Format::Pretty | Format::Topology => true,
            Format::Tsv | Format::Json | Format::Yaml => false,
        }
    }
}

/// What becomes of empty cells in JSON and YAML.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EmptyCells {
    Kept,
    Omitted,
}

pub struct Sheet {
    pub title: Option<String>,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<Value>>,
    pub empty: EmptyCells,
}

/// Numbers and positions stand at the right.
const RIGHT: &[&str] = &[
    "Group",
    "TL",
    "LSN",
    "Receive LSN",
    "Receive Lag",
    "Replay LSN",
    "Replay Lag",
    "Heard",
    "Behind",
    "Size",
    "Term",
    "Revision",
];
/// Both are called `Lag` in tables: each stands right of its LSN.
const LAGS: &[&str] = &["Receive Lag", "Replay Lag"];

impl Sheet {
    pub fn print(&self, console: &mut Console, format: Format) {
        console.say(self.text(format));
    }

    pub fn text(&self, format: Format) -> String {
        match format {
            Format::Pretty | Format::Topology => self.table().render(),
            Format::Tsv => self.tsv(),
            Format::Json => json::spaced(&self.objects()),
            Format::Yaml => yaml::dump(&self.objects()),
        }
    }

    fn table(&self) -> Table {
        let column = |name: &&str| Column {
            title: if LAGS.contains(name) { "Lag".to_owned() } else { (*name).to_owned() },
            align: if RIGHT.contains(name) { Align::Right } else { Align::Left },
        };
        Table {
            title: self.title.clone(),
            columns: self.columns.iter().map(column).collect(),
            rows: self.rows.iter().map(|row| row.iter().map(scalar_text).collect()).collect(),
        }
    }

    fn tsv(&self) -> String {
        let mut lines = vec![self.columns.join("\t")];
        lines.extend(self.rows.iter().map(|row| row.iter().map(scalar_text).collect::<Vec<_>>().join("\t")));
        lines.join("\n")
    }

    fn objects(&self) -> Value {
        let kept = |cell: &Value| self.empty == EmptyCells::Kept || !is_empty(cell);
        let object = |row: &Vec<Value>| {
            let cells = self.columns.iter().zip(row).filter(|(_, cell)| kept(cell));
            cells.map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect::<Map<_, _>>()
        };
        self.rows.iter().map(object).collect()
    }
}

fn is_empty(cell: &Value) -> bool {
    cell.as_str().is_some_and(str::is_empty)
}
