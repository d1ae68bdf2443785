//! A table's figures, for people.

use super::{Rates, Sample, State, process_state, user_name};
use crate::codec::Codec;
use crate::out::{Side, columns, printable};
use crate::units::{age, count, moment, percent, since, size};

type Line = (&'static str, String);

/// All lines of `stat`.
pub(crate) fn text(sample: &Sample, rates: Option<&Rates>) -> String {
    let stats = &sample.stats;
    let kind = match (sample.anonymous, sample.state()) {
        (true, State::Orphan) => "orphan: its creator is gone, and nobody uses it".to_owned(),
        (true, now) => format!("{}, goes with its creator", now.name()),
        (false, now) => now.name().to_owned(),
    };
    let (created, ago) = (moment(stats.created), age(since(stats.created)));
    let mut lines = vec![
        ("table", printable(&sample.name)),
        ("state", kind),
        ("owner", user_name(sample.owner)),
        ("created", format!("{created}, {ago} ago")),
        ("codec", Codec::of(sample.codec).name),
    ];
    lines.extend(space(sample));
    lines.extend(events(sample));
    if let Some(rates) = rates {
        lines.push(per_second(rates));
    }
    let readers = if sample.readers { ", and readers" } else { "" };
    lines.push((
        "attached",
        format!(
            "{} of {} for writing{readers}",
            sample.living(),
            stats.max_participants
        ),
    ));
    let mut text: Vec<String> = lines
        .iter()
        .map(|(name, value)| format!("{name:<14}{value}"))
        .collect();
    if !sample.attached.is_empty() {
        text.push(participants(sample));
    }
    text.join("\n")
}

fn space(sample: &Sample) -> Vec<Line> {
    let stats = &sample.stats;
    let bytes = |bytes: usize| size(bytes as u64);
    vec![
        (
            "entries",
            format!(
                "{} of {} ({:.1} %)",
                count(stats.entries as u64),
                count(stats.capacity as u64),
                percent(stats.entries as u64, stats.capacity as u64)
            ),
        ),
        (
            "value space",
            format!(
                "{} live, {} dead, {} free; created for {}",
                bytes(stats.value_bytes_live),
                bytes(stats.value_bytes_dead),
                bytes(stats.value_bytes_free),
                bytes(stats.value_space)
            ),
        ),
        (
            "memory",
            format!(
                "{}: index {}, records {}; address space {}",
                size(sample.reserved()),
                bytes(stats.index_bytes),
                bytes(stats.value_bytes_reserved),
                bytes(stats.segment_bytes)
            ),
        ),
        (
            "chunks",
            format!(
                "{} free, {} open, {} sealed, {} cleaning, {} in runs; {} each",
                stats.chunks_free,
                stats.chunks_open,
                stats.chunks_sealed,
                stats.chunks_cleaning,
                stats.chunks_in_runs,
                bytes(stats.chunk_bytes)
            ),
        ),
    ]
}

fn events(sample: &Sample) -> Vec<Line> {
    let stats = &sample.stats;
    let mut lines = vec![
        (
            "locks",
            format!(
                "{} stripes; taken {} times, {} after waiting ({:.3} %)",
                stats.stripes,
                count(stats.acquired),
                count(stats.contended),
                percent(stats.contended, stats.acquired)
            ),
        ),
        (
            "history",
            format!(
                "{} chunks cleaned, {} take-overs from dead processes",
                count(stats.cleanings),
                count(stats.take_overs)
            ),
        ),
    ];
    if stats.longest_probe > 0 {
        lines.push(("longest probe", format!("buckets: {}", stats.longest_probe)));
    }
    lines
}

fn per_second(rates: &Rates) -> Line {
    let text = format!(
        "{} writes, {} waits for a lock, {:+.0} entries",
        count(rates.writes.round() as u64),
        count(rates.contended.round() as u64),
        rates.entries
    );
    ("per second", text)
}

fn participants(sample: &Sample) -> String {
    let heads = [
        ("  SLOT", Side::Right),
        ("PID", Side::Right),
        ("STATE", Side::Left),
        ("SINCE", Side::Right),
        ("LOCKS", Side::Right),
        ("CHUNKS", Side::Right),
    ];
    let rows: Vec<_> = sample
        .attached
        .iter()
        .map(|one| {
            vec![
                one.slot.to_string(),
                one.pid.to_string(),
                process_state(one, &sample.name).to_owned(),
                age(since(one.since)),
                one.locks.to_string(),
                one.chunks.to_string(),
            ]
        })
        .collect();
    columns(&heads, &rows)
}
