//! Does a handle that was inherited by a fork just work, in parent and child?

#![cfg(target_os = "linux")]

mod claims;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/forked.rs"]
mod forked;
mod handles;
mod locks;
