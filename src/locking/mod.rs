//! Participants, the locks of stripes, and sleeping until a key changes.
//!
//! - `participants`: the handles that may write, and which of them live.
//! - `holder`: a participant that holds locks.
//! - `lock`: the lock of a stripe, and its recovery from a dead owner.
//! - `key_wait`: waiting for a key.

pub(crate) mod holder;
pub(crate) mod key_wait;
pub(crate) mod lock;
pub(crate) mod participants;
