//! Who is attached, and who is dead.
//!
//! A participant is one handle in one process that may write. It claims a slot
//! by holding the slot's liveness byte, which the kernel lets go of when the
//! process dies, and by raising the slot's generation, which tells it from all
//! who had the slot before.
//!
//! Slot state word:
//!
//! | bits     | meaning                                                  |
//! |----------|----------------------------------------------------------|
//! | 0        | attached: cleared by an orderly detach, left by a death  |
//! | 32 to 63 | generation of the present or the last owner              |
//!
//! Only the holder of the slot's liveness byte writes the slot.
//!
//! An owner `(slot, generation)` is dead if the slot has another generation, or
//! if nobody holds its byte: it held the byte from before its generation was
//! written to its end. A byte that a newcomer holds who has not written its
//! generation yet makes the dead owner look alive for that moment, which only
//! delays a take-over.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::geometry::Geometry;
use crate::layout::{
    HEADER_TAKE_OVERS, PARTICIPANT_PID, PARTICIPANT_SINCE, PARTICIPANT_STATE, WORD,
};
use crate::sync::{AtomicU64, Ordering, crash_point, process_crash_point};
use crate::sys::{self, Liveness, Mapping};

/// Bit of a slot's state word.
pub(crate) const ATTACHED: u64 = 1;
const GENERATION_SHIFT: u32 = 32;

/// Names a participant for good: slots are used again, generations are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnerId {
    pub(crate) slot: usize,
    pub(crate) generation: u32,
}

/// Bits of a word that hold an [`OwnerId`]: the slot's number plus one in the
/// low 16, the generation in the high 32.
pub(crate) const OWNER_BITS: u64 = 0xffff_ffff_0000_ffff;

impl OwnerId {
    /// The owner as bits of a lock or state word; never zero.
    pub(crate) fn to_bits(self) -> u64 {
        (self.slot as u64 + 1) | u64::from(self.generation) << GENERATION_SHIFT
    }

    /// The owner named in a word, if any.
    pub(crate) fn from_bits(word: u64) -> Option<Self> {
        let slot = (word & 0xffff).checked_sub(1)?;
        Some(Self {
            slot: slot as usize,
            generation: (word >> GENERATION_SHIFT) as u32,
        })
    }
}

/// This process's claim to a slot.
pub(crate) struct Participant {
    id: OwnerId,
    /// The same as bits, for every lock that is taken.
    bits: u64,
    liveness: Liveness,
    /// The process that made the claim; a forked child must not act on it.
    fork_generation: u64,
}

impl Participant {
    /// Claims the first free slot.
    ///
    /// Costs one system call for each slot that is tried.
    pub(crate) fn attach(map: &Mapping, geometry: &Geometry) -> Result<Self> {
        let fork_generation = sys::fork::generation();
        let system = |source| Error::system("claim a participant slot", source);
        let liveness = map.liveness().map_err(system)?;
        for slot in 0..geometry.participants {
            if !liveness.try_hold(byte(geometry, slot)).map_err(system)? {
                continue;
            }
            crash_point!("attach: byte held");
            let at = geometry.participant(slot);
            let words = map.words();
            let state = &words[at + PARTICIPANT_STATE];
            let generation =
                ((state.load(Ordering::Relaxed) >> GENERATION_SHIFT) as u32).wrapping_add(1);
            words[at + PARTICIPANT_PID].store(u64::from(std::process::id()), Ordering::Relaxed);
            process_crash_point!("attach: process written");
            words[at + PARTICIPANT_SINCE].store(now(), Ordering::Relaxed);
            crash_point!("attach: described");
            // Release, for whoever learns of this generation from the slot.
            state.store(
                u64::from(generation) << GENERATION_SHIFT | ATTACHED,
                Ordering::Release,
            );
            crash_point!("attach: generation written");
            let id = OwnerId { slot, generation };
            return Ok(Self {
                id,
                bits: id.to_bits(),
                liveness,
                fork_generation,
            });
        }
        Err(Error::TooManyParticipants {
            limit: geometry.participants,
        })
    }

    /// What shows that it lives, and holds its claims.
    pub(crate) fn liveness(&self) -> &Liveness {
        &self.liveness
    }

    pub(crate) fn id(&self) -> OwnerId {
        self.id
    }

    /// Its id as the bits of a lock word.
    #[inline]
    pub(crate) fn bits(&self) -> u64 {
        self.bits
    }

    /// What its slot's state word says while it is attached.
    pub(crate) fn state(&self) -> u64 {
        u64::from(self.id.generation) << GENERATION_SHIFT | ATTACHED
    }

    /// Whether this process made the claim, and did not inherit it by a fork. In
    /// a model, also whether it lives.
    pub(crate) fn is_ours(&self) -> bool {
        #[cfg(loom)]
        if self.liveness.is_dead() {
            return false;
        }
        self.fork_generation == sys::fork::generation()
    }

    /// What ends this process in a model.
    #[cfg(loom)]
    pub(crate) fn killer(&self) -> sys::Killer {
        self.liveness.killer()
    }

    /// Whether `owner` may still act. Costs a system call unless the slot tells.
    pub(crate) fn is_alive(
        &self,
        words: &[AtomicU64],
        geometry: &Geometry,
        owner: OwnerId,
    ) -> bool {
        if owner == self.id {
            return true;
        }
        if owner.slot >= geometry.participants {
            // Nobody can be this owner: the word is damaged.
            return false;
        }
        let state =
            words[geometry.participant(owner.slot) + PARTICIPANT_STATE].load(Ordering::Acquire);
        (state >> GENERATION_SHIFT) as u32 == owner.generation
            && self.sees_holder(geometry, owner.slot)
    }

    /// Whether anybody else holds the byte of this slot.
    pub(crate) fn sees_holder(&self, geometry: &Geometry, slot: usize) -> bool {
        self.liveness.is_held_by_others(byte(geometry, slot))
    }

    /// Counts a take-over from a dead owner, for the statistics.
    pub(crate) fn count_take_over(words: &[AtomicU64]) {
        words[HEADER_TAKE_OVERS].fetch_add(1, Ordering::Relaxed);
        process_crash_point!("take over: counted");
    }

    /// Gives the slot back in good order; the liveness byte goes with `self`.
    pub(crate) fn detach(&self, words: &[AtomicU64], geometry: &Geometry) {
        words[geometry.participant(self.id.slot) + PARTICIPANT_STATE].store(
            u64::from(self.id.generation) << GENERATION_SHIFT,
            Ordering::Release,
        );
        crash_point!("detach: marked");
    }
}

/// The generation in a slot's state word.
pub(crate) fn generation(state: u64) -> u32 {
    (state >> GENERATION_SHIFT) as u32
}

/// A slot's state word with nothing in it that no participant stores.
pub(crate) fn without_stray_bits(state: u64) -> u64 {
    state >> GENERATION_SHIFT << GENERATION_SHIFT | state & ATTACHED
}

/// The byte whose lock shows that a slot's owner lives.
pub(crate) fn byte(geometry: &Geometry, slot: usize) -> u64 {
    (geometry.participant(slot) * WORD) as u64
}

/// Nanoseconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    if cfg!(loom) {
        return 0;
    }
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}
