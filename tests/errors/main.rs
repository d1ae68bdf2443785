//! Does each error occur where it should, does it name the limit, the size and the remedy,
//! and does it leave the table unchanged?
//!
//! Some parts need root: they give a segment to another user with `chown`, or a child drops
//! its privileges. Without root, those tests do what a user can do, and say so.

#![cfg(any(target_os = "linux", windows))]

mod access;
mod bytes;
#[cfg(target_os = "linux")]
#[path = "../common/closing.rs"]
mod closing;
#[path = "../common/mod.rs"]
mod common;
mod contents;
mod names;
mod system_limits;
mod table_limits;
mod waits;

use std::collections::HashMap;
use std::error::Error as _;

use common::{assert_sound, contents};
use shmtable::{Error, Result, Table};

/// The error, which must be, and whose message must contain these parts.
#[track_caller]
fn refused<T>(result: Result<T>, parts: &[&str]) -> Error {
    let Err(error) = result else {
        panic!("it succeeded");
    };
    let message = error.to_string();
    println!("{message}");
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    // A report that prints the chain of causes shows each of them once.
    if let Some(cause) = error.source().map(ToString::to_string) {
        assert!(!message.contains(&cause), "{message:?} repeats {cause:?}");
    }
    error
}

fn all(table: &Table) -> HashMap<Vec<u8>, Vec<u8>> {
    assert_sound(table);
    let contents = contents(table);
    assert_eq!(table.len(), contents.len());
    contents
}

/// Every operation that could store this entry.
fn stores(table: &Table, key: &[u8], value: &[u8]) -> Vec<(&'static str, Option<Error>)> {
    let found = table.get(key).expect("get works");
    vec![
        ("insert", table.insert(key, value).err()),
        ("replace", table.replace(key, value).err()),
        ("update", table.update(key, |_| Some(value.to_vec())).err()),
        (
            "compare_exchange",
            table
                .compare_exchange(key, found.as_deref(), Some(value))
                .err(),
        ),
        ("insert_many", table.insert_many([(key, value)]).err()),
    ]
}

#[test]
fn every_variant_is_provoked_here() {
    let source = include_str!("../../src/error/mod.rs");
    let here = [
        include_str!("access.rs"),
        include_str!("bytes.rs"),
        include_str!("contents.rs"),
        include_str!("names.rs"),
        include_str!("system_limits.rs"),
        include_str!("table_limits.rs"),
        include_str!("waits.rs"),
    ]
    .concat();
    let body = source.split_once("pub enum Error {").expect("the enum").1;
    let mut count = 0;
    for line in body.lines() {
        // Variants are the lines that are indented once and begin with a capital.
        let Some(rest) = line.strip_prefix("    ") else {
            continue;
        };
        if !rest.starts_with(|c: char| c.is_ascii_uppercase()) {
            continue;
        }
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let variant = &rest[..end];
        count += 1;
        assert!(
            here.contains(&format!("Error::{variant} {{"))
                || here.contains(&format!("Error::{variant})")),
            "no test provokes {variant}"
        );
    }
    assert!(count >= 20, "only {count} variants were found");
}
