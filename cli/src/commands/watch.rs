//! `watch` prints changes as they happen.

use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;
use shmtable::Table;
use xxhash_rust::xxh3::xxh3_64;

use crate::args;
use crate::codec::Shown;
use crate::context::{Context, NAME_CHECK, still_named};
use crate::failure::Result;
use crate::filter::Filter;
use crate::interrupt::{self, pause};

/// Keys with the hashes of their values.
type Seen = HashMap<Vec<u8>, u64>;

pub(crate) fn watch(mut context: Context, args: &args::Watch) -> Result {
    let (table, codec) = context.open_read_only(&args.name)?;
    let filter = Filter::new(&args.which, args.hex, &table, &codec)?;
    interrupt::catch()?;
    let shown = Shown {
        codec: &codec,
        hex_keys: args.hex,
        hex_values: args.hex,
    };
    let begin = Instant::now();
    let left = || {
        args.timeout
            .map(|timeout| timeout.saturating_sub(begin.elapsed()))
    };
    let mut writes = count_writes(&table);
    let mut seen = Seen::new();
    for entry in &table {
        interrupt::check()?;
        let (key, value) = entry?;
        if filter.wants(&key) {
            seen.insert(key, xxh3_64(&value));
        }
    }
    let mut changes = 0;
    let mut checked = Instant::now();
    let is_enough = |changes| args.count.is_some_and(|count| changes >= count);
    while !is_enough(changes) && left() != Some(Duration::ZERO) {
        pause(left().map_or(args.interval, |left| left.min(args.interval)))?;
        // Writes are counted before the scan, so that one during the scan leads to another scan.
        let now = count_writes(&table);
        if now == writes {
            if checked.elapsed() >= NAME_CHECK {
                checked = Instant::now();
                still_named(&table)?;
            }
            continue;
        }
        writes = now;
        let before = std::mem::take(&mut seen);
        for entry in &table {
            interrupt::check()?;
            let (key, value) = entry?;
            if !filter.wants(&key) {
                continue;
            }
            let hash = xxh3_64(&value);
            let sign = match before.get(&key) {
                Some(seen) if *seen == hash => None,
                Some(_) => Some("~"),
                None => Some("+"),
            };
            if let Some(sign) = sign.filter(|_| !seen.contains_key(&key) && !is_enough(changes)) {
                changes += 1;
                tell(&mut context, shown, sign, &key, Some(&value))?;
            }
            seen.insert(key, hash);
        }
        for key in before.keys() {
            if seen.contains_key(key) {
                continue;
            }
            // A key that moved during the scan still exists.
            if let Some(value) = table.get(key)? {
                seen.insert(key.clone(), xxh3_64(&value));
            } else if !is_enough(changes) {
                changes += 1;
                tell(&mut context, shown, "-", key, None)?;
            }
        }
        context.out.flush()?;
    }
    context.out.done(changes > 0)
}

/// The number of writes: each takes a lock.
fn count_writes(table: &Table) -> u64 {
    let stripes = table.stripe_stats();
    stripes
        .iter()
        .fold(0, |sum, stripe| sum.wrapping_add(stripe.acquired))
}

fn tell(
    context: &mut Context,
    shown: Shown<'_>,
    sign: &str,
    key: &[u8],
    value: Option<&[u8]>,
) -> Result<()> {
    if context.out.json {
        let change = match sign {
            "+" => "inserted",
            "~" => "changed",
            _ => "removed",
        };
        let mut json = json!({ "change": change, "key": shown.key_json(key) });
        if let Some(value) = value {
            json["value"] = shown.value_json(value);
        }
        return context.out.object(json);
    }
    let line = value.map_or_else(|| shown.key(key), |value| shown.line(key, value));
    context.out.line(&format!("{sign} {line}"))
}
