//! What stands in a certificate, for the security panel and for messages. Only the leaf: servers send no more to look at.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::names::Names;
use super::printable;

/// A certificate that a server showed. All texts are safe to show; nothing in it was verified by looking at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Whom it is for, for example `CN=db.example, O=Example`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The host names and addresses that it is for.
    pub names: Vec<String>,
    /// Valid from, seconds since 1970.
    pub not_before: i64,
    /// Valid until, seconds since 1970.
    pub not_after: i64,
    /// The SHA-256 of the whole certificate, in hexadecimal, as `openssl x509 -fingerprint -sha256` computes it.
    pub sha256: String,
    /// Whether it signed itself.
    pub self_signed: bool,
    /// How it was signed, in OpenSSL's words, for example `ecdsa-with-SHA256` or `ED25519`.
    pub signature: String,
    /// The names as they are, to match a host with. Not safe to show.
    #[serde(skip)]
    pub(super) matcher: Names,
}

impl Certificate {
    /// Reads a certificate in DER. `None` when it is none, or on systems whose TLS library can't tell.
    #[cfg(not(any(target_os = "windows", target_vendor = "apple")))]
    #[must_use]
    pub fn from_der(der: &[u8]) -> Option<Self> {
        use openssl::hash::MessageDigest;
        use openssl::nid::Nid;

        let x509 = openssl::x509::X509::from_der(der).ok()?;
        let mut matcher = Names::default();
        for name in x509.subject_alt_names().into_iter().flatten() {
            if let Some(dns) = name.dnsname() {
                matcher.dns.push(dns.to_owned());
            } else if let Some(address) = name.ipaddress().and_then(address) {
                matcher.addresses.push(address);
            }
        }
        let common_name = x509.subject_name().entries_by_nid(Nid::COMMONNAME).next();
        matcher.common_name = common_name.and_then(|entry| entry.data().to_string().ok());
        let digest = x509.digest(MessageDigest::sha256()).ok()?;
        Some(Self {
            subject: distinguished_name(x509.subject_name()),
            issuer: distinguished_name(x509.issuer_name()),
            names: matcher.list().iter().map(|name| printable(name).into_owned()).collect(),
            not_before: seconds(x509.not_before())?,
            not_after: seconds(x509.not_after())?,
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            signature: signature(&x509),
            self_signed: x509.issuer_name().try_cmp(x509.subject_name()).is_ok_and(std::cmp::Ordering::is_eq),
            matcher,
        })
    }

    /// Reads a certificate in DER. `None` when it is none, or on systems whose TLS library can't tell.
    #[cfg(any(target_os = "windows", target_vendor = "apple"))]
    #[must_use]
    pub fn from_der(_der: &[u8]) -> Option<Self> {
        None
    }

    /// Whether its signature names no hash function, so that nothing can be bound to it (RFC 5929, section 4.1). libpq gives
    /// such a server up unless it is told `channel_binding=disable` (measured with 15 and 18).
    #[must_use]
    pub fn has_no_hash(&self) -> bool {
        matches!(self.signature.to_ascii_uppercase().as_str(), "ED25519" | "ED448")
    }

    /// Whether it is for `host`, by libpq's rules.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        self.matcher.cover(host)
    }

    /// Whole days until it expires; negative when it has expired.
    #[must_use]
    pub fn days_left(&self, now: SystemTime) -> i64 {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        (self.not_after - i64::try_from(now).unwrap_or(i64::MAX)).div_euclid(86_400)
    }

    /// `valid from 2026-01-01 to 2027-01-01`.
    #[must_use]
    pub fn validity(&self) -> String {
        format!("valid from {} to {}", date(self.not_before), date(self.not_after))
    }
}

/// A day of the Gregorian calendar in UTC, `2026-11-22`, from seconds since 1970.
#[must_use]
pub fn date(seconds: i64) -> String {
    // Days are counted from 0000-03-01, so that the leap day is a year's last.
    let days = seconds.div_euclid(86_400) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(not(any(target_os = "windows", target_vendor = "apple")))]
fn seconds(time: &openssl::asn1::Asn1TimeRef) -> Option<i64> {
    let epoch = openssl::asn1::Asn1Time::from_unix(0).ok()?;
    let since = epoch.diff(time).ok()?;
    Some(i64::from(since.days) * 86_400 + i64::from(since.secs))
}

#[cfg(not(any(target_os = "windows", target_vendor = "apple")))]
fn signature(certificate: &openssl::x509::X509Ref) -> String {
    let algorithm = certificate.signature_algorithm().object();
    printable(algorithm.nid().long_name().unwrap_or("unknown")).into_owned()
}

#[cfg(not(any(target_os = "windows", target_vendor = "apple")))]
fn distinguished_name(name: &openssl::x509::X509NameRef) -> String {
    let parts: Vec<String> = name
        .entries()
        .map(|entry| {
            let key = entry.object().nid().short_name().unwrap_or("?");
            let value = entry.data().to_string().unwrap_or_default();
            format!("{key}={}", printable(&value))
        })
        .collect();
    if parts.is_empty() { "(no name)".to_owned() } else { parts.join(", ") }
}

#[cfg_attr(any(target_os = "windows", target_vendor = "apple"), expect(dead_code, reason = "no reader there"))]
fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Certificate, date};

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_798_761_599, "2026-12-31"),
            (4_107_542_400, "2100-03-01"),
            (-1, "1969-12-31"),
        ] {
            assert_eq!(date(seconds), day);
        }
    }

    #[test]
    fn rubbish_is_no_certificate() {
        assert_eq!(Certificate::from_der(b"rubbish"), None);
    }
}
