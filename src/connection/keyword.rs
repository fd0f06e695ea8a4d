//! Every connection parameter of libpq 18 (PostgreSQL documentation, "Parameter Key Words" and "Environment
//! Variables"): its environment variable, and what walpilot does with it.

use zeroize::Zeroizing;

/// Why connection parameters could not be read: one sentence without a full stop. It names the parameter and never
/// repeats a value, which could be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UriError(String);

/// A [`UriError`] in these words.
pub(super) fn wrong(text: impl Into<String>) -> UriError {
    UriError(text.into())
}

/// A parameter and its value, in the order in which they stand. A value may be a password, so it is wiped.
pub type Pair = (&'static str, Zeroizing<String>);

/// What walpilot does with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It does what libpq does.
    Used,
    /// It is checked by nobody and changes nothing: walpilot sets its own, or it only matters where walpilot never
    /// goes (GSSAPI, OAuth).
    Ignored,
    /// Without it the connection would be less safe than was asked for, so it is an error unless empty.
    Refused,
}

/// One of libpq's parameters.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its keyword.
    pub name: &'static str,
    /// The environment variable that stands in for it.
    pub variable: Option<&'static str>,
    /// What becomes of it.
    pub treatment: Treatment,
}

const fn used(name: &'static str, variable: Option<&'static str>) -> Parameter {
    Parameter { name, variable, treatment: Treatment::Used }
}

const fn ignored(name: &'static str, variable: Option<&'static str>) -> Parameter {
    Parameter { name, variable, treatment: Treatment::Ignored }
}

const fn refused(name: &'static str, variable: Option<&'static str>) -> Parameter {
    Parameter { name, variable, treatment: Treatment::Refused }
}

/// All of them, as `PQconndefaults` of libpq 18 lists them.
pub const PARAMETERS: &[Parameter] = &[
    used("service", Some("PGSERVICE")),
    used("user", Some("PGUSER")),
    used("password", Some("PGPASSWORD")),
    used("passfile", Some("PGPASSFILE")),
    used("channel_binding", Some("PGCHANNELBINDING")),
    used("connect_timeout", Some("PGCONNECT_TIMEOUT")),
    used("dbname", Some("PGDATABASE")),
    used("host", Some("PGHOST")),
    used("hostaddr", Some("PGHOSTADDR")),
    used("port", Some("PGPORT")),
    // walpilot speaks UTF-8 and names its sessions itself, so that an administrator can tell them apart.
    ignored("client_encoding", Some("PGCLIENTENCODING")),
    used("options", Some("PGOPTIONS")),
    ignored("application_name", Some("PGAPPNAME")),
    ignored("fallback_application_name", None),
    ignored("keepalives", None),
    ignored("keepalives_idle", None),
    ignored("keepalives_interval", None),
    ignored("keepalives_count", None),
    ignored("tcp_user_timeout", None),
    used("sslmode", Some("PGSSLMODE")),
    used("sslnegotiation", Some("PGSSLNEGOTIATION")),
    ignored("sslcompression", Some("PGSSLCOMPRESSION")),
    used("sslcert", Some("PGSSLCERT")),
    used("sslkey", Some("PGSSLKEY")),
    used("sslcertmode", Some("PGSSLCERTMODE")),
    used("sslpassword", None),
    used("sslrootcert", Some("PGSSLROOTCERT")),
    refused("sslcrl", Some("PGSSLCRL")),
    refused("sslcrldir", Some("PGSSLCRLDIR")),
    used("sslsni", Some("PGSSLSNI")),
    refused("requirepeer", Some("PGREQUIREPEER")),
    refused("require_auth", Some("PGREQUIREAUTH")),
    used("min_protocol_version", Some("PGMINPROTOCOLVERSION")),
    ignored("max_protocol_version", Some("PGMAXPROTOCOLVERSION")),
    used("ssl_min_protocol_version", Some("PGSSLMINPROTOCOLVERSION")),
    used("ssl_max_protocol_version", Some("PGSSLMAXPROTOCOLVERSION")),
    used("gssencmode", Some("PGGSSENCMODE")),
    ignored("krbsrvname", Some("PGKRBSRVNAME")),
    ignored("gsslib", Some("PGGSSLIB")),
    ignored("gssdelegation", Some("PGGSSDELEGATION")),
    // Only by a mere test of the connection: what else a connection is for, walpilot knows.
    used("replication", None),
    used("target_session_attrs", Some("PGTARGETSESSIONATTRS")),
    used("load_balance_hosts", Some("PGLOADBALANCEHOSTS")),
    refused("scram_client_key", None),
    refused("scram_server_key", None),
    ignored("oauth_issuer", None),
    ignored("oauth_client_id", None),
    ignored("oauth_client_secret", None),
    ignored("oauth_scope", None),
    refused("sslkeylogfile", None),
];

/// The parameter of this name; keywords are case-sensitive.
///
/// # Errors
/// When libpq has none of this name.
pub fn find(name: &str) -> Result<&'static Parameter, UriError> {
    PARAMETERS
        .iter()
        .find(|parameter| parameter.name == name)
        .ok_or_else(|| wrong(format!("there is no connection parameter \"{}\"", super::printable(name))))
}

/// The pair for `name` and `value`, with libpq's two old spellings: `requiressl=1` (`conninfo_storeval` in
/// `fe-connect.c`), and in URIs JDBC's `ssl=true`.
///
/// # Errors
/// As [`find`], and when `value` holds a zero byte.
pub fn pair(name: &str, value: Zeroizing<String>) -> Result<Pair, UriError> {
    if name == "requiressl" {
        let mode = if value.starts_with('1') { "require" } else { "prefer" };
        return Ok(("sslmode", Zeroizing::new(mode.to_owned())));
    }
    let parameter = find(name)?;
    if value.contains('\0') {
        return Err(wrong(format!("{name} contains a zero byte")));
    }
    Ok((parameter.name, value))
}

#[cfg(test)]
mod tests {
    use super::{PARAMETERS, find, pair};
    use zeroize::Zeroizing;

    #[test]
    fn every_parameter_stands_once() {
        for parameter in PARAMETERS {
            let same = PARAMETERS
                .iter()
                .filter(|other| {
                    other.name == parameter.name || (other.variable.is_some() && other.variable == parameter.variable)
                })
                .count();
            assert_eq!(same, 1, "{}", parameter.name);
        }
    }

    #[test]
    fn unknown_names_are_named() {
        let error = find("sslmodus").expect_err("unknown").to_string();
        assert!(error.contains("sslmodus"), "{error}");
        assert_eq!(pair("requiressl", Zeroizing::new("1".into())).map(|pair| pair.1.to_string()), Ok("require".into()));
    }
}
