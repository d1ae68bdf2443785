//! Do `fetch_max` and `fetch_min` keep the greatest and the smallest number, as one step?

#![expect(
    clippy::float_cmp,
    reason = "the numbers are stored and read as they are"
)]

use std::thread;
use std::time::Duration;

use shmtable::{Error, Options, Table, TypedTable};

fn small() -> Table {
    Options::new()
        .capacity(10)
        .lock_timeout(Duration::from_millis(20))
        .create_anonymous()
        .unwrap()
}

fn counter(table: &Table, key: &[u8]) -> Option<i64> {
    let value = table.get(key).unwrap()?;
    Some(i64::from_le_bytes(value.as_slice().try_into().unwrap()))
}

#[test]
fn an_absent_key_gets_the_number_and_others_are_compared() {
    let table = small();
    // In its slot, and in a record.
    for key in [&b"short"[..], &[b'k'; 300]] {
        assert_eq!(table.fetch_max(key, -5).unwrap(), -5);
        assert_eq!(counter(&table, key), Some(-5));
        for (n, before, after) in [
            (-6, -5, -5),
            (-5, -5, -5),
            (3, -5, 3),
            (i64::MIN, 3, 3),
            (i64::MAX, 3, i64::MAX),
        ] {
            assert_eq!(table.fetch_max(key, n).unwrap(), before);
            assert_eq!(counter(&table, key), Some(after));
        }
        assert!(table.remove(key).unwrap());
        assert_eq!(table.fetch_min(key, 5).unwrap(), 5);
        for (n, before, after) in [
            (6, 5, 5),
            (5, 5, 5),
            (-3, 5, -3),
            (i64::MAX, -3, -3),
            (i64::MIN, -3, i64::MIN),
        ] {
            assert_eq!(table.fetch_min(key, n).unwrap(), before);
            assert_eq!(counter(&table, key), Some(after));
        }
    }
}

#[test]
fn what_is_no_counter_is_refused_and_stays() {
    let table = Options::new()
        .capacity(10)
        .value_space(200_000)
        .chunk_size(4096)
        .create_anonymous()
        .unwrap();
    // In a slot, in a record, and in a run of chunks.
    for value in [&b""[..], b"seven b", &[1; 300], &[2; 9000]] {
        table.insert(b"k", value).unwrap();
        for outcome in [table.fetch_max(b"k", 1), table.fetch_min(b"k", 1)] {
            assert!(
                matches!(outcome, Err(Error::NotACounter { length, size: 8, .. })
                    if length == value.len()),
                "{outcome:?}"
            );
        }
        assert_eq!(table.get(b"k").unwrap().unwrap(), value);
    }
}

#[test]
fn what_a_write_is_refused_for_is_refused() {
    let table = small();
    let reader = Table::open_read_only(table.name()).unwrap();
    assert!(matches!(reader.fetch_max(b"k", 1), Err(Error::ReadOnly)));
    assert!(matches!(reader.fetch_min(b"k", 1), Err(Error::ReadOnly)));
    let long = vec![0; 1 << 20];
    assert!(matches!(
        table.fetch_max(&long, 1),
        Err(Error::KeyTooLarge { .. })
    ));
    table
        .update(b"k", |_| {
            assert!(matches!(table.fetch_max(b"k", 1), Err(Error::Reentrant)));
            None
        })
        .unwrap();
    assert!(table.is_empty());
    let full = (0..1000_u32).find_map(|key| table.fetch_max(key.to_le_bytes(), 1).err());
    assert!(matches!(full, Some(Error::TableFull { .. })), "{full:?}");
}

#[test]
fn of_threads_that_store_at_once_none_loses_the_greatest_or_the_smallest() {
    let table = small();
    thread::scope(|scope| {
        for me in 0..4_i64 {
            let table = &table;
            scope.spawn(move || {
                for n in 0..5000 {
                    let n = n * 4 + me;
                    assert!(table.fetch_max(b"max", n).unwrap() >= 0);
                    assert!(table.fetch_min(b"min", -n).unwrap() <= 0);
                }
            });
        }
    });
    assert_eq!(counter(&table, b"max"), Some(4999 * 4 + 3));
    assert_eq!(counter(&table, b"min"), Some(-(4999 * 4 + 3)));
}

macro_rules! typed {
    ($($number:ident)*) => {$(
        #[test]
        fn $number() {
            let options = Options::new().capacity(10);
            let table = TypedTable::<str, $number>::create_anonymous(options).unwrap();
            let [one, two, three] = [1, 2, 3].map(|n: u8| $number::from(n));
            assert_eq!(table.fetch_max("n", two).unwrap(), two);
            assert_eq!(table.fetch_max("n", one).unwrap(), two);
            assert_eq!(table.fetch_max("n", three).unwrap(), two);
            assert_eq!(table.get("n").unwrap(), Some(three));
            assert_eq!(table.fetch_min("n", $number::MAX).unwrap(), three);
            assert_eq!(table.fetch_min("n", $number::MIN).unwrap(), three);
            assert_eq!(table.fetch_max("n", two).unwrap(), $number::MIN);
            assert_eq!(table.get("n").unwrap(), Some(two));
            assert_eq!(table.fetch_min("new", two).unwrap(), two);
            table.as_table().insert("n", b"odd").unwrap();
            let wrong = table.fetch_max("n", one);
            assert!(matches!(wrong, Err(Error::NotACounter { length: 3, .. })));
        }
    )*};
}

typed! { u8 u16 u32 u64 i16 i32 i64 f32 f64 }

#[test]
fn a_nan_is_neither_greater_nor_smaller() {
    let options = Options::new().capacity(10);
    let table = TypedTable::<str, f64>::create_anonymous(options).unwrap();
    table.insert("n", &1.5).unwrap();
    table.fetch_max("n", f64::NAN).unwrap();
    table.fetch_min("n", f64::NAN).unwrap();
    assert_eq!(table.get("n").unwrap(), Some(1.5));
    table.insert("n", &f64::NAN).unwrap();
    assert!(table.fetch_max("n", 1.0).unwrap().is_nan());
    assert!(table.get("n").unwrap().unwrap().is_nan());
}
