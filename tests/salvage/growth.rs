//! Tables that grow: what the directory says, and what has no memory.

use shmtable::Options;

use crate::common::layout::{CHECKSUM, WORD};
use crate::common::{self, Name, SegmentBytes, bytes, open_file, write_at};
use crate::whole::{Model, Whole, entries};

/// A stripe of the grown table that could grow once more.
fn growing() -> (Whole, usize, usize) {
    let [_, grown] = Whole::both();
    let segment = &grown.segment;
    let counts: Vec<usize> = (0..segment.stripes)
        .map(|of| segment.count_of(of))
        .collect();
    let stripe = (0..segment.stripes).find(|of| counts[*of] < segment.most_buckets);
    let stripe = stripe.unwrap();
    let count = counts[stripe];
    assert!(count > segment.stripe_buckets, "it has grown");
    (grown, stripe, count)
}

/// The directory word of a stripe of so many buckets.
fn directory_word(count: usize, phase: u64) -> u64 {
    let level = u64::from(count.ilog2());
    (count as u64 - 1) | level << 40 | level << 48 | phase << 56
}

/// Copies the entries that go to new buckets, as the first half of a doubling does.
fn half_doubled(segment: &SegmentBytes, stripe: usize, count: usize) -> SegmentBytes {
    let mut doubled = segment.clone();
    for bucket in segment.buckets_of(stripe) {
        for slot in segment.slots_in_use(bucket) {
            let (key, _) = segment.entry(bucket, slot);
            let home = (segment.hash(&key) >> 8) as usize % (2 * count);
            if home < count {
                continue;
            }
            let places = (0..count).map(|step| doubled.bucket_of(stripe, home ^ step));
            let slots = places.flat_map(|to| (1..=7).map(move |slot| (to, slot)));
            let (to, free) = slots
                .clone()
                .find(|(to, slot)| doubled.tag(*to, *slot) == 0)
                .unwrap();
            for word in 0..2 {
                let copied = segment.get(segment.slot_at(bucket, slot) + word);
                doubled.set(doubled.slot_at(to, free) + word, copied);
            }
            let tag = segment.tag(bucket, slot);
            doubled.change(doubled.bucket_at(to) + 1, |tags| tags | tag << (8 * free));
        }
    }
    doubled
}

#[test]
fn an_entry_that_a_doubling_left_twice_is_had_once() {
    let (grown, stripe, count) = growing();
    let mut doubled = half_doubled(&grown.segment, stripe, count);
    let word = grown.segment.directory_at(stripe);
    assert_eq!(grown.segment.get(word), directory_word(count, 0));
    // Before the directory says it, nothing of it is there; then all is there twice.
    for said in [directory_word(count, 0), directory_word(2 * count, 1)] {
        doubled.set(word, said);
        doubled.write(&grown.name);
        let mut salvage = Options::new().open_damaged(&grown.name).unwrap();
        let found: Vec<_> = salvage.by_ref().map(Result::unwrap).collect();
        assert_eq!(found.len(), grown.model.len());
        assert_eq!(found.into_iter().collect::<Model>(), grown.model);
        assert_eq!((salvage.lost(), salvage.unsure()), (0, 0));
    }
}

#[test]
fn a_stripe_that_does_not_say_how_many_buckets_it_has_is_read_wherever_it_may_have_some() {
    let (grown, stripe, count) = growing();
    let at = grown.segment.directory_at(stripe);
    let right = grown.segment.get(at);
    let flipped = (0..64).map(|bit| right ^ 1 << bit);
    let random = (1..20).map(|number| u64::from_le_bytes(bytes(number, 8).try_into().unwrap()));
    for wrong in [0, u64::MAX, directory_word(1 << 30, 0)]
        .into_iter()
        .chain(flipped)
        .chain(random)
    {
        let salvage = grown.with(&[(at, wrong)]).unwrap();
        assert_eq!(entries(salvage), grown.model, "{wrong:#x} for {right:#x}");
    }
    grown.restore();
    // Also what a doubling left that came to nothing, but each key once.
    let mut doubled = half_doubled(&grown.segment, stripe, count);
    doubled.set(at, u64::MAX);
    doubled.write(&grown.name);
    let salvage = Options::new().open_damaged(&grown.name).unwrap();
    let found: Vec<_> = salvage.map(Result::unwrap).collect();
    assert_eq!(found.len(), grown.model.len());
    assert_eq!(found.into_iter().collect::<Model>(), grown.model);
}

#[test]
fn a_table_that_has_room_for_billions_of_entries_is_salvaged_in_no_time() {
    let name = Name::new();
    let table = Options::new().create(&name).unwrap();
    let mut model = Model::new();
    for number in 0..20_000_usize {
        let (key, value) = (format!("key {number}").into_bytes(), bytes(1, number % 30));
        table.insert(&key, &value).unwrap();
        model.insert(key, value);
    }
    drop(table);
    let file = open_file(&name.path());
    let read = |at: usize| {
        let mut word = [0; WORD];
        common::read_at(&file, &mut word, (at * WORD) as u64);
        word
    };
    let model = &model;
    // Of the geometry, of the rest, and where nothing is confirmed; and counts of entries that no
    // stripe can have, which would lead to a search for lost ones.
    let stripes_at = 512 + 8 * u64::from_le_bytes(read(8)) as usize;
    for at in [4, 5, 7, 9, 11, CHECKSUM, stripes_at + 2] {
        let right = read(at);
        write_at(&file, &(1_u64 << 50).to_le_bytes(), (at * WORD) as u64);
        let name = &*name;
        let salvage = Options::new().open_damaged(name).unwrap();
        common::scope(|scope| {
            let reading = scope.spawn(move || assert!(&entries(salvage) == model, "word {at}"));
            reading.join().unwrap();
        });
        write_at(&file, &right, (at * WORD) as u64);
    }
}
