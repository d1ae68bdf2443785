//! The index: stripes of buckets, each bucket two cache lines.
//!
//! - `bucket`: the words of a bucket, and who may write them.
//! - `slot`: what a slot of a bucket holds: a small entry, or the way to a record.
//! - `probe`: from a hash to a stripe, a bucket and a tag; the order of buckets.
//! - `lookup`: lock-free lookup.
//! - `stripe_ops`: everything done under a stripe's lock, and its repair.

pub(crate) mod bucket;
pub(crate) mod lookup;
pub(crate) mod probe;
pub(crate) mod slot;
pub(crate) mod stripe_ops;
