//! What every command of this crate returns.

/// A result whose error is a sentence for the person who ran the command.
pub(crate) type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;
