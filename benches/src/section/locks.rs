//! `raw_sync`'s mutex against the stripe lock, both uncontended, in one thread.
//!
//! The stripe lock is not public. An addition to one counter takes and releases it, and also
//! hashes the key, finds it and stores the sum; a get of the same counter does the latter
//! without a lock. So the addition takes longer than the lock alone, and the difference of
//! the two is about the lock's time.
//!
//! The section also measures what the memory allows lookups of keys of which half are absent.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use raw_sync::locks::{LockImpl, LockInit, Mutex};
use shmtable::Options;
use shmtable_bench::Result;
use shmtable_bench::one_load::{OneLoad, Presence};

use super::Run;
use crate::stopwatch::Stopwatch;

const TIMES: usize = 200_000;
const TURNS: usize = 7;
const ENTRIES: usize = 1_000_000;
/// What is asked of one load, by its name in tables.
pub(crate) const ONE_LOAD: [(&str, Presence); 2] = [
    ("one load, all keys are there", Presence::All),
    ("one load, every second key is there", Presence::Half),
];
const KEY: &[u8] = b"counter";

pub(crate) fn run(run: &mut Run<'_>) -> Result {
    eprintln!("locks");
    let table = Options::new()
        .capacity(1000)
        .value_space(100_000)
        .create_anonymous()?;
    table.fetch_add(KEY, 1)?;
    // Words, because the mutex must be aligned.
    let mut memory = vec![0_u64; Mutex::size_of(None).div_ceil(8) + 1];
    let mutex = mutex_in(&mut memory)?;
    let mut load = OneLoad::new(ENTRIES);
    let (lock, sum) = (AtomicU64::new(0), AtomicU64::new(0));
    for _ in 0..TURNS {
        let took = each(|| drop(black_box(mutex.lock().expect("it is free"))));
        add(run, "raw_sync mutex, lock and unlock", "raw_sync", took);
        let took = each(|| {
            black_box(table.fetch_add(KEY, 1).expect("fetch_add"));
        });
        add(run, "fetch_add, one hot key", "shmtable", took);
        let mut value = [0; 8];
        let took = each(|| {
            black_box(table.get_into_slice(KEY, &mut value).expect("get"));
        });
        add(run, "get, the same key", "shmtable", took);
        let took = each(|| locked_addition(&lock, &sum));
        add(run, "an addition under a lock of one word", "limit", took);
        for (name, presence) in ONE_LOAD {
            let took = each(|| load.ask(presence));
            add(run, name, "limit", took);
        }
    }
    Ok(())
}

/// The least that a lock with sleeping waiters does: an exchange that takes it, and one that
/// releases it and tells whether a waiter sleeps.
fn locked_addition(lock: &AtomicU64, sum: &AtomicU64) {
    let taken = lock.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed);
    sum.store(sum.load(Ordering::Relaxed) + 1, Ordering::Release);
    black_box((taken.is_ok(), lock.swap(0, Ordering::Release)));
}

fn add(run: &mut Run<'_>, operation: &str, name: &str, took: f64) {
    run.figures.add(["locks", "1", operation, name], took);
}

fn each(mut act: impl FnMut()) -> f64 {
    let watch = Stopwatch::start(false);
    for _ in 0..TIMES {
        act();
    }
    watch.stop() as f64 / TIMES as f64
}

#[allow(unsafe_code, reason = "raw_sync has no safe way to make a mutex")]
fn mutex_in(memory: &mut [u64]) -> Result<Box<dyn LockImpl + '_>> {
    assert!(size_of_val(memory) >= Mutex::size_of(None));
    let at = memory.as_mut_ptr().cast::<u8>();
    // SAFETY: `at` must be valid for a mutex as long as the box is used. `memory` has at
    // least the bytes that `size_of` asks for (asserted above), and its words are aligned to
    // eight bytes, which is what a `pthread_mutex_t` needs. The box borrows `memory`
    // mutably, so that no other code uses, moves or frees it meanwhile. The second pointer
    // is only handed out by guards, and no caller dereferences it.
    let (mutex, _) = unsafe { Mutex::new(at, at) }?;
    Ok(mutex)
}
