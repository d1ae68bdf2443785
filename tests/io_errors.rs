//! Does an error convert into the `std::io::Error` that a caller expects, and lose nothing?

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::time::Duration;

use shmtable::{Claimed, Error, Options, Table, TypedTable};

fn kind<T>(result: shmtable::Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => io::Error::from(error).kind(),
    }
}

fn small() -> Table {
    let options = Options::new().capacity(10).value_space(1000);
    options.create_anonymous().unwrap()
}

#[test]
fn the_question_mark_works_where_io_errors_are_returned() {
    fn read(name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(Table::open(name)?.get("k")?)
    }
    let error = read("no-such-table-anywhere").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let whole = error.downcast::<Error>().unwrap();
    assert!(matches!(whole, Error::NotFound { .. }), "{whole:?}");
}

#[test]
fn kinds_fit() {
    let table = small();
    let name = table.name();
    assert_eq!(kind(Options::new().create(name)), ErrorKind::AlreadyExists);
    assert_eq!(kind(Options::new().open("a/b")), ErrorKind::InvalidInput);
    assert_eq!(
        kind(Options::new().capacity(0).create_anonymous()),
        ErrorKind::InvalidInput
    );
    assert_eq!(kind(table.insert("k", [0; 2000])), ErrorKind::InvalidInput);
    let reader = Table::open_read_only(name).unwrap();
    assert_eq!(kind(reader.insert("k", "1")), ErrorKind::PermissionDenied);
    assert_eq!(
        kind(TypedTable::<str, u64>::from_table(table.clone())),
        ErrorKind::InvalidData
    );
    table.insert("text", "hello").unwrap();
    assert_eq!(kind(table.fetch_add("text", 1)), ErrorKind::InvalidData);
    table.insert("full", i64::MAX.to_le_bytes()).unwrap();
    assert_eq!(kind(table.fetch_add("full", 1)), ErrorKind::InvalidInput);
    let again = |_: Option<&[u8]>| -> Result<_, Error> {
        table.insert("k", "1")?;
        Ok(None)
    };
    assert_eq!(kind(table.try_update("k", again)), ErrorKind::Deadlock);
    let Claimed::Mine(_claim) = table.get_or_claim("c").unwrap() else {
        panic!("nobody else claims it");
    };
    let late = table.get_or_try_insert_with("c", Duration::ZERO, || Ok::<_, Error>("1"));
    assert_eq!(kind(late), ErrorKind::TimedOut);
    let mut full = Ok(true);
    for number in 0_u32.. {
        full = table.insert(number.to_le_bytes(), [1; 50]);
        if full.is_err() {
            break;
        }
    }
    assert_eq!(kind(full), ErrorKind::StorageFull);
}

#[test]
fn a_codec_that_fails_to_encode_was_given_wrong_input_and_one_that_fails_to_decode_wrong_data() {
    let table = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10)).unwrap();
    table.as_table().insert("k", "short").unwrap();
    let error = io::Error::from(table.get("k").unwrap_err());
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    // The codec's reason is the next one of the chain.
    let reason = error.source().unwrap().to_string();
    assert!(reason.contains("5 bytes instead of 8"), "{reason}");
}
