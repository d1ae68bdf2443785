//! What the integration tests of the crate share, beside what `tests/support` has for the
//! tests of all packages.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "every test program uses a part of this"
)]

use shmtable::Options;

mod children;
mod claims;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod machine;
mod threads;

pub use children::*;
pub use claims::*;
#[cfg(target_os = "linux")]
pub use linux::*;
#[cfg(target_os = "linux")]
pub use machine::*;
pub use test_support::*;
pub use threads::*;

/// A number of repetitions, multiplied by `SHMTABLE_TEST_SCALE` (1 by default).
pub fn scaled(repetitions: usize) -> usize {
    let scale = std::env::var("SHMTABLE_TEST_SCALE").map_or(1.0, |scale| {
        scale
            .parse::<f64>()
            .expect("SHMTABLE_TEST_SCALE is a number")
    });
    ((repetitions as f64 * scale).ceil() as usize).max(1)
}

/// The shapes that tests of the contract are run on: as by default, with one
/// lock, with many and the smallest chunks.
pub fn shapes(capacity: usize, value_space: usize) -> [(&'static str, Options); 3] {
    let plain = Options::new().capacity(capacity).value_space(value_space);
    [
        ("default", plain.clone()),
        ("one stripe", plain.clone().stripes(1).max_participants(4)),
        (
            "small chunks",
            plain.stripes(64).chunk_size(4096).max_participants(8),
        ),
    ]
}

/// A key of eight bytes.
pub fn key(number: usize) -> [u8; 8] {
    (number as u64).to_le_bytes()
}
