//! Does an error of a codec name the entry, and keep the codec's own error?

use std::error::Error as _;

use shmtable::{BoxedError, Codec, Error, Options, Result, TypedTable};

/// Even numbers; anything else is refused with an error of its own.
struct Even;

#[derive(Debug, PartialEq)]
struct Odd(u8);

impl std::fmt::Display for Odd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is odd", self.0)
    }
}

impl std::error::Error for Odd {}

impl Codec for Even {
    const NAME: &'static str = "test.even";
    type Item = u8;
    type Owned = u8;
    type Encoded<'a> = [u8; 1];

    fn encode(number: &u8) -> Result<[u8; 1], BoxedError> {
        if number.is_multiple_of(2) {
            Ok([*number])
        } else {
            Err(Odd(*number).into())
        }
    }

    fn decode(bytes: &[u8]) -> Result<u8, BoxedError> {
        let &[number] = bytes else {
            return Err("it has one byte".into());
        };
        Self::encode(&number).map(|[number]| number)
    }
}

fn table() -> TypedTable<str, Even> {
    TypedTable::create_anonymous(Options::new().capacity(10)).unwrap()
}

/// The key that an error names, and the number that the codec refused.
#[track_caller]
fn refused<T>(result: Result<T>) -> (Option<Vec<u8>>, u8) {
    let Err(error) = result else {
        panic!("it succeeded");
    };
    let number = error
        .source()
        .and_then(|source| source.downcast_ref::<Odd>())
        .expect("the codec's own error")
        .0;
    match error {
        Error::Codec { key, .. } => (key.map(Vec::from), number),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_read_names_the_key() {
    let table = table();
    table.insert("good", &2).unwrap();
    table.as_table().insert("bad", [3]).unwrap();
    let expected = (Some(b"bad".to_vec()), 3);
    let brief = std::time::Duration::ZERO;
    assert_eq!(refused(table.get("bad")), expected);
    assert_eq!(refused(table.get_many(["good", "bad"])), expected);
    assert_eq!(
        refused(table.get_many_with(["good", "bad"], drop)),
        expected
    );
    assert_eq!(refused(table.wait("bad", brief)), expected);
    assert_eq!(refused(table.wait_change("bad", None, brief)), expected);
    assert_eq!(refused(table.update("bad", |old| old)), expected);
    assert_eq!(refused(table.compare_exchange("bad", None, None)), expected);
    assert_eq!(refused(table.get_or_claim("bad")), expected);
    assert_eq!(refused(table.remove_if("bad", |_| true)), expected);
    assert_eq!(refused(table.get_or_insert_with("bad", || 4)), expected);
    assert_eq!(refused(table.for_each(|_, _| ())), expected);
    assert_eq!(refused(table.retain(|_, _| true)), expected);
    assert_eq!(refused(table.snapshot().unwrap().get("bad")), expected);
    assert_eq!(refused(table.snapshot().unwrap().into_map()), expected);
    for result in [
        table.iter().find(Result::is_err).unwrap().map(drop),
        table.scan_prefix("b").next().unwrap().map(drop),
        table.values().find(Result::is_err).unwrap().map(drop),
    ] {
        assert_eq!(refused(result), expected);
    }
    assert_eq!(refused(table.replace("bad", &4)), expected);
    table.as_table().insert("bad", [3]).unwrap();
    assert_eq!(refused(table.take("bad")), expected);
}

#[test]
fn a_write_names_the_key_whose_value_is_refused() {
    let table = table();
    let entries = [("a", 2), ("b", 5), ("c", 4)];
    assert_eq!(
        refused(table.insert_many(entries)),
        (Some(b"b".to_vec()), 5)
    );
    assert_eq!(table.len(), 1);
    assert_eq!(refused(table.insert("b", &5)), (Some(b"b".to_vec()), 5));
}

#[test]
fn a_key_that_cannot_be_decoded_is_named_by_its_bytes() {
    let table = table();
    table.as_table().insert(b"caf\xe9", [2]).unwrap();
    let error = table.keys().next().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"cannot decode a str in the entry of the key "caf\xe9""#
    );
    // So the entry can be removed.
    let Error::Codec { key: Some(key), .. } = error else {
        panic!("{error:?}");
    };
    assert!(table.as_table().remove(key).unwrap());
    assert!(table.is_empty());
}

#[test]
fn a_long_key_is_shortened_in_the_text_and_whole_in_the_error() {
    let table = table();
    let long = [&[b'x'; 500][..], b"\xff"].concat();
    table.as_table().insert(&long, [2]).unwrap();
    let error = table.keys().next().unwrap().unwrap_err();
    let text = error.to_string();
    assert!(text.ends_with(r#"xxx"... (501 bytes)"#), "{text}");
    assert!(text.len() < 120, "{text}");
    assert!(matches!(error, Error::Codec { key: Some(key), .. } if *key == *long));
}

#[test]
fn a_mismatch_of_types_tells_their_names() {
    let text = |result: Result<()>| result.unwrap_err().to_string();
    let table = table();
    let name = table.name();
    let foreign = text(TypedTable::<str, u64>::open(Options::new(), name).map(drop));
    assert!(
        foreign.starts_with("the table holds entries of codecs"),
        "{foreign}"
    );
    assert!(foreign.contains("(str, u64)"), "{foreign}");
    let bytes = Options::new().capacity(10).create_anonymous().unwrap();
    assert_eq!(
        text(TypedTable::<str, u64>::from_table(bytes.clone()).map(drop)),
        "the table holds bytes, this view is (str, u64); open it with the types it was \
         created with"
    );
    // A codec of one's own, too, is known by its name where it is the view's.
    let view = text(TypedTable::<str, Even>::open(Options::new(), bytes.name()).map(drop));
    assert!(view.contains("this view is (str, test.even)"), "{view}");
    // And an id given by number, if this crate or its Python package has it.
    let json = shmtable::codec_id("messagepack", "json");
    let view = text(Options::new().codec(json).open(bytes.name()).map(drop));
    assert!(view.contains("this view is (messagepack, json)"), "{view}");
}
