//! What is found out of a header that is damaged.

use shmtable::{Error, Options, Salvage, SalvageFault, Table};

use crate::common::layout::{BUCKET_WORDS, CHECKSUM, WORD};
use crate::common::open_file;
use crate::whole::{OF_ANY_VALUE, OF_THE_FORMAT, OF_THE_GEOMETRY, Whole, codec, entries};

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

/// Words 17 to 23: the bound of the memory, unused words, and their checksum.
#[test]
fn a_wrong_word_with_the_second_checksum_is_named() {
    for whole in Whole::both() {
        for at in 17..=23 {
            let right = whole.segment.get(at);
            for found in [right ^ 1, right ^ 1 << 40, right ^ 1 << 63, !right] {
                let salvage = whole.with(&[(at, found)]).unwrap();
                assert!(Table::open(&whole.name).is_err());
                let expected = whole.segment.get(at);
                let offset = at * WORD;
                let fault = SalvageFault::HeaderWord {
                    offset,
                    found,
                    expected,
                };
                assert_eq!(salvage.damage(), [fault], "{at}, {found:#x}");
                assert_eq!(salvage.codec_id(), codec());
                assert_eq!(entries(salvage), whole.model);
            }
        }
    }
    // More is wrong than can be found out.
    let whole = &Whole::both()[0];
    let salvage = whole.with(&[(17, 12345), (18, 678)]).unwrap();
    let text = salvage.damage()[0].to_string();
    assert!(
        text.starts_with("the header's second checksum is 0x"),
        "{text}"
    );
    assert_eq!(entries(salvage), whole.model);
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
