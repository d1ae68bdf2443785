//! Several processes count what they do in one table, and any of them can read
//! the totals at any time.
//!
//! ```text
//! cargo run --release --example shared_counter
//! ```
//!
//! `fetch_add` is one atomic step across all processes: your program needs no lock, no
//! count is lost, and the value before the addition gives each request its own number.

use std::error::Error;
use std::process::Command;
use std::{env, str};

use shmtable::{Options, Table};

const SERVERS: u64 = 4;
const REQUESTS: u64 = 25_000;

fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1) {
        Some(table) => serve(&Table::open(&table)?),
        None => parent(),
    }
}

/// One server process: pretends to answer requests, and counts them.
fn serve(table: &Table) -> Result<(), Box<dyn Error>> {
    for _ in 0..REQUESTS {
        let number = table.fetch_add(b"requests", 1)?;
        let status = match number % 10 {
            9 => "status/404",
            _ => "status/200",
        };
        table.fetch_add(status.as_bytes(), 1)?;
    }
    Ok(())
}

fn parent() -> Result<(), Box<dyn Error>> {
    // The table has a generated name, which is removed when this value is dropped.
    let table = Options::new().create_anonymous()?;

    let mut servers = Vec::new();
    for _ in 0..SERVERS {
        let mut server = Command::new(env::current_exe()?);
        servers.push(server.arg(table.name()).spawn()?);
    }
    for mut server in servers {
        if !server.wait()?.success() {
            return Err("a server failed".into());
        }
    }

    for entry in &table {
        let (key, value) = entry?;
        let count = i64::from_le_bytes(value.as_slice().try_into()?);
        println!("{:<12} {count}", str::from_utf8(&key)?);
    }
    // A counter is 8 bytes, little-endian; adding 0 reads it.
    let total = i64::try_from(SERVERS * REQUESTS)?;
    assert_eq!(table.fetch_add(b"requests", 0)?, total);
    assert_eq!(table.fetch_add(b"status/404", 0)?, total / 10);
    assert_eq!(table.fetch_add(b"status/200", 0)?, total - total / 10);
    Ok(())
}
