//! Participants: the handles that may write, and how others learn that one has died.
//!
//! A participant is one handle in one process that may write. It claims a slot
//! by holding the slot's liveness byte, which the kernel releases when the
//! process dies, and by raising the slot's generation, which tells it from all
//! earlier participants in that slot.
//!
//! Slot state word:
//!
//! | bits     | meaning                                                  |
//! |----------|----------------------------------------------------------|
//! | 0        | attached: cleared by an orderly detach, left by a death  |
//! | 1        | given up: set by another participant that takes it for dead |
//! | 32 to 63 | generation of the present or the last owner              |
//!
//! Only the holder of the slot's liveness byte writes the slot, but for the bit "given up".
//!
//! An owner `(slot, generation)` is dead if the slot has another generation, or
//! if no process holds its byte: the owner held the byte from before its generation was
//! written until its end. While a newcomer holds the byte and has not written its generation
//! yet, the dead owner looks alive, which only delays a take-over.
//!
//! # Owners that look dead and are not
//! The kernel releases a byte with the last descriptor, and other code in the owner's process
//! may have closed that. Such an owner would go on writing to what others took over. So:
//! - A participant that is about to take something from a dead owner sets "given up" in the
//!   owner's slot first. If the owner's process may still exist ([`sys::process_exists`]), it
//!   acts no sooner than [`GRACE`] after that.
//! - Before a write stores anything, and whenever it takes another lock, it reads its own
//!   slot's state. If that has changed, it checks its descriptor, and fails if that is closed
//!   ([`Attachment::look`]).
//! - A newcomer takes no slot of an owner that did not detach while that owner's process may
//!   exist, unless there is no other. It gives up the owners that look dead and whose slots it
//!   passes over.
//!
//! So an owner that was given up stores nothing into what others took over, unless it is
//! stopped for longer than the grace between that read and the store, in the very write during
//! which it is given up.

use std::sync::atomic::{AtomicU64 as LocalWord, Ordering as LocalOrdering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::layout::{
    HEADER_TAKE_OVERS, PARTICIPANT_PID, PARTICIPANT_SINCE, PARTICIPANT_STATE, WORD,
};
use crate::segment::geometry::Geometry;
use crate::segment::no_memory;
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::sys::{self, Liveness, Mapping};
use crate::sys::{crash_point, process_crash_point};

/// Bit of a slot's state word.
pub(crate) const ATTACHED: u64 = 1;
/// Bit of a slot's state word that other participants set: the owner is given up.
const GIVEN_UP: u64 = 2;
const GENERATION_SHIFT: u32 = 32;

/// How long an owner that looks dead, and whose process may exist, has to notice.
const GRACE: Duration = Duration::from_millis(50);
/// A state that no slot has.
const NO_STATE: u64 = u64::MAX;
/// More forks than there ever are.
const NO_PROCESS: u64 = u64::MAX;
/// Owners in their grace that are remembered.
const MOST_SUSPECTS: usize = 64;

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

    /// What its slot's state word says while it is attached.
    fn state(self) -> u64 {
        u64::from(self.generation) << GENERATION_SHIFT | ATTACHED
    }

    /// The last owner of a slot with this state.
    pub(crate) fn of(slot: usize, state: u64) -> Self {
        Self {
            slot,
            generation: generation(state),
        }
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
pub(crate) struct Attachment {
    id: OwnerId,
    /// The same as bits, for every lock that is taken.
    bits: u64,
    liveness: Liveness,
    /// The process that made the claim, which a forked child must not act on, or
    /// [`NO_PROCESS`] if its descriptor was closed.
    fork_generation: LocalWord,
    /// What the slot's state was when the descriptor was last looked at, or [`NO_STATE`] if
    /// that was closed.
    expected: LocalWord,
    /// Owners that this one gave up, and when.
    suspects: Mutex<Vec<(OwnerId, Instant)>>,
}

impl Attachment {
    /// Claims the first free slot.
    ///
    /// Costs one system call for each slot that is tried, and in a table that grows one more.
    pub(crate) fn attach(map: &Mapping, geometry: &Geometry) -> Result<Self> {
        let fork_generation = sys::fork::generation();
        let system = |source| Error::system("claim a participant slot", source);
        let liveness = map.liveness().map_err(system)?;
        let words = map.words();
        // First the slots whose last owner can't exist any more, then any.
        let is_left = |slot: &usize| {
            let (slot, at) = (*slot, geometry.participant(*slot));
            // Models have no descriptors to close.
            if cfg!(loom) || !may_be_there(words, at) {
                return true;
            }
            if !liveness.is_held_by_others(byte(geometry, slot)) {
                let state = words[at + PARTICIPANT_STATE].load(Ordering::Relaxed);
                give_up(words, geometry, OwnerId::of(slot, state));
            }
            false
        };
        let all = 0..geometry.participants;
        for slot in all.clone().filter(is_left).chain(all) {
            if !liveness.try_hold(byte(geometry, slot)).map_err(system)? {
                continue;
            }
            crash_point!("attach: byte held");
            if geometry.grows() {
                let reading = geometry.reading(slot);
                let asked = reading.len() * WORD;
                map.populate(reading.clone())
                    .map_err(|source| no_memory(source, asked))?;
                crash_point!("attach: reading words present");
                // A thread that died may have left one odd.
                for word in &words[reading] {
                    if word.load(Ordering::Relaxed) != 0 {
                        word.store(0, Ordering::Relaxed);
                        process_crash_point!("attach: reading word cleared");
                    }
                }
            }
            let at = geometry.participant(slot);
            let state = &words[at + PARTICIPANT_STATE];
            let generation =
                ((state.load(Ordering::Relaxed) >> GENERATION_SHIFT) as u32).wrapping_add(1);
            words[at + PARTICIPANT_PID].store(u64::from(std::process::id()), Ordering::Relaxed);
            process_crash_point!("attach: process written");
            words[at + PARTICIPANT_SINCE].store(now(), Ordering::Relaxed);
            crash_point!("attach: described");
            // Release, for those who learn of this generation from the slot.
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
                fork_generation: LocalWord::new(fork_generation),
                expected: LocalWord::new(id.state()),
                suspects: Mutex::new(Vec::new()),
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
        self.id.state()
    }

    /// What it says unless another participant has taken this one for dead.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn expected_state(&self) -> u64 {
        self.expected.load(LocalOrdering::Relaxed)
    }

    /// Fails with `DescriptorClosed`, now and ever after, if others can take the participant for dead.
    /// Its slot's state was `state` just before. Costs a system call.
    pub(crate) fn look(&self, state: u64) -> Result<()> {
        let closed = self.expected_state() == NO_STATE || !self.liveness.is_open();
        let expected = if closed { NO_STATE } else { state };
        self.expected.store(expected, LocalOrdering::Relaxed);
        if closed {
            // What it holds is for others to recover, as after a death.
            self.fork_generation
                .store(NO_PROCESS, LocalOrdering::Relaxed);
            return Err(Error::DescriptorClosed {});
        }
        Ok(())
    }

    /// Whether it holds its slot, as far as it is not known that it does not.
    pub(crate) fn holds_its_slot(&self) -> bool {
        self.look(self.expected_state()).is_ok()
    }

    /// Whether something may be taken over from `owner`, which looks dead. If its process may
    /// exist, not before it has had time to notice.
    pub(crate) fn may_take_over(
        &self,
        words: &[AtomicU64],
        geometry: &Geometry,
        owner: OwnerId,
    ) -> bool {
        let mut suspects = self.suspects.lock();
        if let Some((_, since)) = suspects.iter().find(|(suspect, _)| *suspect == owner) {
            return since.elapsed() >= GRACE;
        }
        if !give_up(words, geometry, owner) {
            return true;
        }
        if suspects.len() >= MOST_SUSPECTS {
            suspects.retain(|(_, since)| since.elapsed() < GRACE);
        }
        suspects.push((owner, Instant::now()));
        false
    }

    /// Whether this process made the claim, did not inherit it by a fork, and does not know
    /// that its descriptor was closed. In a model, also whether it lives.
    pub(crate) fn is_ours(&self) -> bool {
        #[cfg(loom)]
        if self.liveness.is_dead() {
            return false;
        }
        self.fork_generation.load(LocalOrdering::Relaxed) == sys::fork::generation()
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
            // No participant can be this owner: the word is damaged.
            return false;
        }
        let state =
            words[geometry.participant(owner.slot) + PARTICIPANT_STATE].load(Ordering::Acquire);
        (state >> GENERATION_SHIFT) as u32 == owner.generation
            && self.sees_holder(geometry, owner.slot)
    }

    /// Whether threads of `owner` may still read: also if it lost its byte, as long as its process
    /// may exist. Costs a system call or two.
    pub(crate) fn may_read(
        &self,
        words: &[AtomicU64],
        geometry: &Geometry,
        owner: OwnerId,
    ) -> bool {
        let at = geometry.participant(owner.slot);
        self.is_alive(words, geometry, owner) || !cfg!(loom) && may_be_there(words, at)
    }

    /// Whether another process or handle holds the byte of this slot.
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

/// Tells an owner that looks dead that it was given up. Returns whether its process may exist.
fn give_up(words: &[AtomicU64], geometry: &Geometry, owner: OwnerId) -> bool {
    if owner.slot >= geometry.participants {
        return false;
    }
    let at = geometry.participant(owner.slot);
    let (attached, state) = (owner.state(), &words[at + PARTICIPANT_STATE]);
    if without_given_up(state.load(Ordering::Relaxed)) != attached {
        return false;
    }
    let there = may_be_there(words, at);
    // If it changed, the slot has another owner, or another participant was faster. Relaxed: the bit
    // tells of nothing else that was stored, `GRACE` is for the owner to see it, and the
    // exchange that takes something over releases it.
    let _ = state.compare_exchange(
        attached,
        attached | GIVEN_UP,
        Ordering::Relaxed,
        Ordering::Relaxed,
    );
    crash_point!("take over: owner given up");
    there
}

/// Whether the process that was last attached in the slot at `at`, and did not detach, may
/// still exist.
fn may_be_there(words: &[AtomicU64], at: usize) -> bool {
    words[at + PARTICIPANT_STATE].load(Ordering::Relaxed) & ATTACHED != 0
        && u32::try_from(words[at + PARTICIPANT_PID].load(Ordering::Relaxed))
            .is_ok_and(sys::process_exists)
}

fn without_given_up(state: u64) -> u64 {
    state & !GIVEN_UP
}

/// The generation in a slot's state word.
pub(crate) fn generation(state: u64) -> u32 {
    (state >> GENERATION_SHIFT) as u32
}

/// A slot's state word with nothing in it that no participant stores.
pub(crate) fn without_stray_bits(state: u64) -> u64 {
    state >> GENERATION_SHIFT << GENERATION_SHIFT | state & (ATTACHED | GIVEN_UP)
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
