//! Can the entries of a table whose header is damaged still be read?

#![cfg(target_os = "linux")]
#![allow(unreachable_pub, reason = "a program of several modules")]

#[path = "../common/mod.rs"]
mod common;
mod entries;
#[cfg(not(shmtable_portable))]
mod growth;
mod header;
mod whole;
