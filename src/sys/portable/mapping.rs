//! A mapped segment: making, opening and unlinking one.

use std::io;
use std::ops::Range;
use std::time::Duration;

use super::companion::{Companion, Directory, SegmentId};
use super::memory::{self, Memory};
use super::os::{self, LockFile};
use super::{Liveness, check_name};
use crate::sync::{AtomicU64, Ordering};
use crate::sys::process_crash_point;
use crate::sys::{Access, Owner, TooShort, bytes_of};

/// The size of a header in bytes: no segment is shorter.
const MIN_BYTES: usize = 4096;

/// One mapped segment; see the contract in [`crate::sys`].
///
/// The words of a mapping made with [`Access::ReadOnly`] may only be loaded: the processor
/// refuses a store.
///
/// The fields are dropped in this order.
pub(crate) struct Mapping {
    memory: Memory,
    /// Memory behind the segment's, for sleepers.
    bells: os::Bells,
    access: Access,
    in_use: LockFile,
    guard: CompanionGuard,
}

/// The location of a segment's companion. Dropped last, it removes a segment that no longer
/// has a name or users.
struct CompanionGuard {
    directory: Directory,
    companion: Companion,
}

impl Drop for CompanionGuard {
    fn drop(&mut self) {
        self.directory.collect(self.companion.id);
    }
}

impl Mapping {
    /// Makes the segment `name` of `words` zero words, filled by `fill`.
    pub(crate) fn create<E: From<io::Error>>(
        name: &str,
        words: usize,
        mode: u32,
        fill: impl FnMut(&Mapping) -> Result<(), E>,
    ) -> Result<Mapping, E> {
        Self::make(name, words, mode, false, fill)
    }

    /// Makes the segment `name`, like `create`. If another segment has the name, that one
    /// loses it.
    pub(crate) fn replace<E: From<io::Error>>(
        name: &str,
        words: usize,
        mode: u32,
        fill: impl FnMut(&Mapping) -> Result<(), E>,
    ) -> Result<Mapping, E> {
        Self::make(name, words, mode, true, fill)
    }

    fn make<E: From<io::Error>>(
        name: &str,
        words: usize,
        mode: u32,
        replaces: bool,
        mut fill: impl FnMut(&Mapping) -> Result<(), E>,
    ) -> Result<Mapping, E> {
        check_name(name)?;
        let bytes = bytes_of(words)?;
        let directory = Directory::open()?;
        directory.sweep();
        // The publication decides; this only avoids work that would be thrown away.
        if directory.is_taken(name)? && !replaces {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists).into());
        }
        let mut mapping = Self::begin(&directory, name, bytes, mode & 0o777)?;
        fill(&mapping)?;
        // Last, so that a mode without the owner's own bits doesn't affect `fill`.
        mapping.in_use.set_mode(mode & 0o777)?;
        process_crash_point!("create: complete, without a name");
        if replaces {
            directory.replace(&mapping.guard.companion)?;
        } else {
            directory.publish(&mapping.guard.companion)?;
        }
        process_crash_point!("create: named");
        mapping.memory.keep();
        Ok(mapping)
    }

    /// Makes a new segment without a name, which is removed when it is dropped.
    fn begin(directory: &Directory, name: &str, bytes: usize, mode: u32) -> io::Result<Self> {
        for _ in 0..100 {
            let guard = CompanionGuard {
                directory: directory.clone(),
                companion: Companion {
                    id: SegmentId::random()?,
                    bytes,
                    mode,
                    name: name.to_owned(),
                },
            };
            // The companion first: memory without one would never be removed.
            let in_use = match directory.begin(&guard.companion) {
                Err(error) if is_lost_race(&error) => continue,
                in_use => in_use?,
            };
            // On failure `in_use` is dropped before `guard`, which then removes the file.
            let mut memory = match Memory::create(guard.companion.id, bytes) {
                Err(error) if is_lost_race(&error) => continue,
                memory => memory?,
            };
            let bells = os::Bells::of(&memory, bytes);
            memory.shorten(bytes / size_of::<u64>());
            return Ok(Self {
                memory,
                bells,
                access: Access::ReadWrite,
                in_use,
                guard,
            });
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Maps the segment `name` if `admit` accepts its owner.
    pub(crate) fn open<E: From<io::Error>>(
        name: &str,
        access: Access,
        mut admit: impl FnMut(Owner) -> Result<(), E>,
    ) -> Result<Mapping, E> {
        check_name(name)?;
        let directory = Directory::open()?;
        let (in_use, companion, mut memory) = loop {
            let (in_use, companion) = directory.enter(name, access)?;
            admit(in_use.owner(companion.mode)?)?;
            match Memory::open(companion.id, companion.bytes) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if memory::exists(companion.id)? {
                        // On Windows `shared_memory` says so of everything that it can't open.
                        let what = "the memory of the table cannot be opened for writing";
                        return Err(io::Error::other(what).into());
                    }
                    drop(in_use);
                    match directory.find(name) {
                        // The machine has been restarted since.
                        Ok(now) if now == companion => {
                            let _ = directory.take_away(name, &companion);
                        }
                        // It was just replaced.
                        Ok(_) => continue,
                        // It was just unlinked.
                        Err(_) => {}
                    }
                    return Err(error.into());
                }
                // An object without a length can't be mapped.
                Err(error) if os::is_of_no_length(&error) => {
                    return Err(io::Error::from(TooShort(0)).into());
                }
                memory => break (in_use, companion, memory?),
            }
        };
        let bells = os::Bells::of(&memory, companion.bytes);
        memory.shorten(companion.bytes / size_of::<u64>());
        let bytes = size_of_val(memory.words());
        if bytes < MIN_BYTES {
            return Err(io::Error::from(TooShort(bytes as u64)).into());
        }
        if access == Access::ReadOnly {
            memory.protect()?;
        }
        Ok(Self {
            memory,
            bells,
            access,
            in_use,
            guard: CompanionGuard {
                directory,
                companion,
            },
        })
    }

    #[cfg(test)]
    pub(super) fn companion(&self) -> &Companion {
        &self.guard.companion
    }

    /// The segment.
    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        self.memory.words()
    }

    /// Copies bytes of the segment; beyond its end they are zero.
    #[allow(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub(crate) fn copy_bytes(&self, offset: usize, out: &mut [u8]) -> io::Result<()> {
        const WORD: usize = size_of::<u64>();
        let words = self.words().get(offset / WORD..).unwrap_or_default();
        let mut words = words.iter().map(|word| word.load(Ordering::Relaxed));
        // From the middle of a word on, up to the middle of one.
        let (first, rest) = out.split_at_mut(out.len().min(offset.wrapping_neg() % WORD));
        if !first.is_empty() {
            let word = words.next().unwrap_or(0).to_le_bytes();
            let from = offset % WORD;
            first.copy_from_slice(&word[from..from + first.len()]);
        }
        for part in rest.chunks_mut(WORD) {
            let word = words.next().unwrap_or(0).to_le_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
        Ok(())
    }

    /// Returns `at`: the system doesn't tell which bytes have pages.
    #[allow(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "elsewhere it can"
    )]
    pub(crate) fn next_present(&self, offset: usize) -> io::Result<Option<usize>> {
        Ok(Some(offset))
    }

    /// The length of the segment: the system doesn't tell which bytes have pages.
    #[allow(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub(crate) fn bytes_present(&self) -> io::Result<u64> {
        Ok(size_of_val(self.words()) as u64)
    }

    /// Leaves pages as they are: see `linux`.
    #[allow(clippy::unused_self, reason = "elsewhere it does something")]
    pub(crate) fn make_huge_later(&self, _words: Range<usize>) {}

    /// Leaves pages as they are: see `linux`.
    #[allow(clippy::unused_self, reason = "elsewhere it does something")]
    pub(crate) fn populate_huge_later(&self, _words: Range<usize>) {}

    /// Fails: a segment keeps its memory here.
    #[allow(clippy::unused_self, reason = "elsewhere it does something")]
    pub(crate) fn give_back(&self, _words: Range<usize>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes the pages of these words present.
    pub(crate) fn populate(&self, words: Range<usize>) -> io::Result<()> {
        if self.access == Access::ReadOnly {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        os::populate(self.words(), words)
    }

    /// Sleeps while the low half of the word equals `low_half`, until woken or
    /// timed out; may return early for no reason.
    pub(crate) fn sleep(&self, at: usize, low_half: u32, timeout: Duration) {
        let Some(slept_on) = self.words().get(at) else {
            return;
        };
        match self.access {
            // A reader can't announce that it sleeps.
            Access::ReadOnly => super::poll(slept_on, low_half, timeout),
            Access::ReadWrite => self.bells.sleep(&self.memory, at, low_half, timeout),
        }
    }

    /// Wakes one sleeper on the word, or more.
    pub(crate) fn wake_one(&self, at: usize) {
        self.wake_all(at);
    }

    /// Wakes all sleepers on the word.
    pub(crate) fn wake_all(&self, at: usize) {
        if self.access == Access::ReadWrite && at < self.words().len() {
            self.bells.ring(&self.memory, at);
        }
    }

    /// The segment's owner now.
    pub(crate) fn owner(&self) -> io::Result<Owner> {
        self.in_use.owner(self.guard.companion.mode)
    }

    /// A new `Liveness` of this segment.
    pub(crate) fn liveness(&self) -> io::Result<Liveness> {
        let CompanionGuard {
            directory,
            companion,
        } = &self.guard;
        // More than once: the companion may be moved during the search.
        for _ in 0..10 {
            for path in directory.places(companion) {
                match Liveness::open(&path, self.access, &self.in_use, companion) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    liveness => return liveness,
                }
            }
            // A process that replaced the table may be half-way through, or have died there.
            directory.sweep();
        }
        Err(io::Error::other(
            "the companion file of the segment is gone: something else removed it",
        ))
    }

    /// Calls `act` while the segment isn't open anywhere else. A forked child of this
    /// process that goes on with what it inherited doesn't count.
    pub(crate) fn while_alone<R>(&self, act: impl FnOnce() -> R) -> io::Result<Option<R>> {
        Directory::while_alone(&self.in_use, act)
    }

    /// Whether the name names this segment now.
    pub(crate) fn has_name(&self, name: &str) -> io::Result<bool> {
        check_name(name)?;
        match self.guard.directory.find(name) {
            Ok(found) => Ok(found == self.guard.companion),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The segment's owner now, if the name names it and the descriptor is still open.
    pub(crate) fn owner_if_named(&self, name: &str) -> io::Result<Option<Owner>> {
        let named = self.has_name(name)?;
        Ok(self.owner().ok().filter(|_| named))
    }

    /// Removes the name if it still names this segment, and returns whether it did.
    ///
    /// If another segment takes the name between the check and the removal, that segment
    /// loses the name.
    pub(crate) fn unlink_if_same(&self, name: &str) -> io::Result<bool> {
        if !self.has_name(name)? {
            return Ok(false);
        }
        let CompanionGuard {
            directory,
            companion,
        } = &self.guard;
        match directory.take_away(name, companion) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether another process had the same random number, or swept the file away before it
/// was in use.
fn is_lost_race(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::Interrupted
    )
}
