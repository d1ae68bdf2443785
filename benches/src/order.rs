//! The orders for a contender's process, and its answers: one line each, in words that a
//! program in any language can parse.

use std::fmt;
use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

use hdrhistogram::Histogram;
use shmtable_bench::Result;

/// The operation that is repeated for each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Insert,
    /// Inserts in the fastest way, for what is not timed.
    Fill,
    Get,
    GetMany,
    Replace,
    /// Replaces by values of random lengths.
    Resize,
    Remove,
    Add,
    /// Adds to one key, whatever the keys.
    AddHot,
    /// The limits: see `shmtable_bench::limit`.
    Chained,
    Independent,
    Copy,
}

const OPERATIONS: [(Operation, &str); 12] = [
    (Operation::Insert, "insert"),
    (Operation::Fill, "fill"),
    (Operation::Get, "get"),
    (Operation::GetMany, "get_many"),
    (Operation::Replace, "replace"),
    (Operation::Resize, "resize"),
    (Operation::Remove, "remove"),
    (Operation::Add, "add"),
    (Operation::AddHot, "add_hot"),
    (Operation::Chained, "chained"),
    (Operation::Independent, "independent"),
    (Operation::Copy, "copy"),
];

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = OPERATIONS.iter().find(|(operation, _)| operation == self);
        f.write_str(named.expect("all operations have names").1)
    }
}

/// An operation on the keys of a file, from the `first` on, until `count` are done or the
/// time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) operation: Operation,
    /// `keys`, `hits`, `half` or `misses`.
    pub(crate) keys: Keys,
    pub(crate) first: usize,
    pub(crate) count: usize,
    pub(crate) most: Duration,
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} {}",
            self.operation,
            self.keys,
            self.first,
            self.count,
            self.most.as_millis()
        )
    }
}

/// The orders of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    Inserted,
    Hits,
    Half,
    /// The keys of `half` that are absent.
    Misses,
}

const KEYS: [(Keys, &str); 4] = [
    (Keys::Inserted, "keys"),
    (Keys::Hits, "hits"),
    (Keys::Half, "half"),
    (Keys::Misses, "misses"),
];

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = KEYS.iter().find(|(keys, _)| keys == self);
        f.write_str(named.expect("every variant has a name").1)
    }
}

/// What several processes or threads do at the same time, each in an order of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mix {
    pub(crate) kind: MixKind,
    pub(crate) time: Duration,
    /// The index of this process's first thread among all threads.
    pub(crate) index: usize,
    pub(crate) of: usize,
    pub(crate) threads: usize,
    /// Whether each operation is timed.
    pub(crate) latencies: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MixKind {
    /// This many operations of 100 replace; the others get.
    Writes(u32),
    /// Additions to one counter.
    AddHot,
    /// Additions to one counter after the other.
    AddMany,
}

impl fmt::Display for MixKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Writes(0) => "all gets",
            Self::Writes(5) => "95/5",
            Self::Writes(50) => "50/50",
            Self::Writes(_) => "all replace",
            Self::AddHot => "add to one",
            Self::AddMany => "add to many",
        })
    }
}

/// One line for a contender's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Pass(Pass),
    /// A pass of insertions, each of which is timed.
    Latencies(Pass),
    Mix(Mix),
    /// How much memory the table takes.
    Bytes,
    /// The value of the hot counter.
    Counter,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass(pass) => write!(f, "pass {pass}"),
            Self::Latencies(pass) => write!(f, "latencies {pass}"),
            Self::Mix(mix) => {
                let (kind, writes) = match mix.kind {
                    MixKind::Writes(writes) => ("values", writes),
                    MixKind::AddHot => ("hot", 0),
                    MixKind::AddMany => ("many", 0),
                };
                let millis = mix.time.as_millis();
                let latencies = u8::from(mix.latencies);
                write!(
                    f,
                    "mix {kind} {writes} {millis} {} {} {} {latencies}",
                    mix.index, mix.of, mix.threads
                )
            }
            Self::Bytes => f.write_str("bytes"),
            Self::Counter => f.write_str("counter"),
        }
    }
}

impl FromStr for Order {
    type Err = Box<dyn std::error::Error>;

    fn from_str(line: &str) -> Result<Self> {
        let mut words = line.split_whitespace();
        Ok(match text(&mut words)? {
            "pass" => Self::Pass(pass(&mut words)?),
            "latencies" => Self::Latencies(pass(&mut words)?),
            "mix" => Self::Mix(Mix {
                kind: match (text(&mut words)?, number(&mut words)?) {
                    ("values", writes) => MixKind::Writes(writes),
                    ("hot", _) => MixKind::AddHot,
                    _ => MixKind::AddMany,
                },
                time: Duration::from_millis(number(&mut words)?),
                index: number(&mut words)?,
                of: number(&mut words)?,
                threads: number(&mut words)?,
                latencies: number::<u8>(&mut words)? != 0,
            }),
            "bytes" => Self::Bytes,
            "counter" => Self::Counter,
            _ => return Err(format!("no order: {line}").into()),
        })
    }
}

fn pass(words: &mut SplitWhitespace<'_>) -> Result<Pass> {
    Ok(Pass {
        operation: named(&OPERATIONS, text(words)?)?,
        keys: named(&KEYS, text(words)?)?,
        first: number(words)?,
        count: number(words)?,
        most: Duration::from_millis(number(words)?),
    })
}

fn text<'l>(words: &mut SplitWhitespace<'l>) -> Result<&'l str> {
    Ok(words.next().ok_or("a word is missing")?)
}

fn number<N: FromStr>(words: &mut SplitWhitespace<'_>) -> Result<N> {
    let word = text(words)?;
    Ok(word
        .parse()
        .map_err(|_| format!("{word} is not such a number"))?)
}

fn named<T: Copy>(names: &[(T, &str)], name: &str) -> Result<T> {
    let found = names.iter().find(|(_, known)| *known == name);
    Ok(found.ok_or_else(|| format!("no such name: {name}"))?.0)
}

/// The time a pass took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) nanoseconds: u64,
    pub(crate) operations: u64,
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.nanoseconds, self.operations)
    }
}

impl FromStr for Passed {
    type Err = Box<dyn std::error::Error>;

    fn from_str(line: &str) -> Result<Self> {
        let mut words = line.split_whitespace();
        Ok(Self {
            nanoseconds: number(&mut words)?,
            operations: number(&mut words)?,
        })
    }
}

/// The outcome of a mixed pass by several processes or threads, or of operations that one of them
/// timed one by one.
#[derive(Debug, Clone)]
pub(crate) struct Mixed {
    /// Operations per second of all together.
    pub(crate) rate: f64,
    pub(crate) operations: u64,
    /// Latencies of gets and of writes, in nanoseconds.
    pub(crate) reads: Histogram<u64>,
    pub(crate) writes: Histogram<u64>,
}

impl Mixed {
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new(3).expect("three digits are possible");
        Self {
            rate: 0.0,
            operations: 0,
            reads: histogram.clone(),
            writes: histogram,
        }
    }

    /// Adds what another process or thread did.
    pub(crate) fn join(&mut self, other: &Self) -> Result {
        self.rate += other.rate;
        self.operations += other.operations;
        self.reads.add(&other.reads)?;
        self.writes.add(&other.writes)?;
        Ok(())
    }
}

impl fmt::Display for Mixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rate, self.operations)?;
        for histogram in [&self.reads, &self.writes] {
            write!(f, ";")?;
            for step in histogram.iter_recorded() {
                write!(
                    f,
                    " {}:{}",
                    step.value_iterated_to(),
                    step.count_since_last_iteration()
                )?;
            }
        }
        Ok(())
    }
}

impl FromStr for Mixed {
    type Err = Box<dyn std::error::Error>;

    fn from_str(line: &str) -> Result<Self> {
        let mut mixed = Self::new();
        let mut parts = line.split(';');
        let mut words = parts.next().unwrap_or_default().split_whitespace();
        mixed.rate = number(&mut words)?;
        mixed.operations = number(&mut words)?;
        for (part, histogram) in parts.zip([&mut mixed.reads, &mut mixed.writes]) {
            for pair in part.split_whitespace() {
                let (value, count) = pair.split_once(':').ok_or("no pair")?;
                histogram.record_n(value.parse()?, count.parse()?)?;
            }
        }
        Ok(mixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_give_orders_and_answers_back() {
        let pass = Pass {
            operation: Operation::GetMany,
            keys: Keys::Half,
            first: 7,
            count: 1000,
            most: Duration::from_millis(250),
        };
        let misses = Pass {
            keys: Keys::Misses,
            ..pass
        };
        let passes = [Order::Pass(pass), Order::Latencies(misses)];
        let mix = Order::Mix(Mix {
            kind: MixKind::Writes(5),
            time: Duration::from_millis(300),
            index: 1,
            of: 4,
            threads: 2,
            latencies: true,
        });
        for order in passes
            .into_iter()
            .chain([mix, Order::Bytes, Order::Counter])
        {
            assert_eq!(order.to_string().parse::<Order>().expect("an order"), order);
        }
        let mut mixed = Mixed::new();
        mixed.operations = 3;
        for nanoseconds in [100, 200, 100_000] {
            mixed.reads.record(nanoseconds).expect("in range");
        }
        let read: Mixed = mixed.to_string().parse().expect("an answer");
        assert_eq!(read.operations, 3);
        assert_eq!(read.reads, mixed.reads);
    }
}
