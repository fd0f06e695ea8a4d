//! The screens of the wizard.

/// The screens of the wizard, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the documentation; `title` says them in words")]
pub enum Step {
    Connection,
    Encryption,
    Tables,
    Preflight,
    Script,
    Destination,
    Dashboard,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Self; 7] = [
        Self::Connection,
        Self::Encryption,
        Self::Tables,
        Self::Preflight,
        Self::Script,
        Self::Destination,
        Self::Dashboard,
    ];

    /// The step's name, and a short one for narrow terminals.
    #[must_use]
    pub fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::Connection => ("Connection", "Connection"),
            Self::Encryption => ("Encryption", "Encryption"),
            Self::Tables => ("Method and tables", "Tables"),
            Self::Preflight => ("Preflight", "Preflight"),
            Self::Script => ("Setup script", "Script"),
            Self::Destination => ("Destination", "Destination"),
            Self::Dashboard => ("Dashboard", "Dashboard"),
        }
    }

    /// The step after or before.
    #[must_use]
    pub fn neighbour(self, forward: bool) -> Option<Self> {
        let at = Self::ALL.iter().position(|step| *step == self)?;
        let to = if forward { at + 1 } else { at.checked_sub(1)? };
        Self::ALL.get(to).copied()
    }
}
