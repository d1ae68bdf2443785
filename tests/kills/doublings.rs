//! Writers are killed at random while they make a table grow.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shmtable::{Options, Table};

use crate::PATIENT;
use crate::common::{self, Child, Dice, Named, Role, Stop, assert_sound, scaled};

const WRITERS: usize = 3;
/// Deaths on one table.
const DEATHS: usize = 30;
/// Keys that are there from the beginning.
const STAYING: u64 = 500;

/// The key of a writer's life. Each life inserts its keys in their order.
fn key(life: usize, number: u64) -> [u8; 8] {
    ((life as u64) << 40 | number).to_le_bytes()
}

/// A small entry or, every fourth one, a record.
fn value(key: [u8; 8]) -> Vec<u8> {
    let number = u64::from_le_bytes(key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let length = if (number >> 32).is_multiple_of(4) {
        3
    } else {
        1
    };
    number.to_le_bytes()[1..].repeat(length)
}

fn insert_until_killed(role: &Role) {
    let (table, life) = (role.open(), role.number(1));
    role.tell("ready");
    for number in 0.. {
        let key = key(life, number);
        assert!(table.insert(&key, &value(key)).unwrap(), "a key of ours");
        if number % 256 == 255 {
            role.tell("256 more");
        }
    }
}

#[test]
fn writers_killed_amid_doublings_lose_nothing_and_leave_nothing_twice() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        return insert_until_killed(&role);
    }
    let kills = scaled(90);
    let begin = Instant::now();
    let mut dice = Dice::new(u64::from(std::process::id()));
    let (mut done, mut entries, mut take_overs) = (0, 0, 0);
    for round in 0.. {
        if done == kills {
            break;
        }
        let deaths = DEATHS.min(kills - done);
        // Many stripes of one bucket each: one is doubled nearly always.
        let options = Options::new()
            .capacity(100)
            .max_capacity(8_000_000)
            .stripes([64, 256, 1][round % 3])
            .max_participants(WRITERS + 3)
            .lock_timeout(PATIENT);
        let named = Named::create(&options);
        deaths_on(test, &named, deaths, &mut dice);
        let stats = named.stats().unwrap();
        entries += stats.entries;
        take_overs += stats.take_overs;
        done += deaths;
    }
    println!(
        "{kills} kills in {:?}; {entries} entries, {take_overs} take-overs",
        begin.elapsed()
    );
}

/// Kills that many writers on a new table.
fn deaths_on(test: &str, named: &Named, deaths: usize, dice: &mut Dice) {
    let staying = |number| key(0, number);
    for number in 0..STAYING {
        named
            .insert(&staying(number), &value(staying(number)))
            .unwrap();
    }
    let start = |life: usize| {
        let child = Child::start(test, "writer", &[&named.name, &life.to_string()]);
        child.once_it_says("ready")
    };
    let stop = AtomicBool::new(false);
    let mut acknowledged = Vec::new();
    common::scope(|scope| {
        // Always there, for readers, and once.
        scope.spawn(|| {
            let reader = Table::open_read_only(&named.name).unwrap();
            while !stop.load(Ordering::Relaxed) {
                for number in 0..STAYING {
                    let key = staying(number);
                    assert_eq!(reader.get(&key).unwrap(), Some(value(key)));
                }
            }
        });
        let stopper = Stop(&stop);
        let mut writers: Vec<(usize, Child)> =
            (1..=WRITERS).map(|life| (life, start(life))).collect();
        for death in 1..=deaths {
            std::thread::sleep(Duration::from_micros(dice.below(4000) as u64));
            let next = WRITERS + death;
            let (life, mut writer) = writers.swap_remove(dice.below(WRITERS));
            writer.kill_and_reap();
            acknowledged.push((life, writer.hear_rest().len()));
            writers.push((next, start(next)));
        }
        for (life, mut writer) in writers {
            writer.kill_and_reap();
            acknowledged.push((life, writer.hear_rest().len()));
        }
        drop(stopper);
    });
    // By an iteration before anything is recovered, and one afterwards.
    for when in ["before recovery", "after it"] {
        let mut lives: HashMap<u64, u64> = HashMap::new();
        let mut greatest: HashMap<u64, u64> = HashMap::new();
        let mut seen = std::collections::HashSet::new();
        for entry in &named.table {
            let (key, found) = entry.unwrap();
            let key: [u8; 8] = key.try_into().unwrap();
            assert_eq!(found, value(key), "{when}");
            assert!(seen.insert(key), "{when}: {key:?} is there twice");
            let number = u64::from_le_bytes(key);
            let (life, number) = (number >> 40, number & ((1 << 40) - 1));
            *lives.entry(life).or_default() += 1;
            let last = greatest.entry(life).or_default();
            *last = number.max(*last);
        }
        assert_eq!(lives.remove(&0), Some(STAYING), "{when}");
        for (life, said) in &acknowledged {
            let count = lives.remove(&(*life as u64)).unwrap_or_default();
            // All up to the last one.
            let last = greatest.get(&(*life as u64));
            assert_eq!(
                count,
                last.map_or(0, |last| last + 1),
                "{when}: life {life}"
            );
            assert!(count >= *said as u64 * 256, "{when}: life {life}");
        }
        assert!(lives.is_empty(), "{when}: {lives:?}");
        assert_sound(named);
        assert_eq!(named.len(), seen.len(), "{when}");
        for key in seen {
            assert_eq!(named.get(&key).unwrap(), Some(value(key)), "{when}");
        }
    }
}
