//! Who may change something (rest-api.md 1.2). Reading is free for all.

use std::net::IpAddr;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header::AUTHORIZATION;
use tamada_model::Report;
use tokio::time::timeout;

use super::answer::Answer;
use super::rules::Rules;

/// Members' host names are looked up for every request; a name server that does not answer means "not a member".
const LOOK_UP_WITHIN: Duration = Duration::from_secs(2);

/// The address, the certificate (with TLS, later), the password: the first that fails answers.
pub(super) async fn check(rules: &Rules, report: &Report, peer: IpAddr, headers: &HeaderMap) -> Result<(), Answer> {
    if rules.has_allowlist() && !rules.allows(peer) && !is_member(rules, report, peer).await {
        return Err(Answer::text(StatusCode::FORBIDDEN, "Access is denied"));
    }
    check_password(rules, headers)
}

/// Whether `peer` is the address of some member's `api_url`, if that counts.
async fn is_member(rules: &Rules, report: &Report, peer: IpAddr) -> bool {
    let Some(cluster) = report.cluster.as_ref().filter(|_| rules.config.allowlist_include_members) else {
        return false;
    };
    let hosts: Vec<String> = cluster.members.values().filter_map(|member| host(member.api_url.as_deref()?)).collect();
    let is_literal = |host: &String| host.parse().is_ok_and(|address: IpAddr| same(address, peer));
    if hosts.iter().any(is_literal) {
        return true;
    }
    let look_up = async {
        for host in hosts.iter().filter(|host| host.parse::<IpAddr>().is_err()) {
            let addresses = addresses_of(host, LOOK_UP_WITHIN).await.unwrap_or_default();
            if addresses.into_iter().any(|address| same(address, peer)) {
                return true;
            }
        }
        false
    };
    timeout(LOOK_UP_WITHIN, look_up).await.unwrap_or(false)
}

fn host(url: &str) -> Option<String> {
    tamada_model::host_and_port(url).map(|(host, _)| host)
}

pub(super) async fn addresses_of(host: &str, within: Duration) -> Result<Vec<IpAddr>, String> {
    match timeout(within, tokio::net::lookup_host((host, 0))).await {
        Ok(Ok(addresses)) => Ok(addresses.map(|address| address.ip()).collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} seconds", within.as_secs())),
    }
}

fn check_password(rules: &Rules, headers: &HeaderMap) -> Result<(), Answer> {
    let Some(expected) = &rules.expected_auth else { return Ok(()) };
    let Some(given) = headers.get(AUTHORIZATION) else { return Err(Answer::challenge("no auth header received")) };
    match given.as_bytes().strip_prefix(b"Basic ") {
        Some(given) if same_bytes(given, expected.as_bytes()) => Ok(()),
        Some(_) | None => Err(Answer::challenge("not authenticated")),
    }
}

/// Takes the same time wherever the first difference is.
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |all, (a, b)| all | std::hint::black_box(a ^ b));
    a.len() == b.len() && difference == 0
}

/// A network, or a single address. Addresses that reach us as IPv4 in IPv6 (one socket for both) are compared as what
/// they are; the original compares them as they come and refuses them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Net {
    address: IpAddr,
    prefix: u32,
}

impl From<IpAddr> for Net {
    fn from(address: IpAddr) -> Self {
        Self { address: address.to_canonical(), prefix: u128::BITS }
    }
}

impl Net {
    /// `10.0.0.0/8`, `10.0.0.1`, `fd00::/8`; `None` for a host name.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(longest), |prefix| prefix.parse().ok().filter(|bits| *bits <= longest))?;
        Some(Self { address, prefix })
    }

    pub fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(other)) => {
                let shift = 32 - self.prefix.min(32);
                u64::from(net.to_bits()) >> shift == u64::from(other.to_bits()) >> shift
            }
            (IpAddr::V6(net), IpAddr::V6(other)) => {
                let shift = 128 - self.prefix.min(128);
                let beginning = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
                beginning(net.to_bits()) == beginning(other.to_bits())
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

fn same(a: IpAddr, b: IpAddr) -> bool {
    a.to_canonical() == b.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_they_say() {
        for (net, address, inside) in [
            ("10.0.0.0/8", "10.200.3.4", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/8", "10.200.3.4", true),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("fd00::/8", "fdab::1", true),
            ("::/0", "fe80::1", true),
            ("::1", "::1", true),
            ("::1", "::2", false),
        ] {
            let net = Net::parse(net).unwrap();
            assert_eq!(net.contains(address.parse().unwrap()), inside, "{net:?} {address}");
        }
        for name in ["example.org", "10.0.0.0/33", "10.0.0.0/x", ""] {
            assert_eq!(Net::parse(name), None, "{name}");
        }
    }

    #[test]
    fn equal_bytes_are_equal_and_nothing_else_is() {
        assert!(same_bytes(b"", b""));
        assert!(same_bytes(b"abc", b"abc"));
        assert!(!same_bytes(b"abc", b"abd"));
        assert!(!same_bytes(b"abc", b"ab"));
    }
}
