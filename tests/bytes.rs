//! Does every operation take any type that is a view of bytes as a key and as a value?

use std::time::Duration;

use shmtable::{Options, Table};

fn table() -> Table {
    Options::new().capacity(100).create_anonymous().unwrap()
}

#[test]
fn text_arrays_and_vectors_are_taken_where_slices_are() {
    let table = table();
    let owned = String::from("key");
    assert!(table.insert("key", "value").unwrap());
    assert!(!table.insert(&owned, vec![1, 2]).unwrap());
    assert_eq!(table.get(owned.clone()).unwrap(), Some(vec![1, 2]));
    assert_eq!(table.get(*b"key").unwrap(), Some(vec![1, 2]));
    assert!(table.insert(1_u64.to_le_bytes(), []).unwrap());
    assert!(table.contains_key(&[1, 0, 0, 0, 0, 0, 0, 0]).unwrap());
}

#[test]
fn every_operation_on_one_key_takes_text() {
    let table = table();
    assert!(table.try_insert("k", "1").unwrap());
    assert!(table.contains_key("k").unwrap());
    let mut value = Vec::new();
    assert!(table.get_into("k", &mut value).unwrap());
    assert_eq!(table.get_into_slice("k", &mut [0; 1]).unwrap(), Some(1));
    assert_eq!(table.get_into_slices("k", &mut []).unwrap(), Some(1));
    assert_eq!(table.get_into_uninit("k", &mut []).unwrap(), Some(1));
    assert!(!table.insert_slices("k", &[b"1"]).unwrap());
    assert_eq!(table.replace("k", "2").unwrap(), Some(b"1".to_vec()));
    table.update("k", |_| Some(b"3".to_vec())).unwrap();
    table
        .try_update("k", |_| Ok::<_, shmtable::Error>(Some(b"4".to_vec())))
        .unwrap();
    assert_eq!(
        table.compare_exchange("k", Some(b"4"), Some(b"5")).unwrap(),
        Ok(())
    );
    assert_eq!(
        table.wait("k", Duration::ZERO).unwrap(),
        Some(b"5".to_vec())
    );
    let changed = table.wait_change("k", None, Duration::ZERO).unwrap();
    assert_eq!(changed, Some(Some(b"5".to_vec())));
    assert_eq!(table.take("k").unwrap(), Some(b"5".to_vec()));
    assert!(!table.remove("k").unwrap());
    assert_eq!(table.fetch_add("counter", 1).unwrap(), 0);
    drop(table.get_or_claim("claim").unwrap());
    let computed = table.get_or_insert_with("once", || b"x");
    assert_eq!(computed.unwrap(), b"x");
}

#[test]
fn an_error_of_the_callers_own_leaves_a_closure_and_changes_nothing() {
    #[derive(Debug)]
    enum Own {
        Refused(u8),
        Table(shmtable::Error),
    }
    impl From<shmtable::Error> for Own {
        fn from(error: shmtable::Error) -> Self {
            Self::Table(error)
        }
    }

    let table = table();
    table.insert("k", [7]).unwrap();
    let refused = table.try_update("k", |old| match old {
        Some(&[number]) => Err(Own::Refused(number)),
        _ => Ok(None),
    });
    assert!(matches!(refused, Err(Own::Refused(7))), "{refused:?}");
    assert_eq!(table.get("k").unwrap(), Some(vec![7]));
    // The lock was let go of, and the table's own errors come out as well.
    table.insert("k", [8]).unwrap();
    let too_large = table.try_update("k", |_| Ok::<_, Own>(Some(vec![0; 1 << 30])));
    assert!(
        matches!(
            too_large,
            Err(Own::Table(shmtable::Error::ValueTooLarge { .. }))
        ),
        "{too_large:?}"
    );
}
