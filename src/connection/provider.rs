//! What is particular about the well-known providers of managed PostgreSQL, told by the host's name.

use super::settings::{RootCert, Settings, SslMode};

/// Hosts whose certificates are signed by authorities that operating systems trust.
const SIGNED_PUBLICLY: &[&str] = &[".postgres.database.azure.com", ".neon.tech"];

/// The encryption to propose where nobody has chosen one: libpq's default on this machine, and elsewhere never one that
/// falls back to plain text.
#[must_use]
pub fn proposal(settings: &Settings) -> (SslMode, RootCert) {
    let host = settings.host.trim_end_matches('.').to_ascii_lowercase();
    if settings.is_local() {
        (SslMode::Prefer, RootCert::Default)
    } else if SIGNED_PUBLICLY.iter().any(|suffix| host.ends_with(suffix)) {
        (SslMode::VerifyFull, RootCert::System)
    } else {
        (SslMode::Require, RootCert::Default)
    }
}

/// Where the certificate of the authority that signs this host's certificates comes from.
#[must_use]
pub fn root_certificate(host: &str) -> Option<&'static str> {
    const HINTS: &[(&str, &str)] = &[
        (
            ".rds.amazonaws.com",
            "Download the Amazon RDS certificate bundle (global-bundle.pem) and name it in sslrootcert.",
        ),
        (
            ".postgres.database.azure.com",
            "Azure's servers are signed by public authorities: use sslmode verify-full with sslrootcert=system.",
        ),
        (
            ".neon.tech",
            "Neon's servers are signed by a public authority: use sslmode verify-full with sslrootcert=system.",
        ),
        (".supabase.co", "Download the certificate from the project's database settings and name it in sslrootcert."),
        (".supabase.com", "Download the certificate from the project's database settings and name it in sslrootcert."),
        (".aivencloud.com", "Download ca.pem from the service's overview and name it in sslrootcert."),
        (".ondigitalocean.com", "Download the CA certificate from the database's overview and name it in sslrootcert."),
        (
            ".sql.goog",
            "Download server-ca.pem of the Cloud SQL instance (Connections, Security) and name it in sslrootcert.",
        ),
    ];
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    HINTS.iter().find(|(suffix, _)| host.ends_with(suffix)).map(|(_, hint)| *hint)
}

/// What to do when a pooler or proxy of a provider refuses, told by its words.
#[must_use]
pub(super) fn refusal(text: &str) -> Option<(&'static str, &'static str)> {
    const QUIRKS: &[(&str, &str, &str)] = &[
        (
            "Endpoint ID is not specified",
            "The provider can't tell which database is meant, because no host name came with the TLS handshake",
            "Use the host's name instead of its address, with sslsni on.",
        ),
        (
            "Tenant or user not found",
            "The provider's pooler does not know this user",
            "Use the direct host of the database: replication needs it, and the pooler's user names carry the project (role.project).",
        ),
        (
            "SSL connection is required",
            "The provider accepts only encrypted connections",
            "Use sslmode require, or better verify-full.",
        ),
        (
            "insecure connection",
            "The provider accepts only encrypted connections",
            "Use sslmode require, or better verify-full.",
        ),
    ];
    QUIRKS.iter().find(|(words, ..)| text.contains(words)).map(|(_, what, remedy)| (*what, *remedy))
}

#[cfg(test)]
mod tests {
    use super::{proposal, root_certificate};
    use crate::connection::{Settings, SslMode};

    #[test]
    fn plain_text_is_never_proposed_on_the_way_to_another_machine() {
        for (host, mode) in [
            ("localhost", SslMode::Prefer),
            ("/var/run/postgresql", SslMode::Prefer),
            ("10.0.0.7", SslMode::Require),
            ("db.example", SslMode::Require),
            ("ep-cool.eu-central-1.aws.NEON.tech.", SslMode::VerifyFull),
            ("neon.tech.evil.example", SslMode::Require),
        ] {
            assert_eq!(proposal(&Settings { host: host.into(), ..Settings::default() }).0, mode, "{host}");
        }
    }

    #[test]
    fn providers_are_told_by_the_end_of_the_name_only() {
        assert!(root_certificate("Shop.abc.eu-west-1.RDS.amazonaws.com.").is_some_and(|hint| hint.contains("bundle")));
        assert_eq!(root_certificate("rds.amazonaws.com.evil.example"), None);
        assert_eq!(root_certificate("localhost"), None);
    }
}
