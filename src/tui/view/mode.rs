//! What each encryption mode does, in words.

use crate::connection::SslMode;

/// What a mode tries, verifies, protects from, and needs; and what it means for Zenskar, whose connector connects from
/// outside and offers the same six modes.
#[must_use]
pub fn explanation(mode: SslMode) -> [(&'static str, &'static str); 5] {
    let (tries, verifies, protects, needs, zenskar) = match mode {
        SslMode::Disable => (
            "plain text only, never TLS",
            "nothing",
            "nobody: whoever is on the way reads and changes everything",
            "no files",
            "SSL mode Disable; its connector comes over the internet: don't",
        ),
        SslMode::Allow => (
            "plain text; TLS only if the server refuses the login",
            "nothing without a root file",
            "nobody: the first try is readable",
            "no files",
            "SSL mode Allow; its connector comes over the internet: don't",
        ),
        SslMode::Prefer => (
            "TLS; plain text if that fails, without asking",
            "nothing that lasts: a failed verification ends in plain text",
            "nobody who can interfere: they only have to make TLS fail",
            "no files",
            "SSL mode Prefer; better Require: there the fallback is forbidden",
        ),
        SslMode::Require => (
            "TLS or nothing",
            "the authority if a root file exists, otherwise nothing",
            "listeners; not from impostors",
            "no files; a root file is used if there is one",
            "SSL mode Require: the least that makes sense over the internet",
        ),
        SslMode::VerifyCa => (
            "TLS or nothing",
            "that a trusted authority signed the server's certificate",
            "listeners; impostors, if it signs only your servers",
            "the authority's root certificate",
            "SSL mode Verify-CA; it needs the same root certificate",
        ),
        SslMode::VerifyFull => (
            "TLS or nothing",
            "the authority and the host name",
            "listeners and impostors",
            "the authority's root certificate, or trust in the system's",
            "SSL mode Verify-Full; root certificate and the same host name",
        ),
    };
    [("Tries", tries), ("Verifies", verifies), ("Protects from", protects), ("Needs", needs), ("Zenskar", zenskar)]
}
