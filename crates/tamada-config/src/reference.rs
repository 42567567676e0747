//! The page that lists every parameter, made from the rows.

use std::fmt::Write;

use crate::rows::{self, Kind, Layer, Need, Range, Row};
use crate::timing::Beat;

/// Markdown, one table per section.
pub fn reference_markdown() -> String {
    let mut page = String::from(
        "# Configuration reference\n\n\
         This page is generated from the rows in `tamada-config`.\n\n\
         A part in angle brackets is a name of your choice. *Takes effect* says when a change is noticed: at a reload, \
         when the agent or PostgreSQL is restarted, or only while a new cluster is made.\n",
    );
    for (title, about, layer) in CHAPTERS {
        let _ = write!(page, "\n## {title}\n\n{about}\n");
        let mut table = None;
        for row in rows::all().filter(|row| row.layer == layer) {
            if table != Some(table_of(row)) {
                table = Some(table_of(row));
                head(&mut page, table_of(row));
            }
            line(&mut page, row);
        }
    }
    page
}

/// The section whose table holds the row; `None`: the root.
fn table_of(row: &Row) -> Option<&'static str> {
    match row.path.split_once('.') {
        Some((section, _)) => Some(section),
        None => (row.kind == Kind::Section).then_some(row.path),
    }
}

const CHAPTERS: [(&str, &str, Layer); 3] = [
    ("One member", "In the member's files and environment variables only.", Layer::Local),
    (
        "One member or all",
        "In the member's files, or for all members in the dynamic configuration; the files win.",
        Layer::Both,
    ),
    (
        "All members",
        "In the dynamic configuration in the store. For a new cluster it is taken from `bootstrap.dcs`.",
        Layer::Dynamic,
    ),
];

fn head(page: &mut String, section: Option<&str>) {
    let _ = write!(
        page,
        "\n### {}\n\n| Parameter | Variable | Values | Default | Takes effect | Meaning |\n|---|---|---|---|---|---|\n",
        section.map_or_else(|| "General".to_owned(), |section| format!("`{section}`"))
    );
}

fn line(page: &mut String, row: &Row) {
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{}`", text.replace('|', "\\|")) };
    let needed = match row.need {
        Need::Required => " **required**",
        Need::OneOf(_) => " (one of these)",
        Need::Optional | Need::AtMostOneOf(_) => "",
    };
    let _ = writeln!(
        page,
        "| {}{needed} | {} | {} | {} | {} | {} |",
        code(row.path),
        code(row.env.name().unwrap_or_default()),
        values(row.kind),
        code(row.default),
        row.applies,
        row.help
    );
}

fn values(kind: Kind) -> String {
    let word = match kind {
        Kind::Section => "section",
        Kind::Text | Kind::Secret | Kind::Scalar => "text",
        Kind::Bool | Kind::Truth | Kind::TagBool => "true, false",
        Kind::Integer(range) => return integers(range),
        Kind::TagPriority => "integer from 0",
        Kind::Real { least, above: true } => return format!("number above {least}"),
        Kind::Real { least, above: false } => return format!("number from {least}"),
        Kind::Seconds(beat) => return seconds(beat),
        Kind::Choice(choices, _) => return choices.join(", "),
        Kind::Texts | Kind::Names => "list of texts",
        Kind::Options => "list of options, or a mapping",
        Kind::Map => "mapping",
        Kind::Maps => "list of mappings",
        Kind::Listen { many: false } | Kind::ConnectAddress { .. } | Kind::Peer => "host:port",
        Kind::Listen { many: true } => "host,host:port",
        Kind::Peers { .. } => "list of host:port",
        Kind::DataDir | Kind::BinDir => "directory",
        Kind::Binary => "name of a program",
        Kind::LogFormat => "pattern, or list of fields",
        Kind::WatchdogMode => "off, automatic, required",
        Kind::SynchronousMode => "off, on, quorum",
        Kind::Anything => "anything",
    };
    word.to_owned()
}

fn seconds(beat: Beat) -> String {
    let (usual, embedded) = (beat.least(None), beat.least(Some("raft")));
    let where_shorter = if embedded < usual { format!(" ({embedded} with `raft`)") } else { String::new() };
    format!("seconds from {usual}{where_shorter}, fractions allowed")
}

fn integers(range: Range) -> String {
    let unit = range.unit.map_or_else(String::new, |unit| format!(", in {unit} or with a unit"));
    match (range.least, range.most) {
        (i64::MIN, i64::MAX) => format!("integer{unit}"),
        (least, i64::MAX) => format!("integer from {least}{unit}"),
        (i64::MIN, most) => format!("integer up to {most}{unit}"),
        (least, most) => format!("{least} to {most}{unit}"),
    }
}
