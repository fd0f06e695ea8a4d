//! `walpilot check --connect-only`: connects, says what was negotiated or why it failed, and changes nothing.

use std::time::SystemTime;

use serde::Serialize;

use super::exit::{Exit, Stop};
use super::output::{Format, Output, Paint};
use crate::connection::attempt::connect_replication;
use crate::connection::cause::Try;
use crate::connection::certificate::{Certificate, date};
use crate::connection::security::{ClientCertificate, TlsFacts};
use crate::connection::stream::PasswordRequest;
use crate::connection::tls::Verified;
use crate::connection::{Class, Failure, Security, SessionOptions, Settings, connect};

/// From how many days before its end a certificate is worth a warning.
const SOON: i64 = 30;

/// What `--format json` prints.
#[derive(Serialize)]
struct Report {
    connected: bool,
    encrypted: bool,
    tls: Option<Tls>,
    password: Option<PasswordRequest>,
    attempts: Vec<Attempt>,
    warnings: Vec<String>,
    class: Option<Class>,
    message: Option<String>,
    evidence: Option<Box<str>>,
    remedy: Option<String>,
}

/// What is known about TLS: negotiated when connected, offered by the server when its certificate was refused.
#[derive(Serialize)]
struct Tls {
    verified: Verified,
    #[serde(flatten)]
    negotiated: Option<TlsFacts>,
    certificate: Option<Box<Certificate>>,
    client_certificate: Option<ClientCertificate>,
}

#[derive(Serialize)]
struct Attempt {
    tls: bool,
    outcome: &'static str,
    class: Option<Class>,
    message: Option<String>,
}

impl From<Try> for Attempt {
    fn from(one: Try) -> Self {
        let outcome = if one.connected { "connected" } else { "failed" };
        Self { tls: one.tls, outcome, class: one.class, message: one.message }
    }
}

/// Runs the command on settings, or on the reason why there are none.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(settings: Result<Settings, Stop>, format: Format, output: Output) -> Result<Exit, Stop> {
    let settings = match settings {
        Ok(settings) => settings,
        Err(stop) if format == Format::Json => {
            output.json(&misunderstood(&stop))?;
            return Ok(stop.exit);
        }
        Err(stop) => return Err(stop),
    };
    let outcome = match settings.replication.as_deref() {
        // As libpq with this parameter: a walsender's connection, which other lines of pg_hba.conf let in.
        Some(kind) => {
            let kind = [("replication", kind)];
            Box::pin(connect_replication(&settings, &kind)).await.map(|(.., security)| security)
        }
        None => connect(&settings, &SessionOptions::inspect()).await.map(|session| session.security.clone()),
    };
    let exit = match &outcome {
        Ok(_) => Exit::Fine,
        Err(failure) if failure.class == Class::ConfigError => Exit::Usage,
        Err(_) => Exit::CannotConnect,
    };
    match (&outcome, format) {
        (Ok(security), Format::Json) => output.json(&connected(security))?,
        (Err(failure), Format::Json) => output.json(&failed(failure))?,
        (Ok(security), Format::Text) => print_security(&settings, security, output)?,
        (Err(failure), Format::Text) => print_failure(&settings, failure, output)?,
    }
    Ok(exit)
}

fn misunderstood(stop: &Stop) -> Report {
    Report {
        connected: false,
        encrypted: false,
        tls: None,
        password: None,
        attempts: Vec::new(),
        warnings: Vec::new(),
        class: Some(Class::ConfigError),
        message: Some(stop.message.clone()),
        evidence: None,
        remedy: Some("Correct the connection parameters.".to_owned()),
    }
}

fn connected(security: &Security) -> Report {
    Report {
        connected: true,
        encrypted: security.encrypted,
        tls: security.encrypted.then(|| Tls {
            verified: security.verified,
            negotiated: security.tls.clone(),
            certificate: security.certificate.clone(),
            client_certificate: security.client_certificate.clone(),
        }),
        password: Some(security.password),
        attempts: security.tries.iter().cloned().map(Attempt::from).collect(),
        warnings: warnings(security, now()),
        class: None,
        message: None,
        evidence: None,
        remedy: None,
    }
}

fn failed(failure: &Failure) -> Report {
    Report {
        connected: false,
        encrypted: false,
        tls: failure.certificate.as_ref().map(|certificate| Tls {
            verified: Verified::Nothing,
            negotiated: None,
            certificate: Some(certificate.clone()),
            client_certificate: None,
        }),
        password: None,
        attempts: failure.tries.iter().cloned().map(Attempt::from).collect(),
        warnings: Vec::new(),
        class: Some(failure.class),
        message: Some(failure.message.clone()),
        evidence: failure.evidence.clone(),
        remedy: Some(failure.remedy.clone()),
    }
}

/// The connection's own warnings, and what else deserves one.
fn warnings(security: &Security, now: SystemTime) -> Vec<String> {
    let mut all = security.warnings.clone();
    if security.fell_back_to_plain() {
        all.push("TLS failed and the connection fell back to plain text; sslmode require would not have.".to_owned());
    }
    if let Some(certificate) = &security.certificate {
        let days = certificate.days_left(now);
        if days < 0 {
            all.push(format!("The server's certificate expired on {}.", date(certificate.not_after)));
        } else if days < SOON {
            all.push(format!("The server's certificate expires on {}, in {days} days.", date(certificate.not_after)));
        }
    }
    all
}

#[expect(clippy::disallowed_methods, reason = "the command line is where the time comes in")]
fn now() -> SystemTime {
    SystemTime::now()
}

fn print_security(settings: &Settings, security: &Security, output: Output) -> Result<(), Stop> {
    let paint = if security.encrypted || security.unix_socket { Paint::Good } else { Paint::Bad };
    output.line(&format!("Connected to {settings}."))?;
    output.line(&output.paint(paint, &format!("This connection is {}.", security.summary())))?;
    let password = match security.password {
        PasswordRequest::None => "none was asked for",
        PasswordRequest::ClearText => "sent in clear text within the connection",
        PasswordRequest::Md5 => "sent as an MD5 hash (outdated; prefer scram-sha-256)",
        PasswordRequest::Scram => "not sent: SCRAM-SHA-256",
        PasswordRequest::ScramPlus => "not sent: SCRAM-SHA-256, bound to this TLS connection",
    };
    output.line(&format!("Password: {password}"))?;
    if let Some(certificate) = &security.certificate {
        print_certificate(certificate, output)?;
    }
    if let Some(client) = &security.client_certificate {
        let default = if client.by_default { " (a default file that nobody named)" } else { "" };
        output.line(&format!("Client certificate: {}{default}", client.file))?;
    }
    print_attempts(&security.tries, output)?;
    for warning in warnings(security, now()) {
        output.line(&output.paint(Paint::Warn, &format!("Warning: {warning}")))?;
    }
    Ok(())
}

fn print_failure(settings: &Settings, failure: &Failure, output: Output) -> Result<(), Stop> {
    output.line(&output.paint(Paint::Bad, &format!("Not connected to {settings}.")))?;
    output.line(&failure.message)?;
    output.line(&failure.remedy)?;
    if let Some(evidence) = &failure.evidence {
        output.line(&output.paint(Paint::Dim, &format!("Evidence: {evidence}")))?;
    }
    if let Some(certificate) = &failure.certificate {
        output.line("The server offered this certificate, which was not accepted:")?;
        print_certificate(certificate, output)?;
    }
    print_attempts(&failure.tries, output)
}

fn print_certificate(certificate: &Certificate, output: Output) -> Result<(), Stop> {
    output.line(&format!("Server certificate: {}", certificate.subject))?;
    output.line(&format!("  signed by {}", certificate.issuer))?;
    output.line(&format!("  for {}", certificate.names.join(", ")))?;
    output.line(&format!("  {}", certificate.validity()))?;
    Ok(output.line(&format!("  SHA-256 {}", certificate.sha256))?)
}

fn print_attempts(tries: &[Try], output: Output) -> Result<(), Stop> {
    if tries.len() < 2 {
        return Ok(());
    }
    for (number, one) in tries.iter().enumerate() {
        let how = if one.tls { "with TLS" } else { "without TLS" };
        let outcome = one.message.as_deref().unwrap_or("connected");
        output.line(&format!("Try {}, {how}: {outcome}", number + 1))?;
    }
    Ok(())
}
