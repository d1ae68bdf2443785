//! Can the entries of a table whose header is damaged still be read?

#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeMap;

use common::layout::{BUCKET_WORDS, CHECKSUM, WORD};
use common::{Dice, Name, SegmentBytes, bytes, fix_checksum, open_file, write_at};
use shmtable::{Error, Options, Salvage, SalvageFault, Table, codec_id};

/// The words that tell a segment of this format from others.
const OF_THE_FORMAT: [usize; 3] = [0, 1, 2];
/// The words from which the places of all entries follow.
const OF_THE_GEOMETRY: [usize; 7] = [3, 6, 7, 8, 9, 10, 11];
/// The words that may have had any value: the hash seed, the time of creation, the checksum.
const OF_ANY_VALUE: [usize; 3] = [12, 14, CHECKSUM];

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// A table, what it holds, and its segment when that was whole.
struct Whole {
    name: Name,
    segment: SegmentBytes,
    model: Model,
}

fn codec() -> u64 {
    codec_id("messagepack", "messagepack+pickle")
}

impl Whole {
    fn new(options: &Options) -> Self {
        let name = Name::new();
        let table = options.clone().codec(codec()).create(&name).unwrap();
        let mut model = Model::new();
        for number in 0..60_usize {
            // Small entries, records, and one of several chunks.
            let length = if number == 7 { 9000 } else { number % 40 };
            let key = format!("key {number}{}", "x".repeat(number % 9)).into_bytes();
            let value = bytes(number as u64, length);
            for value in [&b"replaced"[..], &value] {
                table.insert(&key, value).unwrap();
            }
            model.insert(key, value);
        }
        for number in (0..60).step_by(7) {
            let key = format!("key {number}{}", "x".repeat(number % 9)).into_bytes();
            assert!(table.remove(&key).unwrap());
            model.remove(&key);
        }
        drop(table);
        let segment = SegmentBytes::read(&name);
        Self {
            name,
            segment,
            model,
        }
    }

    fn shapes() -> Vec<Self> {
        let small = Options::new()
            .capacity(100)
            .value_space(40_000)
            .stripes(2)
            .chunk_size(4096)
            .max_participants(3);
        let usual = Options::new()
            .capacity(10_000)
            .value_space(640_000)
            .max_participants(100);
        let odd = Options::new()
            .capacity(777)
            .value_space(123_457)
            .max_participants(7);
        [small, usual, odd].iter().map(Self::new).collect()
    }

    /// The checksum of its header with these words in it.
    fn checksum(&self, words: &[(usize, u64)]) -> u64 {
        let mut segment = self.segment.clone();
        for (at, word) in words {
            segment.set(*at, *word);
        }
        fix_checksum(&mut segment.bytes);
        segment.get(CHECKSUM)
    }

    /// Writes the table's bytes with other words, and opens what that is.
    fn with(&self, words: &[(usize, u64)]) -> shmtable::Result<Salvage> {
        let file = open_file(&self.name.path());
        write_at(&file, &self.segment.bytes[..4096], 0);
        for (at, word) in words {
            write_at(&file, &word.to_le_bytes(), (at * WORD) as u64);
        }
        Options::new().open_damaged(&self.name)
    }

    /// Wrong values for a word.
    fn wrong(&self, at: usize) -> Vec<u64> {
        let right = self.segment.get(at);
        let random = Dice::new(at as u64).below(usize::MAX) as u64;
        [
            0,
            1,
            u64::MAX,
            random,
            right ^ 1 << 5,
            right ^ 1 << 40,
            right + 1,
        ]
        .into_iter()
        .filter(|wrong| *wrong != right)
        .collect()
    }
}

fn entries(salvage: Salvage) -> Model {
    salvage.map(|entry| entry.unwrap()).collect()
}

#[test]
fn a_table_that_is_whole_is_read_as_it_is() {
    for whole in Whole::shapes() {
        let salvage = whole.with(&[]).unwrap();
        assert!(salvage.damage().is_empty());
        assert_eq!(salvage.codec_id(), codec());
        let table = Table::open(&whole.name).unwrap();
        assert_eq!(salvage.capacity(), table.capacity());
        let value_space = table.stats().unwrap().value_space;
        assert_eq!(salvage.value_space(), value_space);
        assert_eq!(entries(salvage), whole.model);
    }
}

#[test]
fn every_entry_is_had_whichever_word_of_the_header_is_wrong() {
    let (mut tried, mut refused) = (0, 0);
    for whole in Whole::shapes() {
        for at in 0..=CHECKSUM {
            for wrong in whole.wrong(at) {
                let salvage = whole.with(&[(at, wrong)]);
                let salvage = salvage.unwrap_or_else(|error| panic!("{at}, {wrong:#x}: {error}"));
                tried += 1;
                refused += usize::from(Table::open(&whole.name).is_err());
                assert!(!salvage.damage().is_empty(), "{at}, {wrong:#x}");
                assert_eq!(salvage.codec_id(), codec(), "{at}, {wrong:#x}");
                assert_eq!(entries(salvage), whole.model, "{at}, {wrong:#x}");
            }
        }
    }
    println!("{tried} damaged headers, {refused} of them refused by open: all entries were had");
    assert_eq!(tried, refused);
}

#[test]
fn the_wrong_word_of_the_header_is_named() {
    for whole in Whole::shapes() {
        for at in 0..=CHECKSUM {
            for found in whole.wrong(at) {
                let salvage = whole.with(&[(at, found)]).unwrap();
                let fault = SalvageFault::HeaderWord {
                    offset: at * WORD,
                    found,
                    expected: whole.segment.get(at),
                };
                match salvage.damage() {
                    [only] if *only == fault => {}
                    [SalvageFault::Unconfirmed] if OF_ANY_VALUE.contains(&at) => {}
                    others => panic!("{at}, {found:#x}: {others:?}"),
                }
            }
        }
    }
}

#[test]
fn damage_is_told_in_sentences() {
    let whole = &Whole::shapes()[0];
    let sentences = |salvage: &Salvage| -> Vec<String> {
        salvage.damage().iter().map(ToString::to_string).collect()
    };
    let (chunks, most) = (whole.segment.chunks, whole.segment.most_buckets);
    assert_eq!(
        sentences(&whole.with(&[(9, 0)]).unwrap()),
        [format!(
            "the header's number of chunks is 0x0, and was {chunks:#x}"
        )]
    );
    assert_eq!(
        sentences(&whole.with(&[(11, 5)]).unwrap()),
        [format!(
            "the header's greatest number of buckets of a stripe is 0x5, and was {most:#x}"
        )]
    );
    assert_eq!(
        sentences(&whole.with(&[(CHECKSUM, 1)]).unwrap()),
        [
            "the header's checksum is wrong, and confirms none of its numbers: its geometry is \
             that which agrees with the segment's length, and its codec id, its capacity and its \
             value space may be wrong"
        ]
    );
    whole.with(&[]).unwrap();
    let length = whole.segment.bytes.len();
    let cut = (whole.segment.buckets_at() + BUCKET_WORDS) * WORD;
    open_file(&whole.name.path()).set_len(cut as u64).unwrap();
    let buckets = (whole.segment.states_at() - whole.segment.buckets_at()) / BUCKET_WORDS;
    assert_eq!(
        sentences(&Options::new().open_damaged(&whole.name).unwrap()),
        [
            format!("the segment has {cut} bytes, and had {length}"),
            format!("part of the index is gone: the segment has 1 of its {buckets} buckets"),
        ]
    );
}

#[test]
fn the_capacity_the_value_space_and_the_codec_are_found_again() {
    for whole in Whole::shapes() {
        for at in [4, 5, 13] {
            for wrong in whole.wrong(at) {
                let salvage = whole.with(&[(at, wrong)]).unwrap();
                let found = [
                    (4, salvage.capacity() as u64),
                    (5, salvage.value_space() as u64),
                    (13, salvage.codec_id()),
                ];
                for (at, found) in found {
                    assert_eq!(found, whole.segment.get(at), "word {at}");
                }
            }
        }
    }
}

#[test]
fn a_wrong_word_does_no_harm_beside_a_wrong_checksum() {
    for whole in Whole::shapes() {
        for at in (0..CHECKSUM).filter(|at| *at != 13) {
            for &wrong in &whole.wrong(at)[..2] {
                let salvage = whole.with(&[(at, wrong), (CHECKSUM, 1)]);
                let salvage = salvage.unwrap_or_else(|error| panic!("{at}, {wrong:#x}: {error}"));
                let found = entries(salvage);
                assert_eq!(found, whole.model, "word {at}, {wrong:#x}");
            }
        }
    }
}

#[test]
fn all_words_of_the_format_may_be_wrong_beside_one_of_the_geometry() {
    for whole in Whole::shapes() {
        for at in OF_THE_GEOMETRY {
            for wrong in whole.wrong(at) {
                let mut words: Vec<_> = OF_THE_FORMAT.iter().map(|at| (*at, wrong)).collect();
                words.push((at, wrong));
                let salvage = whole.with(&words);
                let salvage = salvage.unwrap_or_else(|error| panic!("{at}, {wrong:#x}: {error}"));
                assert_eq!(entries(salvage), whole.model);
            }
        }
    }
}

#[test]
fn a_whole_header_of_another_format_is_refused() {
    let whole = &Whole::shapes()[0];
    for other in [2, 4] {
        let version = (1, other);
        let opened = whole.with(&[version, (CHECKSUM, whole.checksum(&[version]))]);
        match opened {
            Err(Error::IncompatibleFormat { found, .. }) => assert_eq!(found, other),
            opened => panic!("{opened:?}"),
        }
    }
}

#[test]
fn a_header_of_which_nothing_is_left_is_an_error() {
    let whole = &Whole::shapes()[0];
    let words: Vec<_> = (0..=CHECKSUM).map(|at| (at, 0)).collect();
    assert!(matches!(whole.with(&words), Err(Error::Corrupted { .. })));
}

#[test]
fn the_entries_that_a_cut_file_still_has_are_salvaged() {
    let whole = &Whole::shapes()[0];
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

#[test]
fn entries_that_went_with_a_part_of_the_index_are_lost() {
    let whole = &Whole::shapes()[0];
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

#[test]
fn records_are_had_though_the_index_does_not_lead_to_them() {
    let whole = &Whole::shapes()[0];
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

#[test]
fn most_entries_are_had_of_tables_that_are_damaged_all_over() {
    let mut dice = Dice::new(29);
    let (mut refused, mut salvaged, mut entries, mut had) = (0, 0, 0, 0);
    let whole = &Whole::shapes()[0];
    let file = open_file(&whole.name.path());
    let tables = common::scaled(284);
    for _ in 0..tables {
        write_at(&file, &whole.segment.bytes, 0);
        for _ in 0..=dice.below(100) {
            // In the header as often as in all the rest.
            let limit = [CHECKSUM + 1, whole.segment.bytes.len() / WORD][dice.below(2)];
            let word = dice.below(usize::MAX) as u64;
            write_at(
                &file,
                &word.to_le_bytes(),
                (dice.below(limit) * WORD) as u64,
            );
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
