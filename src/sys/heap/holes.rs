//! Words of a model's segment whose memory was given back.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::sync::{AtomicU64, Ordering};

/// Which words have no memory: for all processes at once, as in the kernel.
pub(super) struct Holes {
    words: Mutex<BTreeSet<usize>>,
    /// What loom sees, in a model that asks for it: each access, which orders nothing.
    accesses: Option<AtomicU64>,
}

impl Holes {
    /// None yet. If `seen` is true, loom knows when words lose and get memory.
    pub(super) fn new(seen: bool) -> Self {
        Self {
            words: Mutex::default(),
            accesses: seen.then(|| AtomicU64::new(0)),
        }
    }

    /// Changes which words they are.
    pub(super) fn change(&self, change: impl FnOnce(&mut BTreeSet<usize>)) {
        if let Some(accesses) = &self.accesses {
            accesses.fetch_add(1, Ordering::Relaxed);
        }
        change(&mut self.words.lock().unwrap());
    }

    /// Panics if the word has no memory.
    pub(super) fn touch(&self, at: usize) {
        if let Some(accesses) = &self.accesses {
            accesses.load(Ordering::Relaxed);
        }
        let is_hole = self.words.lock().unwrap().contains(&at);
        assert!(!is_hole, "an access to memory that was given back");
    }
}
