//! Operations on one entry.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;

use shmtable::{Error, Result};

use crate::common::bytes;
use crate::{get, on_each_shape, some};

#[test]
fn insert_tells_whether_the_key_was_new() {
    on_each_shape(100, 1 << 16, |table| {
        assert!(table.insert(b"a", b"1").unwrap());
        assert!(!table.insert(b"a", b"2").unwrap());
        assert!(!table.insert(b"a", b"a longer value than before").unwrap());
        assert_eq!(get(table, b"a"), some(b"a longer value than before"));
        assert!(table.remove(b"a").unwrap());
        assert!(table.insert(b"a", b"3").unwrap());
        assert_eq!(get(table, b"a"), some(b"3"));
        assert_eq!(table.len(), 1);
    });
}

#[test]
fn try_insert_leaves_a_present_value_alone() {
    on_each_shape(100, 1 << 16, |table| {
        assert!(table.try_insert(b"a", b"").unwrap());
        assert!(!table.try_insert(b"a", b"other").unwrap());
        assert_eq!(get(table, b"a"), some(b""));
        table.remove(b"a").unwrap();
        assert!(table.try_insert(b"a", b"other").unwrap());
        assert_eq!(get(table, b"a"), some(b"other"));
    });
}

#[test]
fn replace_and_take_return_the_old_value() {
    on_each_shape(100, 1 << 16, |table| {
        assert_eq!(table.replace(b"a", b"first").unwrap(), None);
        assert_eq!(table.replace(b"a", b"").unwrap(), some(b"first"));
        assert_eq!(table.replace(b"a", b"12345678").unwrap(), some(b""));
        // In place.
        assert_eq!(table.replace(b"a", b"87654321").unwrap(), some(b"12345678"));
        assert_eq!(table.take(b"a").unwrap(), some(b"87654321"));
        assert_eq!(table.take(b"a").unwrap(), None);
        assert!(!table.remove(b"a").unwrap());
        assert!(table.is_empty());
    });
}

#[test]
fn get_into_replaces_what_the_buffer_held() {
    on_each_shape(100, 1 << 16, |table| {
        table.insert(b"a", b"value").unwrap();
        table.insert(b"empty", b"").unwrap();
        let mut buffer = b"what was there before, and longer".to_vec();
        assert!(table.get_into(b"a", &mut buffer).unwrap());
        assert_eq!(buffer, b"value");
        assert!(table.get_into(b"empty", &mut buffer).unwrap());
        assert_eq!(buffer, b"");
        buffer = b"old".to_vec();
        assert!(!table.get_into(b"absent", &mut buffer).unwrap());
        assert_eq!(buffer, b"", "the buffer is emptied");
        assert!(table.contains_key(b"empty").unwrap());
        assert!(!table.contains_key(b"absent").unwrap());
    });
}

#[test]
fn keys_have_zero_bytes_to_just_under_a_mebibyte() {
    const LONGEST: usize = 1_048_575;
    on_each_shape(100, 6 << 20, |table| {
        let lengths = [
            0, 1, 7, 8, 9, 16, 255, 4087, 4096, 65_535, 65_536, 65_537, LONGEST,
        ];
        for length in lengths {
            assert!(
                table
                    .insert(&bytes(1, length), &length.to_le_bytes())
                    .unwrap()
            );
        }
        for length in lengths {
            let key = bytes(1, length);
            assert_eq!(get(table, &key), some(&length.to_le_bytes()));
            if length > 0 {
                // A key that differs in the last byte only is another one.
                let mut other = key.clone();
                other[length - 1] ^= 1;
                assert_eq!(get(table, &other), None);
                assert_eq!(
                    get(table, &key[..length - 1]).is_some(),
                    lengths.contains(&(length - 1))
                );
            }
        }
        let seen: BTreeSet<usize> = table.keys().map(|key| key.unwrap().len()).collect();
        assert_eq!(seen, lengths.into());
        for length in lengths {
            assert!(table.remove(&bytes(1, length)).unwrap());
        }
    });
}

#[test]
fn values_have_zero_bytes_to_all_of_the_value_space() {
    const SPACE: usize = 300_000;
    on_each_shape(10, SPACE, |table| {
        for key in [&b""[..], b"key"] {
            let most = SPACE - key.len();
            for length in [
                0,
                1,
                7,
                8,
                9,
                4000,
                4080,
                4096,
                5000,
                65_520,
                65_536,
                150_000,
                most - 1,
                most,
            ] {
                let value = bytes(length as u64, length);
                assert!(table.insert(key, &value).unwrap(), "{length} bytes");
                assert_eq!(get(table, key).as_ref(), Some(&value));
                assert_eq!(
                    table.values().map(Result::unwrap).collect::<Vec<_>>(),
                    [value]
                );
                assert!(table.remove(key).unwrap());
            }
        }
        // The same after the whole table was full of small entries.
        for number in 0..10_u32 {
            table
                .insert(&number.to_le_bytes(), &bytes(2, 3000))
                .unwrap();
        }
        table.clear().unwrap();
        assert!(table.insert(b"", &bytes(3, SPACE)).unwrap());
        // Every operation takes it, one entry of this size at a time.
        assert_eq!(table.take(b"").unwrap(), Some(bytes(3, SPACE)));
        assert!(table.try_insert(b"", &bytes(4, SPACE)).unwrap());
        assert!(table.remove(b"").unwrap());
        assert_eq!(
            table.update(b"", |_| Some(bytes(5, SPACE))).unwrap(),
            Some(bytes(5, SPACE))
        );
        assert_eq!(
            table
                .compare_exchange(b"", Some(&bytes(5, SPACE)), None)
                .unwrap(),
            Ok(())
        );
        assert_eq!(
            table
                .compare_exchange(b"", None, Some(&bytes(6, SPACE)))
                .unwrap(),
            Ok(())
        );
        assert_eq!(get(table, b""), Some(bytes(6, SPACE)));
    });
}

#[test]
fn compare_exchange_knows_present_and_absent() {
    on_each_shape(100, 1 << 16, |table| {
        let exchange = |expected: Option<&[u8]>, new: Option<&[u8]>| {
            table
                .compare_exchange(b"k", expected, new)
                .expect("no error")
        };
        // Absent.
        assert_eq!(exchange(None, None), Ok(()));
        assert_eq!(get(table, b"k"), None);
        assert_eq!(exchange(Some(b"1"), Some(b"2")), Err(None));
        assert_eq!(exchange(Some(b""), None), Err(None));
        assert_eq!(get(table, b"k"), None);
        assert_eq!(exchange(None, Some(b"")), Ok(()));
        // Present: an empty value is not absence.
        assert_eq!(exchange(None, Some(b"2")), Err(some(b"")));
        assert_eq!(exchange(None, None), Err(some(b"")));
        assert_eq!(exchange(Some(b"1"), None), Err(some(b"")));
        assert_eq!(exchange(Some(b""), Some(b"12345678")), Ok(()));
        assert_eq!(
            exchange(Some(b"1234567"), Some(b"x")),
            Err(some(b"12345678"))
        );
        assert_eq!(exchange(Some(b"12345678"), Some(b"87654321")), Ok(()));
        assert_eq!(get(table, b"k"), some(b"87654321"));
        assert_eq!(exchange(Some(b"87654321"), Some(b"87654321")), Ok(()));
        assert_eq!(exchange(Some(b"87654321"), None), Ok(()));
        assert_eq!(get(table, b"k"), None);
        assert_eq!(table.len(), 0);
    });
}

#[test]
fn fetch_add_counts_and_refuses_to_overflow() {
    on_each_shape(100, 1 << 16, |table| {
        assert_eq!(table.fetch_add(b"n", 5).unwrap(), 0);
        assert_eq!(table.fetch_add(b"n", -7).unwrap(), 5);
        assert_eq!(table.fetch_add(b"n", 0).unwrap(), -2);
        assert_eq!(get(table, b"n"), some(&(-2_i64).to_le_bytes()));

        table.insert(b"n", &i64::MAX.to_le_bytes()).unwrap();
        assert!(matches!(
            table.fetch_add(b"n", 1),
            Err(Error::CounterOverflow { value, add: 1, number: "i64", .. })
                if value == i64::MAX.into()
        ));
        assert_eq!(get(table, b"n"), some(&i64::MAX.to_le_bytes()));
        assert_eq!(table.fetch_add(b"n", i64::MIN).unwrap(), i64::MAX);
        assert_eq!(table.fetch_add(b"n", 0).unwrap(), -1);
        assert!(matches!(
            table.fetch_add(b"n", i64::MIN),
            Err(Error::CounterOverflow { value: -1, add, .. }) if add == i64::MIN.into()
        ));
        assert_eq!(table.fetch_add(b"n", i64::MAX).unwrap(), -1);

        for value in [&b""[..], b"1234567", b"123456789"] {
            table.insert(b"no counter", value).unwrap();
            assert!(matches!(
                table.fetch_add(b"no counter", 1),
                Err(Error::NotACounter { length, .. }) if length == value.len()
            ));
            assert_eq!(get(table, b"no counter"), some(value));
        }
        // From nothing to the limit in one step.
        assert_eq!(table.fetch_add(b"m", i64::MIN).unwrap(), 0);
        assert_eq!(get(table, b"m"), some(&i64::MIN.to_le_bytes()));
    });
}

#[test]
fn get_into_slice_copies_what_fits_and_tells_the_length() {
    on_each_shape(100, 1 << 20, |table| {
        for length in [0, 1, 7, 8, 9, 100, 5000, 150_000] {
            let value = bytes(length as u64, length);
            table.insert(b"k", &value).unwrap();
            for room in [
                0,
                1,
                5,
                8,
                9,
                16,
                length.saturating_sub(1),
                length,
                length + 9,
            ] {
                let mut buffer = vec![0xa5; room];
                assert_eq!(
                    table.get_into_slice(b"k", &mut buffer).unwrap(),
                    Some(length)
                );
                let fits = length.min(room);
                assert_eq!(buffer[..fits], value[..fits], "{length} bytes in {room}");
                assert!(buffer[fits..].iter().all(|byte| *byte == 0xa5));
            }
            let mut buffer = [0xa5; 4];
            assert_eq!(table.get_into_slice(b"absent", &mut buffer).unwrap(), None);
            assert_eq!(buffer, [0xa5; 4], "an absent key leaves the buffer alone");
        }
    });
}

#[test]
fn insert_slices_stores_the_slices_as_one_value() {
    on_each_shape(100, 1 << 20, |table| {
        for length in [0, 1, 7, 8, 9, 100, 256, 257, 5000, 150_000] {
            let value = bytes(length as u64, length);
            for cut in [0, 1, 5, 8, 64, length / 2, length] {
                let (head, body) = value.split_at(cut.min(length));
                let new = table.get(b"k").unwrap().is_none();
                let slices = [head, b"", body];
                assert_eq!(table.insert_slices(b"k", &slices).unwrap(), new);
                assert_eq!(get(table, b"k"), some(&value), "{length} cut at {cut}");
            }
            assert!(table.remove(b"k").unwrap());
        }
        let before = table.len();
        let large = vec![0; 1 << 20];
        let slices = [&large[..]; 5];
        let refused = table.insert_slices(b"k", &slices);
        let size = 5 << 20;
        assert!(matches!(refused, Err(Error::ValueTooLarge { size: s, .. }) if s == size));
        assert_eq!(table.len(), before);
    });
}

#[test]
fn get_into_slices_fills_them_in_turn() {
    on_each_shape(100, 1 << 20, |table| {
        for length in [0, 1, 7, 8, 9, 100, 5000, 150_000] {
            let value = bytes(length as u64, length);
            table.insert(b"k", &value).unwrap();
            for cut in [0, 1, 5, 8, 64, length / 2, length] {
                for room in [cut, cut + length / 2, length, length + 9] {
                    let mut buffer = vec![0xa5; room.max(cut)];
                    let (head, body) = buffer.split_at_mut(cut);
                    let found = table.get_into_slices(b"k", &mut [head, &mut [], body]);
                    assert_eq!(found.unwrap(), Some(length));
                    let fits = length.min(buffer.len());
                    assert_eq!(buffer[..fits], value[..fits], "{length} cut at {cut}");
                    assert!(buffer[fits..].iter().all(|byte| *byte == 0xa5));
                }
            }
            assert_eq!(table.get_into_slices(b"k", &mut []).unwrap(), Some(length));
        }
        let mut buffer = [0xa5; 4];
        let found = table.get_into_slices(b"absent", &mut [&mut buffer]);
        assert_eq!(found.unwrap(), None);
        assert_eq!(buffer, [0xa5; 4], "an absent key leaves the slices alone");
    });
}

#[test]
#[allow(unsafe_code)]
fn get_into_uninit_fills_as_much_as_there_is() {
    on_each_shape(100, 1 << 20, |table| {
        for length in [0, 1, 7, 8, 9, 100, 5000, 150_000] {
            let value = bytes(length as u64, length);
            table.insert(b"k", &value).unwrap();
            for cut in [0, 1, 5, 8, 64, length / 2, length] {
                let mut memory = vec![MaybeUninit::new(0xa5); length.max(cut) + 9];
                let (head, body) = memory.split_at_mut(cut);
                let found = table.get_into_uninit(b"k", &mut [head, &mut [], body]);
                assert_eq!(found.unwrap(), Some(length));
                // SAFETY: all of it was initialized when it was made.
                let read = memory.iter().map(|byte| unsafe { byte.assume_init() });
                let rest = [0xa5].iter().cycle();
                let expected = value.iter().chain(rest).take(memory.len()).copied();
                assert!(read.eq(expected), "{length} cut at {cut}");
            }
        }
        let found = table.get_into_uninit(b"absent", &mut []);
        assert_eq!(found.unwrap(), None);
    });
}

#[test]
fn update_in_place_changes_short_values_alone() {
    on_each_shape(100, 1 << 16, |table| {
        for key in [&b"k"[..], b"a key that is not in its slot", &[7; 300]] {
            for length in 0..=9 {
                let value = bytes(1, length);
                table.insert(key, &value).unwrap();
                let mut seen = None;
                let inverted = table.update_in_place(key, |value| {
                    seen = Some(value.to_vec());
                    for byte in value.iter_mut() {
                        *byte = !*byte;
                    }
                    Some(value.len())
                });
                let inverted = inverted.unwrap();
                let other: Vec<u8> = value.iter().map(|byte| !byte).collect();
                if length > 8 {
                    assert_eq!((inverted, seen), (None, None));
                    assert_eq!(get(table, key), some(&value));
                } else {
                    assert_eq!((inverted, seen), (Some(length), Some(value)));
                    assert_eq!(get(table, key), some(&other));
                }
            }
            table.insert(key, b"same").unwrap();
            let refused: Option<()> = table
                .update_in_place(key, |value| {
                    value.fill(0);
                    None
                })
                .unwrap();
            assert_eq!(refused, None);
            assert_eq!(get(table, key), some(b"same"));
        }
        let absent = table.update_in_place(b"absent", |_| -> Option<()> { unreachable!() });
        assert_eq!(absent.unwrap(), None);
        assert!(!table.contains_key(b"absent").unwrap());
    });
}
