//! Writes the binary format: blocks of entries, each with its checksum, so that nothing of a
//! damaged block is loaded.

use std::io::{self, Write};

use xxhash_rust::xxh3::xxh3_64;

use crate::checksum::Checksum;
use crate::header::{HEADER_BYTES, Header, MAGIC, VERSION};

/// A block ends after the entry that makes it this long.
const BLOCK_BYTES: usize = 1 << 16;

/// Writes a dump in the binary format.
///
/// It writes 64 KiB at a time, or a larger entry, and a few bytes before each: give it a
/// `BufWriter`.
pub struct Writer<W> {
    to: W,
    block: Vec<u8>,
    checksum: Checksum,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// Those of the destination.
    pub fn begin(mut to: W, header: &Header) -> io::Result<Self> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 8);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        for number in [
            header.codec,
            header.capacity,
            header.value_space,
            header.entries,
            header.grows.into(),
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = xxh3_64(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        to.write_all(&bytes)?;
        Ok(Self {
            to,
            block: Vec::new(),
            checksum: Checksum::default(),
        })
    }

    /// Writes the next entry.
    ///
    /// # Errors
    /// Those of the destination.
    pub fn entry(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.checksum.add(key, value);
        number(&mut self.block, key.len() as u64);
        number(&mut self.block, value.len() as u64);
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(value);
        if self.block.len() >= BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.to
                .write_all(&(self.block.len() as u64).to_le_bytes())?;
            self.to.write_all(&xxh3_64(&self.block).to_le_bytes())?;
            self.to.write_all(&self.block)?;
            self.block.clear();
        }
        Ok(())
    }

    /// Writes the end, and returns the destination and the number of entries.
    ///
    /// # Errors
    /// Those of the destination.
    pub fn end(mut self) -> io::Result<(W, u64)> {
        self.end_block()?;
        let entries = self.checksum.entries();
        for number in [0, entries, self.checksum.digest()] {
            self.to.write_all(&number.to_le_bytes())?;
        }
        Ok((self.to, entries))
    }
}

/// Appends a number in LEB128: 7 bits in each byte, the lowest first. The top bit says that more
/// follow.
fn number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}
