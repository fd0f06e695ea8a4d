//! psql as the oracle for connecting: what it does with a connection string, and what its words mean.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

/// How an attempt to connect ended, as both sides can tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Connected; whether encrypted.
    Connected(bool),
    /// Not connected: the class of each try that was made.
    Failed(Vec<String>),
}

/// Connects with psql in an environment of nothing but `home`.
///
/// `psql` is the program itself: the one in PATH may be a script that costs more than all the rest.
pub async fn psql(psql: &Path, conninfo: &str, home: &Path) -> Outcome {
    psql_with(psql, conninfo, &[], home).await
}

/// The same with these environment variables.
pub async fn psql_with(psql: &Path, conninfo: &str, env: &[(String, String)], home: &Path) -> Outcome {
    let sql = "SELECT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)";
    let mut command = Command::new(psql);
    command.args(["-X", "-A", "-t", "-w", "-c", sql, conninfo]).env_clear().kill_on_drop(true);
    command.env("HOME", home).env("LC_ALL", "C").envs(env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null());
    let output = command.output().await.expect("psql is installed with the server's package");
    if output.status.success() {
        return Outcome::Connected(String::from_utf8_lossy(&output.stdout).trim() == "t");
    }
    // Without a terminal nobody answers, and it goes on.
    let text = String::from_utf8_lossy(&output.stderr).replace("Enter PEM pass phrase:", "");
    let text = text.trim_start().trim_start_matches("psql: ").trim_start_matches("error: ");
    if !text.contains("connection to server") && !text.contains("could not translate host name") {
        // It did not come as far as a server.
        return Outcome::Failed(vec!["config_error".to_owned()]);
    }
    // Each try begins with the same words; what follows on further lines belongs to it.
    let tries: Vec<&str> = text.split("connection to server ").filter(|part| !part.trim().is_empty()).collect();
    Outcome::Failed(tries.into_iter().map(|part| class(part).to_owned()).collect())
}

/// The class of libpq's words, as coarse as they are.
fn class(text: &str) -> &'static str {
    const WORDS: &[(&str, &str)] = &[
        ("server does not support SSL", "tls_unsupported"),
        ("could not read root certificate", "root_cert_bad"),
        ("root certificate file", "root_cert_missing"),
        ("does not match host name", "cert_host_mismatch"),
        ("host name must be specified", "config_error"),
        ("invalid SSL protocol version range", "config_error"),
        ("alert unknown ca", "client_cert_rejected"),
        ("alert certificate expired", "client_cert_rejected"),
        ("alert bad certificate", "client_cert_rejected"),
        ("alert protocol version", "tls_version"),
        ("no protocols available", "tls_version"),
        ("unsupported protocol", "tls_version"),
        ("certificate verify failed", "cert_untrusted"),
        ("valid client certificate", "client_cert_required"),
        ("certificate authentication failed", "client_cert_user_mismatch"),
        ("but not private key file", "client_key_missing"),
        ("has group or world access", "client_key_permissions"),
        ("key values mismatch", "client_key_mismatch"),
        ("bad decrypt", "client_key_passphrase"),
        ("processing error", "client_key_passphrase"),
        ("could not read certificate file", "client_cert_bad"),
        ("could not load private key file", "client_key_format"),
        ("channel binding", "channel_binding"),
        ("no password supplied", "password_missing"),
        ("password authentication failed", "password_wrong"),
        ("no pg_hba.conf entry", "no_pg_hba"),
        ("pg_hba.conf rejects", "hba_reject"),
        ("is not permitted to log in", "role_nologin"),
        ("too many connections", "too_many_connections"),
        ("not currently accepting", "db_not_accepting"),
        ("permission denied for database", "no_connect_priv"),
        ("database \"", "db_missing"),
        ("role \"", "role_missing"),
        ("Connection refused", "refused"),
        ("invalid integer value", "config_error"),
        ("Connection refused", "refused"),
        ("invalid integer value", "config_error"),
        ("unrecognized configuration parameter", "other"),
        ("session is read-only", "target_session_mismatch"),
        ("session is not read-only", "target_session_mismatch"),
        ("server is not in hot standby mode", "target_session_mismatch"),
        ("invalid value for parameter", "other"),
        ("must be superuser or replication role", "permission_denied"),
        ("No such file or directory", "socket_missing"),
        ("could not translate host name", "dns_failure"),
        ("timeout expired", "timeout"),
        ("invalid response to SSL negotiation", "not_postgres"),
        ("expected authentication request", "not_postgres"),
        ("wrong version number", "not_postgres"),
        ("received unencrypted data after SSL response", "not_postgres"),
        ("server sent an error response during SSL exchange", "not_postgres"),
        ("server closed the connection", "server_closed"),
        ("EOF detected", "server_closed"),
        ("unexpected eof", "server_closed"),
    ];
    WORDS
        .iter()
        .find(|(words, _)| text.contains(words))
        .map_or_else(|| panic!("new words of psql: {text}"), |(_, class)| class)
}
