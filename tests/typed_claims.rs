//! Is a typed value computed once, with claims that take and give typed values?

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use shmtable::{Error, Options, TypedClaimed, TypedTable};

const LONG: Duration = Duration::from_mins(1);

fn squares() -> TypedTable<u32, u64> {
    TypedTable::create_anonymous(Options::new().capacity(100)).unwrap()
}

#[test]
fn one_of_all_threads_computes() {
    let (squares, calls) = (squares(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let value = squares.get_or_insert_with(&7, || {
                    calls.fetch_add(1, Ordering::Relaxed);
                    49
                });
                assert_eq!(value.unwrap(), 49);
            });
        }
    });
    assert_eq!(calls.into_inner(), 1);
}

#[test]
fn a_claim_stores_a_typed_value_and_another_waits_for_it() {
    let squares = squares();
    let TypedClaimed::Mine(claim) = squares.get_or_claim(&7).unwrap() else {
        panic!("nobody else claims it");
    };
    assert_eq!(claim.key(), 7_u32.to_le_bytes());
    let TypedClaimed::Others(other) = squares.get_or_claim(&7).unwrap() else {
        panic!("it is claimed");
    };
    assert!(squares.claim(&7).unwrap().is_none());
    let TypedClaimed::Others(other) = other.wait(Duration::ZERO).unwrap() else {
        panic!("it is claimed still");
    };
    assert_eq!(claim.insert(&49).unwrap(), None);
    let found = other.wait(LONG).unwrap();
    assert!(matches!(found, TypedClaimed::Present(49)), "{found:?}");
}

#[test]
fn a_value_that_came_meanwhile_stands() {
    let squares = squares();
    let claim = squares.claim(&7).unwrap().expect("it is free");
    squares.insert(&7, &50).unwrap();
    assert_eq!(claim.insert(&49).unwrap(), Some(50));
    assert_eq!(squares.get(&7).unwrap(), Some(50));
}

#[test]
fn typed_claims_are_told_to_whoever_waits_crosswise() {
    let squares = squares();
    let TypedClaimed::Mine(claim) = squares.get_or_claim(&7).unwrap() else {
        panic!("nobody else claims it");
    };
    let TypedClaimed::Others(other) = squares.get_or_claim(&7).unwrap() else {
        panic!("it is claimed");
    };
    // It would wait for itself.
    let waited = other.wait_holding(LONG, &[claim.as_ref()]);
    assert!(matches!(waited, Err(Error::Deadlock { .. })), "{waited:?}");
}

#[test]
fn an_error_of_the_callers_own_leaves_the_computation() {
    #[derive(Debug)]
    enum Own {
        Refused,
        Table(Error),
    }
    impl From<Error> for Own {
        fn from(error: Error) -> Self {
            Self::Table(error)
        }
    }

    let squares = squares();
    let refused = squares.get_or_try_insert_with(&7, LONG, || Err(Own::Refused));
    assert!(matches!(refused, Err(Own::Refused)), "{refused:?}");
    assert!(squares.is_empty());
    let _claim = squares.claim(&7).unwrap().expect("it is free");
    let late = squares.get_or_try_insert_with(&7, Duration::ZERO, || Ok::<_, Own>(49));
    assert!(
        matches!(late, Err(Own::Table(Error::ClaimTimeout { .. }))),
        "{late:?}"
    );
}

#[test]
fn an_update_that_fails_changes_nothing() {
    let squares = squares();
    squares.insert(&7, &49).unwrap();
    let refused = squares.try_update(&7, |old| {
        assert_eq!(old, Some(49));
        Err::<Option<u64>, _>(Error::Interrupted)
    });
    assert!(matches!(refused, Err(Error::Interrupted)), "{refused:?}");
    assert_eq!(squares.get(&7).unwrap(), Some(49));
    let changed = squares.try_update(&7, |old| Ok::<_, Error>(old.map(|old| old + 1)));
    assert_eq!(changed.unwrap(), Some(50));
}
