//! What a field may hold, said in one sentence each.

use crate::catalog::ident::{MAX_IDENTIFIER_BYTES, is_slot_name};
use crate::profile::password_command;

/// Which field it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation; `label` says them in words")]
pub enum FieldId {
    Host,
    Port,
    Database,
    User,
    Password,
    Encryption,
    Publication,
    Slot,
    Filter,
    AdminUser,
    AdminPassword,
    Goal,
    Path,
    RootCert,
    RootFile,
    ClientCert,
    ClientKey,
    KeyPassphrase,
    SshDestination,
    SshPort,
    SshKey,
    SshJump,
    ProfileName,
    PasswordFrom,
    PasswordCommand,
    ConnectTimeout,
    TargetSession,
    MinTls,
    ChannelBinding,
    HostKey,
    SshAnswer,
    TypedName,
    Note,
    InitialCopy,
    Cover,
    Partitions,
    Failover,
    Heartbeat,
    Monitor,
    Command,
}

impl FieldId {
    /// The words beside the field.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Host => "Host",
            Self::Port => "Port",
            Self::Database => "Database",
            Self::User => "User",
            Self::Password => "Password",
            Self::Encryption => "Encryption",
            Self::Publication => "Publication",
            Self::Slot => "Slot",
            Self::InitialCopy => "Initial copy",
            Self::Cover => "Publishes",
            Self::Partitions => "Partitions",
            Self::Failover => "Failover slot",
            Self::Heartbeat => "Heartbeat",
            Self::Monitor => "Monitoring",
            Self::Filter => "Filter",
            Self::TypedName => "Name",
            Self::Note => "Note",
            Self::Command => "Command",
            Self::AdminUser => "Administrator",
            Self::AdminPassword => "Password",
            Self::Goal => "Goal",
            Self::Path => "File",
            Self::RootCert => "Trusts",
            Self::RootFile => "Root file",
            Self::ClientCert => "Client cert.",
            Self::ClientKey => "Client key",
            Self::KeyPassphrase => "Passphrase",
            Self::SshDestination => "SSH bastion",
            Self::SshPort => "SSH port",
            Self::SshKey => "SSH key",
            Self::SshJump => "SSH jump host",
            Self::ProfileName => "Name",
            Self::PasswordFrom => "Password from",
            Self::PasswordCommand => "Command",
            Self::ConnectTimeout => "Time limit, s",
            Self::TargetSession => "Server kind",
            Self::MinTls => "Oldest TLS",
            Self::ChannelBinding => "Chan. binding",
            Self::HostKey | Self::SshAnswer => "Answer",
        }
    }
}

/// Whether `text` may stand in the field.
///
/// # Errors
/// One sentence that says what to write instead; it never repeats the text.
pub fn check(id: FieldId, text: &str) -> Result<(), String> {
    let needed = |what: &str| if text.trim().is_empty() { Err(format!("Write {what}.")) } else { Ok(()) };
    match id {
        FieldId::Host => {
            needed("the server's host name or address, or the directory of its Unix socket")?;
            if text.contains(char::is_whitespace) && !text.starts_with('/') {
                return Err("A host name has no blanks.".to_owned());
            }
            Ok(())
        }
        FieldId::Port => match text.trim().parse::<u16>() {
            Ok(port) if port > 0 => Ok(()),
            _ => Err("The port is a number from 1 to 65535; PostgreSQL's own is 5432.".to_owned()),
        },
        FieldId::Database => needed("the database's name; a replication slot belongs to one database"),
        FieldId::User => needed("the role that logs in"),
        FieldId::Publication => {
            needed("the publication's name")?;
            if text.len() > MAX_IDENTIFIER_BYTES {
                return Err(format!("A publication's name has at most {MAX_IDENTIFIER_BYTES} bytes."));
            }
            Ok(())
        }
        FieldId::Slot if !is_slot_name(text) => {
            Err("A slot's name is 1 to 63 lower-case letters, digits and underscores.".to_owned())
        }
        FieldId::Path => needed("the file's name"),
        FieldId::RootFile => {
            needed("the file with the authority's certificate, or choose another kind of trust")?;
            file(text)
        }
        FieldId::ClientCert | FieldId::ClientKey | FieldId::SshKey => file(text),
        FieldId::SshDestination | FieldId::SshJump => {
            if id == FieldId::SshDestination {
                needed("the bastion: a host, user@host, or an alias of your ssh configuration")?;
            }
            if text.trim().starts_with('-') || text.trim().contains(char::is_whitespace) {
                return Err("A bastion's name has no blanks and does not begin with a dash.".to_owned());
            }
            Ok(())
        }
        FieldId::SshPort if text.trim().is_empty() => Ok(()),
        FieldId::SshPort => check(FieldId::Port, text).map_err(|_| "The port is a number from 1 to 65535.".to_owned()),
        FieldId::PasswordCommand => password_command::words(text).map(drop).map_err(|error| format!("{error}.")),
        FieldId::ConnectTimeout if text.trim().is_empty() => Ok(()),
        FieldId::ConnectTimeout => match text.trim().parse::<u32>() {
            Ok(1..=3600) => Ok(()),
            _ => Err("The limit is a number of seconds from 1 to 3600; empty means 10.".to_owned()),
        },
        // ssh compares a fingerprint itself.
        FieldId::HostKey if text.trim() != "yes" && !text.trim().starts_with("SHA256:") => {
            Err("Type yes to trust this key from now on, or paste the fingerprint that you were given.".to_owned())
        }
        FieldId::ProfileName if !is_profile_name(text) => {
            Err("A profile's name has 1 to 64 letters, digits, dots, dashes and underscores, the first no dot or dash."
                .to_owned())
        }
        _ => Ok(()),
    }
}

/// A file that libpq's parameters name: nobody expands a tilde there.
fn file(text: &str) -> Result<(), String> {
    if text.starts_with('~') {
        return Err("Write the whole path: nothing expands the tilde here.".to_owned());
    }
    Ok(())
}

fn is_profile_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=64).contains(&text.len()) && text.chars().all(allowed) && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::{FieldId, check};

    #[test]
    fn what_a_server_would_refuse_is_refused_here() {
        for (id, bad) in [
            (FieldId::Host, " "),
            (FieldId::Host, "db example"),
            (FieldId::Port, "0"),
            (FieldId::Port, "70000"),
            (FieldId::Port, "54e2"),
            (FieldId::Database, ""),
            (FieldId::Slot, "Orders"),
            (FieldId::RootFile, ""),
            (FieldId::ClientKey, "~/client.key"),
            (FieldId::SshDestination, "-oProxyCommand=x"),
            (FieldId::SshJump, "a b"),
            (FieldId::ProfileName, "../x"),
            (FieldId::PasswordCommand, ""),
            (FieldId::PasswordCommand, "pass show shop"),
            (FieldId::PasswordCommand, "/usr/bin/pass 'show"),
            (FieldId::ConnectTimeout, "0"),
            (FieldId::ConnectTimeout, "soon"),
            (FieldId::HostKey, "y"),
            (FieldId::HostKey, ""),
            (FieldId::Publication, &"p".repeat(64)),
        ] {
            assert!(check(id, bad).is_err(), "{id:?} {bad:?}");
        }
        for (id, good) in [
            (FieldId::Host, "/var/run/my postgres"),
            (FieldId::Port, " 6543"),
            (FieldId::Publication, "Orders & more"),
            (FieldId::Password, ""),
            (FieldId::SshPort, ""),
            (FieldId::PasswordCommand, "/usr/bin/pass show 'shop and more'"),
            (FieldId::ConnectTimeout, ""),
            (FieldId::HostKey, "yes"),
            (FieldId::ProfileName, "shop.eu-1"),
        ] {
            assert_eq!(check(id, good), Ok(()), "{id:?} {good:?}");
        }
    }
}
