//! The secrets of a profile, from where it says that they are: the keyring, or a program.

use super::keyring::{self, Entry, What};
use super::password_command;
use super::saved::PasswordSource;
use crate::connection::{Secret, Settings};

/// The secrets that a source of passwords had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The role's password.
    pub password: Option<Secret>,
    /// The passphrase of the client's private key.
    pub key_passphrase: Option<Secret>,
}

/// Asks the keyring or the program; the other sources are libpq's own and were asked before.
///
/// # Errors
/// One sentence with the next step, safe to show; no secret stands in it.
pub async fn fetch(source: &PasswordSource, settings: &Settings) -> Result<Found, String> {
    match source {
        PasswordSource::Command { command } => {
            let password = password_command::run(command).await.map_err(|error| error.to_string())?;
            Ok(Found { password: Some(password), key_passphrase: None })
        }
        PasswordSource::Keyring => {
            let look_up = async |what| keyring::look_up(&Entry::of(settings, what)).await;
            let password = look_up(What::Password).await.map_err(|error| error.to_string())?;
            let key_passphrase = look_up(What::KeyPassphrase).await.map_err(|error| error.to_string())?;
            Ok(Found { password, key_passphrase })
        }
        PasswordSource::Prompt | PasswordSource::Env | PasswordSource::Pgpass => Ok(Found::default()),
    }
}

/// Keeps the secrets of `settings` in the keyring, those that it has.
///
/// # Errors
/// As [`fetch`].
pub async fn keep(settings: &Settings) -> Result<(), String> {
    let secrets = [(What::Password, &settings.password), (What::KeyPassphrase, &settings.tls.key_passphrase)];
    for (what, secret) in secrets {
        if let Some(secret) = secret {
            keyring::keep(&Entry::of(settings, what), secret).await.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Forgets the secrets of `settings` in the keyring.
///
/// # Errors
/// As [`fetch`].
pub async fn forget(settings: &Settings) -> Result<(), String> {
    for what in [What::Password, What::KeyPassphrase] {
        keyring::forget(&Entry::of(settings, what)).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}
