//! The latencies of single insertions.
//!
//! Each is timed by two readings of the wall clock, as in a mix. A thread that loses its
//! processor to another program in between seems to take as long as that: over ten million
//! insertions it happens often. So an insertion that seems slow is timed by the thread's
//! processor time as well, which includes page faults and system calls. Reading that clock takes
//! longer than an insertion: it is read before each slice of keys, and again after an insertion
//! that seems slow.

use std::time::{Duration, Instant};

use shmtable_bench::Result;
use shmtable_bench::contender::Session;
use shmtable_bench::work::Work;

use crate::order::{Mixed, Operation, Pass};
use crate::stopwatch::processor;
use crate::worker::{Round, STRIDE};

/// An insertion that takes longer seems slow.
const SLOW: Duration = Duration::from_micros(20);

/// Inserts keys, each of which is timed.
pub(crate) fn latencies<S: Session>(session: &mut S, work: &Work, asked: &Pass) -> Result<Mixed> {
    if asked.operation != Operation::Insert {
        return Err("only insertions are timed one by one".into());
    }
    let mut keys = Round::of(work, asked);
    let mut mixed = Mixed::new();
    let begin = Instant::now();
    let mut done = 0;
    while done < asked.count && begin.elapsed() < asked.most {
        let slice = keys.next(STRIDE.min(asked.count - done));
        // What the thread had of the processor when the wall clock showed this.
        let (mut had, mut at) = (processor(), Instant::now());
        for key in slice {
            let start = Instant::now();
            session.insert(key, work.value());
            let took = start.elapsed();
            mixed.writes.record(took.as_nanos() as u64)?;
            let mut processed = took;
            if took > SLOW {
                let (has, now) = (processor(), Instant::now());
                // What came before it since the last reading was not slow.
                let since = has.saturating_sub(had);
                processed = took.min(since.saturating_sub(start - at));
                (had, at) = (has, now);
            }
            mixed.reads.record(processed.as_nanos() as u64)?;
        }
        done += slice.len();
    }
    mixed.operations = done as u64;
    mixed.rate = done as f64 / begin.elapsed().as_secs_f64();
    Ok(mixed)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use shmtable_bench::work::{Key, Kind};

    use super::*;
    use crate::order::Keys;

    /// Sleeps for one key, and computes as long for another.
    struct Slow(usize);

    const LONG: Duration = Duration::from_millis(20);

    impl Session for Slow {
        fn get(&mut self, _: &[u8], _: &mut Vec<u8>) -> bool {
            false
        }

        fn insert(&mut self, _: &[u8], _: &[u8]) {
            self.0 += 1;
            match self.0 {
                100 => thread::sleep(LONG),
                200 => {
                    let before = processor();
                    while processor().saturating_sub(before) < LONG {}
                }
                _ => {}
            }
        }

        fn remove(&mut self, _: &[u8]) -> bool {
            false
        }

        fn add(&mut self, _: &[u8], _: i64) -> i64 {
            0
        }

        fn fill<'k>(&mut self, _: impl Iterator<Item = &'k Key>, _: &[u8]) {}
    }

    #[test]
    fn time_that_another_program_takes_is_not_an_insertions() {
        let work = Work::new(Kind::Decimal, 1000);
        let asked = Pass {
            operation: Operation::Insert,
            keys: Keys::Inserted,
            first: 0,
            count: 1000,
            most: Duration::from_secs(100),
        };
        let mixed = latencies(&mut Slow(0), &work, &asked).expect("insertions");
        assert_eq!(mixed.operations, 1000);
        let long = |histogram: &hdrhistogram::Histogram<u64>| {
            let limit = LONG.as_nanos() as u64 * 9 / 10;
            histogram.len() - histogram.count_between(0, limit)
        };
        // Other programs may disturb this test, too.
        assert!(long(&mixed.writes) >= 2);
        assert_eq!((mixed.reads.len(), long(&mixed.reads)), (1000, 1));
    }
}
