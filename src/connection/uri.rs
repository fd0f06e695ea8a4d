//! Connection strings, read as libpq reads them (PostgreSQL documentation, "Connection Strings"): `postgres://` URIs
//! and `keyword = value` lists. Errors name the keyword and never repeat a value, which could be a password.

use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::secret::Secret;
use super::settings::{RootCert, Settings};

/// Why a connection string could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UriError(String);

fn wrong(text: impl Into<String>) -> UriError {
    UriError(text.into())
}

/// Whether `text` looks like a whole connection string, so that a form can offer to split it into its fields.
#[must_use]
pub fn is_connection_string(text: &str) -> bool {
    let text = text.trim_start();
    scheme(text).is_some() || (text.contains("host=") && text.contains('='))
}

/// Reads a URI or a keyword list. What it does not mention stays as in `defaults`.
///
/// # Errors
/// One sentence that names the part that can't be read; no value of the string stands in it.
pub fn parse(text: &str, defaults: &Settings) -> Result<Settings, UriError> {
    let text = text.trim();
    let pairs = match scheme(text) {
        Some(rest) => uri_pairs(rest)?,
        None => keyword_pairs(text)?,
    };
    let mut settings = defaults.clone();
    for (key, value) in pairs {
        assign(&mut settings, &key, &value)?;
    }
    Ok(settings)
}

fn scheme(text: &str) -> Option<&str> {
    text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"))
}

/// Sets one parameter. An empty value means the default, as in libpq.
fn assign(settings: &mut Settings, key: &str, value: &str) -> Result<(), UriError> {
    if value.contains('\0') {
        return Err(wrong(format!("{key} contains a zero byte")));
    }
    if value.is_empty() && key != "password" {
        return Ok(());
    }
    match key {
        "host" | "hostaddr" if value.contains(',') => {
            return Err(wrong("several hosts in one connection string are not supported yet; name one"));
        }
        "host" => value.clone_into(&mut settings.host),
        "hostaddr" => settings.hostaddr = Some(value.to_owned()),
        "sslrootcert" if value == "system" => settings.tls.root_cert = RootCert::System,
        "sslrootcert" => settings.tls.root_cert = RootCert::File(value.into()),
        "sslcert" => settings.tls.cert = Some(value.into()),
        "sslkey" => settings.tls.key = Some(value.into()),
        "sslpassword" => settings.tls.key_passphrase = Some(Secret::new(value)),
        "port" => {
            settings.port = match value.trim().parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(wrong("port must be a number from 1 to 65535")),
            };
        }
        "dbname" => value.clone_into(&mut settings.database),
        "user" => value.clone_into(&mut settings.user),
        "password" => settings.password = (!value.is_empty()).then(|| Secret::new(value)),
        "sslmode" => settings.ssl_mode = value.parse().map_err(wrong)?,
        "connect_timeout" => {
            let seconds: u64 =
                value.trim().parse().map_err(|_| wrong("connect_timeout must be a number of seconds"))?;
            if seconds > 0 {
                settings.connect_timeout = Duration::from_secs(seconds);
            }
        }
        // walpilot sets its own, so that an administrator can tell its sessions apart.
        "application_name" | "fallback_application_name" | "client_encoding" => {}
        _ => return Err(wrong(format!("the connection parameter \"{}\" is not supported", super::printable(key)))),
    }
    Ok(())
}

fn uri_pairs(rest: &str) -> Result<Vec<(String, String)>, UriError> {
    let mut pairs = Vec::new();
    let mut add = |key: &str, raw: &str| -> Result<(), UriError> {
        pairs.push((key.to_owned(), decode(raw, key)?));
        Ok(())
    };
    // Credentials end at the first `@`, and there are none if a `/` comes before it.
    let mut rest = rest;
    if let Some(end) = rest.find(['@', '/']).filter(|end| rest[*end..].starts_with('@')) {
        let (credentials, after) = (&rest[..end], &rest[end + 1..]);
        let (user, password) =
            credentials.split_once(':').map_or((credentials, None), |(user, word)| (user, Some(word)));
        add("user", user)?;
        if let Some(password) = password {
            add("password", password)?;
        }
        rest = after;
    }
    if let Some(bracketed) = rest.strip_prefix('[') {
        let end = bracketed.find(']').ok_or_else(|| wrong("the IPv6 address has no closing bracket"))?;
        add("host", &bracketed[..end])?;
        rest = &bracketed[end + 1..];
        if !rest.is_empty() && !rest.starts_with([':', '/', '?', ',']) {
            return Err(wrong("after the IPv6 address only a port, a database or parameters may follow"));
        }
    } else {
        let end = rest.find([':', '/', '?', ',']).unwrap_or(rest.len());
        add("host", &rest[..end])?;
        rest = &rest[end..];
    }
    if let Some(after) = rest.strip_prefix(':') {
        let end = after.find(['/', '?', ',']).unwrap_or(after.len());
        add("port", &after[..end])?;
        rest = &after[end..];
    }
    if rest.starts_with(',') {
        return Err(wrong("several hosts in one connection string are not supported yet; name one"));
    }
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    add("dbname", path.strip_prefix('/').unwrap_or(path))?;
    for parameter in query.into_iter().flat_map(|query| query.split('&')).filter(|part| !part.is_empty()) {
        let (key, value) =
            parameter.split_once('=').ok_or_else(|| wrong("a parameter of the URI has no \"=\" and value"))?;
        let key = decode(key, "a parameter name")?;
        match (key.as_str(), value) {
            ("ssl", "true") => add("sslmode", "require")?,
            _ => add(&key, value)?,
        }
    }
    Ok(pairs)
}

fn decode(raw: &str, what: &str) -> Result<String, UriError> {
    let bytes = raw.as_bytes();
    let broken = bytes.iter().enumerate().any(|(at, byte)| {
        *byte == b'%' && !bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        let what = super::printable(what);
        return Err(wrong(format!("{what} has a \"%\" that is not followed by two hexadecimal digits; write %25")));
    }
    let text =
        percent_decode_str(raw).decode_utf8().map_err(|_| wrong(format!("{} is not UTF-8", super::printable(what))))?;
    Ok(text.into_owned())
}

/// `key = value`, blanks free around the sign, values in single quotes where they hold blanks, `\` escapes.
fn keyword_pairs(text: &str) -> Result<Vec<(String, String)>, UriError> {
    let mut pairs = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(pairs);
        }
        let mut key = String::new();
        while let Some(c) = chars.next_if(|c| *c != '=' && !c.is_whitespace()) {
            key.push(c);
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.next() != Some('=') {
            return Err(wrong("this is neither a postgres:// URI nor a list of keyword=value pairs"));
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let mut value = String::new();
        let quoted = chars.next_if_eq(&'\'').is_some();
        loop {
            match chars.next() {
                Some('\\') => value.extend(chars.next()),
                Some('\'') if quoted => break,
                Some(c) if !quoted && c.is_whitespace() => break,
                Some(c) => value.push(c),
                None if quoted => {
                    return Err(wrong(format!("the quoted value of {} does not end", super::printable(&key))));
                }
                None => break,
            }
        }
        pairs.push((key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::{is_connection_string, parse};
    use crate::connection::{Settings, SslMode};

    fn read(text: &str) -> Settings {
        parse(text, &Settings::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn uris_are_read_as_libpq_reads_them() {
        let all = read("postgres://us%40er:p%2Fw%3A@db.example:6543/sh%20op?sslmode=require&connect_timeout=3");
        assert_eq!((all.user.as_str(), all.host.as_str(), all.port), ("us@er", "db.example", 6543));
        assert_eq!((all.database.as_str(), all.ssl_mode), ("sh op", SslMode::Require));
        assert_eq!(all.password.as_ref().map(super::Secret::reveal), Some("p/w:"));
        assert_eq!(all.connect_timeout.as_secs(), 3);
        assert_eq!(read("postgresql://[::1]:5433/d").host, "::1");
        assert_eq!(read("postgres://%2Fvar%2Frun%2Fpostgresql/d").host, "/var/run/postgresql");
        assert_eq!(read("postgres:///d?host=/tmp&port=6000").port, 6000);
        // An `@` in a parameter must not become the end of the credentials.
        let odd = read("postgres://h/db?application_name=a@b");
        assert_eq!((odd.host.as_str(), odd.database.as_str(), odd.user.as_str()), ("h", "db", "postgres"));
    }

    #[test]
    fn keyword_lists_are_read_as_libpq_reads_them() {
        let all = read(r"host=h port = 6000 user=o\'x password='a b\'c\\' dbname=d ");
        assert_eq!((all.host.as_str(), all.port, all.database.as_str(), all.user.as_str()), ("h", 6000, "d", "o'x"));
        assert_eq!(all.password.as_ref().map(super::Secret::reveal), Some(r"a b'c\"));
    }

    #[test]
    fn errors_name_the_part_and_repeat_no_value() {
        for (text, part) in [
            ("postgres://u:S3NT1NEL@h:70000/d", "port"),
            ("postgres://u:S3NT1NEL%zz@h/d", "password"),
            ("postgres://u:S3NT1NEL@h/d?nope=S3NT1NEL", "nope"),
            ("postgres://u:S3NT1NEL@h/d?sslmode=S3NT1NEL", "sslmode"),
            ("host=h password='S3NT1NEL", "password"),
            ("S3NT1NEL", "URI"),
        ] {
            let error = parse(text, &Settings::default()).expect_err(text).to_string();
            assert!(error.contains(part) && !error.contains("S3NT1NEL"), "{text}: {error}");
        }
    }

    #[test]
    fn only_whole_connection_strings_are_offered_to_be_split() {
        assert!(is_connection_string("postgres://h/d") && is_connection_string("host=h dbname=d"));
        assert!(!is_connection_string("db.example.com") && !is_connection_string("p=ss"));
    }
}
