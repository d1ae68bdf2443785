//! What every trial returns.

/// Whether the table passed, or why there is no answer.
pub(crate) type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;
