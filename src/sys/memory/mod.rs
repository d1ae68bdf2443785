//! Fast ways through the words of a mapping.
//!
//! - `copy`: many words at a time, to and from bytes.
//! - `simd`: the tags of a bucket, compared at once.
//! - `indexed`: stripes and buckets of a mapping, without a bounds check each.

pub(crate) mod copy;
pub(super) mod indexed;
pub(crate) mod simd;
