//! The password file, `~/.pgpass` (PostgreSQL documentation, "The Password File"; `passwordFromFile` in `fe-connect.c`):
//! lines of `host:port:database:user:password`, of which the first that fits counts.

use super::secret::Secret;

/// What a password is looked up for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The host as it was named, or its address if it has no name, or the socket's directory.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: &'a str,
    /// The role.
    pub user: &'a str,
}

/// The directories that libpq builds look for the socket in when no host is named: in the file they are "localhost".
pub const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// The password of the first line that fits; an empty one is none.
///
/// `*` alone in a field fits everything; `\` takes the next character as it is; an unescaped colon ends the password.
#[must_use]
pub fn look_up(file: &str, wanted: Wanted<'_>) -> Option<Secret> {
    let port = wanted.port.to_string();
    let line = file.split('\n').find_map(|line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.starts_with('#') {
            return None;
        }
        let rest = after_field(line, wanted.host)
            .or_else(|| SOCKET_DIRECTORIES.contains(&wanted.host).then(|| after_field(line, "localhost")).flatten())?;
        let rest = after_field(rest, &port)?;
        let rest = after_field(rest, wanted.database)?;
        after_field(rest, wanted.user)
    })?;
    // As large as it can become, so that growing leaves no copy behind.
    let mut password = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' => break,
            '\\' => password.push(chars.next().unwrap_or('\\')),
            _ => password.push(c),
        }
    }
    let password = Secret::new(password);
    (!password.is_empty()).then_some(password)
}

/// What follows the first field of `line` if that field fits `wanted`.
fn after_field<'a>(line: &'a str, wanted: &str) -> Option<&'a str> {
    if let Some(rest) = line.strip_prefix("*:") {
        return Some(rest);
    }
    let mut wanted = wanted.chars();
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ':' => return wanted.next().is_none().then(|| &line[at + 1..]),
            '\\' => {
                let (_, escaped) = chars.next()?;
                if wanted.next() != Some(escaped) {
                    return None;
                }
            }
            _ if wanted.next() != Some(c) => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Wanted, look_up};

    #[test]
    fn lines_are_matched_as_libpq_matches_them() {
        let wanted = Wanted { host: "db", port: 5432, database: "shop", user: "app" };
        for (file, password) in [
            ("db:5432:shop:app:secret", Some("secret")),
            ("*:*:*:*:any", Some("any")),
            ("db:5432:shop:other:no\ndb:5432:shop:app:first\n*:*:*:*:second", Some("first")),
            ("# *:*:*:*:x\n*:*:*:*:y", Some("y")),
            ("#:*:*:*:x", None),
            ("DB:*:*:*:x", None),
            (" *:*:*:*:x", None),
            ("\u{feff}*:*:*:*:x", None),
            ("*:*:*:*:a:b", Some("a")),
            (r"*:*:*:*:a\:b\\c", Some(r"a:b\c")),
            ("*:*:*:*:blanks  \r\n", Some("blanks  ")),
            ("*:*:*:*:", None),
            ("*:*:*:*:\n*:*:*:*:x", None),
            ("d*:*:*:*:x", None),
            (r"\d\b:*:*:*:x", Some("x")),
            ("*:*:*:app", None),
            ("", None),
        ] {
            assert_eq!(look_up(file, wanted).as_ref().map(super::Secret::reveal), password, "{file:?}");
        }
    }

    #[test]
    fn addresses_and_sockets_have_their_spelling() {
        let six = Wanted { host: "::1", port: 1, database: "d", user: "u" };
        assert!(look_up(r"\:\:1:1:d:u:x", six).is_some());
        assert!(look_up("::1:1:d:u:x", six).is_none());
        let socket = Wanted { host: "/var/run/postgresql", ..six };
        assert!(look_up("localhost:1:d:u:x", socket).is_some());
        assert!(look_up("localhost:1:d:u:x", Wanted { host: "/srv/run", ..six }).is_none());
        assert!(look_up("/srv/run:1:d:u:x", Wanted { host: "/srv/run", ..six }).is_some());
    }
}
