//! The table of what was done: how long nothing was acknowledged, and what was lost.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use super::judge::Tally;

/// The file to which rows are added; `make chaos` prints it in the end.
const FILE: &str = "TAMADA_CHAOS_TABLE";

pub struct Row<'a> {
    pub number: u32,
    pub what: String,
    pub store: &'static str,
    pub ttl: Duration,
    /// The longest time between two acknowledgements.
    pub gap: Duration,
    /// From the end of the fault to the next acknowledgement.
    pub resumed: Duration,
    pub tally: &'a Tally,
}

impl Row<'_> {
    pub fn tell(&self) {
        eprintln!("{self}");
        let Some(file) = std::env::var_os(FILE) else { return };
        let mut table = File::options().create(true).append(true).open(file).expect("whoever names it may write there");
        writeln!(table, "{self}").expect("there is room for a row");
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, what, store, ttl, gap, resumed, tally } = self;
        let Tally { acknowledged, unknown, lost, lost_bytes, .. } = tally;
        let lost = match lost.len() {
            0 => "0".to_owned(),
            rows => format!("{rows} ({lost_bytes} bytes)"),
        };
        let (ttl, gap, resumed) = (ttl.as_secs(), gap.as_secs_f64(), resumed.as_secs_f64());
        write!(
            f,
            "| {number} | {what} | {store}, {ttl} s | {acknowledged} | {unknown} | {gap:.1} s | {resumed:.1} s | {lost} |"
        )
    }
}
