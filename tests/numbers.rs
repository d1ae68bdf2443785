//! Do typed numbers of every width add and subtract in one step, and refuse to overflow?

use std::thread;

use shmtable::{Error, Number, Options, TypedTable};

fn table<V: Number>() -> TypedTable<str, V> {
    TypedTable::create_anonymous(Options::new().capacity(10)).unwrap()
}

macro_rules! integers {
    ($($number:ident)*) => {$(
        mod $number {
            use super::{Error, table};

            #[test]
            fn adds_and_subtracts_from_end_to_end() {
                let table = table::<$number>();
                assert_eq!(table.fetch_add("n", 5).unwrap(), 0);
                assert_eq!(table.fetch_sub("n", 2).unwrap(), 5);
                assert_eq!(table.get("n").unwrap(), Some(3));
                table.insert("n", &$number::MAX).unwrap();
                let error = table.fetch_add("n", 1).unwrap_err();
                assert!(
                    matches!(error, Error::CounterOverflow { value, add: 1, number, .. }
                        if value == $number::MAX.into() && number == stringify!($number)),
                    "{error:?}"
                );
                assert_eq!(table.get("n").unwrap(), Some($number::MAX));
                table.insert("n", &$number::MIN).unwrap();
                let error = table.fetch_sub("n", 1).unwrap_err();
                assert!(
                    matches!(error, Error::CounterOverflow { value, add: -1, .. }
                        if value == $number::MIN.into()),
                    "{error:?}"
                );
                assert_eq!(table.get("n").unwrap(), Some($number::MIN));
                assert_eq!(table.fetch_add("n", $number::MAX).unwrap(), $number::MIN);
                // The least of the signed has no positive one.
                let fits = $number::MIN.checked_neg().is_some();
                assert_eq!(table.fetch_sub("new", $number::MIN).is_ok(), fits);
            }

            #[test]
            fn what_is_no_such_number_is_refused_and_stays() {
                let table = table::<$number>();
                for wrong in [&b""[..], b"123", b"123456789"] {
                    table.as_table().insert("n", wrong).unwrap();
                    let error = table.fetch_add("n", 1).unwrap_err();
                    assert!(
                        matches!(error, Error::NotACounter { length, size, .. }
                            if length == wrong.len() && size == size_of::<$number>()),
                        "{error:?}"
                    );
                    assert_eq!(table.as_table().get("n").unwrap().unwrap(), wrong);
                }
            }
        }
    )*};
}

integers! { u8 u16 u32 u64 i8 i16 i32 i64 }

#[test]
fn the_least_i64_is_subtracted_too() {
    let table = table::<i64>();
    table.insert("n", &-1).unwrap();
    assert_eq!(table.fetch_sub("n", i64::MIN).unwrap(), -1);
    assert_eq!(table.get("n").unwrap(), Some(i64::MAX));
}

#[test]
fn floats_add_as_floats_do() {
    let table = table::<f64>();
    assert!(table.fetch_add("sum", 0.5).unwrap().abs() < f64::EPSILON);
    assert_eq!(
        table.fetch_sub("sum", 0.25).unwrap().to_bits(),
        0.5_f64.to_bits()
    );
    assert_eq!(table.get("sum").unwrap(), Some(0.25));
    table.insert("sum", &f64::MAX).unwrap();
    table.fetch_add("sum", f64::MAX).unwrap();
    assert_eq!(table.get("sum").unwrap(), Some(f64::INFINITY));
    let narrow = self::table::<f32>();
    narrow.fetch_add("sum", 1.5).unwrap();
    assert_eq!(narrow.get("sum").unwrap(), Some(1.5));
}

#[test]
fn additions_of_threads_are_all_counted() {
    let table = table::<u32>();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2500 {
                    table.fetch_add("n", 1).unwrap();
                }
            });
        }
    });
    assert_eq!(table.get("n").unwrap(), Some(10_000));
}
