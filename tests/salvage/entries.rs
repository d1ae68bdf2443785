//! What is had of a table of which more than the header is damaged.

use shmtable::{Options, SalvageFault, Table};

use crate::common::layout::{BUCKET_WORDS, CHECKSUM, WORD};
use crate::common::{self, Dice, SegmentBytes, open_file, write_at};
use crate::whole::{Model, Whole, entries};

#[test]
fn the_entries_that_a_cut_file_still_has_are_salvaged() {
    for whole in &Whole::both() {
        whole.with(&[]).unwrap();
        let length = whole.segment.bytes.len() as u64;
        for cut in [length - 4096, length / 2, 8192, 4096] {
            open_file(&whole.name.path()).set_len(cut).unwrap();
            let salvage = Options::new().open_damaged(&whole.name).unwrap();
            let expected = length as usize;
            let found = cut as usize;
            let fault = SalvageFault::Truncated { found, expected };
            assert!(salvage.damage().contains(&fault), "{:?}", salvage.damage());
            for (key, value) in entries(salvage) {
                assert_eq!(whole.model.get(&key), Some(&value), "{cut}");
            }
        }
    }
}

#[test]
fn entries_that_went_with_a_part_of_the_index_are_lost() {
    for whole in &Whole::both() {
        let segment = &whole.segment;
        let places = [
            segment.stripes_at(),
            segment.buckets_at(),
            segment.states_at(),
        ];
        let [stripes, buckets, end] = places.map(|at| (at * WORD) as u64);
        for (cut, counted) in [
            (end - 128, true),
            (buckets + 128, true),
            (stripes + 64, false),
            (stripes, false),
        ] {
            whole.with(&[]).unwrap();
            open_file(&whole.name.path()).set_len(cut).unwrap();
            let mut salvage = Options::new().open_damaged(&whole.name).unwrap();
            let found = salvage.by_ref().map(Result::unwrap).count();
            assert_eq!(salvage.may_have_lost_more(), !counted, "{cut}");
            if counted {
                assert_eq!(found + salvage.lost(), whole.model.len(), "{cut}");
            }
            let had = segment.states_at() - segment.buckets_at();
            let left = (cut as usize / WORD).saturating_sub(segment.buckets_at());
            let fault = SalvageFault::IndexTruncated {
                found: left / BUCKET_WORDS,
                expected: had / BUCKET_WORDS,
            };
            assert!(salvage.damage().contains(&fault), "{:?}", salvage.damage());
            let file = open_file(&whole.name.path());
            file.set_len(whole.segment.bytes.len() as u64).unwrap();
            write_at(&file, &whole.segment.bytes, 0);
        }
    }
}

#[test]
fn records_are_had_though_the_index_does_not_lead_to_them() {
    for whole in &Whole::both() {
        let mut segment = whole.segment.clone();
        for at in segment.buckets_at()..segment.states_at() {
            segment.set(at, 0);
        }
        segment.write(&whole.name);
        let mut salvage = Options::new().open_damaged(&whole.name).unwrap();
        let found: Model = salvage.by_ref().map(|entry| entry.unwrap()).collect();
        assert!(salvage.unsure() >= found.len());
        assert_eq!(salvage.lost(), whole.model.len(), "the stripes count them");
        assert!(!salvage.may_have_lost_more());
        // Small entries were in the index alone.
        let records = |value: &[u8]| value.len() > 8;
        let expected = whole.model.iter().filter(|(_, value)| records(value));
        for (key, value) in expected {
            assert!(found.contains_key(key), "{value:?}");
        }
    }
}

#[test]
fn most_entries_are_had_of_tables_that_are_damaged_all_over() {
    let mut dice = Dice::new(29);
    let (mut refused, mut salvaged, mut entries, mut had) = (0, 0, 0, 0);
    let both = Whole::both().map(|whole| {
        let file = open_file(&whole.name.path());
        (whole, file)
    });
    let tables = common::scaled(284);
    for table in 0..tables {
        let (whole, file) = &both[table % 2];
        write_at(file, &whole.segment.bytes, 0);
        for _ in 0..=dice.below(100) {
            // In the header as often as in all the rest.
            let limit = [CHECKSUM + 1, whole.segment.bytes.len() / WORD][dice.below(2)];
            let word = dice.below(usize::MAX) as u64;
            write_at(file, &word.to_le_bytes(), (dice.below(limit) * WORD) as u64);
            if limit <= CHECKSUM + 1 {
                break;
            }
        }
        if Table::open(&whole.name).is_ok() {
            continue;
        }
        refused += 1;
        entries += whole.model.len();
        let Ok(salvage) = Options::new().open_damaged(&whole.name) else {
            continue;
        };
        salvaged += 1;
        let found = salvage.map(|entry| entry.unwrap()).collect::<Model>();
        let right = |(key, value): &(&Vec<u8>, &Vec<u8>)| found.get(*key) == Some(*value);
        had += whole.model.iter().filter(right).count();
    }
    println!(
        "of {tables} damaged tables {refused} cannot be opened; {salvaged} of these are \
         salvaged, with {had} of {entries} entries"
    );
    assert_eq!(salvaged, refused);
    assert!(had * 100 > entries * 95, "{had} of {entries}");
}

#[test]
#[cfg(not(shmtable_portable))]
fn a_header_that_claims_a_huge_index_takes_no_time() {
    use common::layout::{
        CHUNK_BYTES, CHUNKS, MOST_BUCKETS, PARTICIPANTS, SEGMENT_BYTES, STRIPE_BUCKETS, STRIPES,
    };
    let whole = &Whole::shapes()[0];
    let mut words = vec![
        (STRIPES, 1 << 16),
        (STRIPE_BUCKETS, 1 << 20),
        (MOST_BUCKETS, 1 << 20),
        (PARTICIPANTS, 1),
        (CHUNKS, 1),
        (CHUNK_BYTES, 4096),
    ];
    let mut huge = whole.segment.clone();
    for (at, word) in &words {
        huge.set(*at, *word);
    }
    let length = (SegmentBytes::of(huge.bytes).arena_at() * WORD + 4096) as u64;
    words.push((SEGMENT_BYTES, length));
    words.push((CHECKSUM, whole.checksum(&words)));
    open_file(&whole.name.path()).set_len(length).unwrap();
    let salvage = whole.with(&words).unwrap();
    assert!(salvage.damage().is_empty(), "{:?}", salvage.damage());
    common::bounded("reading a huge index", move || salvage.count());
}

#[test]
fn hostile_bytes_end_no_process_and_no_loop() {
    let mut dice = Dice::new(5);
    for whole in Whole::shapes() {
        let file = open_file(&whole.name.path());
        for round in 0..common::scaled(60) {
            whole.with(&[]).unwrap();
            write_at(&file, &whole.segment.bytes, 0);
            for _ in 0..=(round % 40) {
                // Before the arena mostly, and anywhere.
                let limit = if round % 3 == 0 {
                    whole.segment.bytes.len()
                } else {
                    16_384
                };
                let at = dice.below(limit / WORD);
                let word = (dice.below(usize::MAX) as u64) >> dice.below(64);
                write_at(&file, &word.to_le_bytes(), (at * WORD) as u64);
            }
            if let Ok(salvage) = Options::new().open_damaged(&whole.name) {
                assert!(salvage.count() < 100_000);
            }
        }
    }
}
