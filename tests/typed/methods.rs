//! The methods of a typed view.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use shmtable::{BoxedError, Codec, Error, Result};

use crate::common;
use crate::{SOON, anonymous};

#[test]
fn insert_says_whether_the_key_was_new_and_try_insert_keeps_the_old() {
    let numbers = anonymous::<str, u64>();
    assert!(numbers.insert("a", &1).unwrap());
    assert!(!numbers.insert("a", &2).unwrap());
    assert!(!numbers.try_insert("a", &3).unwrap());
    assert!(numbers.try_insert("b", &4).unwrap());
    assert_eq!(numbers.get_many(["a", "b"]).unwrap(), [Some(2), Some(4)]);
}

#[test]
fn remove_take_and_replace_answer_what_was_there() {
    let strings = anonymous::<u8, str>();
    assert_eq!(strings.replace(&1, "one").unwrap(), None);
    assert_eq!(strings.replace(&1, "uno").unwrap().as_deref(), Some("one"));
    assert_eq!(strings.take(&1).unwrap().as_deref(), Some("uno"));
    assert_eq!(strings.take(&1).unwrap(), None);
    strings.insert(&2, "two").unwrap();
    assert!(strings.contains_key(&2).unwrap());
    assert!(strings.remove(&2).unwrap());
    assert!(!strings.remove(&2).unwrap());
    assert!(!strings.contains_key(&2).unwrap());
}

#[test]
fn update_inserts_changes_and_removes() {
    let strings = anonymous::<str, str>();
    let append = |more: &str| {
        strings
            .update("a", |old| Some(old.unwrap_or_default() + more))
            .unwrap()
    };
    assert_eq!(append("x").as_deref(), Some("x"));
    assert_eq!(append("yz").as_deref(), Some("xyz"));
    assert_eq!(strings.get("a").unwrap().as_deref(), Some("xyz"));
    assert_eq!(strings.update("a", |_| None).unwrap(), None);
    assert_eq!(strings.get("a").unwrap(), None);
    assert_eq!(strings.update("a", |_| None).unwrap(), None);
}

#[test]
fn compare_exchange_compares_encodings() {
    let floats = anonymous::<str, f64>();
    let nan = f64::NAN;
    assert_eq!(
        floats.compare_exchange("a", None, Some(&nan)).unwrap(),
        Ok(())
    );
    assert_eq!(
        floats
            .compare_exchange("a", Some(&nan), Some(&0.0))
            .unwrap(),
        Ok(())
    );
    assert_eq!(
        floats.compare_exchange("a", Some(&-0.0), None).unwrap(),
        Err(Some(0.0))
    );
    assert_eq!(
        floats.compare_exchange("a", Some(&0.0), None).unwrap(),
        Ok(())
    );
    assert_eq!(
        floats.compare_exchange("a", Some(&0.0), None).unwrap(),
        Err(None)
    );
}

#[test]
fn fetch_add_counts_in_the_bytes_of_i64() {
    let counters = anonymous::<str, i64>();
    assert_eq!(counters.fetch_add("a", 5).unwrap(), 0);
    assert_eq!(counters.fetch_add("a", -8).unwrap(), 5);
    assert_eq!(counters.get("a").unwrap(), Some(-3));
    counters.insert("a", &i64::MAX).unwrap();
    assert!(matches!(
        counters.fetch_add("a", 1),
        Err(Error::CounterOverflow { value, add: 1, number: "i64", .. })
            if value == i64::MAX.into()
    ));
    assert_eq!(counters.get("a").unwrap(), Some(i64::MAX));
    counters.as_table().insert(b"a", b"ten").unwrap();
    assert!(matches!(
        counters.fetch_add("a", 1),
        Err(Error::NotACounter { length: 3, .. })
    ));
}

#[test]
fn threads_lose_no_step_of_update_and_fetch_add() {
    let (texts, counters) = (anonymous::<str, str>(), anonymous::<u8, i64>());
    common::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    texts
                        .update("a", |old| Some(old.unwrap_or_default() + "x"))
                        .unwrap();
                    counters.fetch_add(&0, 1).unwrap();
                }
            });
        }
    });
    assert_eq!(texts.get("a").unwrap(), Some("x".repeat(1000)));
    assert_eq!(counters.get(&0).unwrap(), Some(1000));
}

#[test]
fn many_go_in_and_come_out() {
    let squares = anonymous::<u32, u64>();
    let expected: HashMap<u32, u64> = (0..500).map(|n| (n, u64::from(n) * u64::from(n))).collect();
    assert_eq!(squares.insert_many(&expected).unwrap(), 500);
    assert_eq!(squares.insert_many(&expected).unwrap(), 0);

    let keys = [3, 1000, 499];
    assert_eq!(
        squares.get_many(&keys).unwrap(),
        [Some(9), None, Some(499 * 499)]
    );
    assert_eq!(squares.snapshot().unwrap().into_map().unwrap(), expected);
    let entries: HashMap<u32, u64> = squares.iter().collect::<Result<_>>().unwrap();
    assert_eq!(entries, expected);
    let keys: HashSet<u32> = squares.keys().collect::<Result<_>>().unwrap();
    assert_eq!(keys.len(), 500);
    assert_eq!(
        squares.values().sum::<Result<u64>>().unwrap(),
        expected.values().sum::<u64>()
    );
    let mut visited = HashMap::new();
    squares
        .for_each(|key, value| assert_eq!(visited.insert(key, value), None))
        .unwrap();
    assert_eq!(visited, expected);
}

#[test]
fn retain_keeps_what_it_is_told_to() {
    let numbers = anonymous::<u32, u64>();
    for n in 0..100 {
        numbers.insert(&n, &u64::from(n)).unwrap();
    }
    assert_eq!(
        numbers
            .retain(|key, value| key < 50 && value % 2 == 0)
            .unwrap(),
        75
    );
    assert_eq!(numbers.len(), 25);
    assert_eq!(
        numbers.get_many(&[2, 3, 60]).unwrap(),
        [Some(2), None, None]
    );
    assert_eq!(numbers.stats().unwrap().entries, 25);
    numbers.clear().unwrap();
    assert!(numbers.is_empty());
}

#[test]
fn waiting_gives_back_values() {
    let numbers = anonymous::<str, u64>();
    common::scope(|scope| {
        let waiter = scope.spawn(|| numbers.wait("a", SOON));
        numbers.insert("a", &1).unwrap();
        assert_eq!(waiter.join().unwrap().unwrap(), Some(1));

        let waiter = scope.spawn(|| numbers.wait_change("a", Some(&1), SOON));
        numbers.remove("a").unwrap();
        assert_eq!(waiter.join().unwrap().unwrap(), Some(None));
    });
    assert_eq!(numbers.wait("b", Duration::from_millis(1)).unwrap(), None);
    assert_eq!(
        numbers
            .wait_change("b", None, Duration::from_millis(1))
            .unwrap(),
        None
    );
}

#[test]
fn a_view_can_be_shared_and_says_what_it_is() {
    fn shared<T: Send + Sync + Clone + 'static>(value: T) -> T {
        value
    }
    struct NotSend(std::marker::PhantomData<*const u8>);
    impl Codec for NotSend {
        const NAME: &'static str = "test.not-send";
        type Item = ();
        type Owned = ();
        type Encoded<'a> = [u8; 0];
        fn encode((): &()) -> std::result::Result<[u8; 0], BoxedError> {
            Ok([])
        }
        fn decode(_: &[u8]) -> std::result::Result<(), BoxedError> {
            Ok(())
        }
    }
    let view = shared(anonymous::<str, NotSend>());
    view.clone().insert("a", &()).unwrap();
    assert_eq!(view.get("a").unwrap(), Some(()));
    let text = format!("{view:?}");
    assert!(
        text.contains("str") && text.contains("test.not-send"),
        "{text}"
    );
    assert!(text.contains(view.as_table().name()), "{text}");
}
