//! Telling that a thread reads records, in a table that gives memory back.
//!
//! A reader without a lock may follow a slot to a record whose memory is free by now. That is
//! harmless as long as the memory is there: what it read doesn't pass the check of the version. Only
//! a table that grows gives the memory of free chunks back to the machine
//! ([`arena::memory`](crate::arena)), and then a load of it may fail with a deadly signal. So
//! there a thread *announces* that it reads records:
//!
//! | reader | giver |
//! |---|---|
//! | makes its reading word odd | records unlinked, versions raised, chunk free (all before) |
//! | fence | fence |
//! | looks whether the bucket's version is still the same | waits until each odd reading word has changed |
//! | reads the record | gives the chunk's memory back |
//! | makes its word even again | |
//!
//! Of the two fences at least one comes after the other's stores: either the giver sees the odd
//! word, and waits, or the reader sees the raised version, and does not follow the slot. A word is
//! raised by one at both ends, so the giver sees that it has changed also if the thread reads again.
//!
//! The reader's fence is for the compiler only. That of the giver has the kernel make every thread
//! of the machine pass a fence ([`sys::fence_everywhere`](crate::sys)).
//!
//! # Words
//! A participant has a page of them, and a thread one line there, by its number. Threads without a
//! number of their own, where there are very many, count themselves in the last word.
//!
//! # Who can't store
//! A process that reads without a participant slot, as one with a read-only handle, holds a byte
//! with a shared lock instead, and nothing is given back for as long.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicU64 as LocalWord, AtomicUsize, Ordering as LocalOrdering};

use crate::layout::{PAGE, READING_THREADS, UNANNOUNCED_BYTE};
use crate::sync::{AtomicU64, Ordering};
use crate::sys::fork::{self, ForkCell};
use crate::sys::{self, Liveness, Mapping, process_crash_point};

/// From one thread's word to the next one's.
pub(crate) const STRIDE: usize = PAGE / (READING_THREADS + 1);

/// How the threads of a process announce themselves in a segment.
pub(crate) struct Announcer {
    /// The process that `at` is right for, as its fork generation plus one; 0: none.
    process: LocalWord,
    /// The position of the first reading word of the process; 0 if its threads need not announce
    /// themselves.
    at: AtomicUsize,
    /// Holds the byte of those that don't.
    silent: ForkCell<Liveness>,
}

/// A thread reads records, until this is dropped.
#[must_use]
pub(crate) enum Reading<'a> {
    /// Nothing is to be announced.
    Silent,
    Own {
        _word: OwnReading<'a>,
    },
    /// One of those that a word counts.
    Counted(&'a AtomicU64),
}

/// A thread reads records, and has a word of its own that says so until this is dropped.
#[must_use]
pub(crate) struct OwnReading<'a> {
    word: &'a AtomicU64,
    /// What the word becomes at the end.
    end: u64,
}

/// What a thread could announce at once.
pub(crate) enum Early<'a> {
    /// Nothing is to be announced.
    Silent,
    Own(OwnReading<'a>),
    /// Nothing was announced: that takes longer.
    NotYet,
}

impl Announcer {
    pub(crate) fn new() -> Self {
        Self {
            process: LocalWord::new(0),
            at: AtomicUsize::new(0),
            silent: ForkCell::new(),
        }
    }

    /// Whether it is known how the threads of this process announce themselves.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn is_ready(&self) -> bool {
        // Acquire: `at` was stored before.
        self.process.load(LocalOrdering::Acquire) == fork::generation() + 1
    }

    /// From now on the threads of this process use the words from `at` on; with 0 none.
    fn use_words(&self, at: usize) {
        self.at.store(at, LocalOrdering::Relaxed);
        self.process
            .store(fork::generation() + 1, LocalOrdering::Release);
    }

    /// The threads of this process announce themselves in these words, which its participant has
    /// for as long as the segment is in use here.
    pub(crate) fn announce_at(&self, at: usize) {
        if !self.is_ready() || self.at.load(LocalOrdering::Relaxed) != at {
            self.use_words(at);
        }
    }

    /// The process holds the byte of read-only handles: it need not announce anything.
    pub(crate) fn is_announced_by_handle(&self) {
        self.use_words(0);
    }

    /// The process has no words: it holds a byte for as long as the segment is in use here.
    pub(crate) fn stay_silent(&self, map: &Mapping) -> io::Result<()> {
        self.silent.get_or_try_init(|| -> io::Result<Liveness> {
            let liveness = map.liveness()?;
            // Nobody holds it alone.
            if liveness.try_share(UNANNOUNCED_BYTE)? {
                Ok(liveness)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        })?;
        self.use_words(0);
        Ok(())
    }

    /// Announces that this thread reads records. What it read of the segment before counts only if
    /// it is still there; `None` if this process can't announce itself yet.
    pub(crate) fn announce<'a>(&self, words: &'a [AtomicU64]) -> Option<Reading<'a>> {
        if !self.is_ready() {
            return None;
        }
        let number = thread_number();
        match self.announce_early(words) {
            Early::Silent => return Some(Reading::Silent),
            Early::Own(own) => return Some(Reading::Own { _word: own }),
            Early::NotYet => {}
        }
        let word = words.get(self.at.load(LocalOrdering::Relaxed) + number * STRIDE)?;
        if number < READING_THREADS {
            // It reads already: an odd word is no early answer.
            return Some(Reading::Silent);
        }
        word.fetch_add(1, Ordering::Relaxed);
        sys::fence_here();
        Some(Reading::Counted(word))
    }

    /// As [`announce`](Self::announce), for a thread that has a word of its own and doesn't read
    /// already, and for a process that has nothing to announce.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn announce_early<'a>(&self, words: &'a [AtomicU64]) -> Early<'a> {
        if !self.is_ready() {
            return Early::NotYet;
        }
        let at = self.at.load(LocalOrdering::Relaxed);
        if at == 0 {
            return Early::Silent;
        }
        let number = number_if_known();
        if number >= READING_THREADS {
            return Early::NotYet;
        }
        let Some(word) = words.get(at + number * STRIDE) else {
            return Early::NotYet;
        };
        let before = word.load(Ordering::Relaxed);
        if before & 1 == 1 {
            return Early::NotYet;
        }
        word.store(before + 1, Ordering::Relaxed);
        process_crash_point!("read: announced");
        sys::fence_here();
        Early::Own(OwnReading {
            word,
            end: before + 2,
        })
    }
}

impl Drop for OwnReading<'_> {
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn drop(&mut self) {
        // Release: who gives memory back comes after all that was read.
        self.word.store(self.end, Ordering::Release);
        process_crash_point!("read: ended");
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if let Self::Counted(word) = self {
            // Release, as above.
            word.fetch_sub(1, Ordering::Release);
        }
    }
}

/// What a thread's number is before it has one.
const NO_NUMBER: usize = usize::MAX;

#[cfg(not(loom))]
thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(NO_NUMBER) };
    static RETURNED_AT_END: ReturnedAtEnd = const { ReturnedAtEnd };
}

/// The number of this thread among those of its process: below [`READING_THREADS`] if no other
/// thread that lives has it. [`NO_NUMBER`] if it has none yet.
#[cfg(not(loom))]
#[inline(always)]
#[allow(clippy::inline_always)]
fn number_if_known() -> usize {
    NUMBER.get()
}

/// As [`number_if_known`], or a new one.
#[cfg(not(loom))]
fn thread_number() -> usize {
    match NUMBER.get() {
        NO_NUMBER => take_number(),
        number => number,
    }
}

/// In a model, by loom's number of the thread.
#[cfg(loom)]
fn thread_number() -> usize {
    let id = format!("{:?}", loom::thread::current().id());
    let digits: String = id.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(NO_NUMBER).min(READING_THREADS)
}

#[cfg(loom)]
fn number_if_known() -> usize {
    thread_number()
}

/// The numbers that threads have, a bit each. (A forked child keeps those of threads that it hasn't
/// got. When they are used up, its threads count themselves in one word.)
#[cfg(not(loom))]
static TAKEN: LocalWord = LocalWord::new(0);

#[cfg(not(loom))]
struct ReturnedAtEnd;

#[cfg(not(loom))]
impl Drop for ReturnedAtEnd {
    fn drop(&mut self) {
        // The thread may still read, as it drops other things.
        let number = NUMBER.replace(READING_THREADS);
        if number < READING_THREADS {
            TAKEN.fetch_and(!(1 << number), LocalOrdering::Relaxed);
        }
    }
}

#[cfg(not(loom))]
#[cold]
#[inline(never)]
fn take_number() -> usize {
    let first_free = |taken: u64| (!taken).trailing_zeros() as usize;
    let with_next = |taken: u64| {
        let number = first_free(taken);
        (number < READING_THREADS).then(|| taken | 1 << number)
    };
    // A thread that ends has no use for a number that nobody would return.
    let ends = RETURNED_AT_END.try_with(|_| ()).is_err();
    let taken = if ends {
        None
    } else {
        TAKEN
            .fetch_update(LocalOrdering::Relaxed, LocalOrdering::Relaxed, with_next)
            .ok()
    };
    let number = taken.map_or(READING_THREADS, first_free);
    NUMBER.set(number);
    number
}

#[cfg(all(test, not(loom)))]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    /// Numbers are the process's: one test takes them all.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    #[test]
    fn threads_have_different_numbers_and_return_them() {
        let _alone = ONE_AT_A_TIME.lock();
        let mine = thread_number();
        let other = std::thread::spawn(thread_number).join().unwrap();
        assert_ne!(mine, other);
        assert_eq!(mine, thread_number());
        let later = std::thread::spawn(thread_number).join().unwrap();
        assert!(later < READING_THREADS, "{later}");
    }

    #[test]
    fn more_threads_than_words_share_the_last_one() {
        let _alone = ONE_AT_A_TIME.lock();
        let barrier = std::sync::Barrier::new(READING_THREADS + 1);
        let numbers: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..=READING_THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        let number = thread_number();
                        barrier.wait();
                        number
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let mut own: Vec<usize> = numbers
            .iter()
            .copied()
            .filter(|number| *number < READING_THREADS)
            .collect();
        assert!(own.len() < numbers.len());
        let count = own.len();
        own.sort_unstable();
        own.dedup();
        assert_eq!(own.len(), count);
    }

    #[test]
    fn a_word_is_odd_while_its_thread_reads() {
        let _alone = ONE_AT_A_TIME.lock();
        let words: Vec<AtomicU64> = (0..2 * PAGE).map(|_| AtomicU64::new(0)).collect();
        let announcer = Announcer::new();
        assert!(announcer.announce(&words).is_none());
        announcer.announce_at(PAGE);
        let sum = || -> u64 { words.iter().map(|word| word.load(Ordering::Relaxed)).sum() };
        let outer = announcer.announce(&words);
        assert_eq!(sum(), 1);
        // Inside another one nothing changes.
        drop(announcer.announce(&words));
        assert_eq!(sum(), 1);
        drop(outer);
        assert_eq!(sum(), 2);
        drop(announcer.announce(&words));
        assert_eq!(sum(), 4);
    }
}
