//! numpy's arrays in Rust, as arrays of the crate `ndarray`.
//!
//! A codec of a few lines reads and writes the form that Python stores them in, which
//! docs/python/stored.md describes; `python/tests/test_interop.py` is Python's half.
//!
//! ```sh
//! python -i -c 'import numpy; from shmtable import SharedDict
//! d = SharedDict({"a": numpy.arange(6.0).reshape(2, 3)}, name="arrays")'
//! cargo run --example numpy_arrays --features serde -- means arrays a
//! cargo run --example numpy_arrays --features serde -- scale arrays a 10
//! ```

use std::env;
use std::error::Error;

use ndarray::{ArrayD, Axis, IxDyn, ShapeBuilder};
use shmtable::{BoxedError, Codec, MessagePack, Options, TypedTable};

/// Arrays of 64-bit floats, of any shape, in either order.
struct Floats;

/// The extension type of arrays.
const ARRAY: u8 = 65;
/// The dtype of 64-bit floats, as numpy writes it.
const FLOAT: &str = "<f8";

impl Codec for Floats {
    // An extension of MessagePack, in the tables that have it.
    const NAME: &'static str = "messagepack";
    const ALSO_READS: &'static [&'static str] = &["messagepack+pickle"];
    type Item = ArrayD<f64>;
    type Owned = ArrayD<f64>;
    type Encoded<'a> = Vec<u8>;

    fn encode(array: &ArrayD<f64>) -> Result<Vec<u8>, BoxedError> {
        // As the items are in memory, if they are there without gaps.
        let by_columns = !array.is_standard_layout() && array.t().is_standard_layout();
        let items: Vec<f64> = match array.as_slice_memory_order() {
            Some(items) if by_columns || array.is_standard_layout() => items.to_vec(),
            _ => array.iter().copied().collect(),
        };
        let order = if by_columns { "F" } else { "C" };
        let mut head = rmp_serde::to_vec(&(FLOAT, array.shape(), order))?;
        // The items begin at a multiple of 8 bytes, behind 6 bytes of the extension.
        head.resize((6 + head.len()).next_multiple_of(8) - 6, 0);
        let length = u32::try_from(head.len() + size_of_val(items.as_slice()))?;
        let mut bytes = vec![0xc9];
        bytes.extend(length.to_be_bytes());
        bytes.push(ARRAY);
        bytes.extend(head);
        bytes.extend(items.iter().flat_map(|item| item.to_le_bytes()));
        Ok(bytes)
    }

    fn decode(bytes: &[u8]) -> Result<ArrayD<f64>, BoxedError> {
        // The markers of extensions whose length has 32, 16 or 8 bits, or is 16.
        let ([0xc9, _, _, _, _, ARRAY, content @ ..]
        | [0xc8, _, _, ARRAY, content @ ..]
        | [0xc7, _, ARRAY, content @ ..]
        | [0xd8, ARRAY, content @ ..]) = bytes
        else {
            return Err("the value is no numpy array".into());
        };
        let (dtype, shape, order): (String, Vec<usize>, char) = rmp_serde::from_read(content)?;
        if dtype != FLOAT {
            return Err(format!("an array of {dtype}, and not of {FLOAT}").into());
        }
        // The items are the end: any process may have written the shape.
        let count = shape
            .iter()
            .try_fold(1_usize, |all, length| all.checked_mul(*length));
        let items = count
            .and_then(|count| count.checked_mul(size_of::<f64>()))
            .and_then(|length| content.len().checked_sub(length))
            .map(|begin| content[begin..].as_chunks().0)
            .ok_or("the items are not as many as the shape says")?;
        let items = items.iter().map(|item| f64::from_le_bytes(*item)).collect();
        let shape = IxDyn(&shape).set_f(order == 'F');
        Ok(ArrayD::from_shape_vec(shape, items)?)
    }
}

type Arrays = TypedTable<MessagePack<String>, Floats>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        ["means", table, key] => means(&Arrays::open_read_only(Options::new(), table)?, key),
        ["scale", table, key, factor] => {
            let arrays = Arrays::open(Options::new(), table)?;
            scale(&arrays, key, factor.parse()?)
        }
        ["store", table, key] => store(&Arrays::open(Options::new(), table)?, key),
        _ => {
            Err("means, scale or store, a table's name and a key; scale takes a factor too".into())
        }
    }
}

/// Prints the shape of an array, and the means along its first axis.
fn means(arrays: &Arrays, key: &str) -> Result<(), Box<dyn Error>> {
    let array = arrays.get(&key.to_owned())?.ok_or("there is no such key")?;
    let means = array.mean_axis(Axis(0)).ok_or("the array is empty")?;
    println!("{:?}: {means}", array.shape());
    Ok(())
}

/// Multiplies an array, in one step for all processes.
fn scale(arrays: &Arrays, key: &str, factor: f64) -> Result<(), Box<dyn Error>> {
    arrays.update(&key.to_owned(), |array| array.map(|array| array * factor))?;
    Ok(())
}

/// Stores an array that Rust made, and its transpose, whose items are in the same memory.
fn store(arrays: &Arrays, key: &str) -> Result<(), Box<dyn Error>> {
    let array = ArrayD::from_shape_fn(IxDyn(&[2, 3]), |at| (10 * at[0] + at[1]) as f64);
    arrays.insert(&format!("{key}, transposed"), &array.t().to_owned())?;
    arrays.insert(&key.to_owned(), &array)?;
    Ok(())
}
