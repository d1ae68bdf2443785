//! One of many processes wins, if all try the same at once.

use std::collections::{BTreeMap, HashSet};

use shmtable::{Options, Table};

use crate::common::{
    self, Name, Named, Racer, assert_sound, bytes, finish_all, key, race, racer, scaled,
};
use crate::{PROCESSES, numbers};

/// Tells the numbers of the keys that this process won.
fn tell_won(racer: &Racer, won: &[usize]) {
    let words: Vec<String> = won.iter().map(usize::to_string).collect();
    racer.tell(&words.join(" "));
}

/// Each of `keys` keys was won by exactly one; returns the winner of each.
fn winners(said: &[Vec<String>], keys: usize) -> Vec<usize> {
    let mut winners = BTreeMap::new();
    for (process, lines) in said.iter().enumerate() {
        for won in numbers(&lines[0]) {
            let before = winners.insert(won, process);
            assert_eq!(before, None, "key {won} was won twice");
        }
    }
    assert_eq!(winners.len(), keys, "every key was won");
    winners.into_values().collect()
}

#[test]
fn try_insert_has_exactly_one_winner() {
    let count = scaled(3000);
    if let Some(racer) = racer() {
        let (table, me) = (&racer.table, racer.number);
        let mut won = Vec::new();
        for number in 0..count {
            if table.try_insert(&key(number), &[me as u8; 20]).unwrap() {
                won.push(number);
            }
            // One of them won, so the key is there now.
            assert!(table.contains_key(&key(number)).unwrap());
        }
        return tell_won(&racer, &won);
    }
    let named = Named::create(&Options::new().capacity(count));
    let said = finish_all(race(common::this_test!(), &named.name, PROCESSES));
    let winners = winners(&said, count);
    for (number, winner) in winners.iter().enumerate() {
        let value = named.get(&key(number)).unwrap();
        assert_eq!(
            value,
            Some(vec![*winner as u8; 20]),
            "the winner's value stays"
        );
    }
    let all: HashSet<&usize> = winners.iter().collect();
    println!("{} of {PROCESSES} processes won keys", all.len());
    assert_eq!(named.len(), count);
    assert_sound(&named);
}

#[test]
fn take_and_remove_have_exactly_one_winner() {
    let count = scaled(3000);
    if let Some(racer) = racer() {
        let (table, me) = (&racer.table, racer.number);
        let mut won = Vec::new();
        for number in 0..count {
            let key = key(number);
            let gone = match (number + me) % 3 {
                0 => table.remove(&key).unwrap(),
                1 => table
                    .compare_exchange(&key, Some(&bytes(number as u64, number % 100)), None)
                    .unwrap()
                    .is_ok(),
                _ => match table.take(&key).unwrap() {
                    Some(value) => {
                        assert_eq!(value, bytes(number as u64, number % 100));
                        true
                    }
                    None => false,
                },
            };
            if gone {
                won.push(number);
            }
        }
        return tell_won(&racer, &won);
    }
    let named = Named::create(&Options::new().capacity(count));
    for number in 0..count {
        named
            .insert(&key(number), &bytes(number as u64, number % 100))
            .unwrap();
    }
    let said = finish_all(race(common::this_test!(), &named.name, PROCESSES));
    winners(&said, count);
    assert!(named.is_empty());
    assert_sound(&named);
}

/// A name with a given beginning, unlinked at the end.
struct Round(String);

impl Drop for Round {
    fn drop(&mut self) {
        let _ = Table::unlink(&self.0);
    }
}

#[test]
fn open_or_create_makes_one_table() {
    let rounds = scaled(30);
    if let Some(role) = common::role() {
        let (prefix, me) = (role.argument(0), role.number(1));
        role.wait_for_start();
        for round in 0..rounds {
            let options = Options::new().capacity(100).value_space(10_000);
            let table = options
                .open_or_create(&format!("{prefix}-{round}"))
                .unwrap();
            assert_eq!(table.capacity(), 100);
            table.fetch_add(b"openers", 1).unwrap();
            table.insert(&key(me), b"was here").unwrap();
        }
        return;
    }
    let prefix = Name::new();
    let names: Vec<Round> = (0..rounds)
        .map(|n| Round(format!("{}-{n}", &*prefix)))
        .collect();
    finish_all(race(common::this_test!(), &prefix, PROCESSES));
    for name in &names {
        let table = Table::open(&name.0).unwrap();
        assert_eq!(table.fetch_add(b"openers", 0).unwrap(), PROCESSES as i64);
        assert_eq!(table.len(), PROCESSES + 1);
        assert_sound(&table);
    }
}
