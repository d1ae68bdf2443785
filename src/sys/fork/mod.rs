//! State that a forked child must not share with its parent.
//!
//! A child inherits copies of all memory and descriptors, but only one thread.
//! The work of the parent's other threads stays half done in the copy (a mutex that
//! one of them held stays locked forever), and a descriptor that holds the
//! parent's liveness bytes would keep the parent "alive" after its death. So:
//!
//! - [`generation`] tells a process from its ancestors,
//! - [`ForkCell`] gives each of them a value of its own,
//! - [`Descriptor`](descriptors::Descriptor) is closed in a child before
//!   `fork` returns there.
//!
//! All three depend on `pthread_atfork`: a child made by the bare system call
//! (`clone(2)`, glibc's `_Fork`) must not use what it inherited from this crate.
//! `posix_spawn`, and `vfork` with `exec`, are fine: the descriptors close on `exec`.
//!
//! # Orderings
//!
//! `GENERATION` changes only in a child that still has one thread, so its loads
//! are relaxed: all later threads of the child start after the change.
//! `ForkCell::head` is stored with release and loaded with acquire, so a thread that
//! finds a node also sees its content.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

#[cfg(all(unix, not(loom)))]
pub(crate) mod descriptors;

#[cfg(all(unix, not(loom)))]
mod watch {
    use std::io;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::time::Duration;

    use super::descriptors;

    /// The number of forks between the first process and this one.
    static GENERATION: AtomicU64 = AtomicU64::new(0);
    /// Whether the handlers below are registered.
    static WATCHING: AtomicBool = AtomicBool::new(false);
    /// The number of forks of this process that have begun, failed ones too; `ENDED` counts
    /// those that have ended. They differ while a fork is under way in some thread.
    static BEGUN: AtomicU64 = AtomicU64::new(0);
    static ENDED: AtomicU64 = AtomicU64::new(0);
    /// The number of threads inside [`between_forks`]. A child inherits the count, but not
    /// the counted threads. They would delay each later fork of its own, so the child
    /// starts from zero.
    static BUSY: AtomicU64 = AtomicU64::new(0);

    pub(crate) fn generation() -> u64 {
        GENERATION.load(Ordering::Relaxed)
    }

    /// Runs `attempt` until no fork was under way at any moment of it, from
    /// before its start to after its end. The result of an attempt during which there was a
    /// fork is dropped here, but not in the child.
    ///
    /// New forks wait for the attempt, but only for a few milliseconds, so that a fork
    /// from inside it (in a signal handler) can't block itself. The wait only keeps a
    /// process that forks all the time from starving the attempt; the counters decide.
    ///
    /// `attempt` must end with a sequentially consistent fence: a fork counts
    /// itself and then copies the memory; we write memory and then check for
    /// forks. So at least one of the two sees the other.
    pub(crate) fn between_forks<R>(attempt: impl Fn() -> io::Result<R>) -> io::Result<R> {
        struct Busy;
        impl Drop for Busy {
            fn drop(&mut self) {
                // Not below zero: a signal handler may have forked inside.
                let _ = BUSY.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |busy| {
                    busy.checked_sub(1)
                });
            }
        }
        start()?;
        BUSY.fetch_add(1, Ordering::SeqCst);
        let _busy = Busy;
        for _ in 0..100 {
            patiently(|| BEGUN.load(Ordering::SeqCst) == ENDED.load(Ordering::SeqCst));
            let ended = ENDED.load(Ordering::SeqCst);
            let result = attempt()?;
            if BEGUN.load(Ordering::SeqCst) == ended {
                return Ok(result);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::WouldBlock,
            "this process forks without a pause",
        ))
    }

    /// Waits until `done`, for a few milliseconds at most.
    fn patiently(done: impl Fn() -> bool) {
        for _ in 0..100 {
            if done() {
                return;
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    extern "C" fn before() {
        patiently(|| BUSY.load(Ordering::SeqCst) == 0);
        BEGUN.fetch_add(1, Ordering::SeqCst);
    }

    extern "C" fn in_parent() {
        ENDED.fetch_add(1, Ordering::SeqCst);
    }

    extern "C" fn in_child() {
        // This is the child's only thread, and it may do only what is allowed
        // in a signal handler: nothing here allocates or locks.
        GENERATION.fetch_add(1, Ordering::Relaxed);
        ENDED.store(BEGUN.load(Ordering::Relaxed), Ordering::Relaxed);
        BUSY.store(0, Ordering::Relaxed);
        descriptors::close_inherited();
    }

    /// Registers the fork handlers, once.
    ///
    /// It takes no lock: a child forked while another thread held that lock would wait
    /// forever. Two threads that are here at once may both register the handlers;
    /// then a fork adds two to the generation, and nothing else changes.
    pub(crate) fn start() -> io::Result<()> {
        if WATCHING.load(Ordering::Acquire) {
            return Ok(());
        }
        // SAFETY: the three are functions without arguments and results. They exist as
        // long as the program (the C library drops them when it unloads the shared object
        // that they are in). The child's handler does only what is async-signal-safe: atomic
        // accesses, fstat and close.
        let status = unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
        if status != 0 {
            return Err(io::Error::from_raw_os_error(status));
        }
        WATCHING.store(true, Ordering::Release);
        Ok(())
    }
}

#[cfg(not(all(unix, not(loom))))]
mod watch {
    use std::io;

    pub(crate) fn generation() -> u64 {
        0
    }

    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn start() -> io::Result<()> {
        Ok(())
    }
}

/// The fork generation of this process: zero in the first process, and more in each forked
/// child than in its parent. It counts from the first [`ForkCell`] or descriptor on;
/// earlier forks don't matter.
#[inline]
pub(crate) fn generation() -> u64 {
    watch::generation()
}

/// As [`generation`], and counts from the first call on, too.
#[inline]
#[cfg(not(loom))]
pub(crate) fn watched_generation() -> u64 {
    // If there is no memory for the handlers, opening a table says so.
    let _ = watch::start();
    watch::generation()
}

/// A value that each process makes for itself: a forked child doesn't see its parent's.
///
/// ```text
/// head -> [generation 2 | value] -> [generation 1 | value] -> [generation 0 | value]
///         this process              its parent's, untouched   its grandparent's
/// ```
///
/// There is at most one node for each generation, the newest first, so only the head can
/// be this process's. Nodes are freed when the cell is dropped and never
/// before, so references into them live as long as the cell is borrowed.
/// Values of ancestors are never read, locked or dropped: another thread may
/// have been changing them at the fork, and dropping them would release what
/// belongs to the parent.
pub(crate) struct ForkCell<T> {
    head: AtomicPtr<Node<T>>,
    /// Makes the cell neither `Send` nor `Sync`, except by the two impls below.
    values: PhantomData<*mut T>,
}

struct Node<T> {
    generation: u64,
    value: ManuallyDrop<T>,
    next: *mut Node<T>,
}

// SAFETY: the cell owns its values. Moving it to another thread moves them (its drop
// drops them there), which `T: Send` allows.
unsafe impl<T: Send> Send for ForkCell<T> {}

// SAFETY: a shared cell hands out `&T` to any thread, which `T: Sync` allows,
// and takes values from any thread, which another thread may drop, as
// `T: Send` allows. `head` is atomic, and the other fields of a published node
// don't change.
unsafe impl<T: Send + Sync> Sync for ForkCell<T> {}

impl<T> ForkCell<T> {
    pub(crate) fn new() -> Self {
        // If there is no memory for the handlers, `get_or_try_init` tries again.
        let _ = watch::start();
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
            values: PhantomData,
        }
    }

    /// This process's value, if it has one.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        let node = self.newest().1?;
        (node.generation == generation()).then_some(&*node.value)
    }

    /// This process's value, made by `init` if there is none yet. If two
    /// threads make one at the same time, both get the same value, and the other one is
    /// dropped.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn get_or_try_init<E>(&self, init: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        match self.get() {
            Some(value) => Ok(value),
            None => self.try_init(init),
        }
    }

    #[cold]
    #[inline(never)]
    fn try_init<E>(&self, init: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        let _ = watch::start();
        let generation = generation();
        let fresh = Box::into_raw(Box::new(Node {
            generation,
            value: ManuallyDrop::new(init()?),
            next: ptr::null_mut(),
        }));
        loop {
            let (head, newest) = self.newest();
            if let Some(node) = newest
                && node.generation == generation
            {
                // SAFETY: `fresh` came from `Box::into_raw` above and was not
                // published, so only this thread knows it.
                let lost = unsafe { Box::from_raw(fresh) };
                drop(ManuallyDrop::into_inner(lost.value));
                return Ok(&node.value);
            }
            // SAFETY: `fresh` is a live box that was not published, so no other thread
            // reads or writes it.
            unsafe { (*fresh).next = head };
            if self
                .head
                .compare_exchange(head, fresh, Ordering::Release, Ordering::Relaxed)
                .is_ok()
            {
                break;
            }
        }
        // SAFETY: `fresh` is published now. Nodes are freed only by the cell's
        // drop, which can't happen while `self` is borrowed, and are not
        // written after their publication.
        let node = unsafe { &*fresh };
        Ok(&node.value)
    }

    /// The head of the list and the node it points to.
    #[inline]
    fn newest(&self) -> (*mut Node<T>, Option<&Node<T>>) {
        let head = self.head.load(Ordering::Acquire);
        // SAFETY: `head` is null or came from `Box::into_raw`; a node is freed
        // only by the cell's drop, which cannot happen while `self` is
        // borrowed, and is not written after its publication, which the acquire
        // load made visible.
        let node = unsafe { head.as_ref() };
        (head, node)
    }
}

impl<T> Drop for ForkCell<T> {
    fn drop(&mut self) {
        let generation = generation();
        let mut next = *self.head.get_mut();
        while !next.is_null() {
            // SAFETY: every node came from `Box::into_raw` and is in the list
            // once; `&mut self` excludes any reference into it.
            let node = unsafe { Box::from_raw(next) };
            next = node.next;
            if node.generation == generation {
                drop(ManuallyDrop::into_inner(node.value));
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn a_cell_makes_its_value_once() {
        let cell = ForkCell::new();
        assert!(cell.get().is_none());
        assert_eq!(cell.get_or_try_init(|| Err::<u8, _>("no")), Err("no"));
        assert!(cell.get().is_none());
        assert_eq!(cell.get_or_try_init(|| Ok::<_, ()>(7)), Ok(&7));
        assert_eq!(cell.get_or_try_init(|| Err(())), Ok(&7));
        assert_eq!(cell.get(), Some(&7));
    }

    #[test]
    fn racing_threads_agree_and_every_value_is_dropped_once() {
        struct Counted<'a>(&'a AtomicUsize, usize);
        impl Drop for Counted<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        for _ in 0..50 {
            let made = AtomicUsize::new(0);
            let dropped = AtomicUsize::new(0);
            let cell = ForkCell::new();
            let seen: Vec<usize> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|id| {
                        let (cell, made, dropped) = (&cell, &made, &dropped);
                        scope.spawn(move || {
                            let value = cell.get_or_try_init(|| {
                                made.fetch_add(1, Ordering::Relaxed);
                                std::thread::yield_now();
                                Ok::<_, ()>(Counted(dropped, id))
                            });
                            value.map(|value| value.1).unwrap()
                        })
                    })
                    .collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            assert!(seen.iter().all(|id| *id == seen[0]));
            assert_eq!(
                dropped.load(Ordering::Relaxed) + 1,
                made.load(Ordering::Relaxed)
            );
            drop(cell);
            assert_eq!(
                dropped.load(Ordering::Relaxed),
                made.load(Ordering::Relaxed)
            );
        }
    }
}
