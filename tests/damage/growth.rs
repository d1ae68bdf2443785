//! Damage to what only tables that grow have: the directory, and the mark of what has memory.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use shmtable::{FaultKind, FaultPlace, Options, RepairOutcome, Repaired, Table};

use crate::common::layout::{POPULATED, WORD};
use crate::common::{Name, assert_sound, bytes, contents, open_file, read_at, write_at};
use crate::image::{Kind, key};
use crate::patched::Patched;

/// The directory word of a stripe of so many buckets.
fn directory_word(count: usize) -> u64 {
    let level = u64::from(count.ilog2());
    (count as u64 - 1) | level << 40 | level << 48
}

fn entries(table: &Table) -> BTreeMap<Vec<u8>, Vec<u8>> {
    contents(table).into_iter().collect()
}

fn lost(repaired: &[Repaired]) -> u64 {
    repaired.iter().map(Repaired::entries_lost).sum()
}

#[test]
fn one_wrong_bit_of_a_directory_word_misleads_nobody_and_is_repaired() {
    let patched = Patched::of(Kind::Grown);
    let image = &patched.image;
    for stripe in 0..image.stripes {
        let (at, count) = (image.directory_at(stripe), image.count_of(stripe));
        assert_eq!(image.get(at), directory_word(count));
        for bit in 0..64 {
            patched.set(at, image.get(at) ^ 1 << bit);
            let table = patched.open();
            for (key, value) in &image.model {
                assert_eq!(table.get(key).unwrap().as_ref(), Some(value), "bit {bit}");
            }
            assert!(!table.contains_key(b"never").unwrap());
            assert_eq!(entries(&table), image.model, "bit {bit}");

            let found = table.check().unwrap();
            assert_eq!(found.len(), 1, "bit {bit}: {found:?}");
            let place = FaultPlace::Directory(stripe);
            let fault = &found[0];
            assert_eq!(
                (fault.kind, fault.place, fault.offset),
                (FaultKind::Directory, place, at * WORD)
            );
            let word = patched.get(at);
            let text = format!("stripe {stripe}: its directory word {word:#x} says no number of");
            assert_eq!(fault.to_string(), format!("{text} buckets"));
            let repaired = table.repair().unwrap();
            assert_eq!(repaired.len(), 1, "bit {bit}: {repaired:?}");
            assert_eq!(repaired[0].place, place);
            assert_eq!(repaired[0].outcome, RepairOutcome::Fixed);
            assert_eq!(
                repaired[0].to_string(),
                format!("{fault}; the stripe has {count} buckets: it says that again")
            );
            assert_eq!(patched.get(at), image.get(at), "bit {bit}");
            assert_sound(&table);
            assert_eq!(entries(&table), image.model);
        }
    }
}

/// Writes of all kinds go by what two of the three copies say.
#[test]
fn writes_beside_one_wrong_bit_of_a_directory_word_are_kept() {
    for bit in 0..64 {
        let patched = Patched::of(Kind::Grown);
        let image = &patched.image;
        for stripe in 0..image.stripes {
            let at = image.directory_at(stripe);
            patched.set(at, image.get(at) ^ 1 << bit);
        }
        let table = patched.open();
        let mut model = image.model.clone();
        for (number, (key, value)) in image.model.iter().enumerate() {
            match number % 4 {
                0 => assert!(table.remove(key).unwrap()),
                1 => assert!(!table.insert(key, b"another value").unwrap()),
                2 => assert_eq!(table.take(key).unwrap().as_ref(), Some(value)),
                _ => continue,
            }
            match number % 4 {
                1 => drop(model.insert(key.clone(), b"another value".to_vec())),
                _ => drop(model.remove(key)),
            }
        }
        for number in 100..110 {
            let (key, value) = (key(number), bytes(1, number % 12));
            assert!(table.insert(&key, &value).unwrap());
            model.insert(key, value);
        }
        assert_eq!(entries(&table), model, "bit {bit}");
        let repaired = table.repair().unwrap();
        assert_eq!(
            (repaired.len(), lost(&repaired)),
            (image.stripes, 0),
            "{repaired:?}"
        );
        assert_sound(&table);
        assert_eq!(entries(&table), model, "bit {bit}");
    }
}

/// Then the level is the one by which most entries are found.
#[test]
fn a_directory_word_of_which_nothing_is_left_loses_no_entry() {
    let patched = Patched::of(Kind::Grown);
    let image = &patched.image;
    for stripe in 0..image.stripes {
        let (at, count) = (image.directory_at(stripe), image.count_of(stripe));
        let random = (1..30).map(|seed| u64::from_le_bytes(bytes(seed, 8).try_into().unwrap()));
        let out_of_range = directory_word(1 << 20);
        for wrong in random.chain([u64::MAX, 0x3_0500_0000_0005, out_of_range]) {
            patched.set(at, wrong);
            let table = patched.open();
            assert!(!table.check().unwrap().is_empty());
            let repaired = table.repair().unwrap();
            assert_eq!(lost(&repaired), 0, "{wrong:#x}: {repaired:?}");
            let place = FaultPlace::Directory(stripe);
            let one = repaired.iter().find(|one| one.place == place).unwrap();
            let why = "most of its entries are found by that";
            let text = format!("; the stripe has {count} buckets: {why}");
            assert!(one.to_string().ends_with(&text), "{one}");
            assert_eq!(patched.get(at), image.get(at), "{wrong:#x}");
            assert_sound(&table);
            assert_eq!(entries(&table), image.model, "{wrong:#x}");
        }
    }
}

#[test]
fn a_wrong_hash_in_a_slot_is_reported_and_repaired() {
    for kind in [Kind::Fixed, Kind::Grown] {
        let patched = Patched::of(kind);
        let image = &patched.image;
        for (number, (key, stand)) in image.stands().into_iter().enumerate() {
            if stand.is_small() {
                continue;
            }
            let at = image.slot_at(stand.bucket, stand.slot) + 1;
            assert_eq!(image.get(at), image.hash(key));
            patched.set(at, image.get(at) ^ 1 << (number * 7 % 64));
            let table = patched.open();
            assert_eq!(table.get(key).unwrap().as_ref(), image.model.get(key));
            let found = table.check().unwrap();
            assert_eq!(found.len(), 1, "{found:?}");
            let (bucket, slot) = (stand.bucket, stand.slot);
            let place = FaultPlace::Slot { bucket, slot };
            assert_eq!((found[0].kind, found[0].place), (FaultKind::Entry, place));
            assert_eq!(
                found[0].to_string(),
                format!("bucket {bucket}: slot {slot} keeps another hash than that of its key")
            );
            let repaired = table.repair().unwrap();
            assert_eq!(repaired.len(), 1, "{repaired:?}");
            assert_eq!(
                (repaired[0].outcome, repaired[0].place),
                (RepairOutcome::Fixed, place)
            );
            assert_eq!(patched.get(at), image.hash(key));
            assert_sound(&table);
        }
        assert_eq!(entries(&patched.open()), image.model);
    }
}

/// The hash that a slot keeps proves that it led to another record.
#[test]
fn a_slot_that_leads_to_a_record_of_the_past_loses_its_entry_and_brings_none_back() {
    for kind in [Kind::Fixed, Kind::Grown] {
        let patched = Patched::of(kind);
        let image = &patched.image;
        let stands = image.stands();
        for (key, stand) in stands.iter().filter(|(_, stand)| !stand.is_small()) {
            let stripe = image.stripe_of(stand.bucket);
            let (removed, past) = stands
                .iter()
                .rfind(|(other, past)| {
                    let is_of_stripe = image.stripe_of(past.bucket) == stripe;
                    is_of_stripe && !past.is_small() && other != key
                })
                .unwrap();
            write_at(&open_file(&patched.name.path()), &image.bytes, 0);
            let table = patched.open();
            assert!(table.remove(removed).unwrap());
            let head = image.slot_at(stand.bucket, stand.slot);
            patched.set(head, image.get(image.slot_at(past.bucket, past.slot)));

            let repaired = table.repair().unwrap();
            assert_eq!(lost(&repaired), 1, "{repaired:?}");
            assert_sound(&table);
            let mut expected = image.model.clone();
            expected.remove(*key);
            expected.remove(*removed);
            assert_eq!(entries(&table), expected);
        }
    }
}

/// The mark of what has memory may be too low for the records that slots lead to.
#[test]
fn chunks_behind_the_populated_mark_are_found_by_the_slots() {
    let patched = Patched::of(Kind::Grown);
    let image = &patched.image;
    let right = image.get(POPULATED);
    assert!(right > 2);
    for wrong in 0..right {
        patched.set(POPULATED, wrong);
        let table = patched.open();
        let repaired = table.repair().unwrap();
        assert_eq!(lost(&repaired), 0, "{wrong}: {repaired:?}");
        assert_sound(&table);
        assert_eq!(entries(&table), image.model, "{wrong}");
        assert!(patched.get(POPULATED) <= right);
    }
    // No slot leads behind it.
    let chunks = image.chunks as u64;
    for wrong in [right + 1, chunks, chunks + 1, u64::MAX] {
        patched.set(POPULATED, wrong);
        let table = patched.open();
        table.repair().unwrap();
        assert_sound(&table);
        assert_eq!(entries(&table), image.model, "{wrong}");
    }
}

/// A table that grows may have room for more than there is memory.
#[test]
fn a_populated_mark_that_is_too_high_takes_no_memory_in_a_repair() {
    let name = Name::new();
    let grows = Options::new().chunk_size(4096).value_space(64 << 20);
    let table = grows.create(&name).unwrap();
    let mut model = BTreeMap::new();
    for number in 0..2000 {
        let (key, value) = (key(number), bytes(1, number % 50));
        table.insert(&key, &value).unwrap();
        model.insert(key, value);
    }
    let file = open_file(&name.path());
    let at = (POPULATED * WORD) as u64;
    let mut word = [0; WORD];
    read_at(&file, &mut word, at);
    let right = u64::from_le_bytes(word);
    let taken = || std::fs::metadata(name.path()).unwrap().blocks() * 512;
    let before = taken();
    // 64 MB of chunks, of which none has memory.
    write_at(&file, &(right | 1 << 14).to_le_bytes(), at);
    let found = table.check().unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].place, FaultPlace::Header);
    assert_eq!(table.repair().unwrap().len(), 1);
    assert!(taken() < before + (16 << 20), "{} and {before}", taken());
    read_at(&file, &mut word, at);
    assert!((1..=right).contains(&u64::from_le_bytes(word)));
    assert_sound(&table);
    assert_eq!(entries(&table), model);
}
