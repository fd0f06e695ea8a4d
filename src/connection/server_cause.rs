//! What an error of the server means for somebody who wants to connect.
//!
//! Signals in order of trust: the SQLSTATE, the routine that raised it (neither is translated), and only then the words.

use super::class::{Class, Explained};
use super::server_error::ServerError;
use super::settings::Settings;
use super::{printable, provider};

/// Explains `error` of the server at `place` (`host:port`).
#[must_use]
pub(super) fn explain(error: &ServerError, place: &str, settings: &Settings) -> Explained {
    if let Some((what, remedy)) = provider::refusal(&error.message) {
        let message = format!("{what}: {}.", printable(error.message.trim_end_matches('.')));
        return Explained::new(Class::ProviderError, message, remedy);
    }
    match error.sqlstate.as_str() {
        "28000" | "28P01" => authentication(error, place, settings),
        "08P01" if error.routine.is_none() => Explained::new(
            Class::PoolerError,
            format!("A connection pooler at {place} refused: {}.", printable(&error.message)),
            "Use the direct host and port of the database: replication does not work through a pooler.",
        ),
        _ => after_authentication(error, place, settings),
    }
}

fn authentication(error: &ServerError, place: &str, settings: &Settings) -> Explained {
    let user = printable(&settings.user);
    let says = |words: &str| error.message.contains(words);
    if error.sqlstate == "28P01" {
        return Explained::new(
            Class::PasswordWrong,
            format!("The server at {place} refused the password of {user}."),
            "Check it; a missing role, an expired password (VALID UNTIL), a role without a password and, with clientcert=verify-full, a certificate for another user look the same from outside.",
        );
    }
    if says("no pg_hba.conf entry") {
        return no_pg_hba(error, place, settings);
    }
    if says("pg_hba.conf rejects") {
        return Explained::new(
            Class::HbaReject,
            format!(
                "A reject line in the pg_hba.conf of {place} refuses {user} for {}{}.",
                printable(&settings.database),
                if plain_words(&error.message) { " without encryption" } else { "" }
            ),
            "Change that line, connect from an address that it lets in, or try another sslmode.",
        );
    }
    if says("valid client certificate") {
        return Explained::new(
            Class::ClientCertRequired,
            format!("The server at {place} requires a client certificate."),
            client_cert_remedy(settings),
        );
    }
    if says("certificate authentication failed") {
        return Explained::new(
            Class::ClientCertUserMismatch,
            format!("The server at {place} does not accept the client certificate for the user {user}."),
            "The certificate's common name must be the role's name, or pg_ident.conf must map it (map=… in pg_hba.conf).",
        );
    }
    if error.is_channel_binding() {
        return Explained::new(
            Class::ChannelBinding,
            format!(
                "The TLS connection to {place} does not end at the server that checks the password: somebody is in the middle."
            ),
            "Find out who ends TLS on the way (a proxy, a firewall, an attacker) before you send anything through it.",
        );
    }
    if error.raised_by("InitializeSessionUserId") {
        return role(error, place, settings);
    }
    if ["LDAP", "PAM", "RADIUS"].iter().any(|&method| says(method)) {
        return Explained::new(
            Class::LdapFailed,
            format!("The directory behind the server at {place} refused {user}: {}.", printable(&error.message)),
            "Check the password; a token of Amazon RDS (IAM) lasts 15 minutes and needs TLS.",
        );
    }
    if says("Peer authentication failed") || says("Ident authentication failed") {
        return Explained::new(
            Class::PeerFailed,
            format!("The server at {place} lets {user} in only from the operating system's account of that name."),
            "Run as that account, connect to localhost with a password, or map the account in pg_ident.conf.",
        );
    }
    Explained::new(
        Class::AuthMethodUnsupported,
        format!("The server at {place} refused {user}: {}.", printable(&error.message)),
        "See the server's log: it tells the administrator why.",
    )
}

fn client_cert_remedy(settings: &Settings) -> String {
    let now = settings.tls.cert.as_ref().map_or_else(String::new, |path| {
        format!(" (now {}; a file that does not exist is passed over)", printable(&path.to_string_lossy()))
    });
    format!("Name a certificate of an authority that it trusts in sslcert{now}, and its key in sslkey.")
}

/// Whether the server says that the connection was not encrypted ("SSL off" before version 14).
fn plain_words(message: &str) -> bool {
    message.contains("no encryption") || message.contains("SSL off")
}

fn no_pg_hba(error: &ServerError, place: &str, settings: &Settings) -> Explained {
    let plain = plain_words(&error.message);
    let physical = error.message.contains("replication connection");
    let database = if physical { "replication".to_owned() } else { hba_word(&settings.database) };
    // The server's view of our address; behind a bastion or NAT it is not ours.
    let address = error.message.split('"').nth(1).and_then(|host| host.parse::<std::net::IpAddr>().ok());
    let address = address.map_or_else(
        || "<this machine's address>/32".to_owned(),
        |ip| format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 }),
    );
    let line = format!("hostssl {database} {} {address} scram-sha-256", hba_word(&settings.user));
    let link = if plain { "without encryption" } else { "over TLS" };
    let message = format!(
        "The server at {place} has no pg_hba.conf line that lets {} into {} from here {link}.",
        printable(&settings.user),
        printable(&settings.database)
    );
    let remedy = if plain && settings.ssl_mode < super::settings::SslMode::Require {
        format!(
            "It may let you in over TLS: use sslmode require. Otherwise add to pg_hba.conf: {line} and run SELECT pg_reload_conf();"
        )
    } else {
        format!("Add to pg_hba.conf: {line} and run SELECT pg_reload_conf();")
    };
    Explained::new(Class::NoPgHba, message, remedy)
}

/// A name as it has to stand in pg_hba.conf: quoted unless it is plain and no keyword.
fn hba_word(name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain && !matches!(name, "all" | "replication" | "sameuser" | "samerole" | "samegroup") {
        return name.to_owned();
    }
    format!("\"{}\"", printable(&name.replace('"', "\"\"")))
}

fn role(error: &ServerError, place: &str, settings: &Settings) -> Explained {
    let user = printable(&settings.user);
    if error.message.contains("not permitted to log in") {
        return Explained::new(
            Class::RoleNologin,
            format!("The role {user} at {place} may not log in."),
            format!("Run as an administrator: ALTER ROLE {} LOGIN;", quoted(&settings.user)),
        );
    }
    Explained::new(
        Class::RoleMissing,
        format!("There is no role {user} at {place} that may log in: {}.", printable(&error.message)),
        "Check the name, or create the role.",
    )
}

fn after_authentication(error: &ServerError, place: &str, settings: &Settings) -> Explained {
    let user = printable(&settings.user);
    let database = printable(&settings.database);
    let said = printable(&error.message);
    match error.sqlstate.as_str() {
        "3D000" => Explained::new(
            Class::DbMissing,
            format!("There is no database {database} at {place}."),
            "Check the name; psql -l lists the databases.",
        ),
        "55000" => Explained::new(
            Class::DbNotAccepting,
            format!("The database {database} at {place} does not accept connections."),
            format!("Run as an administrator: ALTER DATABASE {} ALLOW_CONNECTIONS true;", quoted(&settings.database)),
        ),
        "42501" if error.raised_by("CheckMyDatabase") => Explained::new(
            Class::NoConnectPriv,
            format!("The role {user} has no CONNECT privilege on {database} at {place}."),
            format!(
                "Run as its owner: GRANT CONNECT ON DATABASE {} TO {};",
                quoted(&settings.database),
                quoted(&settings.user)
            ),
        ),
        // At the start of a session only a walsender's rights are looked at there (`postinit.c`).
        "42501" if error.raised_by("InitPostgres") => Explained::new(
            Class::PermissionDenied,
            format!("The role {user} at {place} may not open a replication connection."),
            format!(
                "Run as an administrator: ALTER ROLE {} REPLICATION; (Amazon RDS: GRANT rds_replication TO {0};)",
                quoted(&settings.user)
            ),
        ),
        "42501" => Explained::new(
            Class::PermissionDenied,
            format!("The server at {place} refused {user}: {said}."),
            "Ask an administrator for the right.",
        ),
        "53300" => Explained::new(
            Class::TooManyConnections,
            format!("The server at {place} has no free connection: {said}."),
            free_a_connection(error, settings),
        ),
        "57P03" => Explained::new(
            Class::CannotConnectNow,
            format!("The server at {place} does not take connections now: {said}."),
            "Wait for it to start or recover, then try again; a standby needs hot_standby = on.",
        ),
        _ => Explained::new(
            Class::Other,
            format!("The server at {place} refused the connection: {error}."),
            "Check the server's log.",
        ),
    }
}

fn free_a_connection(error: &ServerError, settings: &Settings) -> String {
    if error.message.contains("max_wal_senders") {
        return "End an unused replication connection, or raise max_wal_senders (restart).".into();
    }
    if error.message.contains("for database") {
        return format!(
            "Close some, or raise its limit: ALTER DATABASE {} CONNECTION LIMIT …;",
            quoted(&settings.database)
        );
    }
    if error.raised_by("InitializeSessionUserId") {
        return format!("Close some, or raise its limit: ALTER ROLE {} CONNECTION LIMIT …;", quoted(&settings.user));
    }
    "Close some, or raise max_connections (restart).".into()
}

/// An identifier as it has to stand in SQL.
fn quoted(name: &str) -> String {
    printable(&postgres_protocol::escape::escape_identifier(name)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{ServerError, explain};
    use crate::connection::{Class, Settings, SslMode};

    fn server(sqlstate: &str, message: &str, routine: &str) -> ServerError {
        ServerError {
            sqlstate: sqlstate.into(),
            message: message.into(),
            routine: (!routine.is_empty()).then(|| routine.into()),
            ..ServerError::default()
        }
    }

    #[test]
    fn each_refusal_of_a_server_has_its_class() {
        let settings = Settings { user: "app".into(), database: "shop".into(), ..Settings::default() };
        for (error, class) in [
            (server("28P01", "x", "auth_failed"), Class::PasswordWrong),
            (
                server("28000", "no pg_hba.conf entry for host \"::1\", no encryption", "ClientAuthentication"),
                Class::NoPgHba,
            ),
            (server("28000", "pg_hba.conf rejects connection for host", "ClientAuthentication"), Class::HbaReject),
            (
                server("28000", "connection requires a valid client certificate", "ClientAuthentication"),
                Class::ClientCertRequired,
            ),
            (
                server("28000", "certificate authentication failed for user \"app\"", "auth_failed"),
                Class::ClientCertUserMismatch,
            ),
            (server("28000", "LDAP authentication failed for user \"app\"", "auth_failed"), Class::LdapFailed),
            (server("28000", "Peer authentication failed for user \"app\"", "auth_failed"), Class::PeerFailed),
            (server("28000", "role \"app\" does not exist", "InitializeSessionUserId"), Class::RoleMissing),
            (server("28000", "role \"app\" is not permitted to log in", "InitializeSessionUserId"), Class::RoleNologin),
            (server("3D000", "x", "InitPostgres"), Class::DbMissing),
            (server("55000", "x", "CheckMyDatabase"), Class::DbNotAccepting),
            (server("42501", "x", "CheckMyDatabase"), Class::NoConnectPriv),
            (server("53300", "x", "InitPostgres"), Class::TooManyConnections),
            (server("57P03", "x", "ProcessStartupPacket"), Class::CannotConnectNow),
            (server("08P01", "no such database: shop", ""), Class::PoolerError),
            (server("XX000", "Tenant or user not found", ""), Class::ProviderError),
            (server("08P01", "x", "ProcessStartupPacket"), Class::Other),
        ] {
            let explained = explain(&error, "h:1", &settings);
            assert_eq!(explained.class, class, "{explained:?}");
            assert!(explained.message.ends_with('.') && !explained.remedy.is_empty(), "{explained:?}");
        }
    }

    #[test]
    fn the_missing_line_of_pg_hba_conf_is_written_out() {
        let settings = Settings {
            user: "my app".into(),
            database: "all".into(),
            ssl_mode: SslMode::Require,
            ..Settings::default()
        };
        let text = "no pg_hba.conf entry for host \"2001:db8::7\", user \"my app\", database \"all\", SSL encryption";
        let remedy = explain(&server("28000", text, "ClientAuthentication"), "h:1", &settings).remedy;
        assert!(remedy.contains("hostssl \"all\" \"my app\" 2001:db8::7/128 scram-sha-256"), "{remedy}");
    }

    #[test]
    fn escapes_of_a_hostile_server_do_not_pass() {
        for sqlstate in ["XX000", "28000", "08P01", "42501", "53300", "57P03"] {
            let explained = explain(&server(sqlstate, "\u{1b}[2Jowned \u{202e}", ""), "h:1", &Settings::default());
            let text = format!("{} {}", explained.message, explained.remedy);
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        }
    }
}
