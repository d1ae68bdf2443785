//! What the tests of several packages share: names that are removed again, time limits,
//! random numbers and values that follow from a seed, a reader of a segment's bytes, and
//! the errors that damage may cause.
//!
//! What only the crate's own integration tests use is in `tests/common/`.

#![allow(
    clippy::missing_panics_doc,
    reason = "a test fails where one of these panics"
)]

mod contents;
mod damage;

mod limits;
mod names;
mod place;
mod segment;
mod this_test;
mod values;

pub use contents::{assert_sound, contents};
pub use damage::{is_by_damage, refuses_damage};
pub use limits::{LIMIT, bounded, eventually};
pub use names::{Name, Named};
pub use place::*;
pub use segment::{SegmentBytes, fix_checksum, layout, set_word, word};
pub use this_test::path_of_test;
pub use values::{Dice, bytes, version_of, whole};
