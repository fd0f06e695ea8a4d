//! Passwords in the system's keyring: the Secret Service of Linux desktops, the Keychain of macOS.
//!
//! A secret is kept for a server, database and role, not for the name of a profile: it must not go to another host than
//! the one it was given for, and two profiles of one server share it. Nothing here panics or waits for ever where there is
//! no keyring, as on most servers: everything has a time limit.

use std::time::Duration;

use crate::connection::{Secret, Settings, parameters};

/// How long the keyring may take to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// How long somebody may take to unlock it, which the keyring asks for in a window of its own.
const UNLOCKING: Duration = Duration::from_secs(60);

/// Why the keyring did not do it; one sentence with the next step, safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// This walpilot can't speak to one.
    #[error("This walpilot was built without the keyring; use a password command or the password file.")]
    NotBuilt,
    /// There is none in this session.
    #[error(
        "There is no keyring in this session ({0}); a server usually has none. Use a password command or the password file."
    )]
    None(String),
    /// It is there and does not answer.
    #[error("The keyring gave no answer; it may be locked and wait for its own password. Unlock it and try again.")]
    Silent,
    /// It refused.
    #[error("The keyring refused: {0}.")]
    Refused(String),
}

/// Which of a server's secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The role's password.
    Password,
    /// The passphrase of the client's private key.
    KeyPassphrase,
}

/// What a secret is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// For people, in the keyring's own window.
    label: String,
    /// Who, where and what; the same words find it again.
    account: String,
}

impl Entry {
    /// The entry for a secret of `settings`.
    #[must_use]
    pub fn of(settings: &Settings, what: What) -> Self {
        let said = parameters::without_secrets(settings);
        let part = |name: &str| said.get(name).map_or("", String::as_str);
        let mut account = String::new();
        for name in ["host", "hostaddr", "port", "dbname", "user"] {
            // A list of hosts can't be made to look like another one: libpq's parameters hold no zero byte, blanks may.
            account.push_str(&format!("{name}='{}' ", part(name).replace('\\', r"\\").replace('\'', r"\'")));
        }
        if let Some(tunnel) = &settings.tunnel {
            // The same address behind another bastion is another server.
            account.push_str(&format!("ssh='{}:{}' ", tunnel.destination, tunnel.port.unwrap_or(0)));
        }
        let (word, kind) = match what {
            What::Password => ("password", "password"),
            What::KeyPassphrase => ("sslpassword", "passphrase of the private key"),
        };
        account.push_str(word);
        Self { label: format!("walpilot: {kind} for {settings}"), account }
    }
}

/// Whether there is a keyring that can be used.
///
/// # Errors
/// Why not.
pub async fn available() -> Result<(), KeyringError> {
    within(LIMIT, store::available()).await
}

/// Keeps a secret; an older one is replaced.
///
/// # Errors
/// When there is no keyring or it refuses.
pub async fn keep(entry: &Entry, secret: &Secret) -> Result<(), KeyringError> {
    within(UNLOCKING, store::keep(entry, secret)).await
}

/// The secret that was kept, if there is one.
///
/// # Errors
/// As [`keep`].
pub async fn look_up(entry: &Entry) -> Result<Option<Secret>, KeyringError> {
    within(UNLOCKING, store::look_up(entry)).await
}

/// Forgets a secret; it need not be there.
///
/// # Errors
/// As [`keep`].
pub async fn forget(entry: &Entry) -> Result<(), KeyringError> {
    within(UNLOCKING, store::forget(entry)).await
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, KeyringError>>) -> Result<T, KeyringError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(KeyringError::Silent))
}

/// The Secret Service, over D-Bus (freedesktop.org, "Secret Service API").
#[cfg(all(feature = "keyring", not(any(target_os = "windows", target_vendor = "apple"))))]
mod store {
    use std::collections::HashMap;

    use secret_service::{EncryptionType, Error, SecretService};
    use zeroize::Zeroizing;

    use super::{Entry, KeyringError};
    use crate::connection::{Secret, printable};

    async fn service() -> Result<SecretService<'static>, KeyringError> {
        // The secrets are encrypted also on the bus.
        SecretService::connect(EncryptionType::Dh)
            .await
            .map_err(|error| KeyringError::None(printable(&error.to_string()).into_owned()))
    }

    fn refused(error: Error) -> KeyringError {
        match error {
            Error::Prompt | Error::Locked => KeyringError::Refused("it is locked; unlock it and try again".to_owned()),
            other => KeyringError::Refused(printable(&other.to_string()).into_owned()),
        }
    }

    fn attributes(entry: &Entry) -> HashMap<&str, &str> {
        HashMap::from([("application", "walpilot"), ("account", entry.account.as_str())])
    }

    pub(super) async fn available() -> Result<(), KeyringError> {
        let service = service().await?;
        service.get_any_collection().await.map(drop).map_err(refused)
    }

    pub(super) async fn keep(entry: &Entry, secret: &Secret) -> Result<(), KeyringError> {
        let service = service().await?;
        let collection = service.get_any_collection().await.map_err(refused)?;
        if collection.is_locked().await.map_err(refused)? {
            // It asks for its password in a window of its own.
            collection.unlock().await.map_err(refused)?;
        }
        let bytes = secret.reveal().as_bytes();
        let kept = collection.create_item(&entry.label, attributes(entry), bytes, true, "text/plain").await;
        kept.map(drop).map_err(refused)
    }

    pub(super) async fn look_up(entry: &Entry) -> Result<Option<Secret>, KeyringError> {
        let service = service().await?;
        let found = service.search_items(attributes(entry)).await.map_err(refused)?;
        if let Some(locked) = found.locked.first() {
            locked.unlock().await.map_err(refused)?;
        }
        let Some(item) = found.unlocked.first().or(found.locked.first()) else { return Ok(None) };
        let bytes = Zeroizing::new(item.get_secret().await.map_err(refused)?);
        let text = std::str::from_utf8(&bytes);
        text.map(|text| Some(Secret::new(text)))
            .map_err(|_| KeyringError::Refused("what it keeps is not UTF-8".to_owned()))
    }

    pub(super) async fn forget(entry: &Entry) -> Result<(), KeyringError> {
        let service = service().await?;
        let found = service.search_items(attributes(entry)).await.map_err(refused)?;
        for item in found.unlocked.iter().chain(&found.locked) {
            item.delete().await.map_err(refused)?;
        }
        Ok(())
    }
}

/// The Keychain.
#[cfg(all(feature = "keyring", target_vendor = "apple"))]
mod store {
    use security_framework::passwords::{delete_generic_password, get_generic_password, set_generic_password};
    use zeroize::Zeroizing;

    use super::{Entry, KeyringError};
    use crate::connection::{Secret, printable};

    const SERVICE: &str = "walpilot";
    /// `errSecItemNotFound`.
    const NOT_FOUND: i32 = -25300;

    /// The Keychain's calls wait, and may ask the user.
    async fn blocking<T: Send + 'static>(
        work: impl FnOnce() -> Result<T, security_framework::base::Error> + Send + 'static,
    ) -> Result<Option<T>, KeyringError> {
        let refused = |text: String| KeyringError::Refused(printable(&text).into_owned());
        match tokio::task::spawn_blocking(work).await.map_err(|error| refused(error.to_string()))? {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.code() == NOT_FOUND => Ok(None),
            Err(error) => Err(refused(error.to_string())),
        }
    }

    pub(super) async fn available() -> Result<(), KeyringError> {
        Ok(())
    }

    pub(super) async fn keep(entry: &Entry, secret: &Secret) -> Result<(), KeyringError> {
        let (account, secret) = (entry.account.clone(), secret.clone());
        blocking(move || set_generic_password(SERVICE, &account, secret.reveal().as_bytes())).await.map(drop)
    }

    pub(super) async fn look_up(entry: &Entry) -> Result<Option<Secret>, KeyringError> {
        let account = entry.account.clone();
        let Some(bytes) = blocking(move || get_generic_password(SERVICE, &account)).await? else { return Ok(None) };
        let bytes = Zeroizing::new(bytes);
        let text = std::str::from_utf8(&bytes);
        text.map(|text| Some(Secret::new(text)))
            .map_err(|_| KeyringError::Refused("what it keeps is not UTF-8".to_owned()))
    }

    pub(super) async fn forget(entry: &Entry) -> Result<(), KeyringError> {
        let account = entry.account.clone();
        blocking(move || delete_generic_password(SERVICE, &account)).await.map(drop)
    }
}

/// Without the feature there is none.
#[cfg(not(all(feature = "keyring", not(target_os = "windows"))))]
mod store {
    use super::{Entry, KeyringError};
    use crate::connection::Secret;

    pub(super) async fn available() -> Result<(), KeyringError> {
        Err(KeyringError::NotBuilt)
    }

    pub(super) async fn keep(_: &Entry, _: &Secret) -> Result<(), KeyringError> {
        Err(KeyringError::NotBuilt)
    }

    pub(super) async fn look_up(_: &Entry) -> Result<Option<Secret>, KeyringError> {
        Err(KeyringError::NotBuilt)
    }

    pub(super) async fn forget(_: &Entry) -> Result<(), KeyringError> {
        Err(KeyringError::NotBuilt)
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, What};
    use crate::connection::settings::Tunnel;
    use crate::connection::{Settings, uri};

    fn entry(text: &str) -> Entry {
        Entry::of(&uri::parse(text, &Settings::default()).unwrap(), What::Password)
    }

    #[test]
    fn a_secret_is_for_one_server_database_and_role() {
        let base = entry("host=a port=1 dbname=d user=u password=S3NT1NEL sslmode=require");
        assert_eq!(base, entry("host=a port=1 dbname=d user=u sslmode=disable"), "however it is reached");
        for other in [
            "host=b port=1 dbname=d user=u",
            "host=a port=2 dbname=d user=u",
            "host=a port=1 dbname=e user=u",
            "host=a port=1 dbname=d user=v",
            "host=a,b port=1 dbname=d user=u",
            "host=a hostaddr=127.0.0.1 port=1 dbname=d user=u",
            "host=a port=1 dbname='d'' user=''u' user=x",
        ] {
            let Ok(settings) = uri::parse(other, &Settings::default()) else { continue };
            assert_ne!(base, Entry::of(&settings, What::Password), "{other}");
        }
        let settings = uri::parse("host=a port=1 dbname=d user=u", &Settings::default()).unwrap();
        assert_ne!(base, Entry::of(&settings, What::KeyPassphrase));
        let through = Settings { tunnel: Some(Tunnel { destination: "b".into(), ..Tunnel::default() }), ..settings };
        assert_ne!(base, Entry::of(&through, What::Password));
        assert!(!format!("{base:?}").contains("S3NT1NEL"));
    }
}
