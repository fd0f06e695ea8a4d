//! What a tier of samples answered, where "nothing" has several reasons.

use serde::{Deserialize, Serialize};

/// A value, or why it is missing. What is missing is shown as `?`: never as 0, never as fine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "detail")]
pub enum Seen<T> {
    /// Not asked for yet.
    #[default]
    NotYet,
    /// The answer.
    Known(T),
    /// The role may not see it; the statement that opens it.
    Hidden(String),
    /// It could not be read this time; one sentence, safe to print.
    Failed(String),
}

impl<T> Seen<T> {
    /// The value, if there is one.
    #[must_use]
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::NotYet | Self::Hidden(_) | Self::Failed(_) => None,
        }
    }

    /// The statement that opens it, if it is hidden.
    #[must_use]
    pub fn grant(&self) -> Option<&str> {
        match self {
            Self::Hidden(grant) => Some(grant),
            Self::NotYet | Self::Known(_) | Self::Failed(_) => None,
        }
    }
}
