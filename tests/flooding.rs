//! Can an attacker slow a table down with keys that were chosen to collide?
//!
//! An attacker whose keys a table stores, and who knows its seed, can choose keys whose
//! hashes fall into one stripe or one bucket. Every table has a seed of its own, which only
//! its readers can see.
//!
//! These tests compute the place of a key from `docs/format/buckets.md`, and don't ask the crate.

#![cfg(any(target_os = "linux", windows))]

mod common;

use std::collections::HashSet;

use common::layout::{SEED, STRIPE_BUCKETS};
use common::{Named, SegmentBytes, assert_sound};
use shmtable::{Error, Options};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const STRIPES: u64 = 16;
const CAPACITY: usize = 20_000;
/// If their stripes are as good as random, each has 625 of these, give or take 25.
const KEYS: usize = 10_000;
/// Nine standard deviations more: the chance that a stripe has this many is below 10^-14.
const MOST_IN_A_STRIPE: usize = 625 + 9 * 25;
/// Then a bucket of seven slots has less than three keys; the chance that twenty neighbors
/// are full is below 10^-30.
const LONGEST_PROBE: usize = 20;
/// Keys for one bucket.
const ONE_BUCKET: usize = 300;
const SLOTS: usize = 7;

fn options() -> Options {
    Options::new()
        .capacity(CAPACITY)
        .value_space(1 << 20)
        .stripes(STRIPES as usize)
}

fn header(named: &Named, word: usize) -> u64 {
    SegmentBytes::read(&named.name).get(word)
}

/// Which of `parts` equal parts a key falls into.
fn part(key: u64, seed: u64, parts: u64) -> usize {
    let hash = xxh3_64_with_seed(&key.to_le_bytes(), seed);
    ((u128::from(hash) * u128::from(parts)) >> 64) as usize
}

/// Keys that all fall into the first of `parts` equal parts, for this seed.
fn colliding(seed: u64, parts: u64, count: usize) -> Vec<u64> {
    (0..)
        .filter(|key| part(*key, seed, parts) == 0)
        .take(count)
        .collect()
}

/// The most of these keys that fall into one part.
fn most(keys: &[u64], seed: u64, parts: u64) -> usize {
    let mut counts = vec![0; parts as usize];
    for key in keys {
        counts[part(*key, seed, parts)] += 1;
    }
    counts.into_iter().max().unwrap_or(0)
}

/// Inserts the keys; how many there was room for.
fn insert(named: &Named, keys: &[u64]) -> usize {
    for (count, key) in keys.iter().enumerate() {
        match named.insert(&key.to_le_bytes(), b"v") {
            Ok(new) => assert!(new),
            Err(Error::TableFull { .. }) => return count,
            Err(error) => panic!("{error:?}"),
        }
    }
    keys.len()
}

#[test]
fn every_table_has_a_seed_of_its_own() {
    let tables: Vec<Named> = (0..20).map(|_| Named::create(&options())).collect();
    let mut seeds: HashSet<u64> = tables.iter().map(|named| header(named, SEED)).collect();
    assert_eq!(seeds.len(), tables.len());
    assert!(!seeds.contains(&0));
    // Nor does a name bring its old seed back.
    let named = tables.into_iter().next().unwrap();
    shmtable::Table::unlink(&named.name).unwrap();
    let again = options().create(&named.name).unwrap();
    assert!(again.is_empty());
    assert!(seeds.insert(header(&named, SEED)));
}

#[test]
fn keys_chosen_without_the_tables_seed_have_no_effect() {
    let other = Named::create(&options());
    // What random keys do to a table.
    let named = Named::create(&options());
    let keys: Vec<u64> = (0..KEYS as u64).collect();
    assert_eq!(insert(&named, &keys), KEYS);
    let random = named.stats().unwrap().longest_probe;
    assert!(random < LONGEST_PROBE);
    for chosen_for in [0, header(&other, SEED)] {
        let keys = colliding(chosen_for, STRIPES, KEYS);
        assert_eq!(most(&keys, chosen_for, STRIPES), KEYS, "all in one stripe");
        let named = Named::create(&options());
        let seed = header(&named, SEED);
        assert!(most(&keys, seed, STRIPES) < MOST_IN_A_STRIPE);
        assert_eq!(insert(&named, &keys), KEYS);
        for key in &keys {
            assert!(named.contains_key(&key.to_le_bytes()).unwrap());
        }
        assert_sound(&named);
        let probe = named.stats().unwrap().longest_probe;
        println!("longest probe {probe}, of random keys {random}");
        assert!(probe < LONGEST_PROBE);
    }
}

#[test]
fn keys_chosen_for_one_bucket_are_spread() {
    let named = Named::create(&options());
    let buckets = STRIPES * header(&named, STRIPE_BUCKETS);
    let keys = colliding(0, buckets, ONE_BUCKET);
    assert_eq!(most(&keys, 0, buckets), ONE_BUCKET);
    let fullest = most(&keys, header(&named, SEED), buckets);
    // One of thirteen buckets has one; the chance that eight meet is below 10^-9.
    assert!(fullest <= SLOTS, "{fullest} in a bucket");
    assert_eq!(insert(&named, &keys), ONE_BUCKET);
    // No bucket is full, or one by the whole of it.
    assert_eq!(named.stats().unwrap().longest_probe, 1);
    assert_sound(&named);
}

#[test]
fn with_the_seed_they_would_have_an_effect() {
    // What the tests above ask for does not come by itself: the same keys of one who
    // may read the table.
    let named = Named::create(&options());
    let seed = header(&named, SEED);
    let buckets = header(&named, STRIPE_BUCKETS);
    let keys = colliding(seed, STRIPES * buckets, ONE_BUCKET);
    assert_eq!(insert(&named, &keys), ONE_BUCKET);
    let visited = ONE_BUCKET.div_ceil(SLOTS);
    assert_eq!(named.stats().unwrap().longest_probe, visited);

    let named = Named::create(&options());
    let seed = header(&named, SEED);
    let keys = colliding(seed, STRIPES, KEYS);
    let fitted = insert(&named, &keys);
    assert_eq!(fitted as u64, SLOTS as u64 * buckets, "one stripe is full");
    // They are there, other stripes have room, and nothing is broken.
    for key in &keys[..fitted] {
        assert!(named.contains_key(&key.to_le_bytes()).unwrap());
    }
    let elsewhere = (0..10_000)
        .find(|key| part(*key, seed, STRIPES) == 9)
        .unwrap();
    assert!(named.insert(&elsewhere.to_le_bytes(), b"v").unwrap());
    assert_sound(&named);
}
