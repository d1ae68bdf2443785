//! The directory: how many buckets each stripe of a growing table has now.
//!
//! | bits     | meaning                                                                   |
//! |----------|---------------------------------------------------------------------------|
//! | 0 to 39  | mask: 2^level - 1; the bits of a hash that choose one of 2^level buckets   |
//! | 40 to 47 | level                                                                     |
//! | 48 to 55 | the level again                                                           |
//! | 56 to 57 | phase: 0 at rest; 1 entries go to the buckets that were added last; 2 entries that stayed come nearer to their home buckets |
//! | 58 to 63 | zero                                                                      |
//!
//! A stripe has one such word, and only the owner of its lock stores it. A level never falls. The
//! copies tell which level is right if one bit is wrong. A lookup goes by the mask only, as long as
//! it finds its key; a miss, and every write, goes by the level that two of the three agree on.

use crate::layout::{LEVEL_AT, LEVEL_BITS, MASK_BITS, PHASE_AT, PHASE_BITS};

const MASK: u64 = (1 << MASK_BITS) - 1;
const LEVEL: u64 = (1 << LEVEL_BITS) - 1;
const PHASES: u64 = (1 << PHASE_BITS) - 1;

/// A directory word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DirectoryWord(pub(crate) u64);

/// What the owner of a stripe's lock is doing to its buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    AtRest,
    /// Entries go to the buckets that were added last, and are removed from their old ones.
    Moving,
    /// Entries that stayed come nearer to their home buckets.
    Nearing,
}

impl DirectoryWord {
    /// The word of a stripe that has 2^`level` buckets.
    pub(crate) fn new(level: u32, phase: Phase) -> Self {
        let wide = u64::from(level);
        let mask = (1 << level) - 1;
        let copies = wide << LEVEL_AT | wide << (LEVEL_AT + LEVEL_BITS);
        Self(mask | copies | (phase as u64) << PHASE_AT)
    }

    /// The level.
    #[inline]
    pub(crate) fn level(self) -> u32 {
        (self.0 >> LEVEL_AT & LEVEL) as u32
    }

    /// What the owner of the lock is doing.
    pub(crate) fn phase(self) -> Phase {
        match self.0 >> PHASE_AT & PHASES {
            1 => Phase::Moving,
            2 => Phase::Nearing,
            _ => Phase::AtRest,
        }
    }

    /// Whether this is a word that a writer of this format stores, with a level of the range.
    pub(crate) fn is_sound(self, least: u32, most: u32) -> bool {
        let level = self.level();
        (least..=most).contains(&level)
            && level < MASK_BITS
            && self == Self::new(level, self.phase())
    }

    /// The number of bits in which it differs from another one, the phase left out.
    pub(crate) fn differs_in(self, other: Self) -> u32 {
        ((self.0 ^ other.0) & !(PHASES << PHASE_AT)).count_ones()
    }

    /// The level that at least two of the mask and the two copies agree on.
    pub(crate) fn majority(self) -> Option<u32> {
        let mask = self.0 & MASK;
        let by_mask = (mask & (mask + 1) == 0).then_some(mask.count_ones());
        let copies = [LEVEL_AT, LEVEL_AT + LEVEL_BITS].map(|at| (self.0 >> at & LEVEL) as u32);
        let [one, other] = copies;
        if one == other {
            return Some(one);
        }
        by_mask.filter(|level| copies.contains(level))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::layout::parts_agree;

    #[test]
    fn one_wrong_bit_is_noticed_and_hides_no_level() {
        for level in 0..MASK_BITS {
            for phase in [Phase::AtRest, Phase::Moving, Phase::Nearing] {
                let word = DirectoryWord::new(level, phase);
                assert!(word.is_sound(0, 40) && parts_agree(word.0));
                assert_eq!((word.level(), word.phase()), (level, phase));
                assert_eq!(word.majority(), Some(level));
                for bit in (0..64).filter(|bit| !(PHASE_AT..PHASE_AT + 2).contains(bit)) {
                    let wrong = DirectoryWord(word.0 ^ 1 << bit);
                    assert!(!wrong.is_sound(0, 255), "{level}, bit {bit}");
                    assert!(!parts_agree(wrong.0), "{level}, bit {bit}");
                    assert_eq!(wrong.majority(), Some(level), "{level}, bit {bit}");
                }
            }
        }
    }

    #[test]
    fn a_level_out_of_range_is_not_sound() {
        assert!(!DirectoryWord::new(2, Phase::AtRest).is_sound(3, 9));
        assert!(!DirectoryWord::new(10, Phase::AtRest).is_sound(3, 9));
        assert!(!DirectoryWord(3 << PHASE_AT).is_sound(0, 9));
    }
}
