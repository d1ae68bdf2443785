//! Aims kills at doublings. A random one hardly ever hits: entries are moved in a thousandth of a
//! worker's time.
//!
//! In a table of one stripe it can be told when the next doubling is due, who owns the lock, and
//! how long it takes.

use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::SmallRng;
use shmtable::Table;

use crate::result::Result;

/// The time from one look at the table to the next.
pub(super) const LOOKS: Duration = Duration::from_micros(100);
/// The longest times that a doubling's beginning is waited for, and the publication of its copies.
const UNTIL_IT_BEGINS: Duration = Duration::from_millis(5);
const UNTIL_IT_IS_PUBLISHED: Duration = Duration::from_millis(20);
/// Kills that are aimed at doublings from one size.
const SHOTS: u32 = 4;
/// Nanoseconds that a doubling takes for each slot, or a little more.
const A_SLOT: u64 = 60;

#[derive(Default)]
pub(super) struct Aim {
    slots: usize,
    shots: u32,
}

impl Aim {
    /// The process that is doubling the table's only stripe, in all likelihood.
    pub(super) fn target(&mut self, table: &Table, dice: &mut SmallRng) -> Result<Option<u32>> {
        let is_nearly_full = |slots| table.len() * 100 >= slots * 78;
        if !is_nearly_full(self.slots) {
            return Ok(None);
        }
        let slots = table.quick_stats()?.slots;
        if slots != self.slots {
            *self = Self { slots, shots: 0 };
        }
        if self.shots == SHOTS || !is_nearly_full(slots) {
            return Ok(None);
        }
        // Without a sleep, which would last too long. A stripe is doubled when it is so full.
        let begin = Instant::now();
        while table.len() * 10 < slots * 8 {
            if begin.elapsed() > UNTIL_IT_BEGINS {
                return Ok(None);
            }
        }
        self.shots += 1;
        // A short time before the new buckets are published, while entries are copied to them; or
        // as soon as they are, while entries are removed from the old ones.
        let delay = if dice.random_range(0..3) == 0 {
            Duration::from_nanos(dice.random_range(0..A_SLOT * slots as u64))
        } else {
            UNTIL_IT_IS_PUBLISHED
        };
        let begin = Instant::now();
        loop {
            let participants = table.participants()?;
            let is_published = table.quick_stats()?.slots != slots;
            if is_published || begin.elapsed() > delay {
                let owner = participants
                    .iter()
                    .find(|participant| participant.locks > 0);
                return Ok(owner.map(|owner| owner.pid));
            }
        }
    }
}
