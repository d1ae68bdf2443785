//! The hashers of rivals that let their users choose.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};

/// A hasher of a rival.
pub trait Hasher: BuildHasher + Clone + Default + Debug + Send + Sync + 'static {
    /// Its name in the table of contenders.
    const NAME: &'static str;
    /// Whether it is the standard library's, which dashmap, papaya and scc have by default.
    const IS_DEFAULT: bool;
}

/// The hasher with which every rival is fastest.
pub(super) type Fastest = foldhash::fast::RandomState;

impl Hasher for Fastest {
    const NAME: &'static str = "foldhash (`foldhash::fast`)";
    const IS_DEFAULT: bool = false;
}

impl Hasher for RandomState {
    const NAME: &'static str = "SipHash-1-3, its default";
    const IS_DEFAULT: bool = true;
}
