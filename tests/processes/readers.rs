//! Reads, iteration, waits and removals beside processes that write.

use std::time::{Duration, Instant};

use shmtable::{Options, Table};

use crate::common::{
    self, Child, Dice, LIMIT, Named, assert_sound, bytes, contents, finish_all, key, race, race_as,
    racer, scaled, version_of, whole,
};
use crate::numbers;

#[test]
fn a_snapshot_is_one_moment() {
    const PAIRS: usize = 4;
    if let Some(racer) = racer() {
        let (table, me) = (&racer.table, racer.number);
        // Keys of different stripes, raised in turn: the first is never behind the
        // second, nor more than one ahead.
        let pair = me;
        for step in 1_u64.. {
            for half in [0, 1] {
                let value = whole((2 * pair + half) as u64, step, (step % 50) as usize);
                table.insert(&key(2 * pair + half), &value).unwrap();
            }
            if table.contains_key(b"stop").unwrap() {
                return racer.tell(&step.to_string());
            }
        }
        return;
    }
    let named = Named::create(&Options::new().capacity(100));
    for number in 0..2 * PAIRS {
        named
            .insert(&key(number), &whole(number as u64, 0, 0))
            .unwrap();
    }
    let children = race(common::this_test!(), &named.name, PAIRS);
    let mut apart = 0;
    for _ in 0..scaled(300) {
        let snapshot = named.snapshot().unwrap();
        assert_eq!(snapshot.len(), 2 * PAIRS);
        for pair in 0..PAIRS {
            let step = |half| {
                let number = 2 * pair + half;
                version_of(number as u64, snapshot.get(key(number)).unwrap())
            };
            let (first, second) = (step(0), step(1));
            assert!(
                first == second || first == second + 1,
                "{first} and {second}"
            );
            apart += usize::from(first != second);
        }
    }
    named.insert(b"stop", b"").unwrap();
    let steps: usize = finish_all(children)
        .iter()
        .map(|lines| numbers(&lines[0])[0])
        .sum();
    println!("{apart} pairs were seen half-way, {steps} steps");
    assert!(steps > 0);
    assert_sound(&named);
}

#[test]
fn iteration_sees_what_stays_exactly_once() {
    const STAYING: usize = 400;
    if let Some(racer) = racer() {
        let (table, me) = (&racer.table, racer.number);
        let mut dice = Dice::new(me as u64);
        for step in 0_u64.. {
            // Comes and goes.
            let guest = key(STAYING + dice.below(300));
            if dice.below(2) == 0 {
                table.insert(&guest, &bytes(step, dice.below(300))).unwrap();
            } else {
                table.remove(&guest).unwrap();
            }
            // Is replaced, by new records and in place, but is always there.
            let number = dice.below(STAYING);
            table
                .insert(&key(number), &whole(number as u64, step, dice.below(200)))
                .unwrap();
            if step % 64 == 0 && table.contains_key(b"stop").unwrap() {
                break;
            }
        }
        return;
    }
    let options = Options::new().capacity(1000).value_space(STAYING * 300);
    let named = Named::create(&options.chunk_size(4096).max_participants(8));
    for number in 0..STAYING {
        named
            .insert(&key(number), &whole(number as u64, 0, 10))
            .unwrap();
    }
    let children = race(common::this_test!(), &named.name, 4);
    let reader = Table::open_read_only(&named.name).unwrap();
    let cleaned = || named.stats().unwrap().cleanings > 0;
    for round in 0.. {
        // Until the guests have made it clean, however slowly they start.
        if round >= scaled(100) && cleaned() {
            break;
        }
        let table = if round % 2 == 0 {
            &reader
        } else {
            &named.table
        };
        let mut seen = vec![0; STAYING];
        for entry in table {
            let (key, value) = entry.unwrap();
            let number = u64::from_le_bytes(key.try_into().unwrap());
            if (number as usize) < STAYING {
                version_of(number, &value);
                seen[number as usize] += 1;
            }
        }
        assert!(
            seen.iter().all(|times| *times == 1),
            "round {round}: {seen:?}"
        );
    }
    named.insert(b"stop", b"").unwrap();
    finish_all(children);
    assert_sound(&named);
}

#[test]
fn wait_wakes_when_another_process_publishes() {
    const BATCH: usize = 50;
    let question = |number| [b"question ", &key(number)[..]].concat();
    let answer = |number| [b"answer ", &key(number)[..]].concat();
    if let Some(role) = common::role() {
        let table = role.open();
        for number in 0.. {
            let asked = table.wait(&question(number), LIMIT).unwrap();
            let asked = asked.expect("it is asked");
            table.insert(&answer(number), &asked.repeat(2)).unwrap();
            if asked == b"stop" {
                break;
            }
        }
        return;
    }
    let named = Named::create(&Options::new().capacity(200_000));
    let child = Child::start(common::this_test!(), "answers", &[&named.name]);
    let mut number = 0;
    let mut ask = |value: &[u8]| {
        named.insert(&question(number), value).unwrap();
        let begin = Instant::now();
        let answered = named.wait(&answer(number), LIMIT).unwrap();
        assert_eq!(answered, Some(value.repeat(2)));
        number += 1;
        begin.elapsed()
    };
    // A waiter that is not woken looks again after 50 ms, so half of the answers come
    // sooner than that, unless the machine is too busy with other tests. Then a
    // later batch shows it.
    let begin = Instant::now();
    for batch in 0_usize.. {
        let mut times: Vec<Duration> = (0..BATCH)
            .map(|time| ask(&bytes(time as u64, time)))
            .collect();
        times.sort_unstable();
        println!(
            "batch {batch}: half within {:?}, all within {:?}",
            times[BATCH / 2],
            times[BATCH - 1]
        );
        if times[BATCH / 2] < Duration::from_millis(20) && batch + 1 >= scaled(4) {
            break;
        }
        assert!(begin.elapsed() < LIMIT, "no waiter is woken");
    }
    ask(b"stop");
    child.finish();
    assert_sound(&named);
}

#[test]
fn readers_never_see_a_torn_value() {
    const KEYS: usize = 40;
    let test = common::this_test!();
    if let Some(role) = common::role() {
        let me = role.number(1);
        if role.name == "writer" {
            let table = role.open();
            role.wait_for_start();
            let mut dice = Dice::new(me as u64);
            let mut steps = 0;
            for step in 1_u64.. {
                let number = dice.below(KEYS);
                let version = (me as u64) << 40 | step;
                // From nothing to several chunks.
                let length = match dice.below(10) {
                    0 => dice.below(12_000),
                    1 => 0,
                    _ => dice.below(700),
                };
                match dice.below(8) {
                    0 => {
                        if let Some(old) = table.take(&key(number)).unwrap() {
                            version_of(number as u64, &old);
                        }
                    }
                    _ => {
                        match table.insert(&key(number), &whole(number as u64, version, length)) {
                            // A run of chunks finds no neighbors at times.
                            Ok(_) | Err(shmtable::Error::ValueSpaceFull { .. }) => {}
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                }
                steps = step;
                if step % 32 == 0 && table.contains_key(b"stop").unwrap() {
                    break;
                }
            }
            return role.tell(&steps.to_string());
        }
        let table = if role.name == "reader" {
            role.open()
        } else {
            Table::open_read_only(role.argument(0)).unwrap()
        };
        role.wait_for_start();
        let mut buffer = Vec::new();
        let mut reads = 0;
        let keys: Vec<_> = (0..KEYS).map(key).collect();
        while !table.contains_key(b"stop").unwrap() {
            for number in 0..KEYS {
                if table.get_into(&key(number), &mut buffer).unwrap() {
                    version_of(number as u64, &buffer);
                    reads += 1;
                }
            }
            for (number, value) in table.get_many(&keys).unwrap().iter().enumerate() {
                if let Some(value) = value {
                    version_of(number as u64, value);
                    reads += 1;
                }
            }
        }
        return role.tell(&reads.to_string());
    }
    let options = Options::new().capacity(KEYS + 1).value_space(60_000);
    let named = Named::create(&options.chunk_size(4096).max_participants(6).stripes(2));
    let mut children = race_as("writer", test, &named.name, 3);
    children.extend(race_as("reader", test, &named.name, 1));
    children.extend(race_as("read-only reader", test, &named.name, 2));
    let begin = Instant::now();
    let mut stats = named.stats().unwrap();
    while begin.elapsed() < Duration::from_millis(scaled(3000) as u64) || stats.cleanings <= 10 {
        std::thread::sleep(Duration::from_millis(10));
        stats = named.stats().unwrap();
    }
    named.insert(b"stop", b"").unwrap();
    let said = finish_all(children);
    let done: Vec<usize> = said.iter().map(|lines| numbers(&lines[0])[0]).collect();
    println!("steps and reads: {done:?}, {} cleanings", stats.cleanings);
    assert!(done.iter().all(|count| *count > 0));
    assert_sound(&named);
}

#[test]
fn clear_and_retain_go_along_with_others() {
    if let Some(racer) = racer() {
        let (table, me) = (&racer.table, racer.number);
        for step in 0.. {
            let number = me * 1000 + step % 100;
            let value = whole(number as u64, step as u64, step % 60);
            table.insert(&key(number), &value).unwrap();
            // Only the parent removes, and only what is marked.
            table
                .insert(&[b"kept ", &key(number)[..]].concat(), &value)
                .unwrap();
            if table.contains_key(b"stop").unwrap() {
                break;
            }
        }
        return;
    }
    let named = Named::create(&Options::new().capacity(2000));
    let children = race(common::this_test!(), &named.name, 4);
    let mut removed = 0;
    let mut rounds = 0;
    while rounds < scaled(200) || removed == 0 {
        rounds += 1;
        removed += named
            .retain(|key, value| {
                if let Some(number) = key.strip_prefix(b"kept ") {
                    version_of(u64::from_le_bytes(number.try_into().unwrap()), value);
                    true
                } else {
                    version_of(u64::from_le_bytes(key.try_into().unwrap()), value);
                    false
                }
            })
            .unwrap();
    }
    named.insert(b"stop", b"").unwrap();
    finish_all(children);
    let kept = contents(&named);
    let kept = kept.keys().filter(|key| key.starts_with(b"kept ")).count();
    assert!(kept >= 4, "what was to be kept was kept: {kept}");
    named.clear().unwrap();
    assert!(named.is_empty());
    assert_sound(&named);
}
