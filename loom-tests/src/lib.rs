//! Models of the table's protocols, explored by [loom](https://docs.rs/loom).
//!
//! Each file in `tests/` models one protocol, with the real code of the crate on
//! loom's atomics, and begins with `#![cfg(loom)]`. A model is run by
//! `cargo xtask loom [MODEL]`, under the bounds that `xtask/src/loom.rs` pins for
//! it; a test without bounds there, or bounds without a test, fail that command.
//!
//! A model that has never failed proves little: each file names the mutation
//! that was planted to see it fail, and what loom said.
