//! Where a URL points to.

use hyper::Uri;

/// A URL taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Address {
    /// Without the brackets of IPv6.
    pub host: String,
    pub port: u16,
    /// As the `Host` header says it.
    pub authority: String,
    pub path_and_query: String,
}

/// Why a URL cannot be used.
#[derive(Debug)]
pub(super) struct BadUrl(pub String);

impl Address {
    pub fn parse(url: &str) -> Result<Self, BadUrl> {
        let uri: Uri = url.parse().map_err(|error| BadUrl(format!("{url}: {error}")))?;
        let default_port = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => return Err(BadUrl(format!("{url}: https is not supported by this version"))),
            Some(_) | None => return Err(BadUrl(format!("{url}: not an http URL"))),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| BadUrl(format!("{url}: no host")))?;
        let port = uri.port_u16().unwrap_or(default_port);
        let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            authority: format!("{host}:{port}"),
            path_and_query: path_and_query.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_apart() {
        let address = Address::parse("http://[::1]:8009/patroni?a=b").unwrap();
        assert_eq!((address.host.as_str(), address.port), ("::1", 8009));
        assert_eq!(address.authority, "[::1]:8009");
        assert_eq!(address.path_and_query, "/patroni?a=b");
        assert_eq!(Address::parse("http://h").unwrap().path_and_query, "/");
        for bad in ["ftp://h/", "h:8008", "/patroni", "https://h/", ""] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
