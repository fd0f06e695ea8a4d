//! Connection strings, read as libpq 18 reads them (PostgreSQL documentation, "Connection Strings"; the rules are those
//! of `conninfo_uri_parse_options` and `conninfo_parse` in `fe-connect.c`): `postgres://` URIs and `keyword = value`
//! lists.
//!
//! `tests/connecting/conninfo.rs` holds this file to libpq's results. Three differences, on purpose: blanks around the
//! whole string are dropped, because it is pasted; text must be UTF-8; and an `@` in a host name is an error, because it
//! is the end of a password that was not percent-encoded.

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

pub use super::keyword::UriError;
use super::keyword::{Pair, pair, wrong};
use super::parameters;
use super::settings::Settings;

/// Whether `text` looks like a whole connection string, so that a form can offer to split it into its fields.
#[must_use]
pub fn is_connection_string(text: &str) -> bool {
    let text = text.trim_start();
    scheme(text).is_some() || keyword_pairs(text).is_ok_and(|pairs| pairs.iter().any(|(key, _)| *key != "password"))
}

/// Reads a URI or a keyword list. What it does not mention stays as in `defaults`.
///
/// # Errors
/// One sentence that names the part that can't be read; no value of the string stands in it.
pub fn parse(text: &str, defaults: &Settings) -> Result<Settings, UriError> {
    let values = pairs(text)?.into_iter().collect();
    parameters::apply(&values, defaults)
}

/// The parameters of a URI or a keyword list, in their order; of two with the same name the last counts.
///
/// # Errors
/// As [`parse`], but values are not looked at.
pub fn pairs(text: &str) -> Result<Vec<Pair>, UriError> {
    let text = text.trim_matches(is_blank);
    match scheme(text) {
        Some(rest) => uri_pairs(rest),
        None => keyword_pairs(text),
    }
}

fn scheme(text: &str) -> Option<&str> {
    text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"))
}

/// What C's `isspace` counts in libpq's eyes.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// Splits `text` before the first of `ends`; all of it is the first part if none is there.
fn before<'a>(text: &'a str, ends: &[char]) -> (&'a str, &'a str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

fn uri_pairs(rest: &str) -> Result<Vec<Pair>, UriError> {
    let mut pairs = Vec::new();
    let mut add = |name: &str, raw: &str| -> Result<(), UriError> {
        if !raw.is_empty() {
            pairs.push(pair(name, decode(raw, name)?)?);
        }
        Ok(())
    };
    // Credentials end at the first `@`, and there are none if a `/` comes before it.
    let (credentials, after) = before(rest, &['@', '/']);
    let mut rest = rest;
    if let Some(after) = after.strip_prefix('@') {
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        add("user", user)?;
        add("password", password)?;
        rest = after;
    }
    let (hosts, ports, after) = host_list(rest)?;
    add("host", &hosts)?;
    add("port", &ports)?;
    let (path, query) = after.split_once('?').unwrap_or((after, ""));
    add("dbname", path.strip_prefix('/').unwrap_or(path))?;
    pairs.extend(query_pairs(query)?);
    Ok(pairs)
}

/// `host:port,[ipv6]:port,…` as libpq's lists for `host` and `port`, and what follows them.
fn host_list(mut rest: &str) -> Result<(String, String, &str), UriError> {
    let (mut hosts, mut ports) = (String::new(), String::new());
    loop {
        if let Some(bracketed) = rest.strip_prefix('[') {
            let (host, after) =
                bracketed.split_once(']').ok_or_else(|| wrong("the IPv6 address has no closing bracket"))?;
            if host.is_empty() {
                return Err(wrong("the brackets of the IPv6 address are empty"));
            }
            if !after.is_empty() && !after.starts_with([':', '/', '?', ',']) {
                return Err(wrong("after the IPv6 address only a port, a database or parameters may follow"));
            }
            hosts.push_str(host);
            rest = after;
        } else {
            let (host, after) = before(rest, &[':', '/', '?', ',']);
            hosts.push_str(host);
            rest = after;
        }
        if let Some(after) = rest.strip_prefix(':') {
            let (port, after) = before(after, &['/', '?', ',']);
            ports.push_str(port);
            rest = after;
        }
        let Some(next) = rest.strip_prefix(',') else { return Ok((hosts, ports, rest)) };
        hosts.push(',');
        ports.push(',');
        rest = next;
    }
}

/// `name=value&name=value`; one `&` may stand at the end.
fn query_pairs(query: &str) -> Result<Vec<Pair>, UriError> {
    let mut pairs = Vec::new();
    let mut rest = query;
    while !rest.is_empty() {
        let (parameter, after) = rest.split_once('&').unwrap_or((rest, ""));
        rest = after;
        let (name, value) =
            parameter.split_once('=').ok_or_else(|| wrong("a parameter of the URI has no \"=\" and value"))?;
        let name = decode(name, "a parameter name")?;
        if value.contains('=') {
            let name = super::printable(&name);
            return Err(wrong(format!("the value of {name} has a second \"=\"; write it as %3D")));
        }
        let value = decode(value, &name)?;
        pairs.push(match (name.as_str(), value.as_str()) {
            ("ssl", "true") => pair("sslmode", Zeroizing::new("require".to_owned()))?,
            _ => pair(&name, value)?,
        });
    }
    Ok(pairs)
}

/// Undoes percent-encoding. As in libpq 18, blanks around a part are dropped and blanks within it are an error.
fn decode(raw: &str, what: &str) -> Result<Zeroizing<String>, UriError> {
    let what = super::printable(what);
    let raw = raw.trim_start_matches(' ').trim_end_matches(' ');
    if raw.contains(is_blank) {
        return Err(wrong(format!("{what} has a blank in it; write it as %20")));
    }
    let bytes = raw.as_bytes();
    let broken = bytes.iter().enumerate().any(|(at, byte)| {
        *byte == b'%' && !bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        return Err(wrong(format!("{what} has a \"%\" that is not followed by two hexadecimal digits; write %25")));
    }
    let text = percent_decode_str(raw).decode_utf8().map_err(|_| wrong(format!("{what} is not UTF-8")))?;
    if text.contains('\0') {
        return Err(wrong(format!("{what} contains a zero byte")));
    }
    Ok(Zeroizing::new(text.into_owned()))
}

/// `key = value`, blanks free around the sign, values in single quotes where they hold blanks, `\` escapes.
fn keyword_pairs(text: &str) -> Result<Vec<Pair>, UriError> {
    let mut pairs = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| is_blank(*c)).is_some() {}
        if chars.peek().is_none() {
            return Ok(pairs);
        }
        let mut key = String::new();
        while let Some(c) = chars.next_if(|c| *c != '=' && !is_blank(*c)) {
            key.push(c);
        }
        while chars.next_if(|c| is_blank(*c)).is_some() {}
        if chars.next() != Some('=') {
            return Err(wrong("this is neither a postgres:// URI nor a list of keyword=value pairs"));
        }
        while chars.next_if(|c| is_blank(*c)).is_some() {}
        // Made as large as it can become, so that no copy of a password is left behind by growing.
        let mut value = Zeroizing::new(String::with_capacity(text.len()));
        let quoted = chars.next_if_eq(&'\'').is_some();
        loop {
            match chars.next() {
                Some('\\') => value.extend(chars.next()),
                Some('\'') if quoted => break,
                Some(c) if !quoted && is_blank(c) => break,
                Some(c) => value.push(c),
                None if quoted => {
                    return Err(wrong(format!("the quoted value of {} does not end", super::printable(&key))));
                }
                None => break,
            }
        }
        pairs.push(pair(&key, value)?);
    }
}

#[cfg(test)]
mod tests {
    use super::{is_connection_string, parse};
    use crate::connection::{Secret, Settings, SslMode};

    fn read(text: &str) -> Settings {
        parse(text, &Settings::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn uris_are_read_as_libpq_reads_them() {
        let all = read("postgres://us%40er:p%2Fw%3A@db.example:6543/sh%20op?sslmode=require&connect_timeout=3");
        assert_eq!((all.user.as_str(), all.host.as_str(), all.port), ("us@er", "db.example", 6543));
        assert_eq!((all.database.as_str(), all.ssl_mode), ("sh op", SslMode::Require));
        assert_eq!(all.password.as_ref().map(Secret::reveal), Some("p/w:"));
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
        assert_eq!(all.password.as_ref().map(Secret::reveal), Some(r"a b'c\"));
    }

    #[test]
    fn errors_name_the_part_and_repeat_no_value() {
        for (text, part) in [
            ("postgres://u:S3NT1NEL@h:70000/d", "port"),
            ("postgres://u:S3NT1NEL%zz@h/d", "password"),
            ("postgres://u:S3NT1NEL@h/d?nope=S3NT1NEL", "nope"),
            ("postgres://u:S3NT1NEL@h/d?sslmode=S3NT1NEL", "sslmode"),
            ("postgres://u:S3@NT1NEL@h/d", "%40"),
            ("postgres://u:S3NT/1NEL@h/d", "%2F"),
            ("host=h password='S3NT1NEL", "password"),
            ("S3NT1NEL", "URI"),
        ] {
            let error = parse(text, &Settings::default()).expect_err(text).to_string();
            assert!(error.contains(part) && !error.contains("NT1NEL") && !error.contains("S3NT"), "{text}: {error}");
        }
    }

    #[test]
    fn only_whole_connection_strings_are_offered_to_be_split() {
        for whole in ["postgres://h/d", "host=h dbname=d", "  dbname=d", "service=x"] {
            assert!(is_connection_string(whole), "{whole}");
        }
        for part in ["db.example.com", "p=ss", "password=x", "", "a host=h"] {
            assert!(!is_connection_string(part), "{part}");
        }
    }
}
