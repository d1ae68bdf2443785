//! Claims that must be the asker's.

use shmtable::{Claim, Claimed, Table};

/// The claim, which must be ours.
#[track_caller]
pub fn mine(table: &Table, key: &[u8]) -> Claim {
    match table.get_or_claim(key).unwrap() {
        Claimed::Mine(claim) => claim,
        other => panic!("not ours to compute: {other:?}"),
    }
}
