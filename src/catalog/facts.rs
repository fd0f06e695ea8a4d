//! What was read from a server, as values: the only input of the checks.

/// Everything that the checks judge. What could not be seen is a value of its own, never "no problem".
#[derive(Clone, Debug, Default)]
pub struct Facts {}
