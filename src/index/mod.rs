//! The index: stripes of buckets, each bucket one cache line.
//!
//! - `bucket`: the words of a bucket, and who may write them.
//! - `probe`: from a hash to a stripe, a bucket and a tag; the order of buckets.
//! - `read`: lock-free look-up.
//! - `locked`: everything done under a stripe's lock, and its repair.

pub(crate) mod bucket;
pub(crate) mod locked;
pub(crate) mod probe;
pub(crate) mod read;
