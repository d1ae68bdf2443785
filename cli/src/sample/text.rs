//! A table's figures as text.

use shmtable::{Figure, FigureUnit};

use super::{Rates, Sample, State, process_state, user_name};
use crate::codec::Codec;
use crate::out::{Side, columns, printable};
use crate::units::{age, count, moment, percent, since, size};

type Line = (&'static str, String);

/// The figures that no line shows yet.
struct Unshown(Vec<Figure>);

impl Unshown {
    /// A figure for a line.
    fn take(&mut self, name: &str) -> u64 {
        let at = self.0.iter().position(|figure| figure.name == name);
        self.0.remove(at.expect("the crate has this figure")).value
    }

    fn count(&mut self, name: &str) -> String {
        count(self.take(name))
    }

    fn size(&mut self, name: &str) -> String {
        size(self.take(name))
    }

    /// A line for each figure that is left.
    fn lines(self) -> impl Iterator<Item = Line> {
        self.0.into_iter().map(|figure| {
            let value = match figure.unit {
                FigureUnit::Bytes => size(figure.value),
                FigureUnit::UnixNanoseconds => moment(figure.value),
                FigureUnit::YesNo => if figure.value > 0 { "yes" } else { "no" }.to_owned(),
                _ => count(figure.value),
            };
            (figure.name, value)
        })
    }
}

/// All lines of `stat`.
pub(crate) fn text(sample: &Sample, rates: Option<&Rates>) -> String {
    let mut figures = Unshown(sample.figures.clone());
    let kind = match (sample.anonymous, sample.state()) {
        (true, State::Orphan) => {
            "orphan: its creator was killed, and no process uses it".to_owned()
        }
        (true, now) => format!("{}, removed with its creator", now.name()),
        (false, now) => now.name().to_owned(),
    };
    let created = figures.take("created");
    let ago = age(since(created));
    let mut lines = vec![
        ("table", printable(&sample.name)),
        ("state", kind),
        ("owner", user_name(sample.owner)),
        ("created", format!("{}, {ago} ago", moment(created))),
        ("codec", Codec::of(sample.codec).name),
    ];
    let attached = attached(sample, &mut figures);
    lines.extend(space(&mut figures));
    lines.extend(events(&mut figures));
    lines.extend(figures.lines());
    lines.extend(rates.map(per_second));
    lines.push(attached);
    let mut text: Vec<String> = lines
        .iter()
        .map(|(name, value)| format!("{name:<13} {value}"))
        .collect();
    if !sample.participants.is_empty() {
        text.push(participants(sample));
    }
    text.join("\n")
}

fn space(figures: &mut Unshown) -> [Line; 4] {
    let (entries, capacity) = (figures.take("entries"), figures.take("capacity"));
    let full = if figures.take("grows") > 0 {
        format!("{}, grows to {}", count(entries), count(capacity))
    } else {
        let percent = percent(entries, capacity);
        format!("{} of {} ({percent:.1} %)", count(entries), count(capacity))
    };
    let (index, most_index) = (figures.take("index_bytes"), figures.take("max_index_bytes"));
    let grown = if most_index == index {
        String::new()
    } else {
        format!(" (up to {})", size(most_index))
    };
    let bound = match figures.take("max_bytes") {
        0 => String::new(),
        most => format!(" of at most {}", size(most)),
    };
    [
        (
            "entries",
            format!("{full}; {} slots", figures.count("slots")),
        ),
        (
            "value space",
            format!(
                "{} live, {} dead, {} free; created for {}",
                figures.size("value_bytes_live"),
                figures.size("value_bytes_dead"),
                figures.size("value_bytes_free"),
                figures.size("value_space")
            ),
        ),
        (
            "memory",
            format!(
                "{}{bound}: index {}{grown}, records {}; address space {}",
                figures.size("memory_bytes"),
                size(index),
                figures.size("value_bytes_reserved"),
                figures.size("segment_bytes")
            ),
        ),
        (
            "chunks",
            format!(
                "{} free, {} open, {} sealed, {} cleaning, {} in runs; {} each",
                figures.take("chunks_free"),
                figures.take("chunks_open"),
                figures.take("chunks_sealed"),
                figures.take("chunks_cleaning"),
                figures.take("chunks_in_runs"),
                figures.size("chunk_bytes")
            ),
        ),
    ]
}

fn events(figures: &mut Unshown) -> Vec<Line> {
    let (acquired, contended) = (figures.take("acquired"), figures.take("contended"));
    let mut lines = vec![
        (
            "locks",
            format!(
                "{} stripes; taken {} times, {} after waiting ({:.3} %)",
                figures.take("stripes"),
                count(acquired),
                count(contended),
                percent(contended, acquired)
            ),
        ),
        (
            "history",
            format!(
                "{} chunks cleaned, {} locks and chunks recovered from dead processes",
                figures.count("cleanings"),
                figures.count("take_overs")
            ),
        ),
    ];
    // Only known where every bucket was read.
    if figures
        .0
        .iter()
        .any(|figure| figure.name == "longest_probe")
    {
        let buckets = figures.take("longest_probe");
        lines.push(("longest probe", format!("buckets: {buckets}")));
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

fn attached(sample: &Sample, figures: &mut Unshown) -> Line {
    let readers = if sample.readers { ", and readers" } else { "" };
    let (writing, most) = (
        figures.take("participants"),
        figures.take("max_participants"),
    );
    (
        "attached",
        format!("{writing} of {most} for writing{readers}"),
    )
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
        .participants
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
