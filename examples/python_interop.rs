//! One table for Rust and for Python's `SharedDict`.
//!
//! Python's tables hold `MessagePack`, so a `TypedTable` of `MessagePack` reads and
//! writes them; `python/tests/test_interop.py` is Python's half. With `codec="raw"` they
//! hold plain bytes, as a `Table` does.
//!
//! ```sh
//! python -i -c 'from shmtable import SharedDict; d = SharedDict({"a": [1, 2.5]}, name="both")'
//! cargo run --example python_interop --features serde -- show both
//! ```

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use shmtable::{Keys, MessagePack, Options, Table, TypedTable};

/// Values that Python stores without a pickle, and keys that it finds again.
///
/// serde takes the first variant that fits, and would take bytes for text if they happen to
/// be text. So `Bytes`, which takes no text, comes before `Text`.
#[derive(Debug, Clone, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    /// Python's `None`.
    Nothing(()),
    Truth(bool),
    Integer(i64),
    /// Beyond `i64`.
    Large(u64),
    Float(f64),
    Bytes(Bytes),
    Text(String),
    /// A list; as a key, a tuple.
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

/// Bytes, which serde would otherwise take for a list of numbers.
#[derive(Clone, PartialEq, PartialOrd)]
struct Bytes(Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected;

        impl Visitor<'_> for Expected {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }

        deserializer.deserialize_bytes(Expected)
    }
}

/// An extension of `MessagePack`: its type and its content. The name is `rmp_serde`'s for it.
#[derive(Serialize, Deserialize)]
#[serde(rename = "_ExtStruct")]
struct Extension((i8, Bytes));

/// The type of extensions that are numpy's arrays.
const ARRAY: i8 = 65;

/// A table of anything.
type Mixed = TypedTable<MessagePack<Value>, MessagePack<Value>>;
/// A table with text as keys.
type ByName = TypedTable<MessagePack<String>, MessagePack<Value>>;
/// Arrays of numpy's.
type Arrays = TypedTable<MessagePack<String>, MessagePack<Extension>>;
/// Counters, which Python's `d.add(name, n)` counts too.
type Counters = TypedTable<MessagePack<String>, MessagePack<i64>>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        ["show", table] => show(&Mixed::open_read_only(Options::new(), table)?),
        ["get", table, key] => get(&ByName::open(Options::new(), table)?, key),
        ["fill", table] => fill(&Mixed::open(Options::new(), table)?),
        ["create", table] => {
            let options = Options::new().capacity(1000).lock_timeout(PATIENCE);
            fill(&Mixed::create(options, table)?)
        }
        ["count", table, key, times] => {
            let counters = Counters::open(Options::new().lock_timeout(PATIENCE), table)?;
            count(&counters, key, times.parse()?)
        }
        ["array", table, key] => array(&Arrays::open(Options::new(), table)?, key),
        ["raw", table] => raw(&Options::new().open(table)?),
        ["raw count", table, key, times] => {
            let table = Options::new().lock_timeout(PATIENCE).open(table)?;
            raw_count(&table, key, times.parse()?)
        }
        _ => Err(
            "show, get, fill, create, count, array, raw or 'raw count', and a table's name".into(),
        ),
    }
}

/// Longer than any process holds a lock.
const PATIENCE: Duration = Duration::from_mins(1);

/// Prints all entries, each on a line.
fn show(table: &Mixed) -> Result<(), Box<dyn Error>> {
    let mut lines = Vec::new();
    for entry in table {
        let (key, value) = entry?;
        lines.push(format!("{key:?}: {value:?}"));
    }
    lines.sort_unstable();
    println!("{}", lines.join("\n"));
    Ok(())
}

/// Prints the value of one key.
fn get(table: &ByName, key: &str) -> Result<(), Box<dyn Error>> {
    match table.get(&key.to_owned())? {
        Some(value) => println!("{value:?}"),
        None => println!("nothing"),
    }
    Ok(())
}

/// Stores keys and values of all kinds.
fn fill(table: &Mixed) -> Result<(), Box<dyn Error>> {
    let text = |text: &str| Value::Text(text.to_owned());
    let bytes = |bytes: &[u8]| Value::Bytes(Bytes(bytes.to_vec()));
    let mut map = BTreeMap::new();
    map.insert("one".to_owned(), Value::Integer(1));
    map.insert("nothing".to_owned(), Value::Nothing(()));
    let entries = [
        (text("text"), text("grün")),
        (text("empty"), text("")),
        (text("negative"), Value::Integer(-7)),
        (text("above 32 bits"), Value::Integer((1 << 32) + 1)),
        (text("least"), Value::Integer(i64::MIN)),
        (text("most"), Value::Large(u64::MAX)),
        (text("float"), Value::Float(-0.25)),
        (text("whole float"), Value::Float(3.0)),
        (text("bytes"), bytes(b"\0\xff")),
        (text("truth"), Value::Truth(true)),
        (text("nothing"), Value::Nothing(())),
        (
            text("list"),
            Value::List(vec![Value::Integer(1), text("two"), Value::List(vec![])]),
        ),
        (text("map"), Value::Map(map)),
        (Value::Integer(-129), text("under an integer")),
        (Value::Integer(1 << 40), text("under a long integer")),
        (Value::Large(u64::MAX), text("under the longest integer")),
        (Value::Float(1.5), text("under a float")),
        (bytes(b"\x80key"), text("under bytes")),
        (Value::Nothing(()), text("under nothing")),
        (
            Value::List(vec![text("a"), Value::List(vec![Value::Integer(300)])]),
            text("under a tuple"),
        ),
    ];
    for (key, value) in &entries {
        table.insert(key, value)?;
    }
    Ok(())
}

/// Adds 1 `times` times, while others add too; no addition is lost.
fn count(table: &Counters, key: &str, times: u64) -> Result<(), Box<dyn Error>> {
    for _ in 0..times {
        table.update(&key.to_owned(), |count| Some(count.unwrap_or(0) + 1))?;
    }
    Ok(())
}

/// Prints an array of numpy's that holds floats of 64 bits, and stores one of their halves.
///
/// docs/python/stored.md has its form: the head is in `MessagePack`, the items are at the end.
fn array(table: &Arrays, key: &str) -> Result<(), Box<dyn Error>> {
    let found = table.get(&key.to_owned())?;
    let Some(Extension((ARRAY, Bytes(mut content)))) = found else {
        return Err("not an array".into());
    };
    let head: (String, Vec<usize>, char) = rmp_serde::from_read(&*content)?;
    let (dtype, shape, order) = &head;
    if dtype != "<f8" {
        return Err(format!("an array of {dtype}").into());
    }
    let begin = content.len() - shape.iter().product::<usize>() * size_of::<f64>();
    let (items, _) = content[begin..].as_chunks_mut();
    let mut numbers = Vec::new();
    for item in items {
        let number = f64::from_le_bytes(*item);
        numbers.push(number);
        *item = (number / 2.0).to_le_bytes();
    }
    println!("{dtype} {shape:?} {order} {numbers:?}");
    table.insert(
        &format!("half of {key}"),
        &Extension((ARRAY, Bytes(content))),
    )?;
    Ok(())
}

/// Prints all entries of a table of plain bytes, and adds one.
fn raw(table: &Table) -> Result<(), Box<dyn Error>> {
    let mut lines = Vec::new();
    let keys: Keys = table.keys();
    for key in keys {
        let key = key?;
        let value = table.get(&key)?.unwrap_or_default();
        lines.push(format!("{}: {}", key.escape_ascii(), value.escape_ascii()));
    }
    lines.sort_unstable();
    println!("{}", lines.join("\n"));
    table.insert(b"from \xff Rust", b"\0\x01\x02\xfe")?;
    Ok(())
}

/// Adds 1 `times` times to a counter of 8 bytes.
fn raw_count(table: &Table, key: &str, times: u64) -> Result<(), Box<dyn Error>> {
    for _ in 0..times {
        table.fetch_add(key.as_bytes(), 1)?;
    }
    Ok(())
}
