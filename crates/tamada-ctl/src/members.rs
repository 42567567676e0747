//! The member table: what `list` and `topology` print, and what most actions show first (ctl.md 2.1).
//!
//! Rows are made of the `/cluster` document, so this tool and the REST API cannot tell different stories.

use serde_json::{Map, Value};
use tamada_config::yaml;
use tamada_model::document::scalar_text;
use tamada_model::{Cluster, Initialize};
use tamada_wire::rest::{ClusterMode, cluster_document};

use crate::console::Console;
use crate::format::{EmptyCells, Format, Sheet};
use crate::topology;

/// One cluster's keys with the name we asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct NamedCluster {
    pub scope: String,
    /// The Citus group we were told to work on.
    pub group: Option<i64>,
    pub cluster: Cluster,
}

impl NamedCluster {
    pub fn mode(&self) -> ClusterMode {
        self.cluster.config.as_ref().map(|config| ClusterMode::of_config(&config.value)).unwrap_or_default()
    }

    fn title(&self) -> String {
        let initialize = match &self.cluster.initialize {
            Initialize::Absent => "uninitialized".to_owned(),
            Initialize::Underway => "initializing".to_owned(),
            Initialize::Done(id) => id.to_string(),
            Initialize::Invalid(text) => text.clone(),
        };
        match self.group {
            Some(group) => format!(" Citus cluster: {} (group: {group}, {initialize}) ", self.scope),
            None => format!(" Cluster: {} ({initialize}) ", self.scope),
        }
    }
}

/// Are columns shown that nobody has a value for?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Columns {
    AsNeeded,
    All,
}

/// The table with its footer.
pub fn show(console: &mut Console, named: &NamedCluster, format: Format, columns: Columns) {
    let document = cluster_document(&named.cluster, &named.scope, named.mode());
    sheet(named, &document, format, columns).print(console, format);
    if format.is_table() {
        footer(&document).iter().for_each(|line| console.say(line));
    }
}

fn sheet(named: &NamedCluster, document: &Value, format: Format, columns: Columns) -> Sheet {
    let mut members: Vec<Member> = items(document).map(Member).collect();
    let ports = Ports::needed_for(&members);
    let mut names: Vec<&'static str> = Vec::new();
    if !format.is_table() {
        names.push("Cluster");
        names.extend(named.group.map(|_| "Group"));
    }
    names.extend(BASIC);
    names.extend(OPTIONAL.iter().filter(|name| columns == Columns::All || members.iter().any(|m| m.calls_for(name))));
    let indents = match format {
        Format::Topology => topology::arrange(&mut members, |m| m.place()),
        Format::Pretty | Format::Tsv | Format::Json | Format::Yaml => vec![String::new(); members.len()],
    };
    let row = |(member, indent): (&Member, &String)| {
        names.iter().map(|name| member.cell(name, indent, named, ports, format)).collect()
    };
    let rows = members.iter().zip(&indents).map(row).collect();
    Sheet { title: Some(named.title()), columns: names, rows, empty: EmptyCells::Omitted }
}

const BASIC: [&str; 9] =
    ["Member", "Host", "Role", "State", "TL", "Receive LSN", "Receive Lag", "Replay LSN", "Replay Lag"];
const OPTIONAL: [&str; 4] = ["Pending restart", "Pending restart reason", "Scheduled restart", "Tags"];

/// Longer reasons for a pending restart would tear a table apart.
const REASON_LENGTH_MAX: usize = 50;

fn items(document: &Value) -> impl Iterator<Item = &Map<String, Value>> {
    document.get("members").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

/// One member of the `/cluster` document.
#[derive(Clone, Copy)]
struct Member<'a>(&'a Map<String, Value>);

/// Do hosts need their port to be told apart?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ports {
    Shown,
    Hidden,
}

impl Ports {
    /// As soon as any port is unusual, or two members share a host.
    fn needed_for(members: &[Member]) -> Self {
        let mut hosts: Vec<&str> = members.iter().filter_map(|member| member.host()).collect();
        let with_host = hosts.len();
        hosts.sort_unstable();
        hosts.dedup();
        let unusual = members.iter().any(|member| member.0.get("port").is_some_and(|port| port.as_u64() != Some(5432)));
        if unusual || hosts.len() < with_host { Ports::Shown } else { Ports::Hidden }
    }
}

impl<'a> Member<'a> {
    fn text(&self, key: &str) -> &'a str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn host(&self) -> Option<&'a str> {
        self.0.get("host").and_then(Value::as_str)
    }

    fn place(&self) -> topology::Place<'a> {
        let parent = self.0.get("tags").and_then(|tags| tags.get("replicatefrom")).and_then(Value::as_str);
        topology::Place { name: self.text("name"), is_leader: self.text("role").ends_with("leader"), parent }
    }

    /// Whether this member makes an optional column appear; one without an address does not.
    fn calls_for(&self, column: &str) -> bool {
        let key = match column {
            "Pending restart" => "pending_restart",
            "Pending restart reason" => "pending_restart_reason",
            "Scheduled restart" => "scheduled_restart",
            _ => "tags",
        };
        self.host().is_some() && self.0.contains_key(key)
    }

    fn cell(&self, column: &str, indent: &str, named: &NamedCluster, ports: Ports, format: Format) -> Value {
        match column {
            "Cluster" => named.scope.clone().into(),
            "Group" => named.group.into(),
            "Member" => format!("{indent}{}", self.text("name")).into(),
            "Host" => self.address(ports).into(),
            "Role" => title_case(self.text("role")).into(),
            "State" => self.text("state").into(),
            "TL" => self.0.get("timeline").cloned().unwrap_or_else(empty),
            "Receive LSN" => self.position(Position::Receive).0,
            "Receive Lag" => self.position(Position::Receive).1,
            "Replay LSN" => self.position(Position::Replay).0,
            "Replay Lag" => self.position(Position::Replay).1,
            "Pending restart" if self.0.contains_key("pending_restart") => "*".into(),
            "Pending restart reason" => self.reasons(format).into(),
            "Scheduled restart" => self.scheduled_restart().into(),
            "Tags" => self.tags(format),
            _ => empty(),
        }
    }

    fn address(&self, ports: Ports) -> String {
        match (self.host(), self.0.get("port"), ports) {
            (Some(host), Some(port), Ports::Shown) => format!("{host}:{port}"),
            (Some(host), _, _) => host.to_owned(),
            (None, _, _) => String::new(),
        }
    }

    /// LSN and lag. A member of an old version tells one position only: what it received while it streams, else what
    /// it replayed.
    fn position(&self, of: Position) -> (Value, Value) {
        let known = |key: &str| self.0.get(key).is_some_and(|lsn| lsn != "unknown");
        let old_only = !known("receive_lsn") && !known("replay_lsn") && known("lsn");
        let streams = self.text("state") == "streaming";
        let (lsn, lag) = match of {
            Position::Receive if old_only && streams => ("lsn", "lag"),
            Position::Replay if old_only && !streams => ("lsn", "lag"),
            Position::Receive => ("receive_lsn", "receive_lag"),
            Position::Replay => ("replay_lsn", "replay_lag"),
        };
        let lag = self.0.get(lag).and_then(Value::as_u64).map_or_else(empty, |bytes| whole_mebibytes(bytes).into());
        (self.0.get(lsn).cloned().unwrap_or_else(empty), lag)
    }

    fn reasons(&self, format: Format) -> String {
        let reasons = self.0.get("pending_restart_reason").and_then(Value::as_object);
        let line = |(name, change): (&String, &Value)| {
            let side = |key: &str| change.get(key).map(scalar_text).unwrap_or_default();
            let line = format!("{name}: {}->{}", side("old_value"), side("new_value"));
            let too_long = format.is_table() && line.chars().count() > REASON_LENGTH_MAX;
            if too_long { format!("{name}: [hidden - too long]") } else { line }
        };
        reasons.into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
    }

    fn scheduled_restart(&self) -> String {
        let Some(restart) = self.0.get("scheduled_restart") else { return String::new() };
        let at = restart.get("schedule").map(scalar_text).unwrap_or_default();
        match restart.get("postgres_version") {
            Some(version) => format!("{at} if version < {}", scalar_text(version)),
            None => at,
        }
    }

    fn tags(&self, format: Format) -> Value {
        let Some(tags) = self.0.get("tags") else { return empty() };
        match format {
            Format::Pretty => yaml::dump(tags).trim_end_matches('\n').into(),
            Format::Topology | Format::Tsv => yaml::dump_flow(tags).into(),
            Format::Json | Format::Yaml => tags.clone(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Receive,
    Replay,
}

fn empty() -> Value {
    Value::String(String::new())
}

/// `sync_standby` → `Sync Standby`
fn title_case(role: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    role.split('_').map(word).collect::<Vec<_>>().join(" ")
}

/// Rounded; a half goes to the even side.
fn whole_mebibytes(bytes: u64) -> u64 {
    const MEBIBYTE: u64 = 1 << 20;
    let (whole, rest) = (bytes / MEBIBYTE, bytes % MEBIBYTE);
    match rest.cmp(&(MEBIBYTE / 2)) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Equal => whole + whole % 2,
        std::cmp::Ordering::Greater => whole + 1,
    }
}

fn footer(document: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    if document.get("pause").is_some() {
        lines.push(" Maintenance mode: on".to_owned());
    }
    if let Some(switchover) = document.get("scheduled_switchover") {
        let part = |key: &str| switchover.get(key).map(scalar_text);
        lines.push(format!(" Switchover scheduled at: {}", part("at").unwrap_or_default()));
        lines.extend(["from", "to"].into_iter().filter_map(|key| Some(format!("{key:>24}: {}", part(key)?))));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_are_whole_mebibytes_and_halves_go_to_the_even_side() {
        let half = 1 << 19;
        assert_eq!([0, half, half + 1, 3 * half, 5 * half].map(whole_mebibytes), [0, 0, 1, 2, 2]);
    }

    #[test]
    fn roles_are_titles() {
        assert_eq!(title_case("standby_leader"), "Standby Leader");
        assert_eq!(title_case("replica"), "Replica");
    }
}
