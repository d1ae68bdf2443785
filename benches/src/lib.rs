//! The contenders and what they are asked, shared by the harness (`cargo xtask bench`) and
//! criterion's benches.
//!
//! - `work`: keys and values, from fixed seeds, made before anything is timed.
//! - `contender`: shmtable and its rivals behind one trait.
//! - `limit`: what the memory alone would take; `one_load`: a single load, which finds a key or
//!   doesn't.
//! - `figure`: medians, spreads and ratios.

#[cfg(not(target_os = "linux"))]
compile_error!("the harness asks /proc and /dev/shm, as Linux has them");

pub mod contender;
pub mod figure;
pub mod limit;
pub mod one_load;
pub mod work;

/// A result; an error is a sentence for the person who runs a bench.
pub type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;
