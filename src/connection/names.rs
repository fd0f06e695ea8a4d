//! Whether a certificate is for the host that was asked for, by libpq's rules (PostgreSQL source, `fe-secure-common.c`
//! and `fe-secure-openssl.c`).
//!
//! They differ from the TLS library's own: a certificate of the old kind, with the name in its CN only, is accepted;
//! an IP address may also stand as text; `*` covers exactly the first label, also of a top-level domain.

use std::net::IpAddr;

/// The names that a certificate is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// DNS names of the subject alternative names.
    pub(super) dns: Vec<String>,
    /// IP addresses of the subject alternative names.
    pub(super) addresses: Vec<IpAddr>,
    /// The subject's common name.
    pub(super) common_name: Option<String>,
}

impl Names {
    /// Whether the certificate is for `host`.
    #[must_use]
    pub(super) fn cover(&self, host: &str) -> bool {
        let address: Option<IpAddr> = host.parse().ok();
        if self.dns.iter().any(|name| name_matches(name, host)) {
            return true;
        }
        if address.is_some_and(|address| self.addresses.contains(&address)) {
            return true;
        }
        // The common name counts only where there is no alternative name of the kind that was asked for.
        let has_kind = if address.is_some() { !self.addresses.is_empty() } else { !self.dns.is_empty() };
        !has_kind && self.common_name.as_deref().is_some_and(|name| name_matches(name, host))
    }

    /// All of them as text, for people.
    #[must_use]
    pub(super) fn list(&self) -> Vec<String> {
        let mut all: Vec<String> = self.dns.clone();
        all.extend(self.addresses.iter().map(ToString::to_string));
        if all.is_empty() {
            all.extend(self.common_name.clone());
        }
        all
    }
}

fn name_matches(name: &str, host: &str) -> bool {
    // A zero byte within a name is an attempt to make two readers see two names.
    if host.is_empty() || name.contains('\0') {
        return false;
    }
    name.eq_ignore_ascii_case(host) || wildcard_matches(name, host)
}

fn wildcard_matches(pattern: &str, host: &str) -> bool {
    let Some(suffix) = pattern.strip_prefix('*').filter(|suffix| suffix.starts_with('.') && suffix.len() > 1) else {
        return false;
    };
    host.split_once('.').is_some_and(|(label, _)| {
        !label.is_empty() && host[label.len()..].eq_ignore_ascii_case(suffix) && !suffix.contains('*')
    })
}

#[cfg(test)]
mod tests {
    use super::Names;

    fn names(dns: &[&str], addresses: &[&str], common_name: &str) -> Names {
        Names {
            dns: dns.iter().map(|&name| name.to_owned()).collect(),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            common_name: (!common_name.is_empty()).then(|| common_name.to_owned()),
        }
    }

    #[test]
    fn hosts_are_matched_as_libpq_matches_them() {
        for (names, host, covered) in [
            (names(&["db.example"], &[], "other"), "DB.Example", true),
            (names(&["db.example"], &[], "other"), "other", false),
            (names(&[], &[], "db.example"), "db.example", true),
            (names(&[], &["10.0.0.1"], "db.example"), "db.example", true),
            (names(&[], &["10.0.0.1"], "10.0.0.2"), "10.0.0.2", false),
            (names(&["db.example"], &[], "10.0.0.2"), "10.0.0.2", true),
            (names(&["10.0.0.2"], &[], ""), "10.0.0.2", true),
            (names(&[], &["::1"], ""), "::1", true),
            (names(&["*.example"], &[], ""), "db.example", true),
            (names(&["*.example"], &[], ""), "a.db.example", false),
            (names(&["*.example"], &[], ""), "example", false),
            (names(&["*.example"], &[], ""), ".example", false),
            (names(&["*example"], &[], ""), "db.example", false),
            (names(&["d*.example"], &[], ""), "db.example", false),
            (names(&["*."], &[], ""), "db.", false),
            (names(&["db.example\0.evil"], &[], ""), "db.example", false),
            (names(&[], &[], ""), "", false),
        ] {
            assert_eq!(names.cover(host), covered, "{names:?} {host}");
        }
    }
}
