//! Does a typed table give back what was put in, and refuse what it should?

mod codec_failures;
#[path = "../common/mod.rs"]
mod common;
mod ids;
#[cfg(feature = "serde")]
mod message_pack;
mod methods;
mod round_trips;

use std::fmt::Debug;
use std::time::Duration;

use shmtable::{Codec, Error, Options, Result, TypedTable};

const SOON: Duration = Duration::from_secs(10);

fn anonymous<K: Codec + ?Sized, V: Codec + ?Sized>() -> TypedTable<K, V> {
    TypedTable::create_anonymous(options()).expect("room for a small table")
}

fn options() -> Options {
    Options::new().capacity(1000).value_space(1 << 20)
}

/// Sends `values` through a table, as values and as keys, and holds `image` of
/// what comes back against `image` of what went in.
#[track_caller]
fn round_trips<C, T, I>(values: &[T], image: impl Fn(&C::Item) -> I)
where
    C: Codec + ?Sized,
    T: std::borrow::Borrow<C::Item>,
    I: PartialEq + Debug,
{
    use std::borrow::Borrow;

    let by_number = anonymous::<u32, C>();
    let by_value = anonymous::<C, u32>();
    for (number, value) in (0_u32..).zip(values) {
        let value = value.borrow();
        assert!(by_number.insert(&number, value).unwrap());
        assert!(by_value.insert(value, &number).unwrap());
        assert_eq!(by_value.get(value).unwrap(), Some(number));

        let got = by_number.get(&number).unwrap().expect("just inserted");
        assert_eq!(image(got.borrow()), image(value));
        let got = by_number.get_many([&number]).unwrap().remove(0);
        assert_eq!(image(got.expect("still there").borrow()), image(value));
        let got = by_number.take(&number).unwrap().expect("still there");
        assert_eq!(image(got.borrow()), image(value));
    }
    assert_eq!(by_value.len(), values.len());
    for key in by_value.keys() {
        let key = key.unwrap();
        let number = by_value.get(key.borrow()).unwrap().expect("a key is there");
        assert_eq!(image(key.borrow()), image(values[number as usize].borrow()));
    }
}

#[track_caller]
fn assert_codec_error<T: Debug>(outcome: Result<T>, said: &str) {
    match outcome {
        Err(Error::Codec {
            action,
            codec,
            source,
            ..
        }) => {
            let text = format!("cannot {action} a {codec}: {source}");
            assert!(text.contains(said), "{text:?} does not say {said:?}");
        }
        other => panic!("not a codec error: {other:?}"),
    }
}
