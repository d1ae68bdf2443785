//! `sizes` prints how long keys and values are.

use serde_json::{Value as Json, json};

use crate::args;
use crate::codec::Shown;
use crate::context::Context;
use crate::failure::Result;
use crate::interrupt;
use crate::out::{Side, columns};
use crate::units::{self, size};

/// Counts lengths by the number of their bits.
struct Histogram {
    counts: [u64; usize::BITS as usize + 1],
    bytes: u64,
}

impl Histogram {
    fn new() -> Self {
        Self {
            counts: [0; usize::BITS as usize + 1],
            bytes: 0,
        }
    }

    fn add(&mut self, length: usize) {
        self.counts[(usize::BITS - length.leading_zeros()) as usize] += 1;
        self.bytes += length as u64;
    }

    /// The smallest and the largest length with a number of bits.
    fn range(bits: usize) -> (u64, u64) {
        let first = |bits: usize| 1_u128 << bits >> 1;
        (
            first(bits) as u64,
            (first(bits + 1) - 1).max(first(bits)) as u64,
        )
    }

    fn to_json(&self) -> Json {
        let lengths = self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        let lengths = lengths.map(|(bits, count)| {
            let (from, to) = Self::range(bits);
            json!({ "from": from, "to": to, "entries": count })
        });
        json!({ "bytes": self.bytes, "lengths": lengths.collect::<Vec<_>>() })
    }
}

pub(crate) fn sizes(mut context: Context, args: &args::OneTable) -> Result {
    let (table, codec) = context.open_read_only(&args.name)?;
    interrupt::catch()?;
    let (mut keys, mut values) = (Histogram::new(), Histogram::new());
    let mut entries = 0_u64;
    let mut largest: Option<(Vec<u8>, usize)> = None;
    for entry in &table {
        interrupt::check()?;
        let (key, value) = entry?;
        entries += 1;
        keys.add(key.len());
        values.add(value.len());
        let bytes = key.len() + value.len();
        if largest.as_ref().is_none_or(|(_, most)| bytes > *most) {
            largest = Some((key, bytes));
        }
    }
    let shown = Shown {
        codec: &codec,
        hex_keys: false,
        hex_values: false,
    };
    context.out.either(
        || {
            json!({
                "entries": entries,
                "keys": keys.to_json(),
                "values": values.to_json(),
                "largest": largest.as_ref().map(|(key, bytes)| json!({
                    "key": shown.key_json(key), "bytes": bytes,
                })),
            })
        },
        || {
            let heads = [
                ("BYTES", Side::Right),
                ("KEYS", Side::Right),
                ("VALUES", Side::Right),
            ];
            let both = || keys.counts.iter().zip(&values.counts).enumerate();
            let used = both().filter(|(_, (keys, values))| **keys + **values > 0);
            let mut rows: Vec<_> = used
                .map(|(bits, (keys, values))| {
                    let (from, to) = Histogram::range(bits);
                    let range = if from == to {
                        units::count(from)
                    } else {
                        format!("{}-{}", units::count(from), units::count(to))
                    };
                    vec![range, units::count(*keys), units::count(*values)]
                })
                .collect();
            let total = "all".to_owned();
            rows.push(vec![total, size(keys.bytes), size(values.bytes)]);
            let mut text = columns(&heads, &rows);
            if let Some((key, bytes)) = &largest {
                let key = shown.key(key);
                text = format!("{text}\nlargest: {key}, {}", size(*bytes as u64));
            }
            text
        },
    )?;
    context.out.done(true)
}
