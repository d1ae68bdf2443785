//! The index: stripes of buckets, each bucket two cache lines.
//!
//! - `bucket`: the words of a bucket, and which stores they take.
//! - `slot`: what a slot of a bucket holds: a small entry, or the way to a record.
//! - `probe`: from a hash to a stripe, a bucket and a tag; the order of buckets.
//! - `entry`: an entry that was found.
//! - `fast_path`: a get, an insertion and an addition where nothing is in the way.
//! - `lookup`: lock-free lookup where something is.
//! - `growth`: how a stripe of a growing table gets twice as many buckets.
//! - `stripe_ops`: everything done under a stripe's lock, and recovery from its owner's death.

pub(crate) mod bucket;
pub(crate) mod entry;
pub(crate) mod fast_path;
pub(crate) mod growth;
pub(crate) mod lookup;
pub(crate) mod probe;
pub(crate) mod slot;
pub(crate) mod stripe_ops;
