//! Tables that were damaged, and deaths while `Table::repair` repairs them.

use crate::Extent;
use crate::children::{Order, Survivor, passed};
use crate::common::{Named, SegmentBytes, assert_sound, bounded, bytes, contents};
use crate::report::{Row, Victim};
use crate::scenarios::scenarios;
use crate::steps::{Model, key_of};
use crate::{FIRST, SECOND};

/// Puts a dead record of one word into the first free chunk.
pub fn fill_free_chunk(name: &str) {
    let mut segment = SegmentBytes::read(name);
    let chunk = segment.chunks_of_kind(0)[0];
    segment.set(segment.arena_at() + chunk * segment.chunk_words, 1);
    segment.set(segment.detail_at(chunk), 1);
    segment.write(name);
}

/// A table with damage of every kind that repair handles, what was in it, and how many
/// entries the damage costs.
fn damaged_table() -> (Named, Model, usize) {
    const LARGE: usize = 9000;
    let scenarios = scenarios();
    let scenario = scenarios
        .iter()
        .find(|s| s.name == "values of several chunks")
        .unwrap();
    let Named { table, name } = scenario.new_table();
    table.insert(&key_of(100), &bytes(1, LARGE)).unwrap();
    table.insert(&key_of(101), b"1").unwrap();
    let model = contents(&table);
    drop(table);
    let mut segment = SegmentBytes::read(&name);
    // A word that means nothing, and an overflow count.
    segment.set(100, 7);
    segment.change(segment.bucket_at(0), |word| word ^ 1 << 8);
    // A bit between the value and the key of an entry in its slot.
    let heads = (segment.buckets_at()..segment.states_at()).step_by(2);
    let small = heads.rev().find(|at| segment.get(*at) & 0xff == 0x18);
    segment.change(small.unwrap() + 1, |tail| tail ^ 1 << 20);
    // A slot that leads nowhere, and a tag that is not its key's.
    let records_of = |bucket: usize| -> Vec<usize> {
        let slots = segment.slots_in_use(bucket);
        slots
            .filter(|slot| segment.has_record(bucket, *slot))
            .collect()
    };
    let bucket = (0..segment.buckets()).find(|bucket| records_of(*bucket).len() >= 2);
    let bucket = bucket.unwrap();
    let [lost, other, ..] = records_of(bucket)[..] else {
        unreachable!("it has two");
    };
    segment.change(segment.slot_at(bucket, lost), |head| head | 1 << 60);
    segment.change(segment.bucket_at(bucket) + 1, |word| {
        let tag = word >> (8 * other) & 0xff;
        word ^ if tag == 1 { 3 } else { 1 } << (8 * other)
    });
    // A chunk that no participant owns, one with a wrong cursor, and a tail that is none.
    let sealed = segment.chunks_of_kind(2);
    let tail = segment.chunks_of_kind(4)[0];
    segment.set(segment.state_at(sealed[0]), 1 << 16 | 0xea60);
    segment.set(segment.detail_at(sealed[1]), 3);
    segment.change(segment.state_at(tail), |word| word | 1 << 30);
    segment.write(&name);
    let table = scenario.options().open(&name).unwrap();
    (Named { table, name }, model, 1)
}

/// The table is repaired, and has lost no more than the damage costs.
fn is_repaired(case: &str, named: Named, model: Model, cost: usize) {
    bounded(case, move || {
        named.repair().unwrap();
        assert_sound(&named);
        let found = contents(&named);
        assert!(found.len() + cost >= model.len(), "{}", found.len());
        for (key, value) in &found {
            assert_eq!(model.get(key), Some(value));
        }
        named.insert(&key_of(200), &bytes(2, 5000)).unwrap();
        assert_sound(&named);
    });
}

fn is_of_table_repair(point: &str) -> bool {
    point.starts_with("repair:") || point.starts_with("free:")
}

/// The first and the second repairer die at each point of a repair.
pub fn row(extent: Extent) -> Row {
    let mut row = Row::new("Table::repair of damage");
    let repairer = Survivor::Repairer;
    let points = row.case("no death", |row| {
        let (named, ..) = damaged_table();
        row.note(passed(|order| repairer.run(&named, FIRST, order)))
    });
    let mut points = points.unwrap_or_default();
    points.retain(|(point, _)| is_of_table_repair(point));
    for (at, (first, seen)) in points.iter().enumerate() {
        for pass in extent.passes(*seen, &[1, 2, 3, 5, 8]) {
            let case = format!("{first}, pass {pass}");
            let die = || {
                let (named, model, cost) = damaged_table();
                let end = repairer.run(&named, FIRST, &Order::Die(first, pass));
                assert!(end.killed, "the first repairer did not die");
                (named, model, cost)
            };
            row.case(&case, |row| {
                let (named, model, cost) = die();
                row.died(Victim::FirstRepairer, first);
                is_repaired(&case, named, model, cost);
            });
            if !extent.goes_on(at, points.len()) {
                continue;
            }
            let seconds = row.case(&case, |row| {
                let (named, ..) = die();
                row.note(passed(|order| repairer.run(&named, SECOND, order)))
            });
            let seconds = seconds.unwrap_or_default();
            for (second, _) in seconds
                .iter()
                .filter(|(point, _)| is_of_table_repair(point) || crate::is_of_repair(point))
            {
                let case = format!("{case}, then again: {second}");
                row.case(&case, |row| {
                    let (named, model, cost) = die();
                    let end = repairer.run(&named, SECOND, &Order::Die(second, 1));
                    assert!(end.killed, "the second repairer did not die");
                    row.died(Victim::SecondRepairer, second);
                    is_repaired(&case, named, model, cost);
                });
            }
        }
    }
    row
}
