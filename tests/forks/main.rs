//! Does a handle that was inherited by a fork just work, in parent and child?

#![cfg(target_os = "linux")]

mod claims;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/forked.rs"]
mod forked;
mod handles;
mod locks;

use std::sync::atomic::{AtomicBool, Ordering};

fn key(number: usize) -> [u8; 8] {
    (number as u64).to_le_bytes()
}

/// Ends the threads of a test, also when it fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
