//! Tables that were damaged, and deaths while `Table::repair` mends them.

use crate::Extent;
use crate::children::{Order, Repairer, passed};
use crate::common::{Named, assert_sound, bounded, bytes, contents};
use crate::image::{BUCKET, Image};
use crate::report::{Row, Victim};
use crate::scenarios::scenarios;
use crate::steps::{Model, key_of};
use crate::{FIRST, SECOND};

/// Puts a dead record of one word into the first free chunk.
pub fn fill_free_chunk(name: &str) {
    let mut image = Image::read(name);
    let chunk = (0..image.chunks).find(|chunk| image.kind(*chunk) == 0);
    let chunk = chunk.unwrap();
    image.change(image.arena_at + chunk * image.chunk_words, |_| 1);
    image.change(image.details_at + chunk * 8, |_| 1);
    image.write();
}

/// A table with damage of every kind that repair mends, what was in it, and how many
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
    let mut image = Image::read(&name);
    let Image {
        buckets_at,
        states_at,
        details_at,
        ..
    } = image;
    // A word that means nothing, and an overflow count.
    image.change(100, |_| 7);
    image.change(buckets_at, |word| word ^ 1 << 8);
    // A bit between the value and the key of an entry in its slot.
    let slots = (buckets_at..buckets_at + image.buckets * BUCKET).step_by(2);
    let small = slots
        .rev()
        .find(|at| image.get(*at) & 0xff == 0x18)
        .unwrap();
    image.change(small + 1, |tail| tail ^ 1 << 20);
    // A slot that leads nowhere, and a tag that is not its key's.
    let used_of = |image: &Image, bucket: usize| -> Vec<usize> {
        let tags = image.get(buckets_at + bucket * BUCKET + 1);
        let is_used = |slot: &usize| tags >> (8 * slot) & 0xff != 0;
        (1..8).filter(is_used).collect()
    };
    let records_of = |image: &Image, bucket: usize| {
        let mut slots = used_of(image, bucket);
        slots.retain(|slot| image.get(buckets_at + bucket * BUCKET + 2 * slot) & 0xff == 0xff);
        slots
    };
    let bucket = (0..image.buckets).find(|bucket| records_of(&image, *bucket).len() >= 2);
    let bucket = bucket.unwrap();
    let [lost, other, ..] = records_of(&image, bucket)[..] else {
        unreachable!("it has two");
    };
    image.change(buckets_at + bucket * BUCKET + 2 * lost, |head| {
        head | 1 << 60
    });
    image.change(buckets_at + bucket * BUCKET + 1, |word| {
        let tag = word >> (8 * other) & 0xff;
        word ^ if tag == 1 { 3 } else { 1 } << (8 * other)
    });
    // A chunk of nobody's, one whose cursor lies, and a tail that is none.
    let of_kind = |image: &Image, kind| -> Vec<usize> {
        (0..image.chunks)
            .filter(|chunk| image.kind(*chunk) == kind)
            .collect()
    };
    let sealed = of_kind(&image, 2);
    let tail = of_kind(&image, 4)[0];
    image.change(states_at + sealed[0], |_| 1 << 16 | 0xea60);
    image.change(details_at + sealed[1] * 8, |_| 3);
    image.change(states_at + tail, |word| word | 1 << 30);
    image.write();
    let table = scenario.options().open(&name).unwrap();
    (Named { table, name }, model, 1)
}

/// The table is mended, and has lost no more than the damage costs.
fn mends(case: &str, named: Named, model: Model, cost: usize) {
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

fn is_of_mending(point: &str) -> bool {
    point.starts_with("mend:") || point.starts_with("free:")
}

/// The first and the second who repair die at each point of mending.
pub fn row(extent: Extent) -> Row {
    let mut row = Row::new("Table::repair of damage");
    let mender = Repairer::Mender;
    let points = row.case("no death", |row| {
        let (named, ..) = damaged_table();
        row.note(passed(|order| mender.run(&named, FIRST, order)))
    });
    let mut points = points.unwrap_or_default();
    points.retain(|(point, _)| is_of_mending(point));
    for (at, (first, seen)) in points.iter().enumerate() {
        for pass in extent.passes(*seen, &[1, 2, 3, 5, 8]) {
            let case = format!("{first}, pass {pass}");
            let die = || {
                let (named, model, cost) = damaged_table();
                let end = mender.run(&named, FIRST, &Order::Die(first, pass));
                assert!(end.killed, "the first repairer did not die");
                (named, model, cost)
            };
            row.case(&case, |row| {
                let (named, model, cost) = die();
                row.died(Victim::FirstRepairer, first);
                mends(&case, named, model, cost);
            });
            if !extent.goes_on(at, points.len()) {
                continue;
            }
            let seconds = row.case(&case, |row| {
                let (named, ..) = die();
                row.note(passed(|order| mender.run(&named, SECOND, order)))
            });
            let seconds = seconds.unwrap_or_default();
            for (second, _) in seconds
                .iter()
                .filter(|(point, _)| is_of_mending(point) || crate::is_of_repair(point))
            {
                let case = format!("{case}, then again: {second}");
                row.case(&case, |row| {
                    let (named, model, cost) = die();
                    let end = mender.run(&named, SECOND, &Order::Die(second, 1));
                    assert!(end.killed, "the second repairer did not die");
                    row.died(Victim::SecondRepairer, second);
                    mends(&case, named, model, cost);
                });
            }
        }
    }
    row
}
