//! Dumps: all entries of a table in a file, from which a table can be made again.
//!
//! [`Writer`] and [`Reader`] are the binary format; `docs/dump.md` specifies it. [`Checksum`] is
//! that of all entries, which the command's JSON Lines have too. [`Replacement`] is a file that
//! appears under its name when it is complete.
//!
//! ```
//! use std::fs::File;
//! use std::io::{BufReader, BufWriter};
//!
//! use shmtable::Options;
//! use shmtable_dump::{Header, Reader, Replacement, Writer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("results.dump");
//! let table = Options::new().capacity(100).create_anonymous()?;
//! table.insert("worker 1", "done")?;
//!
//! let stats = table.quick_stats()?;
//! let entries = table.snapshot()?;
//! let header = Header {
//!     codec: table.codec_id(),
//!     capacity: stats.capacity as u64,
//!     value_space: stats.value_space as u64,
//!     entries: entries.len() as u64,
//!     grows: stats.grows,
//! };
//! let file = BufWriter::new(Replacement::begin(&path)?);
//! let mut writer = Writer::begin(file, &header)?;
//! for (key, value) in &entries {
//!     writer.entry(key, value)?;
//! }
//! let (file, written) = writer.end()?;
//! file.into_inner()?.publish()?;
//! assert_eq!(written, 1);
//!
//! let (mut reader, header) = Reader::begin(BufReader::new(File::open(&path)?))?;
//! let options = Options::new()
//!     .codec(header.codec)
//!     .value_space(header.value_space as usize);
//! let options = if header.grows {
//!     options.max_capacity(header.capacity as usize)
//! } else {
//!     options.capacity(header.capacity as usize)
//! };
//! let loaded = options.create_anonymous()?;
//! while let Some((key, value)) = reader.entry()? {
//!     loaded.insert(key, value)?;
//! }
//! assert_eq!(loaded.get("worker 1")?.as_deref(), Some(&b"done"[..]));
//! # Ok(())
//! # }
//! ```

mod checksum;
mod damage;
mod header;
mod owner;
mod reader;
mod replacement;
mod writer;

pub use checksum::Checksum;
pub use damage::{Damage, Error, Fault, Part, Position};
pub use header::{Header, MAGIC, VERSION, VERSION_WITHOUT_GROWTH};
pub use owner::is_private;
pub use reader::{Entry, Reader};
pub use replacement::Replacement;
pub use writer::Writer;
