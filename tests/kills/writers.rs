//! Writers are killed at random, and held against their diaries.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shmtable::{Options, Table};

use crate::common::{
    self, Child, Dice, Named, Role, Stop, assert_sound, key, scaled, version_of, whole,
};
use crate::diary::Diary;
use crate::{PATIENT, SOON};

const WRITERS: usize = 3;
/// Keys of each writer.
const KEYS: usize = 20;
/// Where the counters' acknowledgements of a writer stand in the diary.
const COUNTERS: usize = 1000;

/// What step `step` leaves under a key: a value's version, or nothing.
fn state(step: u64) -> Option<u64> {
    (step != 0 && !step.is_multiple_of(7)).then_some(step)
}

fn write_until_killed(role: &Role) {
    let (table, me) = (role.open(), role.number(1));
    let diary = Diary::open(role.argument(2));
    let mut step = role.number(3) as u64;
    let mut dice = Dice::new(step + me as u64);
    role.tell("ready");
    loop {
        step += 1;
        let at = me * KEYS + dice.below(KEYS);
        Diary::put(&diary, 2 * at, step);
        let length = if dice.below(40) == 0 {
            5000
        } else {
            dice.below(700)
        };
        let value = whole(at as u64, step, length);
        match (state(step), dice.below(4)) {
            (None, 0) => drop(table.update(&key(at), |_| None).unwrap()),
            (None, _) => drop(table.remove(&key(at)).unwrap()),
            (Some(_), 0) => drop(table.update(&key(at), |_| Some(value.clone())).unwrap()),
            (Some(_), 1) => {
                let old = table.get(&key(at)).unwrap();
                let done = table.compare_exchange(&key(at), old.as_deref(), Some(&value));
                assert_eq!(done.unwrap(), Ok(()), "nobody else writes this key");
            }
            (Some(_), _) => drop(table.insert(&key(at), &value).unwrap()),
        }
        Diary::put(&diary, 2 * at + 1, step);
        // A counter that all share, and one that is made and unmade as a record.
        table.fetch_add(b"shared counter", 1).unwrap();
        let count = COUNTERS + 2 * me;
        Diary::put(&diary, count, Diary::get(&diary, count) + 1);
        table
            .update(b"text counter", |old| {
                let text = old.map_or("0".into(), String::from_utf8_lossy);
                Some((text.parse::<u64>().unwrap() + 1).to_string().into_bytes())
            })
            .unwrap();
        Diary::put(&diary, count + 1, Diary::get(&diary, count + 1) + 1);
    }
}

/// Holds a dead writer's keys against its diary, and settles what was open.
fn settle(table: &Table, diary: &File, me: usize) {
    for at in me * KEYS..(me + 1) * KEYS {
        let (begun, done) = (Diary::get(diary, 2 * at), Diary::get(diary, 2 * at + 1));
        let value = table.get(&key(at)).unwrap();
        let found = value.map(|value| version_of(at as u64, &value));
        assert!(
            found == state(begun) || (found == state(done)),
            "key {at} holds {found:?}; acknowledged was {done}, begun {begun}"
        );
        let settled = if found == state(begun) { begun } else { done };
        Diary::put(diary, 2 * at, settled);
        Diary::put(diary, 2 * at + 1, settled);
    }
}

#[test]
fn writers_killed_at_random_lose_nothing_that_was_acknowledged() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        return write_until_killed(&role);
    }
    let kills = scaled(200);
    let options = Options::new()
        .capacity(WRITERS * KEYS + 10)
        .value_space(80_000)
        .stripes(2)
        .chunk_size(4096)
        .max_participants(WRITERS + 3)
        .lock_timeout(PATIENT);
    let named = Named::create(&options);
    let diary = Diary::create(&named.name);
    let path = diary.path.to_str().unwrap();
    let mut dice = Dice::new(u64::from(std::process::id()));
    let start = |me: usize, step: u64| {
        let (me, step) = (me.to_string(), step.to_string());
        Child::start(test, "writer", &[&named.name, &me, path, &step]).once_it_says("ready")
    };
    let stop = AtomicBool::new(false);
    let begin = Instant::now();
    common::scope(|scope| {
        // Whatever happens, readers read whole values and a survivor writes.
        scope.spawn(|| {
            let reader = Table::open_read_only(&named.name).unwrap();
            while !stop.load(Ordering::Relaxed) {
                for at in 0..WRITERS * KEYS {
                    if let Some(value) = reader.get(&key(at)).unwrap() {
                        version_of(at as u64, &value);
                    }
                }
            }
        });
        let survivor = scope.spawn(|| {
            let options = Options::new().lock_timeout(PATIENT);
            let table = options.open(&named.name).unwrap();
            let (mut slowest, mut version) = (Duration::ZERO, 0);
            while !stop.load(Ordering::Relaxed) {
                version += 1;
                let begin = Instant::now();
                table
                    .insert(b"survivor", &whole(99, version, (version % 300) as usize))
                    .unwrap();
                slowest = slowest.max(begin.elapsed());
                let value = table.get(b"survivor").unwrap().unwrap();
                assert_eq!(version_of(99, &value), version);
            }
            slowest
        });
        let stopper = Stop(&stop);
        let mut writers: Vec<Child> = (0..WRITERS).map(|me| start(me, 0)).collect();
        for kill in 1..=kills {
            std::thread::sleep(Duration::from_micros(dice.below(12_000) as u64));
            let me = dice.below(WRITERS);
            writers[me].kill_and_reap();
            settle(&named, &diary.file, me);
            // Steps of a later life never look like those of an earlier one.
            writers[me] = start(me, (kill as u64) << 32);
        }
        for (me, writer) in writers.into_iter().enumerate() {
            writer.kill();
            settle(&named, &diary.file, me);
        }
        drop(stopper);
        let slowest = survivor.join().unwrap();
        println!(
            "{kills} kills in {:?}; a survivor's slowest insert: {slowest:?}",
            begin.elapsed()
        );
        assert!(slowest < SOON);
    });
    let acknowledged = |counter: usize| -> u64 {
        (0..WRITERS)
            .map(|me| Diary::get(&diary.file, COUNTERS + 2 * me + counter))
            .sum()
    };
    let deaths = (kills + WRITERS) as u64;
    let shared = named.fetch_add(b"shared counter", 0).unwrap() as u64;
    let digits = named.get(b"text counter").unwrap().unwrap();
    let as_text: u64 = String::from_utf8(digits).unwrap().parse().unwrap();
    for (count, acknowledged) in [(shared, acknowledged(0)), (as_text, acknowledged(1))] {
        assert!(
            (acknowledged..=acknowledged + deaths).contains(&count),
            "{acknowledged} steps were acknowledged, {deaths} writers killed, the counter says {count}"
        );
    }
    let stats = named.stats().unwrap();
    println!(
        "{shared} steps, {} cleanings, {} take-overs",
        stats.cleanings, stats.take_overs
    );
    assert!(stats.cleanings > 50 && stats.take_overs > 10);
    assert_eq!(stats.participants, 1);
    assert_sound(&named);
    // And all of it goes on.
    for at in 0..WRITERS * KEYS {
        named.insert(&key(at), &whole(at as u64, 1, 700)).unwrap();
    }
    assert_sound(&named);
}
