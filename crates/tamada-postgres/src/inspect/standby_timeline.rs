//! The two questions of the replication protocol: on which timeline is a server, and how did it get there (postgres.md
//! 3.7, ha-loop.md 23.5).

use tamada_model::{Lsn, SystemId, Timeline};

use crate::PgError;
use crate::client::Client;

/// The answer to IDENTIFY_SYSTEM.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Identity {
    pub system_id: Option<SystemId>,
    pub timeline: Timeline,
    pub position: Lsn,
}

pub(crate) async fn identify(client: &mut Client) -> Result<Identity, PgError> {
    let row = client.ask_row("IDENTIFY_SYSTEM").await?;
    let timeline = row.timeline(1).ok_or_else(|| PgError::Refused {
        sqlstate: String::new(),
        message: "IDENTIFY_SYSTEM told no timeline".to_owned(),
    })?;
    Ok(Identity { system_id: row.get(0).and_then(SystemId::parse), timeline, position: row.lsn(2).unwrap_or_default() })
}

/// The text of the history file of `timeline`.
pub(crate) async fn history(client: &mut Client, timeline: Timeline) -> Result<String, PgError> {
    let row = client.ask_row(&format!("TIMELINE_HISTORY {timeline}")).await?;
    Ok(decode(row.get(1).unwrap_or_default()))
}

/// The content is of type bytea and arrives as plain text or in hexadecimal, depending on the release.
fn decode(text: &str) -> String {
    let Some(hex) = text.strip_prefix("\\x") else { return text.to_owned() };
    let digits: Vec<u8> =
        hex.bytes().filter_map(|digit| (digit as char).to_digit(16).map(|value| value as u8)).collect();
    String::from_utf8_lossy(&digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<u8>>())
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_the_same_in_both_spellings() {
        assert_eq!(decode("1\t0/3000060\tx"), "1\t0/3000060\tx");
        assert_eq!(decode("\\x3109302f"), "1\t0/");
    }
}
