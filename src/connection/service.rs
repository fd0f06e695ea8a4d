//! The connection service file (PostgreSQL documentation, "The Connection Service File"; `parseServiceFile` in
//! `fe-connect.c`): sections of `keyword=value` lines, one of which stands in for many parameters.

use zeroize::Zeroizing;

use super::keyword::{Pair, UriError, pair, wrong};

/// The parameters of the section `name`, the first of each keyword; `None` if the file has no such section.
///
/// # Errors
/// When a line of the section can't be read; the sentence gives its number and repeats no value.
pub fn section(file: &str, name: &str) -> Result<Option<Vec<Pair>>, UriError> {
    let mut found: Option<Vec<Pair>> = None;
    for (at, line) in file.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            if header.strip_prefix(name).is_some_and(|rest| rest.starts_with(']')) {
                found = Some(Vec::new());
            }
            continue;
        }
        let Some(pairs) = &mut found else { continue };
        let number = at + 1;
        if line.starts_with("ldap") {
            return Err(wrong(format!(
                "line {number} of the service file asks an LDAP server, which is not supported"
            )));
        }
        let (keyword, value) = line
            .split_once('=')
            .ok_or_else(|| wrong(format!("line {number} of the service file is no keyword=value pair")))?;
        if keyword == "service" {
            return Err(wrong(format!("line {number} of the service file names a service within a service")));
        }
        let (keyword, value) = pair(keyword, Zeroizing::new(value.to_owned()))
            .map_err(|error| wrong(format!("line {number} of the service file: {error}")))?;
        if pairs.iter().all(|(known, _)| *known != keyword) {
            pairs.push((keyword, value));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::section;

    fn read(file: &str) -> Vec<String> {
        let pairs = section(file, "shop").unwrap_or_else(|error| panic!("{error}")).expect("the section");
        pairs.iter().map(|(name, value)| format!("{name}={}", value.as_str())).collect()
    }

    #[test]
    fn a_section_is_read_as_libpq_reads_it() {
        let file = "[other]\nhost=x\n\n  [shop]\n # a comment\n  host=db  \nhost=second\nuser='quoted'\npassword=\n[next]\nport=1\n";
        assert_eq!(read(file), ["host=db", "user='quoted'", "password="]);
        assert_eq!(section(file, "sho"), Ok(None));
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        for (line, word) in [
            ("host = db", "host "),
            ("nope=S3NT1NEL", "nope"),
            ("S3NT1NEL", "line 2"),
            ("service=x", "service"),
            ("ldap://x", "LDAP"),
        ] {
            let error = section(&format!("[shop]\n{line}\n"), "shop").expect_err(line).to_string();
            assert!(error.contains(word) && error.contains("line 2") && !error.contains("S3NT1NEL"), "{line}: {error}");
        }
    }
}
