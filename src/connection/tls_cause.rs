//! What the TLS library's words mean. Its texts are not translated, but they change between versions.

use super::class::{Class, Explained};
use super::printable;
use super::settings::Settings;

/// Explains an error of the handshake, or of the first bytes after it, with `place` (`host:port`).
#[must_use]
pub(super) fn explain(text: &str, place: &str, settings: &Settings) -> Explained {
    let lower = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&[
        "wrong version number",
        "packet length too long",
        "http request",
        "https proxy request",
        "record overflow",
    ]) {
        return Explained::new(
            Class::NotPostgres,
            format!("{place} answered the TLS handshake with something that is not TLS."),
            "Check the port, and any proxy in between.",
        );
    }
    if has(&["alert protocol version", "unsupported protocol", "no protocols available", "version too low"]) {
        return Explained::new(
            Class::TlsVersion,
            format!("The server at {place} and walpilot have no TLS version in common."),
            "Let the server offer TLS 1.2 or newer (its ssl_min_protocol_version and ssl_max_protocol_version), and check your own limits.",
        );
    }
    // Before the verification's result, which the library appends even when it was told to ignore it.
    if lower.contains("alert") {
        return alert(&lower, text, place, settings);
    }
    if has(&["unexpected eof", "eof during handshake", "connection reset", "broken pipe"]) {
        return Explained::new(
            Class::ServerClosed,
            format!("The server at {place} closed the connection in the TLS handshake."),
            "See the server's log for its side of the story; a proxy in between may not pass TLS on.",
        );
    }
    certificate(&lower, place, settings).unwrap_or_else(|| {
        Explained::new(
            Class::TlsFailed,
            format!("The TLS handshake with {place} failed: {}.", printable(&reason(text))),
            "See the server's log for its side of the story.",
        )
    })
}

/// Whether an error of the stream after the handshake is the TLS library's.
#[must_use]
pub(super) fn is_tls_text(text: &str) -> bool {
    text.contains("SSL routines") || text.contains("alert")
}

fn alert(lower: &str, text: &str, place: &str, settings: &Settings) -> Explained {
    let about_ours = ["unknown ca", "certificate", "decrypt error"].iter().any(|word| lower.contains(word));
    if about_ours {
        let what = settings.tls.cert.as_ref().map_or_else(
            || "~/.postgresql/postgresql.crt".to_owned(),
            |path| printable(&path.to_string_lossy()).into_owned(),
        );
        let remedy = if lower.contains("unknown ca") {
            "The server does not trust the authority that signed it: use a certificate of its authority (ssl_ca_file), append the intermediate certificate to the file, or remove a stale default file."
        } else {
            "Renew it, or remove a stale default file."
        };
        let message =
            format!("The server at {place} rejected the client certificate {what}: {}.", printable(&reason(text)));
        return Explained::new(Class::ClientCertRejected, message, remedy);
    }
    Explained::new(
        Class::TlsFailed,
        format!("The server at {place} ended the TLS handshake: {}.", printable(&reason(text))),
        "See the server's log for its side of the story.",
    )
}

/// The result of the verification (OpenSSL's `X509_verify_cert_error_string`; 1.1.1 writes "self signed").
fn certificate(lower: &str, place: &str, settings: &Settings) -> Option<Explained> {
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let found = |class, what: &str, remedy: &str| {
        Some(Explained::new(class, format!("The certificate of the server at {place} {what}."), remedy))
    };
    if has(&["certificate has expired"]) {
        found(Class::CertExpired, "has expired", "Let the server's owner renew it; check this machine's clock too.")
    } else if has(&["not yet valid"]) {
        found(Class::CertNotYetValid, "is not valid yet", "Check this machine's clock and the certificate's dates.")
    } else if has(&["certificate revoked"]) {
        found(Class::CertRevoked, "has been revoked", "Don't connect; let the server's owner replace it.")
    } else if has(&["unsuitable certificate purpose", "unsupported certificate purpose"]) {
        found(
            Class::CertWrongPurpose,
            "is not made for a server",
            "Let its owner issue one with the extended key usage serverAuth.",
        )
    } else if has(&["too weak", "key too small"]) {
        found(
            Class::CertWeakKey,
            "or an authority's has too weak a key or signature",
            "Let its owner issue one with RSA 2048 or EC P-256 and SHA-256.",
        )
    } else if has(&["hostname mismatch", "host name mismatch", "ip address mismatch"]) {
        Some(mismatch(&[], place, settings))
    } else if has(&["self-signed", "self signed"]) {
        found(
            Class::CertUntrusted,
            "is signed by an authority that is not trusted (self-signed)",
            untrusted_remedy(settings),
        )
    } else if has(&["unable to get local issuer", "unable to get issuer", "unable to verify the first"]) {
        found(
            Class::CertUntrusted,
            "is signed by an authority that is not trusted, or its intermediate certificate is missing",
            untrusted_remedy(settings),
        )
    } else if has(&["certificate verify failed"]) {
        let why = lower.rsplit_once('(').map_or("it can't be verified", |(_, why)| why.trim_end_matches([')', '.']));
        found(Class::CertUntrusted, &format!("can't be trusted: {}", printable(why)), untrusted_remedy(settings))
    } else {
        None
    }
}

fn untrusted_remedy(settings: &Settings) -> &'static str {
    super::provider::root_certificate(&settings.host).unwrap_or(
        "Name the file with the certificate of the server's own authority in sslrootcert; a server whose authority has intermediates must send them (append them to its ssl_cert_file).",
    )
}

/// The certificate is trusted but made out for other names.
#[must_use]
pub(super) fn mismatch(names: &[String], place: &str, settings: &Settings) -> Explained {
    let host = printable(&settings.host);
    let names = if names.is_empty() { "other names".to_owned() } else { names.join(", ") };
    let remedy = if settings.host.parse::<std::net::IpAddr>().is_ok() {
        "Use the host's name instead of its address, or set host to one of the certificate's names and hostaddr to the address."
    } else {
        "Use one of its names as host (with hostaddr for the address if the name has none), or sslmode verify-ca if the authority signs only your own servers."
    };
    let message = format!("The certificate of the server at {place} is for {names}, not for {host}.");
    Explained::new(Class::CertHostMismatch, message, remedy)
}

/// The part of an OpenSSL error that people understand: `error:0A000438:SSL routines:func:REASON:file:line:detail`.
fn reason(text: &str) -> String {
    let Some(at) = text.find("error:") else { return text.trim_end_matches('.').to_owned() };
    text[at..].split(':').nth(4).map_or_else(|| text.to_owned(), |reason| reason.trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::explain;
    use crate::connection::{Class, Settings};

    #[test]
    fn each_text_of_the_library_has_its_class() {
        let verify =
            "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify failed:x.c:1: ";
        let alert = "error:0A000418:SSL routines:ssl3_read_bytes:tlsv1 alert ";
        for (text, class) in [
            (format!("{verify}(self-signed certificate in certificate chain)"), Class::CertUntrusted),
            (format!("{verify}(self signed certificate)"), Class::CertUntrusted),
            (format!("{verify}(unable to get local issuer certificate)"), Class::CertUntrusted),
            (format!("{verify}(certificate has expired)"), Class::CertExpired),
            (format!("{verify}(certificate is not yet valid)"), Class::CertNotYetValid),
            (format!("{verify}(unsuitable certificate purpose)"), Class::CertWrongPurpose),
            (format!("{verify}(EE certificate key too weak)"), Class::CertWeakKey),
            (format!("{verify}(certificate revoked)"), Class::CertRevoked),
            (format!("{verify}(hostname mismatch)"), Class::CertHostMismatch),
            (
                format!("{alert}unknown ca:x.c:1:SSL alert number 48 (self-signed certificate)"),
                Class::ClientCertRejected,
            ),
            (format!("{alert}protocol version:x.c:1:SSL alert number 70"), Class::TlsVersion),
            (format!("{alert}internal error:x.c:1:SSL alert number 80"), Class::TlsFailed),
            ("error:0A00010B:SSL routines:ssl3_get_record:wrong version number:x.c:1:".into(), Class::NotPostgres),
            ("unexpected EOF".into(), Class::ServerClosed),
            ("something new".into(), Class::TlsFailed),
        ] {
            assert_eq!(explain(&text, "h:1", &Settings::default()).class, class, "{text}");
        }
    }
}
