//! The time of one load of a cache line, as in a lookup: if the processor can predict what the
//! program does with the answer, and if it can't.

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// Entries whose slots share a cache line.
const ENTRIES_IN_A_LINE: usize = 3;

/// A cache line, and what is asked of it.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line(u8);

/// Which of the entries are there.
#[derive(Debug, Clone, Copy)]
pub enum Presence {
    /// All are there.
    All = 1,
    /// Every second one is there, at random.
    Half = 2,
}

/// The lines of some entries, loaded in random order, round and round.
#[derive(Debug)]
pub struct OneLoad {
    /// A line for each few entries, as a bucket has: bit 0 is set, bit 1 at random.
    lines: Vec<Line>,
    order: Vec<usize>,
    next: usize,
    found: u64,
    missed: u64,
}

impl OneLoad {
    /// Lines for this many entries, at least one.
    pub fn new(entries: usize) -> Self {
        let mut random = SmallRng::seed_from_u64(7);
        let mut order: Vec<usize> = (0..entries).collect();
        order.shuffle(&mut random);
        let lines = 0..entries.div_ceil(ENTRIES_IN_A_LINE);
        let lines = lines.map(|_| Line(1 | u8::from(random.random::<bool>()) << 1));
        Self {
            lines: lines.collect(),
            order,
            next: 0,
            found: 0,
            missed: 0,
        }
    }

    /// Loads the next line and branches on what it says, as every caller does on whether a
    /// key is there.
    pub fn ask(&mut self, presence: Presence) {
        let entry = self.order[self.next];
        self.next = (self.next + 1) % self.order.len();
        let Line(bits) = self.lines[entry / ENTRIES_IN_A_LINE];
        if bits & presence as u8 == 0 {
            self.absent();
        } else {
            self.present();
        }
    }

    // Two functions: otherwise the compiler would replace the branch.

    #[inline(never)]
    fn present(&mut self) {
        self.found += 1;
    }

    #[inline(never)]
    fn absent(&mut self) {
        self.missed += 1;
    }
}
