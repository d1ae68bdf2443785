//! Any bytes as a segment's file, as they are and with the header's checksum put right:
//! opened, read, checked, repaired, written to.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shmtable_fuzz::{FuzzSegment, fill, fix_checksum, read_all, repair, tolerate};

static SEGMENT: LazyLock<FuzzSegment> = LazyLock::new(FuzzSegment::new);

fn exercise(bytes: &[u8]) {
    SEGMENT.write(bytes);
    if let Some(reader) = tolerate(SEGMENT.open_read_only()) {
        read_all(&reader);
    }
    if let Some(table) = tolerate(SEGMENT.open()) {
        read_all(&table);
        repair(&table);
        fill(&table);
        repair(&table);
    }
}

fuzz_target!(|bytes: &[u8]| {
    exercise(bytes);
    let mut fixed = bytes.to_vec();
    fix_checksum(&mut fixed);
    if fixed != bytes {
        exercise(&fixed);
    }
});
