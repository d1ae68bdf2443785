//! `put` stores a value.

use std::fs;
use std::io::{self, Read};

use serde_json::json;
use shmtable::Table;

use crate::args;
use crate::codec::{Codec, Form};
use crate::context::{Context, parsed, typed_key, typed_value};
use crate::failure::{Failure, Result};

pub(crate) fn put(mut context: Context, args: &args::Put) -> Result {
    let (table, codec) = context.open(&args.name)?;
    let key = typed_key(&args.key, args.typed, &table, &codec)?;
    let value = value(args, &table, &codec)?;
    let (stored, replaced) = if args.if_absent {
        (table.try_insert(&key, &value)?, false)
    } else {
        (true, !table.insert(&key, &value)?)
    };
    context.out.either(
        || json!({ "stored": stored, "replaced": replaced }),
        String::new,
    )?;
    context.out.done(stored)
}

fn value(args: &args::Put, table: &Table, codec: &Codec) -> Result<Vec<u8>> {
    let bytes = match (&args.value, &args.file) {
        (Some(text), _) if args.raw => return Ok(text.clone().into_bytes()),
        (Some(text), _) => return typed_value(text, args.typed, table, codec),
        (None, Some(path)) => fs::read(path).map_err(|source| Failure::File {
            action: "read",
            path: path.clone(),
            source,
        })?,
        (None, None) => {
            let mut bytes = Vec::new();
            io::stdin()
                .read_to_end(&mut bytes)
                .map_err(Failure::Input)?;
            bytes
        }
    };
    let verbatim = matches!(codec.value, Form::Bytes) && !args.typed.hex_values();
    if args.raw || verbatim {
        return Ok(bytes);
    }
    let bytes = match std::str::from_utf8(&bytes) {
        // The line feed at the end of a program's output isn't part of the value.
        Ok(text) if !matches!(codec.value, Form::Text) || args.typed.hex_values() => {
            args.typed.value(codec, text.trim_end_matches(['\n', '\r']))
        }
        Ok(text) => args.typed.value(codec, text),
        Err(_) => Err("it is not UTF-8; give --raw to store it as it is".to_owned()),
    };
    parsed("value", table, codec, bytes)
}
