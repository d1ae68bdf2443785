//! Reads the binary format without trusting it.

use std::io::{self, BufRead, Read};

use xxhash_rust::xxh3::xxh3_64;

use crate::checksum::Checksum;
use crate::damage::{Damage, Error, Fault, Part, Position};
use crate::header::{HEADER_BYTES, Header, MAGIC, VERSION, VERSION_WITHOUT_GROWTH};

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Reads a dump in the binary format. It only comes to its end if the dump's end is right.
pub struct Reader<R> {
    from: R,
    /// The number of bytes that were read.
    offset: u64,
    /// The number of the block, for messages.
    number: u64,
    block: Vec<u8>,
    /// Where the next entry begins in the block.
    at: usize,
    ended: bool,
    checksum: Checksum,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// `Damaged`, if it is damaged, or isn't that of a dump; `Io`.
    pub fn begin(from: R) -> Result<(Self, Header), Error> {
        let mut reader = Self {
            from,
            offset: 0,
            number: 0,
            block: Vec::new(),
            at: 0,
            ended: false,
            checksum: Checksum::default(),
        };
        let mut bytes = [0; HEADER_BYTES];
        let (magic, rest) = bytes.split_at_mut(MAGIC.len());
        reader.fill(magic, Part::Header)?;
        if *magic != MAGIC {
            return Err(reader.damaged(Part::Header, 0, Fault::Magic));
        }
        let (version, rest) = rest.split_at_mut(4);
        reader.fill(version, Part::Header)?;
        let found = (&*version).try_into().map_or(0, u32::from_le_bytes);
        let length = match found {
            VERSION => rest.len(),
            VERSION_WITHOUT_GROWTH => rest.len() - 8,
            _ => return Err(reader.damaged(Part::Header, 0, Fault::Version { found })),
        };
        reader.fill(&mut rest[..length], Part::Header)?;
        let (numbers, _) = rest.as_chunks();
        let [codec, capacity, value_space, entries, grows] =
            [0, 1, 2, 3, 4].map(|at: usize| u64::from_le_bytes(numbers[at]));
        let checksum = reader.word(Part::Header)?;
        let end = MAGIC.len() + 4 + length;
        reader.verify(checksum, xxh3_64(&bytes[..end]), Part::Header, 0)?;
        let header = Header {
            codec,
            capacity,
            value_space,
            entries,
            grows: grows != 0,
        };
        Ok((reader, header))
    }

    /// Reads the next entry; `None` at the end.
    ///
    /// # Errors
    /// `Damaged`, if the next block, or the end, is damaged or missing; `Io`.
    pub fn entry(&mut self) -> Result<Option<Entry>, Error> {
        if self.at == self.block.len() && !self.ended {
            self.next_block()?;
        }
        if self.ended {
            return Ok(None);
        }
        let begin = self.at;
        let entry = self.parse().map_err(|fault| {
            let block = self.offset - self.block.len() as u64;
            self.damaged(Part::Block(self.number), block + begin as u64, fault)
        })?;
        self.checksum.add(&entry.0, &entry.1);
        Ok(Some(entry))
    }

    fn next_block(&mut self) -> Result<(), Error> {
        let begin = self.offset;
        self.number += 1;
        let part = Part::Block(self.number);
        let length = self.word(part)?;
        if length == 0 {
            return self.end(begin);
        }
        let checksum = self.word(part)?;
        // The length isn't trusted until as many bytes were read.
        self.block.clear();
        self.at = 0;
        let read = (&mut self.from).take(length).read_to_end(&mut self.block)? as u64;
        self.offset += read;
        if read < length {
            return Err(self.damaged(part, self.offset, Fault::Cut));
        }
        self.verify(checksum, xxh3_64(&self.block), part, begin)
    }

    fn end(&mut self, begin: u64) -> Result<(), Error> {
        let (entries, checksum) = (self.word(Part::End)?, self.word(Part::End)?);
        self.checksum
            .compare(entries, checksum)
            .map_err(|fault| self.damaged(Part::End, begin, fault))?;
        if !self.from.fill_buf()?.is_empty() {
            return Err(self.damaged(Part::End, self.offset, Fault::BytesAfter));
        }
        self.ended = true;
        Ok(())
    }

    /// The entry at the beginning of the rest of the block.
    fn parse(&mut self) -> Result<Entry, Fault> {
        let (key, value) = (self.length()?, self.length()?);
        Ok((self.part(key)?, self.part(value)?))
    }

    fn length(&mut self) -> Result<usize, Fault> {
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
        Err(Fault::Length)
    }

    fn part(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        let end = self.at.checked_add(length);
        let part = end.and_then(|end| self.block.get(self.at..end));
        let part = part.ok_or(Fault::Beyond)?.to_vec();
        self.at += length;
        Ok(part)
    }

    fn verify(&self, expected: u64, found: u64, part: Part, byte: u64) -> Result<(), Error> {
        if expected == found {
            return Ok(());
        }
        Err(self.damaged(part, byte, Fault::Checksum { expected, found }))
    }

    fn word(&mut self, part: Part) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes, part)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn fill(&mut self, bytes: &mut [u8], part: Part) -> Result<(), Error> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.from.read(&mut bytes[filled..]) {
                Ok(0) => return Err(self.damaged(part, self.offset, Fault::Cut)),
                Ok(read) => {
                    filled += read;
                    self.offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn damaged(&self, part: Part, byte: u64, fault: Fault) -> Error {
        let entry = self.checksum.entries() + 1;
        let position = Position { part, byte, entry };
        Damage { position, fault }.into()
    }
}
