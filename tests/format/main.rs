//! Is a segment what `docs/format.md` and the pages in `docs/format/` say?
//!
//! The reader in `reader.rs` knows nothing of the crate. It takes every number from the
//! document's tables and follows its prose, on the bytes of the segment's file. Only Linux
//! can tell which bytes are locked.

#![cfg(any(target_os = "linux", windows))]
#![allow(unreachable_pub, reason = "a program of several modules")]

mod buckets;
#[path = "../common/mod.rs"]
mod common;
mod document;
mod entries;
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
mod growth;
mod header;
mod locks;
mod reader;

use shmtable::{Options, Table};

fn table(capacity: usize, value_space: usize) -> Table {
    Options::new()
        .capacity(capacity)
        .value_space(value_space)
        .chunk_size(4096)
        .stripes(4)
        .max_participants(5)
        .create_anonymous()
        .unwrap()
}

/// Bytes that differ from one another.
fn bytes(length: usize, first: u8) -> Vec<u8> {
    (first..).take(length).collect()
}
