//! What is particular about the well-known providers of managed PostgreSQL, told by the host's name.

/// Where the certificate of the authority that signs this host's certificates comes from.
#[must_use]
pub(super) fn root_certificate(host: &str) -> Option<&'static str> {
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
    use super::root_certificate;

    #[test]
    fn providers_are_told_by_the_end_of_the_name_only() {
        assert!(root_certificate("Shop.abc.eu-west-1.RDS.amazonaws.com.").is_some_and(|hint| hint.contains("bundle")));
        assert_eq!(root_certificate("rds.amazonaws.com.evil.example"), None);
        assert_eq!(root_certificate("localhost"), None);
    }
}
