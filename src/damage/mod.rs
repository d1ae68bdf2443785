//! Damage: words of a segment that no writer of this crate stored.
//!
//! - `check`: finds it. A `fault` is what it found.
//! - `repair`: makes the table right again. `repaired` is what it did.
//! - `salvage`: reads the entries of a table whose header is damaged.
//!
//! What a death leaves is not damage: the next lock owner recovers from it, see `locking`
//! and `index::stripe_ops`.

mod check;
mod fault;
mod file;
mod repair;
mod repaired;
#[cfg(not(loom))]
mod salvage;

pub use fault::{Fault, FaultKind, FaultPlace};
pub use repaired::{RepairOutcome, Repaired};
#[cfg(not(loom))]
pub use salvage::{Salvage, SalvageFault};
