//! The embedded store, as its nodes tell it.
//!
//! Each node is asked for itself, instead of one for all of them: when no majority is there, what every node says alone
//! is all there is to go by.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tamada_raft::link::Security;
use tamada_raft::{Client, MemberStatus, StoreStatus, Trouble};
use tokio::task::JoinSet;

use crate::format::{EmptyCells, Format, Sheet};

/// A node asks the leader before it answers, for a second at the most.
const ANSWER: Duration = Duration::from_secs(4);

/// What each node said, by the address at which it was asked.
pub struct Accounts {
    by_address: BTreeMap<String, Result<StoreStatus, Trouble>>,
    security: Security,
}

impl Accounts {
    /// Asks these nodes, and then those that they know of.
    pub async fn gather(addresses: Vec<String>, security: Security) -> Self {
        let mut accounts = Self { by_address: BTreeMap::new(), security };
        accounts.ask(addresses).await;
        accounts.ask(accounts.not_asked()).await;
        accounts
    }

    async fn ask(&mut self, addresses: Vec<String>) {
        let mut asked = JoinSet::new();
        for address in addresses {
            let client = Client::remote(vec![address.clone()], self.security.clone());
            asked.spawn(async move { (address, client.status(ANSWER).await) });
        }
        self.by_address.extend(asked.join_all().await);
    }

    fn not_asked(&self) -> Vec<String> {
        let mentioned = self.told().flat_map(|status| &status.members).map(|member| &member.address);
        let mut fresh: Vec<String> = mentioned.filter(|address| !self.knows(address)).cloned().collect();
        fresh.sort();
        fresh.dedup();
        fresh
    }

    fn knows(&self, address: &str) -> bool {
        self.by_address.contains_key(address) || self.told().any(|status| status.address == address)
    }

    /// What those said that answered.
    pub fn told(&self) -> impl Iterator<Item = &StoreStatus> {
        self.by_address.values().filter_map(|said| said.as_ref().ok())
    }

    /// The account to believe: that of the consensus leader, or of one who follows it, in the newest term. `None`: no
    /// majority is there.
    pub fn of_majority(&self) -> Option<&StoreStatus> {
        let follows = self.told().filter(|status| status.quorum && status.leader.is_some());
        follows.max_by_key(|status| (status.term, status.leader.as_ref() == Some(&status.address)))
    }

    /// A way to the store through those that answered, its leader first.
    pub fn client(&self) -> Option<Client> {
        let leader = &self.of_majority()?.leader;
        let mut addresses: Vec<String> = self.told().map(|status| status.address.clone()).collect();
        addresses.sort_by_key(|address| Some(address) != leader.as_ref());
        Some(Client::remote(addresses, self.security.clone()))
    }

    /// Why there is no majority, as far as that can be seen from here.
    pub fn why_no_majority(&self) -> String {
        if self.told().next().is_none() {
            return format!("No node of the store answers: {}", self.silent().join("; "));
        }
        if self.told().all(|status| status.cluster == 0) {
            return "The store is not founded yet. That is done once, when all of raft.partner_addrs answer".to_owned();
        }
        "No majority of the store's voters is there: nothing can be written or read until enough of them are back"
            .to_owned()
    }

    /// What the first said that answered, and will not talk to us.
    pub fn refusal(&self) -> Option<&str> {
        self.by_address.values().find_map(|said| match said {
            Err(Trouble::Refused(why)) => Some(why.as_str()),
            Ok(_) | Err(Trouble::Unreachable(_)) => None,
        })
    }

    /// `10.0.0.3:2222: connection refused`, for each that did not answer.
    pub fn silent(&self) -> Vec<String> {
        self.by_address.values().filter_map(|said| Some(said.as_ref().err()?.to_string())).collect()
    }

    /// The nodes as a majority knows them; without one, every node by its own word.
    pub fn sheet(&self, format: Format) -> Sheet {
        match self.of_majority() {
            Some(status) => self.members(status, format),
            None => self.words(format),
        }
    }

    fn members(&self, status: &StoreStatus, format: Format) -> Sheet {
        let invited = status.invited.iter().map(|address| invited(status, address));
        let rows: BTreeMap<&String, Vec<Value>> = status
            .members
            .iter()
            .map(|member| (&member.address, self.member(status, member, format)))
            .chain(invited)
            .collect();
        let mut columns = vec!["Address", "Role", "Heard", "Behind", "Size"];
        if !format.is_table() {
            columns.extend(["Store", "Term", "Revision"]);
        }
        let title = Some(format!(" Store: {} ", number(status)));
        Sheet { title, columns, rows: rows.into_values().collect(), empty: EmptyCells::Omitted }
    }

    fn member(&self, status: &StoreStatus, member: &MemberStatus, format: Format) -> Vec<Value> {
        let leads = status.leader.as_ref() == Some(&member.address);
        let role = match (leads, member.voter) {
            (true, _) => "Leader",
            (false, true) => "Voter",
            (false, false) => "Copy",
        };
        let own = self.told().find(|own| own.address == member.address);
        let heard = member.heard.filter(|_| !leads);
        let behind = member.behind.filter(|_| !leads);
        [
            member.address.clone().into(),
            role.into(),
            heard.map_or_else(|| if leads { empty() } else { "never".into() }, |ago| seconds(ago, format)),
            behind.map_or_else(empty, Value::from),
            own.map_or_else(empty, |own| size(own.disk_bytes, format)),
            number(status).into(),
            status.term.into(),
            status.revision.into(),
        ]
        .into()
    }

    fn words(&self, format: Format) -> Sheet {
        let row = |status: &StoreStatus| {
            vec![
                status.address.clone().into(),
                status.leader.clone().map_or_else(|| "nobody".into(), Value::from),
                status.term.into(),
                status.revision.into(),
                if status.quorum { "yes" } else { "no" }.into(),
                size(status.disk_bytes, format),
            ]
        };
        let columns = vec!["Address", "Follows", "Term", "Revision", "Hears a majority", "Size"];
        let title = Some(" Store: no majority ".to_owned());
        Sheet { title, columns, rows: self.told().map(row).collect(), empty: EmptyCells::Omitted }
    }

    /// What stands below the table.
    pub fn footer(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(status) = self.of_majority() {
            let leader = status.leader.as_deref().unwrap_or("nobody");
            lines.push(format!(" Leader: {leader}, term {}, revision {}", status.term, status.revision));
        }
        lines.extend(self.warnings().into_iter().map(|warning| format!(" Warning: {warning}")));
        lines
    }

    /// What an operator should look at, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.silent().into_iter().map(|why| format!("no answer: {why}")).collect();
        for status in self.told() {
            for warning in &status.warnings {
                let line = format!("{}: {warning}", status.address);
                // Several nodes may see the same, and then one of them is enough.
                if !warnings.iter().any(|known| known.ends_with(warning.as_str())) {
                    warnings.push(line);
                }
            }
        }
        warnings
    }
}

/// Somebody who may join and has not come yet.
fn invited<'s>(status: &'s StoreStatus, address: &'s String) -> (&'s String, Vec<Value>) {
    let unknown = [empty(), empty(), empty()];
    let row = [address.clone().into(), "Invited".into()].into_iter().chain(unknown);
    (address, row.chain([number(status).into(), status.term.into(), status.revision.into()]).collect())
}

/// As the log writes it.
fn number(status: &StoreStatus) -> String {
    format!("{:016x}", status.cluster)
}

/// `0.4 s` for people, `0.4` for programs.
fn seconds(time: Duration, format: Format) -> Value {
    let tenths = (time.as_secs_f64() * 10.0).round() / 10.0;
    if format.is_table() { format!("{tenths:.1} s").into() } else { tenths.into() }
}

/// `1.5 MiB` for people, bytes for programs.
fn size(bytes: u64, format: Format) -> Value {
    if format.is_table() { format!("{:.1} MiB", bytes as f64 / 1_048_576.0).into() } else { bytes.into() }
}

fn empty() -> Value {
    Value::String(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(address: &str, voter: bool, heard: Option<Duration>, behind: Option<u64>) -> MemberStatus {
        MemberStatus { address: address.to_owned(), node: 1, voter, heard, behind }
    }

    fn account(address: &str, leader: Option<&str>, term: u64, quorum: bool) -> StoreStatus {
        let second = Some(Duration::from_millis(1240));
        let members = vec![
            member("a:1", true, second, Some(0)),
            member("b:1", true, None, None),
            member("c:1", false, second, Some(7)),
        ];
        StoreStatus {
            cluster: 0xc0ffee,
            address: address.to_owned(),
            leader: leader.map(str::to_owned),
            term,
            revision: 42,
            disk_bytes: 1_572_864,
            quorum,
            members,
            ..StoreStatus::default()
        }
    }

    fn accounts(told: Vec<StoreStatus>, silent: &[&str]) -> Accounts {
        let silent = silent.iter().map(|address| {
            ((*address).to_owned(), Err(Trouble::Unreachable(format!("{address}: connection refused"))))
        });
        let told = told.into_iter().map(|status| (status.address.clone(), Ok(status)));
        Accounts { by_address: told.chain(silent).collect(), security: Security::default() }
    }

    fn shown(accounts: &Accounts) -> String {
        let mut lines = vec![accounts.sheet(Format::Pretty).text(Format::Pretty)];
        lines.extend(accounts.footer());
        lines.join("\n")
    }

    #[test]
    fn the_newest_leader_with_a_majority_is_believed() {
        let old_leader = account("a:1", Some("a:1"), 3, false);
        let mut leader = account("c:1", Some("c:1"), 4, true);
        leader.invited = vec!["d:1".to_owned()];
        let accounts = accounts(vec![old_leader, leader], &["b:1"]);
        let expected = "\
+ Store: 0000000000c0ffee --+--------+---------+
| Address | Role    | Heard | Behind |    Size |
+---------+---------+-------+--------+---------+
| a:1     | Voter   | 1.2 s |      0 | 1.5 MiB |
| b:1     | Voter   | never |        |         |
| c:1     | Leader  |       |        | 1.5 MiB |
| d:1     | Invited |       |        |         |
+---------+---------+-------+--------+---------+
 Leader: c:1, term 4, revision 42
 Warning: no answer: b:1: connection refused";
        assert_eq!(shown(&accounts), expected);
    }

    #[test]
    fn without_a_majority_each_node_speaks_for_itself() {
        let mut alone = account("a:1", None, 5, false);
        alone.warnings = vec!["2 voters survive the loss of none".to_owned()];
        let accounts = accounts(vec![alone], &["b:1"]);
        let expected = "\
+ Store: no majority ------+----------+------------------+---------+
| Address | Follows | Term | Revision | Hears a majority |    Size |
+---------+---------+------+----------+------------------+---------+
| a:1     | nobody  |    5 |       42 | no               | 1.5 MiB |
+---------+---------+------+----------+------------------+---------+
 Warning: no answer: b:1: connection refused
 Warning: a:1: 2 voters survive the loss of none";
        assert_eq!(shown(&accounts), expected);
        assert!(accounts.client().is_none());
        assert!(accounts.why_no_majority().starts_with("No majority"));
    }

    #[test]
    fn programs_get_plain_numbers() {
        let accounts = accounts(vec![account("c:1", Some("c:1"), 4, true)], &[]);
        let first = accounts.sheet(Format::Json).text(Format::Json);
        let expected = "[{\"Address\": \"a:1\", \"Role\": \"Voter\", \"Heard\": 1.2, \"Behind\": 0, \
                        \"Store\": \"0000000000c0ffee\", \"Term\": 4, \"Revision\": 42}, ";
        assert!(first.starts_with(expected), "{first}");
    }
}
