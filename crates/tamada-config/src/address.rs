//! `host:port` as the files write it.

/// Splits hosts and port at the last colon; `None` if the port is not a number or there is none and no default.
/// Brackets around IPv6 addresses go away (configuration.md 3.1, 3.4).
pub fn hosts_and_port(text: &str, default_port: Option<u16>) -> Option<(String, u16)> {
    let (hosts, port) = match text.rsplit_once(':') {
        Some((hosts, port)) => (hosts, port.trim().parse().ok()?),
        None => (text, default_port?),
    };
    if !hosts.contains(':') {
        return Some((hosts.to_owned(), port));
    }
    let bare: Vec<_> = hosts.split(',').map(|host| host.trim().trim_matches(['[', ']'])).collect();
    Some((bare.join(","), port))
}

/// `host:port`, with brackets where an IPv6 address needs them.
pub fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_split_at_the_last_colon() {
        type Expected = Option<(&'static str, u16)>;
        let table: &[(&str, Option<u16>, Expected)] = &[
            ("127.0.0.1", Some(5432), Some(("127.0.0.1", 5432))),
            ("127.0.0.1:5400", Some(5432), Some(("127.0.0.1", 5400))),
            ("127.0.0.1,192.168.0.101:5400", Some(5432), Some(("127.0.0.1,192.168.0.101", 5400))),
            ("a,[fe80::1], 0:0:0:0:0:0:0:0:5400", Some(5432), Some(("a,fe80::1,0:0:0:0:0:0:0:0", 5400))),
            ("[::1]:8008", None, Some(("::1", 8008))),
            (":8008", None, Some(("", 8008))),
            ("*:8008", None, Some(("*", 8008))),
            ("localhost", None, None),
            ("localhost:http", None, None),
            ("localhost:70000", None, None),
        ];
        for (text, default, expected) in table {
            assert_eq!(hosts_and_port(text, *default), expected.map(|(h, p)| (h.to_owned(), p)), "{text}");
        }
    }

    #[test]
    fn ipv6_gets_its_brackets_back() {
        assert_eq!(authority("::1", 8008), "[::1]:8008");
        assert_eq!(authority("db", 8008), "db:8008");
    }
}
