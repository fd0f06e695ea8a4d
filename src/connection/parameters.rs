//! From libpq's parameters to [`Settings`]: every value is checked as libpq checks it (`pqConnectOptions2` in
//! `fe-connect.c`), and lists of hosts, addresses and ports are brought together.
//!
//! Where walpilot can't do what a parameter asks for, and the connection would be less safe without it, it is an error.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::keyword::{Treatment, UriError, find, wrong};
use super::secret::Secret;
use super::settings::{
    Address, ChannelBindingMode, DEFAULT_PORT, RootCert, Settings, SslMode, TargetSession, TlsVersion,
};

/// Parameters by keyword.
pub type Values = BTreeMap<&'static str, Zeroizing<String>>;

/// Sets what `values` names; the rest stays as in `base`. An empty value means the default of libpq, which for a host
/// is that of `base`.
///
/// # Errors
/// One sentence that names the parameter and does not repeat its value.
pub fn apply(values: &Values, base: &Settings) -> Result<Settings, UriError> {
    let mut settings = base.clone();
    for (name, value) in values {
        if find(name)?.treatment == Treatment::Refused && !value.is_empty() {
            return Err(wrong(refusal(name)));
        }
        assign(&mut settings, name, value)?;
    }
    addresses(&mut settings, values)?;
    // Everybody can get a certificate from a public authority, so only the name in it says whose it is. That a weaker
    // mode was asked for is found when connecting.
    if settings.tls.root_cert == RootCert::System && !values.contains_key("sslmode") {
        settings.ssl_mode = SslMode::VerifyFull;
    }
    Ok(settings)
}

/// Why a parameter is refused and not ignored.
fn refusal(name: &str) -> String {
    let instead = match name {
        "sslcrl" | "sslcrldir" => "revoked certificates can't be checked for; take it out if you accept that",
        "requirepeer" => "the owner of a socket's server can't be checked; take it out if you accept that",
        "require_auth" => {
            "the method of authentication can't be prescribed; use channel_binding=require to insist on SCRAM over TLS"
        }
        "scram_client_key" | "scram_server_key" => "give the password instead",
        _ => "take it out",
    };
    format!("{name} is not supported by walpilot: {instead}")
}

/// Sets one parameter that stands on its own.
fn assign(settings: &mut Settings, name: &str, value: &str) -> Result<(), UriError> {
    let path = || (!value.is_empty()).then(|| PathBuf::from(value));
    match name {
        "dbname" if !value.is_empty() => value.clone_into(&mut settings.database),
        "user" if !value.is_empty() => value.clone_into(&mut settings.user),
        "password" => settings.password = secret(value),
        "options" => settings.options = (!value.is_empty()).then(|| value.to_owned()),
        "connect_timeout" => {
            // Zero and less mean "for ever" in libpq; walpilot never hangs and keeps its own limit.
            let seconds = integer(name, value, "a number of seconds")?;
            let seconds = seconds.ok_or_else(|| wrong("connect_timeout is empty; give a number of seconds"))?;
            if let Some(seconds) = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0) {
                settings.connect_timeout = Duration::from_secs(seconds);
            }
        }
        "sslmode" => settings.ssl_mode = value.parse().map_err(wrong)?,
        "sslrootcert" => {
            settings.tls.root_cert = match value {
                "" => RootCert::Default,
                "system" => RootCert::System,
                file => RootCert::File(PathBuf::from(file)),
            };
        }
        "sslcert" => settings.tls.cert = path(),
        "sslkey" => settings.tls.key = path(),
        "sslpassword" => settings.tls.key_passphrase = secret(value),
        // libpq looks at the first character only.
        "sslsni" => settings.tls.no_sni = value.starts_with('0'),
        "sslnegotiation" => {
            settings.tls.direct = choice(name, value, &[("postgres", false), ("direct", true)])?;
        }
        "sslcertmode" => match value {
            "" | "allow" => settings.tls.no_client_cert = false,
            "disable" => settings.tls.no_client_cert = true,
            "require" => return Err(wrong("sslcertmode=require is not supported; use allow or disable")),
            _ => return Err(wrong("sslcertmode is unknown; use allow or disable")),
        },
        "replication" => settings.replication = (!value.is_empty()).then(|| value.to_owned()),
        "ssl_min_protocol_version" => settings.tls.min_version = tls_version(name, value)?,
        "ssl_max_protocol_version" => settings.tls.max_version = tls_version(name, value)?,
        "channel_binding" => {
            settings.channel_binding = choice(name, value, &ChannelBindingMode::ALL.map(|mode| (mode.name(), mode)))?;
        }
        "target_session_attrs" => {
            settings.target_session = choice(name, value, &TargetSession::ALL.map(|target| (target.name(), target)))?;
        }
        "load_balance_hosts" => {
            settings.load_balance = choice(name, value, &[("disable", false), ("random", true)])?;
        }
        "gssencmode" => match value {
            "disable" | "prefer" => {}
            "require" => {
                return Err(wrong("gssencmode=require is not supported: walpilot does not speak GSSAPI; use TLS"));
            }
            _ => return Err(wrong("gssencmode is unknown; use disable or prefer")),
        },
        "min_protocol_version" => match value {
            "" | "3.0" => {}
            _ => return Err(wrong("min_protocol_version is not supported above 3.0, which every server speaks")),
        },
        _ => {}
    }
    Ok(())
}

fn secret(value: &str) -> Option<Secret> {
    (!value.is_empty()).then(|| Secret::new(value))
}

fn choice<T: Copy>(name: &str, value: &str, all: &[(&str, T)]) -> Result<T, UriError> {
    all.iter().find(|(known, _)| *known == value).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|(known, _)| *known).collect();
        wrong(format!("{name} is unknown; use {}", known.join(", ")))
    })
}

/// A whole number with blanks around it, as C's `strtol` reads it; nothing if empty.
fn integer(name: &str, value: &str, meaning: &str) -> Result<Option<i32>, UriError> {
    let value = value.trim();
    if value.is_empty() {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_| wrong(format!("{name} must be {meaning}")))
}

fn tls_version(name: &str, value: &str) -> Result<Option<TlsVersion>, UriError> {
    if value.is_empty() {
        return Ok(None);
    }
    let known = TlsVersion::ALL.into_iter().find(|version| version.name().eq_ignore_ascii_case(value));
    known.map(Some).ok_or_else(|| wrong(format!("{name} is unknown; use TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3")))
}

/// The other way round: the parameters that say what `settings` say, without its secrets. Host, port, database, role
/// and `sslmode` are always among them, other parameters only where they differ from the default.
#[must_use]
pub fn without_secrets(settings: &Settings) -> BTreeMap<&'static str, String> {
    let default = Settings::default();
    let others = &settings.alternatives;
    let list = |first: &str, rest: &dyn Fn(&Address) -> String| -> String {
        std::iter::once(first.to_owned()).chain(others.iter().map(rest)).collect::<Vec<_>>().join(",")
    };
    let mut all = BTreeMap::from([
        ("port", list(&settings.port.to_string(), &|other| other.port.to_string())),
        ("dbname", settings.database.clone()),
        ("user", settings.user.clone()),
        ("sslmode", settings.ssl_mode.name().to_owned()),
    ]);
    let mut add = |name, value: String, is_default: bool| {
        if !is_default && !value.is_empty() {
            all.insert(name, value);
        }
    };
    let hosts = list(&settings.host, &|other| other.host.clone());
    add("host", hosts, settings.host.is_empty() && others.iter().all(|other| other.host.is_empty()));
    let addresses =
        list(settings.hostaddr.as_deref().unwrap_or_default(), &|other| other.hostaddr.clone().unwrap_or_default());
    let unnumbered = settings.hostaddr.is_none() && others.iter().all(|other| other.hostaddr.is_none());
    add("hostaddr", addresses, unnumbered);
    let timeout = settings.connect_timeout;
    add("connect_timeout", timeout.as_secs().max(1).to_string(), timeout == default.connect_timeout);
    let tls = &settings.tls;
    let path = |path: &Option<PathBuf>| path.as_ref().map_or_else(String::new, |path| path.display().to_string());
    let root = match &tls.root_cert {
        RootCert::Default => String::new(),
        RootCert::System => "system".to_owned(),
        RootCert::File(file) => file.display().to_string(),
    };
    add("sslrootcert", root, false);
    add("sslcert", path(&tls.cert), false);
    add("sslkey", path(&tls.key), false);
    let version = |version: Option<TlsVersion>| version.map_or("", TlsVersion::name).to_owned();
    add("ssl_min_protocol_version", version(tls.min_version), false);
    add("ssl_max_protocol_version", version(tls.max_version), false);
    add("sslnegotiation", "direct".to_owned(), !tls.direct);
    add("sslsni", "0".to_owned(), !tls.no_sni);
    add("sslcertmode", "disable".to_owned(), !tls.no_client_cert);
    let binding = settings.channel_binding;
    add("channel_binding", binding.name().to_owned(), binding == default.channel_binding);
    let target = settings.target_session;
    add("target_session_attrs", target.name().to_owned(), target == default.target_session);
    add("load_balance_hosts", "random".to_owned(), !settings.load_balance);
    add("options", settings.options.clone().unwrap_or_default(), false);
    all
}

/// Brings together libpq's lists: as many host names as addresses, and one port for all or one for each.
fn addresses(settings: &mut Settings, values: &Values) -> Result<(), UriError> {
    let given = |name: &str| values.get(name).map(|value| value.as_str());
    let list = |name: &str| -> Vec<&str> {
        given(name).filter(|text| !text.is_empty()).map_or_else(Vec::new, |text| text.split(',').collect())
    };
    let (hosts, numeric) = (list("host"), list("hostaddr"));
    if hosts.iter().any(|host| host.contains('@')) {
        return Err(wrong(
            "the host contains \"@\"; an \"@\" in a password is written as %40 in a URI, and sockets in the abstract \
             namespace are not supported",
        ));
    }
    let ports: Vec<u16> = match given("port") {
        None => vec![settings.port],
        Some(list) => list.split(',').map(|port| port_number(port, given("dbname"))).collect::<Result<_, _>>()?,
    };
    let count = if numeric.is_empty() { hosts.len().max(1) } else { numeric.len() };
    if !numeric.is_empty() && !hosts.is_empty() && hosts.len() != count {
        return Err(wrong(format!("host lists {} names, and hostaddr {count} addresses", hosts.len())));
    }
    if ports.len() != 1 && ports.len() != count {
        return Err(wrong(format!("port lists {} numbers for {count} hosts", ports.len())));
    }
    if given("host").is_none() && given("hostaddr").is_none() {
        settings.port = ports[0];
        return Ok(());
    }
    let nth = |list: &[&str], at: usize| list.get(at).filter(|text| !text.is_empty()).map(|text| (*text).to_owned());
    let mut all = Vec::with_capacity(count);
    for at in 0..count {
        let hostaddr = nth(&numeric, at);
        if hostaddr.as_deref().is_some_and(|text| !is_ip_address(text)) {
            return Err(wrong("hostaddr must be an IP address; put a name into host"));
        }
        // An address alone has no name: there is none to verify a certificate against.
        let unnamed = || if hostaddr.is_some() { String::new() } else { settings.host.clone() };
        let host = nth(&hosts, at).unwrap_or_else(unnamed);
        all.push(Address { host, hostaddr, port: if ports.len() == 1 { ports[0] } else { ports[at] }, password: None });
    }
    let first = all.remove(0);
    settings.host = first.host;
    settings.hostaddr = first.hostaddr;
    settings.port = first.port;
    settings.alternatives = all;
    Ok(())
}

/// One entry of `port`; empty means the default. `database` tells whether a password may have been cut in two.
fn port_number(text: &str, database: Option<&str>) -> Result<u16, UriError> {
    let port = integer("port", text, "a number from 1 to 65535").map_err(|error| {
        if database.is_some_and(|name| name.contains('@')) {
            return wrong(format!("{error}; if that is part of a password, write its \"/\" as %2F"));
        }
        error
    })?;
    match port {
        None => Ok(DEFAULT_PORT),
        Some(port) => u16::try_from(port)
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| wrong("port must be a number from 1 to 65535")),
    }
}

/// An IP address; one of IPv6 may name its zone (`fe80::1%eth0`).
fn is_ip_address(text: &str) -> bool {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<IpAddr>().is_ok() || (text.contains('%') && address.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use crate::connection::settings::{RootCert, TargetSession, TlsVersion};
    use crate::connection::uri::parse;
    use crate::connection::{Settings, SslMode};

    fn read(text: &str) -> Settings {
        parse(text, &Settings::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn lists_are_brought_together() {
        let all = read("host=a,b,/tmp port=1,,3 hostaddr=127.0.0.1,,fe80::1%eth0");
        assert_eq!((all.host.as_str(), all.hostaddr.as_deref(), all.port), ("a", Some("127.0.0.1"), 1));
        let rest: Vec<_> =
            all.alternatives.iter().map(|it| (it.host.as_str(), it.hostaddr.as_deref(), it.port)).collect();
        assert_eq!(rest, [("b", None, 5432), ("/tmp", Some("fe80::1%eth0"), 3)]);
        let unnamed = read("hostaddr=10.0.0.1");
        assert_eq!((unnamed.host.as_str(), unnamed.hostaddr.as_deref()), ("", Some("10.0.0.1")));
        assert_eq!(unnamed.to_string(), "postgres@10.0.0.1:5432/postgres");
        let one_port = read("host=a,b port=6000");
        assert_eq!((one_port.port, one_port.alternatives[0].port), (6000, 6000));
    }

    #[test]
    fn what_libpq_refuses_is_refused_and_named() {
        for (text, named) in [
            ("host=h port=0", "port"),
            ("host=h port=0x10", "port"),
            ("host=h port=1,2", "port lists 2"),
            ("host=a,b port=1,2,3", "port lists 3"),
            ("host=h hostaddr=127.0.0.1,127.0.0.1", "hostaddr 2"),
            ("host=h hostaddr=nope", "hostaddr"),
            ("host=h sslmode=''", "sslmode"),
            ("host=h sslmode=REQUIRE", "sslmode"),
            ("host=h channel_binding=x", "channel_binding"),
            ("host=h target_session_attrs=x", "prefer-standby"),
            ("host=h load_balance_hosts=x", "random"),
            ("host=h gssencmode=require", "gssencmode"),
            ("host=h sslcrl=/x", "sslcrl"),
            ("host=h require_auth=scram-sha-256", "require_auth"),
        ] {
            let error = parse(text, &Settings::default()).expect_err(text).to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn values_reach_their_settings() {
        let all = read(
            "host=h sslrootcert=system ssl_min_protocol_version=tlsv1.3 target_session_attrs=prefer-standby \
             sslsni=0 sslcert=/c sslkey=/k load_balance_hosts=random options='-c geqo=off' connect_timeout=0 sslcrl=''",
        );
        assert_eq!((all.ssl_mode, &all.tls.root_cert), (SslMode::VerifyFull, &RootCert::System));
        assert_eq!((all.tls.min_version, all.tls.no_sni), (Some(TlsVersion::V1_3), true));
        assert_eq!((all.target_session, all.load_balance), (TargetSession::PreferStandby, true));
        assert_eq!(all.options.as_deref(), Some("-c geqo=off"));
        assert_eq!(all.connect_timeout, Settings::default().connect_timeout, "never for ever");
    }

    #[test]
    fn settings_say_again_what_made_them() {
        for text in [
            "host=h",
            "host=a,b,/tmp port=1,2,3 hostaddr=10.0.0.1,,::1 user=u dbname='a b' options='-c x=y'",
            "hostaddr=127.0.0.1 sslmode=verify-full sslrootcert=system connect_timeout=3 channel_binding=require",
            "host=h sslrootcert=/r sslcert=/c sslkey=/k ssl_min_protocol_version=TLSv1.3 sslsni=0 sslmode=require \
             sslcertmode=disable sslnegotiation=direct target_session_attrs=standby load_balance_hosts=random",
        ] {
            let settings = read(&format!("{text} password=S3NT1NEL sslpassword=S3NT1NEL"));
            let said = super::without_secrets(&settings);
            assert!(said.values().all(|value| !value.contains("S3NT1NEL")), "{text}");
            let values = said.into_iter().map(|(name, value)| (name, value.into())).collect();
            let again = super::apply(&values, &Settings::default()).unwrap();
            assert_eq!(again, Settings { password: None, tls: again.tls.clone(), ..settings.clone() }, "{text}");
            assert_eq!(again.tls.root_cert, settings.tls.root_cert);
        }
    }
}
