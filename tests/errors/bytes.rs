//! Errors of segments whose bytes are not as they should be.

use std::fs::File;
use std::time::{Duration, Instant};

use shmtable::{Error, Options, Table};

use crate::common::{self, Name, Named, bytes, open_file, read_at, read_segment, write_at};
use crate::{all, refused};

/// A closed table with one entry, whose file can be written to.
fn closed_file() -> (Name, File) {
    let name = Name::new();
    let table = Options::new()
        .capacity(10)
        .value_space(2000)
        .create(&name)
        .unwrap();
    table.insert(b"k", b"v").unwrap();
    drop(table);
    let file = open_file(&name.path());
    (name, file)
}

fn flip(file: &File, byte: u64, bits: u8) {
    let mut old = [0];
    read_at(file, &mut old, byte);
    write_at(file, &[old[0] ^ bits], byte);
}

#[test]
fn incompatible_format() {
    let (name, file) = closed_file();
    for (byte, what) in [(0, "magic"), (8, "version"), (16, "fingerprint")] {
        flip(&file, byte, 4);
        for error in [Table::open(&name).err(), Table::open_read_only(&name).err()] {
            let error = refused::<()>(
                Err(error.unwrap()),
                &[
                    &name,
                    what,
                    "expected",
                    "the version that made it",
                    "unlink it",
                ],
            );
            assert!(
                matches!(error, Error::IncompatibleFormat { found, expected, .. }
                    if found == expected ^ 4),
                "{error:?}"
            );
        }
        flip(&file, byte, 4);
        assert!(Table::open(&name).is_ok());
    }
    // An older version: the command carries the entries over.
    flip(&file, 8, 1);
    refused(
        Table::open(&name),
        &[
            "the format version is 2, expected 3",
            "`shmtable dump` of the older version",
            "`shmtable load --create` of this one",
        ],
    );
    flip(&file, 8, 1);
    // Files that are no segment: too short for a header, or all zero.
    for length in [100, 0, 4095] {
        file.set_len(length).unwrap();
        let error = refused(
            Table::open(&name),
            &[&name, "the length in bytes is", "at least 4096 are needed"],
        );
        assert!(
            matches!(error, Error::IncompatibleFormat { .. }),
            "{error:?}"
        );
    }
    file.set_len(4096).unwrap();
    flip(&file, 0, 0xff);
    let error = refused(Table::open(&name), &[&name, "magic"]);
    assert!(
        matches!(error, Error::IncompatibleFormat { .. }),
        "{error:?}"
    );
    // Nor does `open_or_create` overwrite such a file.
    assert!(matches!(
        Options::new().capacity(10).open_or_create(&name),
        Err(Error::IncompatibleFormat { .. })
    ));
    assert_eq!(file.metadata().unwrap().len(), 4096);
}

#[test]
fn a_changed_header_is_corrupted() {
    let (name, file) = closed_file();
    let length = read_segment(&name).len() as u64;
    // Every byte from the segment's length to the checksum.
    for byte in 24..136 {
        for bits in [1, 0x80] {
            flip(&file, byte, bits);
            let error = refused(
                Table::open(&name),
                &[
                    "damaged",
                    "at byte",
                    "Table::repair",
                    "save what can be read",
                    "create it again",
                ],
            );
            assert!(
                matches!(error, Error::Corrupted { offset, .. } if offset <= 136),
                "{error:?}"
            );
            flip(&file, byte, bits);
        }
    }
    assert_eq!(
        Table::open(&name).unwrap().get(b"k").unwrap().as_deref(),
        Some(&b"v"[..])
    );
    file.set_len(length - 4096).unwrap();
    let error = refused(Table::open(&name), &["shorter"]);
    assert!(matches!(error, Error::Corrupted { .. }), "{error:?}");
}

/// Where the arena begins in a file.
fn arena_of(table: &Table) -> u64 {
    table.stats().unwrap().index_bytes as u64
}

#[test]
fn records_that_are_none_are_corrupted_and_never_a_panic() {
    let named = Named::create(
        &Options::new()
            .capacity(200)
            .value_space(1 << 16)
            .chunk_size(4096),
    );
    let reader = Table::open_read_only(&named.name).unwrap();
    let file = open_file(&named.name.path());
    let key = |number: u32| number.to_le_bytes();
    // Too large for a slot.
    let value = |number: u32| bytes(1, 12 + number as usize);
    let insert_all = || {
        for number in 0..200 {
            named.insert(&key(number), &value(number)).unwrap();
        }
    };
    insert_all();
    let arena = arena_of(&named);
    let length = named.stats().unwrap().value_bytes_reserved;
    let mut good = vec![0; length];
    read_at(&file, &mut good, arena);

    // No record has a header of zero.
    write_at(&file, &vec![0; length], arena);
    for number in 0..200 {
        for table in [&named.table, &reader] {
            let error = refused(
                table.get(&key(number)),
                &["damaged", "no record", "create it again"],
            );
            assert!(
                matches!(error, Error::Corrupted { offset, .. } if offset as u64 >= arena),
                "{error:?}"
            );
        }
        assert!(matches!(
            named.insert(&key(number), b"x"),
            Err(Error::Corrupted { .. })
        ));
        assert!(matches!(
            named.remove(&key(number)),
            Err(Error::Corrupted { .. })
        ));
    }
    assert!(matches!(named.snapshot(), Err(Error::Corrupted { .. })));
    assert!(
        named
            .iter()
            .any(|entry| matches!(entry, Err(Error::Corrupted { .. })))
    );
    assert!(
        !named.check().unwrap().is_empty(),
        "check says what is wrong"
    );
    write_at(&file, &good, arena);
    assert_eq!(all(&named).len(), 200);

    // Garbage of every kind: whatever the answer, it is one.
    for seed in 0..20 {
        let mut garbage = bytes(seed, length);
        if seed % 2 == 0 {
            // Headers that look like headers, with any lengths.
            for word in garbage.chunks_exact_mut(8) {
                word[0] = word[0] & 0xf0 | 1;
                word[(seed as usize / 2) % 8..].fill(u8::from(seed % 4 == 0));
                word[0] |= 1;
            }
        }
        write_at(&file, &garbage, arena);
        for number in 0..200 {
            for result in [
                named.get(&key(number)).err(),
                reader.get(&key(number)).err(),
            ] {
                assert!(
                    matches!(result, None | Some(Error::Corrupted { .. })),
                    "{result:?}"
                );
            }
        }
        let _ = named.iter().count();
        let _ = named.get_many(&[key(1), key(2)]);
        let _ = named.snapshot();
        let _ = named.check();
        let _ = named.stats();
        write_at(&file, &good, arena);
        assert_eq!(named.get(&key(77)).unwrap(), Some(value(77)));
    }
}

#[test]
fn any_flipped_bit_of_the_index_gives_an_answer() {
    let named = Named::create(
        &Options::new()
            .capacity(12)
            .value_space(8000)
            .stripes(1)
            .chunk_size(4096)
            .max_participants(2)
            .lock_timeout(Duration::from_millis(20)),
    );
    for number in 0..12_u8 {
        named
            .insert(&[number], &bytes(1, 30 * number as usize))
            .unwrap();
    }
    let file = open_file(&named.name.path());
    let length = arena_of(&named) as usize;
    let mut good = vec![0; length];
    read_at(&file, &mut good, 0);
    let last = good.iter().rposition(|byte| *byte != 0).unwrap() + 64;
    let begin = Instant::now();
    let (mut flips, mut errors) = (0, 0);
    // The header, its counters, and all that follows its page: slots, the stripe,
    // buckets, chunks. The rest of the header's page means nothing.
    let step = (1 + last / 1000).div_ceil(common::scaled(1));
    for at in (0..280).chain(4096..last.min(length)) {
        for bit in (0..8).filter(|bit| (at * 8 + bit).is_multiple_of(step)) {
            flip(&file, at as u64, 1 << bit);
            flips += 1;
            // Through the open handle, and through a new one.
            let mut outcomes = vec![
                named.get(&[3]).map(drop),
                named.get(&[200]).map(drop),
                named.iter().try_for_each(|entry| entry.map(drop)),
                named.insert(&[3], &bytes(2, 90)).map(drop),
                named.remove(&[5]).map(drop),
                named.check().map(drop),
            ];
            let reader = Table::open_read_only(&named.name);
            outcomes.push(reader.and_then(|reader| reader.get(&[4])).map(drop));
            for outcome in outcomes {
                if let Err(error) = outcome {
                    errors += 1;
                    assert!(
                        matches!(
                            error,
                            Error::Corrupted { .. }
                                | Error::IncompatibleFormat { .. }
                                | Error::LockTimeout { .. }
                                | Error::TableFull { .. }
                                | Error::ValueSpaceFull { .. }
                        ),
                        "byte {at} bit {bit}: {error:?}"
                    );
                }
            }
            write_at(&file, &good, 0);
        }
    }
    println!("{flips} flips, {errors} errors, {:?}", begin.elapsed());
    assert!(flips > 500 && errors > 0);
}
