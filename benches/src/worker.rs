//! A contender's process: it creates or opens the table, and carries out one order for each
//! line, until its input ends.

use std::fs;
use std::hash::RandomState;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::PathBuf;
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use shmtable_bench::Result;
use shmtable_bench::contender::{
    Contender, Dashmap, Lmdb, Locked, Papaya, Redis, Room, Scc, Session, Std,
};
use shmtable_bench::limit::Limit;
use shmtable_bench::work::{Key, Work};

use crate::latencies::latencies;
use crate::order::{Keys, Mix, MixKind, Mixed, Operation, Order, Pass, Passed};
use crate::stopwatch::Stopwatch;

/// Operations between two readings of the clock.
pub(crate) const STRIDE: usize = 64;

/// Keys in one call of `get_many`.
const MANY: usize = 1000;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    contender: String,
    /// The folder of the work's files.
    work: PathBuf,
    /// Entries to make room for, if not those of the work.
    #[arg(long)]
    entries: Option<usize>,
    #[arg(long)]
    value_space: Option<usize>,
    /// The values will be counters.
    #[arg(long)]
    counters: bool,
    /// Opens the table at this address instead of creating one.
    #[arg(long)]
    attach: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let work = Work::read(&arguments.work)?;
    match arguments.contender.as_str() {
        "shmtable" => serve::<shmtable::Table>(arguments, &work),
        "dashmap" => serve::<Dashmap>(arguments, &work),
        "dashmap, SipHash" => serve::<Dashmap<RandomState>>(arguments, &work),
        "papaya" => serve::<Papaya>(arguments, &work),
        "papaya, SipHash" => serve::<Papaya<RandomState>>(arguments, &work),
        "scc" => serve::<Scc>(arguments, &work),
        "scc, SipHash" => serve::<Scc<RandomState>>(arguments, &work),
        "locked hashbrown" => serve::<Locked>(arguments, &work),
        "std HashMap" => serve::<Std>(arguments, &work),
        "std HashMap, SipHash" => serve::<Std<RandomState>>(arguments, &work),
        "LMDB" => serve::<Lmdb>(arguments, &work),
        "Redis" => serve::<Redis>(arguments, &work),
        "limit" => limits(&work),
        name => Err(format!("no such contender: {name}").into()),
    }
}

fn serve<C: Contender>(arguments: &Arguments, work: &Work) -> Result {
    let mut room = Room::for_work(work);
    room.value_space = arguments.value_space.unwrap_or(room.value_space);
    room.counters = arguments.counters;
    room.entries = arguments.entries.unwrap_or(room.entries);
    let before = resident()?;
    let begin = Instant::now();
    let contender = match &arguments.attach {
        Some(address) => C::attach(address, &room)?,
        None => C::create(&room)?,
    };
    let took = begin.elapsed().as_nanos();
    let address = contender.address();
    answer(&format!("{} {took}", address.as_deref().unwrap_or("-")))?;
    orders(|order| {
        Ok(match order {
            Order::Pass(asked) => {
                pass(&mut contender.session(true), work, &asked, C::ABOUT.slow)?.to_string()
            }
            Order::Latencies(asked) => {
                latencies(&mut contender.session(true), work, &asked)?.to_string()
            }
            Order::Mix(asked) => mix(&contender, work, &asked)?.to_string(),
            Order::Bytes => match contender.bytes()? {
                Some(bytes) => bytes,
                None => resident()?.saturating_sub(before),
            }
            .to_string(),
            Order::Counter => contender.session(true).add(&work.hits[0], 0).to_string(),
        })
    })
}

fn orders(mut obey: impl FnMut(Order) -> Result<String>) -> Result {
    for line in io::stdin().lines() {
        answer(&obey(line?.parse()?)?)?;
    }
    Ok(())
}

fn answer(line: &str) -> Result {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}

/// Bytes of memory that only this process has.
fn resident() -> Result<u64> {
    let fields = fs::read_to_string("/proc/self/statm")?;
    let mut pages = fields
        .split_ascii_whitespace()
        .skip(1)
        .map(str::parse::<u64>);
    let (Some(all), Some(shared)) = (pages.next(), pages.next()) else {
        return Err("/proc/self/statm has changed".into());
    };
    Ok((all? - shared?) * 4096)
}

/// Keys, round and round, in slices: little code runs between two operations, because its
/// time counts as the contender's.
pub(crate) struct Round<'w> {
    keys: &'w [Key],
    left: &'w [Key],
}

impl<'w> Round<'w> {
    /// From the key `first` on.
    fn from(keys: &'w [Key], first: usize) -> Self {
        let left = &keys[first % keys.len()..];
        Self { keys, left }
    }

    /// The keys of a pass.
    pub(crate) fn of(work: &'w Work, asked: &Pass) -> Self {
        let keys = match asked.keys {
            Keys::Inserted => &work.keys,
            Keys::Hits => &work.hits,
            Keys::Half => &work.half,
            Keys::Misses => &work.misses,
        };
        Self::from(keys, asked.first)
    }

    /// The next keys: at most `most`, and at least one.
    pub(crate) fn next(&mut self, most: usize) -> &'w [Key] {
        if self.left.is_empty() {
            self.left = self.keys;
        }
        let next;
        (next, self.left) = self.left.split_at(most.min(self.left.len()));
        next
    }

    /// This many keys, one by one, where that is not timed.
    fn take(self, count: usize) -> impl Iterator<Item = &'w Key> {
        let round = self.left.iter().chain(self.keys.iter().cycle());
        round.take(count)
    }
}

/// Runs `act` for one key after the other, counts the wrong answers, and reads the clock
/// after each slice of keys.
///
/// Each operation gets an instance of its own, so that its loop has all registers.
#[inline(never)]
fn timed<S: Session>(
    session: &mut S,
    asked: &Pass,
    watch: Stopwatch,
    mut keys: Round<'_>,
    mut act: impl FnMut(&mut S, &Key) -> bool,
) -> Result<Passed> {
    let (mut done, mut right) = (0, 0);
    while done < asked.count && watch.elapsed() < asked.most {
        let keys = keys.next(STRIDE.min(asked.count - done));
        for key in keys {
            right += usize::from(act(session, key));
        }
        done += keys.len();
    }
    session.finish();
    let nanoseconds = watch.stop();
    if right < done {
        let wrong = done - right;
        return Err(format!("{wrong} wrong answers in '{}'", Order::Pass(*asked)).into());
    }
    Ok(Passed {
        nanoseconds,
        operations: done as u64,
    })
}

/// What every contender must answer for a key that is there, as far as it is checked.
#[derive(Clone, Copy)]
struct Expected {
    length: usize,
    first: u8,
    last: u8,
}

impl Expected {
    fn of(work: &Work) -> Result<Self> {
        let value = work.value();
        let (Some(first), Some(last)) = (value.first(), value.last()) else {
            return Err("an empty value cannot be checked".into());
        };
        Ok(Self {
            length: value.len(),
            first: *first,
            last: *last,
        })
    }

    /// Whether the answer is right: the value, or that the key is absent.
    #[inline]
    fn is(self, key: &Key, found: bool, value: &[u8]) -> bool {
        if !found {
            return !key.present;
        }
        // The compiler may not leave out the bytes that are not checked.
        black_box(value.as_ptr());
        key.present
            && value.len() == self.length
            && value.first() == Some(&self.first)
            && value.last() == Some(&self.last)
    }
}

fn pass<S: Session>(session: &mut S, work: &Work, asked: &Pass, waits: bool) -> Result<Passed> {
    let value = work.value();
    let expected = Expected::of(work)?;
    let all = Round::of(work, asked);
    let mut buffer = Vec::new();
    let watch = Stopwatch::start(waits);
    match asked.operation {
        Operation::Insert => timed(session, asked, watch, all, |to, key| {
            to.insert(key, value);
            true
        }),
        Operation::Fill => {
            session.fill(all.take(asked.count), value);
            session.finish();
            Ok(Passed {
                nanoseconds: watch.stop(),
                operations: asked.count as u64,
            })
        }
        Operation::Get => timed(session, asked, watch, all, |of, key| {
            let found = of.get(key, &mut buffer);
            expected.is(key, found, &buffer)
        }),
        Operation::GetMany => get_many(session, work, asked, waits),
        Operation::Replace => timed(session, asked, watch, all, |of, key| {
            of.replace(key, value);
            true
        }),
        Operation::Resize => {
            let mut lengths = work.lengths.iter().cycle();
            timed(session, asked, watch, all, |of, key| {
                let length = lengths.next().copied().unwrap_or_default();
                of.replace(key, &work.bytes[..length]);
                true
            })
        }
        Operation::Remove => timed(session, asked, watch, all, |of, key| of.remove(key)),
        Operation::Add => timed(session, asked, watch, all, |to, key| {
            black_box(to.add(key, 1));
            true
        }),
        Operation::AddHot => timed(session, asked, watch, all, |to, _| {
            black_box(to.add(&work.hits[0], 1));
            true
        }),
        Operation::Chained | Operation::Independent | Operation::Copy => {
            Err("only the limit performs that".into())
        }
    }
}

fn get_many<S: Session>(session: &mut S, work: &Work, asked: &Pass, waits: bool) -> Result<Passed> {
    let expected = Expected::of(work)?;
    let all: Vec<Key> = Round::of(work, asked).take(asked.count).copied().collect();
    let (mut done, mut wrong) = (0, 0_u64);
    let watch = Stopwatch::start(waits);
    for batch in all.chunks(MANY) {
        if watch.elapsed() >= asked.most {
            break;
        }
        let mut asked = batch.iter();
        session.get_many(batch, &mut |found| {
            let value = found.unwrap_or_default();
            let right = asked.next();
            let right = right.is_some_and(|key| expected.is(key, found.is_some(), value));
            wrong += u64::from(!right);
        });
        done += batch.len();
        wrong += asked.len() as u64;
    }
    session.finish();
    let nanoseconds = watch.stop();
    if wrong > 0 {
        return Err(format!("{wrong} wrong answers of get_many").into());
    }
    Ok(Passed {
        nanoseconds,
        operations: done as u64,
    })
}

fn mix<C: Contender>(contender: &C, work: &Work, asked: &Mix) -> Result<Mixed> {
    if asked.threads == 1 {
        return side(&mut contender.session(false), work, asked, asked.index);
    }
    let sides = thread::scope(|scope| {
        let start = |thread| {
            let side = move || {
                let index = asked.index + thread;
                let result = side(&mut contender.session(false), work, asked, index);
                result.map_err(|error| error.to_string())
            };
            scope.spawn(side)
        };
        let threads: Vec<_> = (0..asked.threads).map(start).collect();
        let ends = threads.into_iter().map(ScopedJoinHandle::join);
        ends.collect::<Vec<_>>()
    });
    let mut mixed = Mixed::new();
    for side in sides {
        mixed.join(&side.map_err(|_| "a thread panicked")??)?;
    }
    Ok(mixed)
}

/// One thread's part of a mix.
fn side<S: Session>(session: &mut S, work: &Work, asked: &Mix, index: usize) -> Result<Mixed> {
    let first = work.hits.len() * index / asked.of;
    let mut keys = Round::from(&work.hits, first);
    let expected = Expected::of(work)?;
    let mut mixed = Mixed::new();
    let mut buffer = Vec::new();
    let mut wrong = 0_u64;
    // Steps of the golden section: evenly distributed, and without a short period.
    let mut draw = (index as u32).wrapping_mul(0x5bd1_e995);
    let begin = Instant::now();
    while begin.elapsed() < asked.time {
        let keys = keys.next(STRIDE);
        for key in keys {
            draw = draw.wrapping_add(0x9e37_79b9);
            let start = asked.latencies.then(Instant::now);
            let writes = match asked.kind {
                MixKind::Writes(percent) if (u64::from(draw) * 100) >> 32 >= percent.into() => {
                    let found = session.get(key, &mut buffer);
                    wrong += u64::from(!expected.is(key, found, &buffer));
                    false
                }
                MixKind::Writes(_) => {
                    session.replace(key, work.value());
                    true
                }
                MixKind::AddHot => {
                    black_box(session.add(&work.hits[0], 1));
                    true
                }
                MixKind::AddMany => {
                    black_box(session.add(key, 1));
                    true
                }
            };
            if let Some(start) = start {
                let took = start.elapsed().as_nanos() as u64;
                let histogram = if writes {
                    &mut mixed.writes
                } else {
                    &mut mixed.reads
                };
                histogram.record(took)?;
            }
        }
        mixed.operations += keys.len() as u64;
    }
    mixed.rate = mixed.operations as f64 / begin.elapsed().as_secs_f64();
    if wrong > 0 {
        return Err(format!("{wrong} wrong answers in '{}'", Order::Mix(*asked)).into());
    }
    Ok(mixed)
}

/// Answers passes with the memory's limits, as a contender does.
fn limits(work: &Work) -> Result {
    let mut limit = Limit::new(work);
    answer("- 0")?;
    orders(|order| {
        let Order::Pass(asked) = order else {
            return Err("a limit performs only passes".into());
        };
        let mut done = 0;
        let watch = Stopwatch::start(false);
        while done < asked.count && watch.elapsed() < asked.most {
            match asked.operation {
                Operation::Chained => (0..STRIDE).for_each(|_| limit.chained()),
                Operation::Independent => (0..STRIDE).for_each(|_| limit.independent()),
                Operation::Copy => (0..STRIDE).for_each(|_| limit.copy()),
                _ => return Err("a limit stores nothing".into()),
            }
            done += STRIDE;
        }
        let passed = Passed {
            nanoseconds: watch.stop(),
            operations: done as u64,
        };
        Ok(passed.to_string())
    })
}
