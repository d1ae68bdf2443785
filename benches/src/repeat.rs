//! One operation on all keys of a small table, again and again: what
//! `cargo xtask instructions` counts.

use std::hint::black_box;

use clap::ValueEnum;
use shmtable::{Options, Table};
use shmtable_bench::Result;

/// What is repeated, and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    operation: Operation,
    /// Few enough for the first-level caches.
    keys: usize,
    passes: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Operation {
    /// Decimal keys, values of 1 byte.
    Get,
    /// 16-byte keys, values of 100 bytes.
    Get100,
    /// Decimal keys that are absent.
    Miss,
    /// Decimal keys that are new in each pass, values of 1 byte.
    Insert,
    /// Decimal keys, a value of another length each time.
    Replace,
    FetchAdd,
    /// As without the ending, in a table that grows.
    GetGrown,
    Get100Grown,
    MissGrown,
    InsertGrown,
    FetchAddGrown,
}

impl Operation {
    /// The same operation in a table that doesn't grow, and whether this is in one that does.
    fn parts(self) -> (Self, bool) {
        match self {
            Self::GetGrown => (Self::Get, true),
            Self::Get100Grown => (Self::Get100, true),
            Self::MissGrown => (Self::Miss, true),
            Self::InsertGrown => (Self::Insert, true),
            Self::FetchAddGrown => (Self::FetchAdd, true),
            fixed => (fixed, false),
        }
    }
}

/// The most passes of insertions. All their keys are created before the first pass,
/// however few passes run: two runs then differ only by what their passes take.
const INSERTIONS: usize = 12;

pub(crate) fn run(arguments: &Arguments) -> Result {
    let (operation, grows) = arguments.operation.parts();
    let key = |number: usize| match operation {
        Operation::Get100 => format!("{number:016}").into_bytes(),
        _ => number.to_string().into_bytes(),
    };
    let value: &[u8] = match operation {
        Operation::Get100 => &[b'1'; 100],
        Operation::FetchAdd => &[0; 8],
        _ => b"1",
    };
    let count = arguments.keys;
    let create = |options: Options| {
        let options = if grows {
            // As valgrind has little address space.
            Options::new().max_capacity(1 << 20)
        } else {
            options
        };
        options.create_anonymous()
    };
    if let Operation::Insert = operation {
        let table = create(Options::new().capacity(count * INSERTIONS))?;
        let keys: Vec<_> = (0..count * INSERTIONS).map(key).collect();
        for (pass, keys) in keys.chunks(count).take(arguments.passes).enumerate() {
            repeat(&table, operation, keys, pass)?;
        }
        return Ok(());
    }
    let keys: Vec<_> = (0..count).map(key).collect();
    let absent: Vec<_> = (count..2 * count).map(key).collect();
    let table = create(Options::new().capacity(count).value_space(count * 256))?;
    for key in &keys {
        table.insert(key, value)?;
    }
    let asked = match operation {
        Operation::Miss => &absent,
        _ => &keys,
    };
    for pass in 0..arguments.passes {
        repeat(&table, operation, asked, pass)?;
    }
    Ok(())
}

fn repeat(table: &Table, operation: Operation, keys: &[Vec<u8>], pass: usize) -> Result {
    let mut value = Vec::new();
    for key in keys {
        match operation {
            Operation::Get | Operation::Get100 | Operation::Miss => {
                black_box(table.get_into(key, &mut value)?);
            }
            Operation::Replace => {
                let value: &[u8] = if pass.is_multiple_of(2) { b"22" } else { b"1" };
                table.insert(key, value)?;
            }
            Operation::Insert => {
                black_box(table.insert(key, b"1")?);
            }
            Operation::FetchAdd => {
                black_box(table.fetch_add(key, 1)?);
            }
            _ => return Err("an operation of a table that grows".into()),
        }
    }
    Ok(())
}
