//! Damage: words of a segment that no writer of this crate stored.
//!
//! - `check`: finds it.
//! - `repair`: makes the table right again.
//! - `salvage`: reads the entries of a table whose header is damaged.
//!
//! What a death leaves is not damage: the next lock owner recovers from it, see `locking`
//! and `index::stripe_ops`.

mod check;
mod repair;
#[cfg(not(loom))]
mod salvage;

#[cfg(not(loom))]
pub use salvage::Salvage;
