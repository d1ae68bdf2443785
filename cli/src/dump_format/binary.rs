//! The compact format: blocks of entries, each with its checksum, so that nothing of a
//! damaged block is loaded.

use std::io::{self, BufRead, Read, Write};

use xxhash_rust::xxh3::xxh3_64;

use super::{Entry, Header, Sum, VERSION, damaged};
use crate::failure::{Failure, Result};

pub(crate) const MAGIC: [u8; 8] = *b"\x93SHMTAB\n";
/// Magic, version and four numbers.
const HEADER_BYTES: usize = 8 + 4 + 4 * 8;
/// A block ends after the entry that makes it this long.
const BLOCK_BYTES: usize = 1 << 16;

pub(crate) struct Writer<W> {
    to: W,
    block: Vec<u8>,
    sum: Sum,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(mut to: W, header: &Header) -> io::Result<Self> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        for number in [
            header.codec,
            header.capacity,
            header.value_space,
            header.entries,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = xxh3_64(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        to.write_all(&bytes)?;
        Ok(Self {
            to,
            block: Vec::new(),
            sum: Sum::default(),
        })
    }

    pub(super) fn entry(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.sum.add(key, value);
        number(&mut self.block, key.len() as u64);
        number(&mut self.block, value.len() as u64);
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(value);
        if self.block.len() >= BLOCK_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.to
                .write_all(&(self.block.len() as u64).to_le_bytes())?;
            self.to.write_all(&xxh3_64(&self.block).to_le_bytes())?;
            self.to.write_all(&self.block)?;
            self.block.clear();
        }
        Ok(())
    }

    pub(super) fn end(mut self) -> io::Result<(W, u64)> {
        self.flush()?;
        for number in [0, self.sum.entries, self.sum.hash.digest()] {
            self.to.write_all(&number.to_le_bytes())?;
        }
        Ok((self.to, self.sum.entries))
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

pub(crate) struct Reader<R> {
    from: R,
    /// The number of the block, for messages.
    blocks: usize,
    block: Vec<u8>,
    /// Where the next entry begins in the block.
    at: usize,
    ended: bool,
    sum: Sum,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn begin(from: R) -> Result<(Self, Header)> {
        let mut reader = Self {
            from,
            blocks: 0,
            block: Vec::new(),
            at: 0,
            ended: false,
            sum: Sum::default(),
        };
        let bytes: [u8; HEADER_BYTES] = reader.array()?;
        let checksum = reader.word()?;
        let wrong = |reason: String| Err(damaged("its header", reason));
        if bytes[..8] != MAGIC {
            return wrong("it does not begin like a dump".to_owned());
        }
        if bytes[8..12] != VERSION.to_le_bytes() {
            return wrong(format!("its version is not {VERSION}"));
        }
        if checksum != xxh3_64(&bytes) {
            return wrong("its checksum is wrong".to_owned());
        }
        let (numbers, _) = bytes[12..].as_chunks::<8>();
        let number = |at: usize| u64::from_le_bytes(numbers[at]);
        let header = Header {
            codec: number(0),
            capacity: number(1),
            value_space: number(2),
            entries: number(3),
        };
        Ok((reader, header))
    }

    fn place(&self) -> String {
        format!("block {}", self.blocks)
    }

    fn read<T>(&self, result: io::Result<T>) -> Result<T> {
        result.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged(self.place(), "it ends too early"),
            _ => Failure::Input(error),
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        let read = self.from.read_exact(&mut bytes);
        self.read(read)?;
        Ok(bytes)
    }

    fn word(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        if self.at == self.block.len() && !self.ended {
            self.next_block()?;
        }
        if self.ended {
            return Ok(None);
        }
        let (key, value) = (self.length()?, self.length()?);
        let entry = (self.part(key)?, self.part(value)?);
        self.sum.add(&entry.0, &entry.1);
        Ok(Some(entry))
    }

    fn next_block(&mut self) -> Result<()> {
        self.blocks += 1;
        let length = self.word()?;
        if length == 0 {
            let (entries, checksum) = (self.word()?, self.word()?);
            self.sum.compare("its end", entries, checksum)?;
            if !self.from.fill_buf().map_err(Failure::Input)?.is_empty() {
                return Err(damaged("its end", "there are bytes after it"));
            }
            self.ended = true;
            return Ok(());
        }
        let checksum = self.word()?;
        // The length isn't trusted until as many bytes were read.
        self.block.clear();
        self.at = 0;
        let read = (&mut self.from).take(length).read_to_end(&mut self.block);
        if (self.read(read)? as u64) < length {
            return Err(damaged(self.place(), "it ends too early"));
        }
        if checksum != xxh3_64(&self.block) {
            return Err(damaged(self.place(), "its checksum is wrong"));
        }
        Ok(())
    }

    fn length(&mut self) -> Result<usize> {
        let mut length = 0_u64;
        for shift in (0..63).step_by(7) {
            let Some(&byte) = self.block.get(self.at) else {
                break;
            };
            self.at += 1;
            length |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(length as usize);
            }
        }
        Err(damaged(self.place(), "a length is not valid"))
    }

    fn part(&mut self, length: usize) -> Result<Vec<u8>> {
        let end = self.at.checked_add(length);
        let part = end.and_then(|end| self.block.get(self.at..end));
        let Some(part) = part else {
            return Err(damaged(self.place(), "an entry reaches beyond it"));
        };
        self.at += length;
        Ok(part.to_vec())
    }
}
