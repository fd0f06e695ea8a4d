//! What a user may wish of one script; what holds for the source stands in its profile.

pub use crate::catalog::definition::{Definition, Published};
use crate::connection::Secret;

/// Choices that the facts can't answer.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// The password of the role, if it has to be created.
    pub password: Password,
    /// Also what is done already; the publication as it is defined now.
    pub all: Option<Definition>,
}

/// How a new role gets its password.
#[derive(Clone, Debug, Default)]
pub enum Password {
    /// Not by the script; a note says how.
    #[default]
    Later,
    /// By a SCRAM-SHA-256 verifier of this password.
    Verifier(Secret),
    /// psql asks for it, or takes it from its variable `walpilot_password`.
    Asked,
}

impl Password {
    /// The password as a verifier, if there is one.
    #[must_use]
    pub fn of(password: Option<&Secret>) -> Self {
        match password.filter(|password| !password.is_empty()) {
            Some(password) => Self::Verifier(password.clone()),
            None => Self::Later,
        }
    }
}
