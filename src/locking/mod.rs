//! Who holds what: participants, the locks of stripes, and sleeping until a key changes.
//!
//! - `participants`: the slots of those who may write, and who of them lives.
//! - `holder`: a participant as the holder of locks.
//! - `lock`: the lock of a stripe, and its recovery from a dead owner.
//! - `key_wait`: waiting for a key.

pub(crate) mod holder;
pub(crate) mod key_wait;
pub(crate) mod lock;
pub(crate) mod participants;
