//! loom's atomic word, with the interleavings that loom 0.7 leaves out.
//!
//! loom runs a thread as far as it can, and returns to a point only if a later
//! access conflicts with the access made there. It remembers one access to a
//! word, the last. So a thread that loads a word before it stores to it hides,
//! by its own load, all earlier loads of other threads, and loom never tries the
//! execution in which the store comes before those loads
//! (<https://github.com/tokio-rs/loom/issues/166>, and issue 392 there). Every
//! operation under a lock loads before it stores: with loom's own word, the model
//! of a reader against an insertion had a single execution.
//!
//! Here each load also touches an object that stands for this word and the loading
//! thread, and each store touches the objects of all threads that loaded since
//! the last store. The objects are condition variables on which no thread waits: a
//! notification conflicts with another one and orders nothing else.

use std::sync::{Arc, Mutex, MutexGuard};

use loom::sync::atomic::Ordering;
use loom::sync::{Condvar, atomic};
use loom::thread::{self, ThreadId};

pub(crate) struct AtomicU64 {
    word: atomic::AtomicU64,
    readers: Mutex<Vec<Reader>>,
}

/// A thread that loaded the word at some time.
struct Reader {
    thread: ThreadId,
    mark: Arc<Condvar>,
    /// Whether the thread loaded it after the last store.
    since: bool,
}

impl AtomicU64 {
    pub(crate) fn new(value: u64) -> Self {
        Self {
            word: atomic::AtomicU64::new(value),
            readers: Mutex::new(Vec::new()),
        }
    }

    /// The threads that loaded the word. Callers hold the lock only across a search, in which
    /// no other thread of loom runs.
    fn readers(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.readers.lock().expect("a model failed already")
    }

    fn reads(&self) {
        let me = thread::current().id();
        let known = self
            .readers()
            .iter_mut()
            .find(|reader| reader.thread == me)
            .map(|reader| {
                reader.since = true;
                reader.mark.clone()
            });
        let mark = known.unwrap_or_else(|| {
            let mark = Arc::new(Condvar::new());
            self.readers().push(Reader {
                thread: me,
                mark: mark.clone(),
                since: true,
            });
            mark
        });
        mark.notify_one();
    }

    fn writes(&self) {
        let me = thread::current().id();
        loop {
            let unseen = self.readers().iter_mut().find_map(|reader| {
                let unseen = reader.since && reader.thread != me;
                reader.since = false;
                unseen.then(|| reader.mark.clone())
            });
            match unseen {
                Some(mark) => mark.notify_one(),
                None => return,
            }
        }
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.reads();
        self.word.load(order)
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.writes();
        self.word.store(value, order);
    }

    pub(crate) fn swap(&self, value: u64, order: Ordering) -> u64 {
        self.writes();
        self.word.swap(value, order)
    }

    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.writes();
        self.word.compare_exchange(current, new, success, failure)
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.writes();
        self.word.fetch_add(value, order)
    }

    pub(crate) fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        self.writes();
        self.word.fetch_sub(value, order)
    }

    pub(crate) fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
        self.writes();
        self.word.fetch_or(value, order)
    }

    pub(crate) fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
        self.writes();
        self.word.fetch_max(value, order)
    }
}
