//! The directory: how many buckets each stripe of a growing table has now.
//!
//! | bits     | meaning                                                       |
//! |----------|---------------------------------------------------------------|
//! | 0 to 7   | level: the stripe has 2^level buckets                         |
//! | 8 to 15  | the level again                                               |
//! | 16 to 23 | the level a third time                                        |
//! | 24       | entries are being moved to the buckets that were added last   |
//! | 25 to 63 | zero                                                          |
//!
//! A stripe has one such word, and only the owner of its lock stores it. A level never falls. The
//! copies tell which level is right if one bit is wrong; readers look at the first one only.

use crate::layout::{LEVEL_BITS, MOVING_BIT};

const LEVEL: u64 = (1 << LEVEL_BITS) - 1;
/// A level times this is the level three times.
const COPIES: u64 = 1 | 1 << LEVEL_BITS | 1 << (2 * LEVEL_BITS);
const MOVING: u64 = 1 << MOVING_BIT;

/// A directory word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DirectoryWord(pub(crate) u64);

impl DirectoryWord {
    /// The word of a stripe that has 2^`level` buckets.
    pub(crate) fn at_rest(level: u32) -> Self {
        Self(u64::from(level) * COPIES)
    }

    /// The word of a stripe that has 2^`level` buckets, to which entries are being moved.
    pub(crate) fn moving(level: u32) -> Self {
        Self(Self::at_rest(level).0 | MOVING)
    }

    /// The level, as readers see it.
    #[inline]
    pub(crate) fn level(self) -> u32 {
        (self.0 & LEVEL) as u32
    }

    /// Whether entries are being moved to the buckets that were added last.
    pub(crate) fn is_moving(self) -> bool {
        self.0 & MOVING != 0
    }

    /// Whether this is a word that a writer of this format stores, with a level of the range.
    pub(crate) fn is_sound(self, least: u32, most: u32) -> bool {
        self.0 & !MOVING == Self::at_rest(self.level()).0 && (least..=most).contains(&self.level())
    }

    /// The level that at least two of its copies agree on.
    pub(crate) fn majority(self) -> Option<u32> {
        let [a, b, c] = [0, 1, 2].map(|copy| (self.0 >> (copy * LEVEL_BITS) & LEVEL) as u32);
        if a == b || a == c {
            Some(a)
        } else {
            (b == c).then_some(b)
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_bit_is_noticed_and_hides_no_level() {
        for level in 0..40 {
            for word in [DirectoryWord::at_rest(level), DirectoryWord::moving(level)] {
                assert!(word.is_sound(0, 40));
                assert_eq!((word.level(), word.majority()), (level, Some(level)));
                for bit in (0..64).filter(|bit| *bit != MOVING_BIT) {
                    let wrong = DirectoryWord(word.0 ^ 1 << bit);
                    assert!(!wrong.is_sound(0, 255), "{level}, bit {bit}");
                    assert_eq!(wrong.majority(), Some(level), "bit {bit}");
                }
            }
        }
    }

    #[test]
    fn a_level_out_of_range_is_not_sound() {
        assert!(!DirectoryWord::at_rest(2).is_sound(3, 9));
        assert!(!DirectoryWord::at_rest(10).is_sound(3, 9));
    }
}
