//! A password or passphrase that can't be printed by accident.

use std::fmt;

use zeroize::Zeroizing;

/// A secret text. It is overwritten when dropped, prints a fixed mark in `Debug` and `Display`, and is not
/// serialisable, so it can't reach a log, an error, an export or a saved file unless somebody calls [`Secret::reveal`].
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over `text`, whose memory is wiped when the secret is dropped.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Call it only where the secret is handed to the server or hashed; each call is one more place
    /// from which it could leak.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it. libpq treats an empty password as none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("••••••••")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.reveal() == other.reveal()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_prints_a_mark_of_fixed_length() {
        let short = Secret::new("a");
        let long = Secret::new("S3NT1NEL-that-is-long");
        assert_eq!(format!("{short} {short:?}"), format!("{long} {long:?}"));
        assert!(!format!("{long:#?} {long}").contains("S3NT1NEL"));
    }
}
