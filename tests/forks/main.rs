//! Does a handle work in both parent and child after a fork?

#![cfg(target_os = "linux")]

mod claims;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/forked.rs"]
mod forked;
mod handles;
mod locks;
