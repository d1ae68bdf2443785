//! Does every figure of the crate reach every output of the command?

use std::collections::BTreeSet;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;
use serde_json::Value as Json;
use shmtable::{Figure, Options};

use super::serve_metrics::{Inspected, encode};
use crate::sample::{self, Sample, figures};

/// Tables that were inspected before the scrape.
#[derive(Debug)]
struct Fixed(Vec<Inspected>);

impl Collector for Fixed {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        encode(&self.0, encoder)
    }
}

fn scrape(sample: &Sample) -> String {
    let mut registry = Registry::default();
    let inspected = (sample.name.clone(), Some(sample.clone()));
    registry.register_collector(Box::new(Fixed(vec![inspected])));
    let mut text = String::new();
    text::encode(&mut text, &registry).unwrap();
    text
}

/// The paths of all fields whose values differ.
fn differences(one: &Json, other: &Json, path: &str) -> BTreeSet<String> {
    match (one, other) {
        (Json::Object(fields), Json::Object(_)) => fields
            .iter()
            .flat_map(|(name, value)| {
                let path = format!("{path}.{name}");
                differences(value, &other[name], path.trim_start_matches('.'))
            })
            .collect(),
        _ if one == other => BTreeSet::new(),
        _ => BTreeSet::from([path.to_owned()]),
    }
}

/// Each figure, with a sample of a table and a sample in which this figure has another value.
fn changed() -> Vec<(Figure, Sample, Sample)> {
    let table = Options::new().capacity(10).create_anonymous().unwrap();
    let sample = Sample::take_all(&table).unwrap();
    let figures = 0..sample.figures.len();
    assert_eq!(figures.len(), table.stats().unwrap().figures().count());
    figures
        .map(|at| {
            let mut other = sample.clone();
            other.figures[at].value += 3 << 30;
            (sample.figures[at].clone(), sample.clone(), other)
        })
        .collect()
}

#[test]
fn every_figure_is_in_json_and_in_its_documentation() {
    let page = include_str!("../../../docs/json/tables.md").replace('?', "");
    for (figure, before, after) in changed() {
        let paths = differences(&before.to_json(), &after.to_json(), "");
        assert_eq!(paths.len(), 1, "{figure:?}: {paths:?}");
        for path in paths {
            let rows = [format!("| `tables[].{path}` |"), format!("| `{path}` |")];
            assert!(rows.iter().any(|row| page.contains(row)), "{path}");
        }
    }
}

#[test]
fn every_figure_is_in_the_text() {
    for (figure, before, after) in changed() {
        let (before, after) = (sample::text(&before, None), sample::text(&after, None));
        assert_ne!(before, after, "{figure:?}");
    }
}

#[test]
fn every_figure_is_in_the_metrics() {
    for (figure, before, after) in changed() {
        let (before, after) = (scrape(&before), scrape(&after));
        // The metrics leave it out: every bucket would have to be read for it.
        if figure.name == "longest_probe" {
            assert_eq!(before, after);
            continue;
        }
        let changed = |(one, other): &(&str, &str)| one != other;
        let lines = before.lines().zip(after.lines());
        assert_eq!(lines.filter(changed).count(), 1, "{figure:?}: {before}");
        let help = format!("# HELP {} ", figures::metric(&figure));
        assert!(before.contains(&help), "{help}: {before}");
    }
}
