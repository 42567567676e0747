//! Passwords reach PostgreSQL's programs and its WAL receiver through a file only we can read, never through a command
//! line or a log (postgres.md 14.5).

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tamada_model::Credentials;

/// For whom a password is meant: one server.
#[derive(Clone, Debug)]
pub(crate) struct Server<'a> {
    /// A name, an address, several separated by commas, or the directory of a socket.
    pub host: &'a str,
    pub port: u16,
}

/// The lines for `server`; none when there is no password.
pub(crate) fn lines(server: &Server<'_>, credentials: &Credentials) -> Vec<String> {
    let Some(password) = credentials.password.as_ref().filter(|password| !password.is_empty()) else {
        return Vec::new();
    };
    let user = credentials.username.as_deref().map_or("*".to_owned(), escape);
    hosts(server.host)
        .into_iter()
        .map(|host| format!("{}:{}:*:{user}:{}", escape(&host), server.port, escape(password.expose())))
        .collect()
}

/// Writes the file whole or not at all; tells whether there is one now. Without a password it is left alone.
pub(crate) fn write(path: &Path, lines: &[String]) -> io::Result<bool> {
    if lines.is_empty() {
        return Ok(false);
    }
    let mut text = lines.join("\n");
    text.push('\n');
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(true);
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(new, path)?;
    Ok(true)
}

fn hosts(host: &str) -> Vec<String> {
    let mut hosts: Vec<String> = host.split(',').map(str::trim).filter(|h| !h.is_empty()).map(str::to_owned).collect();
    // libpq looks a socket up under the name `localhost` when the directory is its default one.
    if hosts.iter().any(|host| host.starts_with('/')) {
        hosts.push("localhost".to_owned());
    }
    if hosts.is_empty() { vec!["*".to_owned()] } else { hosts }
}

fn escape(text: &str) -> String {
    if text == "*" {
        return text.to_owned();
    }
    text.replace('\\', r"\\").replace(':', r"\:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use tamada_model::Secret;

    fn credentials(password: &str) -> Credentials {
        Credentials { username: Some("re:pl".into()), password: Some(Secret::new(password)), ..Credentials::default() }
    }

    #[test]
    fn one_line_a_host_with_colons_escaped() {
        let server = Server { host: "a,b", port: 5433 };
        assert_eq!(lines(&server, &credentials(r"x:\y")), [r"a:5433:*:re\:pl:x\:\\y", r"b:5433:*:re\:pl:x\:\\y"]);
        let socket = Server { host: "/run", port: 1 };
        assert_eq!(lines(&socket, &credentials("p")), [r"/run:1:*:re\:pl:p", r"localhost:1:*:re\:pl:p"]);
        assert!(lines(&server, &Credentials::default()).is_empty());
    }

    #[test]
    fn the_file_is_ours_alone() {
        let path = std::env::temp_dir().join(format!("tamada-pgpass-{}", std::process::id()));
        assert!(!write(&path, &[]).unwrap());
        assert!(write(&path, &["a:1:*:u:p".into()]).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a:1:*:u:p\n");
        fs::remove_file(path).unwrap();
    }
}
