//! What the crate's figures are called in JSON and in metrics.
//!
//! A figure that isn't named here has the crate's name in both, so a new figure needs no line.

use serde_json::Value as Json;
use shmtable::{Figure, FigureUnit};

use crate::units::moment;

/// A figure whose name in an output isn't the crate's.
struct Name {
    figure: &'static str,
    /// The path in JSON, with dots between objects.
    json: &'static str,
    metric: &'static str,
    /// The label `state`, which tells figures of one metric apart.
    state: Option<&'static str>,
}

const fn name(
    figure: &'static str,
    json: &'static str,
    metric: &'static str,
    state: Option<&'static str>,
) -> Name {
    Name {
        figure,
        json,
        metric,
        state,
    }
}

#[rustfmt::skip]
const NAMES: [Name; 17] = [
    name("value_space", "value_space", "value_space_bytes", None),
    name("value_bytes_live", "value_bytes.live", "value_bytes", Some("live")),
    name("value_bytes_dead", "value_bytes.dead", "value_bytes", Some("dead")),
    name("value_bytes_free", "value_bytes.free", "value_bytes", Some("free")),
    name("value_bytes_reserved", "value_bytes.reserved", "value_reserved_bytes", None),
    name("chunk_bytes", "chunks.bytes", "chunk_bytes", None),
    name("chunks_free", "chunks.free", "chunks", Some("free")),
    name("chunks_open", "chunks.open", "chunks", Some("open")),
    name("chunks_sealed", "chunks.sealed", "chunks", Some("sealed")),
    name("chunks_cleaning", "chunks.cleaning", "chunks", Some("cleaning")),
    name("chunks_in_runs", "chunks.in_runs", "chunks", Some("in_run")),
    name("stripes", "locks.stripes", "stripes", None),
    name("participants", "attached", "participants", Some("alive")),
    name("acquired", "locks.acquired", "lock_acquisitions", None),
    name("contended", "locks.contended", "lock_waits", None),
    name("cleanings", "cleanings", "cleaned_chunks", None),
    name("created", "created", "created_timestamp_seconds", None),
];

/// What a metric with several states says.
const METRICS: [(&str, &str); 3] = [
    ("value_bytes", "Bytes of the value space, by state"),
    ("chunks", "Chunks of the value space, by state"),
    ("participants", "Handles that may write, by state"),
];

fn of(figure: &Figure) -> Option<&'static Name> {
    NAMES.iter().find(|name| name.figure == figure.name)
}

/// Puts a figure into an object.
pub(super) fn add_to(json: &mut Json, figure: &Figure) {
    let path = of(figure).map_or(figure.name, |name| name.json);
    let field = path.split('.').fold(json, |json, name| &mut json[name]);
    *field = match figure.unit {
        FigureUnit::UnixNanoseconds => moment(figure.value).into(),
        FigureUnit::YesNo => (figure.value > 0).into(),
        _ => figure.value.into(),
    };
}

/// The metric that a figure belongs to.
pub(crate) fn metric(figure: &Figure) -> &'static str {
    of(figure).map_or(figure.name, |name| name.metric)
}

/// The label that tells a figure apart from others of its metric.
pub(crate) fn state(figure: &Figure) -> Option<&'static str> {
    of(figure).and_then(|name| name.state)
}

/// What the metric that a figure belongs to says.
pub(crate) fn help(figure: &Figure) -> &'static str {
    let metric = metric(figure);
    let of_states = METRICS.iter().find(|(name, _)| *name == metric);
    of_states.map_or(figure.help, |(_, help)| help)
}
