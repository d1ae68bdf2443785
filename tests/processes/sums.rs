//! No acknowledged change is lost.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use shmtable::Options;

use crate::common::{
    self, Dice, Named, Racer, assert_sound, contents, finish_all, key, race, racer, scaled,
    version_of, whole,
};
use crate::{PROCESSES, numbers};

#[test]
fn fetch_add_loses_nothing() {
    let count = scaled(5000);
    if let Some(racer) = racer() {
        let (table, me) = (&racer.table, racer.number);
        let mut before = Vec::new();
        for number in 0..count {
            // A counter that all processes want, and some that come and go.
            before.push(table.fetch_add(b"all", 1).unwrap() as usize);
            table.fetch_add(&key(number % 16), me as i64 - 3).unwrap();
        }
        assert!(before.is_sorted(), "what one process sees only grows");
        let sum: usize = before.iter().sum();
        return racer.tell(&sum.to_string());
    }
    let named = Named::create(&Options::new().capacity(100));
    let said = finish_all(race(common::this_test!(), &named.name, PROCESSES));
    let total = PROCESSES * count;
    assert_eq!(named.fetch_add(b"all", 0).unwrap(), total as i64);
    // Each value before was seen by exactly one: 0 + 1 + ... + (total - 1).
    let sum: usize = said.iter().map(|lines| numbers(&lines[0])[0]).sum();
    assert_eq!(sum, total * (total - 1) / 2);
    let by_process: i64 = (0..PROCESSES as i64).map(|me| me - 3).sum();
    for counter in 0..16 {
        let steps = (0..count).filter(|number| number % 16 == counter).count();
        let value = named.fetch_add(&key(counter), 0).unwrap();
        assert_eq!(value, by_process * steps as i64);
    }
    assert_sound(&named);
}

#[test]
fn compare_exchange_makes_a_lock_free_counter() {
    let count = scaled(1000);
    if let Some(Racer { table, .. }) = &racer() {
        for _ in 0..count {
            let mut seen = table.get(b"count").unwrap();
            loop {
                let now: usize = seen
                    .as_ref()
                    .map_or(0, |text| String::from_utf8_lossy(text).parse().unwrap());
                // Digits: the value changes its length, and begins absent.
                let next = (now + 1).to_string();
                let outcome =
                    table.compare_exchange(b"count", seen.as_deref(), Some(next.as_bytes()));
                match outcome.unwrap() {
                    Ok(()) => break,
                    Err(found) => seen = found,
                }
            }
        }
        return;
    }
    let named = Named::create(&Options::new().capacity(100));
    finish_all(race(common::this_test!(), &named.name, PROCESSES));
    let total = (PROCESSES * count).to_string();
    assert_eq!(named.get(b"count").unwrap(), Some(total.into_bytes()));
    assert_sound(&named);
}

#[test]
fn compare_exchange_hands_a_token_to_one_at_a_time() {
    let count = scaled(300);
    if let Some(racer) = racer() {
        let (table, me) = (&racer.table, racer.number);
        let mine = format!("process {me}");
        for _ in 0..count {
            // Absent to present and back: a lock that the table itself knows nothing of.
            while table
                .compare_exchange(b"token", None, Some(mine.as_bytes()))
                .unwrap()
                .is_err()
            {
                table
                    .wait_change(b"token", None, Duration::from_millis(1))
                    .unwrap();
                std::thread::yield_now();
            }
            // Not atomic at all, so it needs the token.
            let sum = table.get(b"sum").unwrap().map_or(0, |sum| sum.len());
            table.insert(b"sum", &vec![1; sum + 1]).unwrap();
            let freed = table.compare_exchange(b"token", Some(mine.as_bytes()), None);
            assert_eq!(freed.unwrap(), Ok(()));
        }
        return;
    }
    let named = Named::create(&Options::new().capacity(100).value_space(1 << 16));
    finish_all(race(common::this_test!(), &named.name, 4));
    assert_eq!(
        named.get(b"sum").unwrap().map(|sum| sum.len()),
        Some(4 * count)
    );
    assert_sound(&named);
}

#[test]
fn update_loses_nothing() {
    let count = scaled(1500);
    if let Some(racer) = racer() {
        let (table, me) = (&racer.table, racer.number);
        for number in 0..count {
            table
                .update(b"list", |old| {
                    let mut list = old.unwrap_or_default().to_vec();
                    // Grows and shrinks, so that it is a new record each time.
                    if list.len() >= 600 {
                        list.drain(..list.len() - 10);
                    }
                    list.push(me as u8);
                    Some(list)
                })
                .unwrap();
            table
                .update(&key(number % 5), |old| {
                    let sum = old.map_or(0, |old| u64::from_le_bytes(old.try_into().unwrap()));
                    Some((sum + me as u64 + 1).to_le_bytes().to_vec())
                })
                .unwrap();
        }
        return;
    }
    let named = Named::create(&Options::new().capacity(100));
    finish_all(race(common::this_test!(), &named.name, PROCESSES));
    let sums: u64 = (0..5)
        .map(|counter| named.get(&key(counter)).unwrap().unwrap())
        .map(|sum| u64::from_le_bytes(sum.try_into().unwrap()))
        .sum();
    assert_eq!(sums, (count * PROCESSES * (PROCESSES + 1) / 2) as u64);
    // Every push made the list one longer, and each cut took 590 away.
    let list = named.get(b"list").unwrap().unwrap();
    let mut length = 0;
    for _ in 0..PROCESSES * count {
        length = if length >= 600 { 11 } else { length + 1 };
    }
    assert_eq!(list.len(), length);
    assert_sound(&named);
}

#[test]
fn no_insert_is_lost_among_disjoint_keys() {
    let count = scaled(1500);
    if let Some(racer) = racer() {
        let (table, me) = (&racer.table, racer.number);
        for number in 0..count {
            let number = me * count + number;
            let value = whole(number as u64, 1, number % 120);
            assert!(
                table.insert(&key(number), &value).unwrap(),
                "nobody else's key"
            );
        }
        return;
    }
    for stripes in [1, 16] {
        let options = Options::new().capacity(PROCESSES * count).stripes(stripes);
        let named = Named::create(&options.value_space(PROCESSES * count * 160));
        finish_all(race(common::this_test!(), &named.name, PROCESSES));
        let contents = contents(&named);
        assert_eq!(contents.len(), PROCESSES * count);
        for number in 0..PROCESSES * count {
            let value = &contents[&key(number)[..]];
            assert_eq!(version_of(number as u64, value), 1);
        }
        assert_eq!(named.len(), PROCESSES * count);
        assert_sound(&named);
    }
}

#[test]
fn no_insert_is_lost_among_overlapping_keys() {
    let (keys, count) = (500, scaled(3000));
    if let Some(racer) = racer() {
        let (table, me) = (&racer.table, racer.number);
        let mut dice = Dice::new(me as u64);
        let mut new = 0;
        let mut last = HashMap::new();
        for step in 0..count {
            let number = dice.below(keys);
            let version = (me << 32 | step) as u64;
            let value = whole(number as u64, version, dice.below(200));
            new += usize::from(table.insert(&key(number), &value).unwrap());
            last.insert(number, version);
        }
        let last: Vec<String> = last.iter().map(|(k, v)| format!("{k} {v}")).collect();
        racer.tell(&new.to_string());
        return racer.tell(&last.join(" "));
    }
    let options = Options::new().capacity(keys).value_space(keys * 250);
    let named = Named::create(&options.chunk_size(4096).max_participants(10));
    let said = finish_all(race(common::this_test!(), &named.name, PROCESSES));
    let new: usize = said.iter().map(|lines| numbers(&lines[0])[0]).sum();
    let mut candidates: HashMap<usize, HashSet<u64>> = HashMap::new();
    for lines in &said {
        for pair in numbers(&lines[1]).chunks(2) {
            candidates
                .entry(pair[0])
                .or_default()
                .insert(pair[1] as u64);
        }
    }
    // Each key was new exactly once, and holds the last value of one of those who
    // wrote it.
    let contents = contents(&named);
    assert_eq!(new, candidates.len());
    assert_eq!(contents.len(), candidates.len());
    for (number, versions) in &candidates {
        let version = version_of(*number as u64, &contents[&key(*number)[..]]);
        assert!(versions.contains(&version), "key {number}");
    }
    assert!(
        named.stats().unwrap().cleanings > 0,
        "cleaning ran at the same time"
    );
    assert_sound(&named);
}

#[test]
fn replace_makes_one_chain() {
    let count = scaled(2000);
    if let Some(racer) = racer() {
        let (table, me) = (&racer.table, racer.number);
        let mut old = 0_u64;
        let mut new = 0_u64;
        for number in 0..count {
            let version = (me * count + number + 1) as u64;
            new ^= version.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let value = whole(7, version, number % 90);
            if let Some(before) = table.replace(b"chain", &value).unwrap() {
                old ^= version_of(7, &before).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
        }
        return racer.tell(&format!("{old} {new}"));
    }
    let named = Named::create(&Options::new().capacity(100));
    let said = finish_all(race(common::this_test!(), &named.name, PROCESSES));
    // Every value put in came out once, but for the one that is there now.
    let mut left = 0_u64;
    for lines in &said {
        for word in lines[0].split_whitespace() {
            left ^= word.parse::<u64>().unwrap();
        }
    }
    let last = version_of(7, &named.get(b"chain").unwrap().unwrap());
    assert_eq!(left, last.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    assert_sound(&named);
}
