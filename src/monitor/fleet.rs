//! How one of several sources is, in a word.

/// How a source is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It can't be reached.
    Unreachable,
    /// Something is critical.
    Critical,
    /// Something will be.
    Warning,
    /// Nothing was heard yet.
    Waiting,
    /// All is well.
    Fine,
}
