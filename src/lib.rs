//! A concurrent hash table in a named shared-memory segment: processes on one
//! machine share a dict, without a server.

#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
compile_error!("shmtable needs a 64-bit little-endian target: its words are the segment's format");

mod arena;
mod check;
mod clean;
mod error;
mod index;
mod iter;
mod layout;
mod lock;
#[cfg(loom)]
#[doc(hidden)]
pub mod model;
mod options;
mod participants;
mod record;
mod segment;
mod stats;
mod sync;
mod sys;
mod table;
mod typed;
mod wait;
mod write;
mod writer;

pub use error::{Error, Result};
pub use iter::Iter;
pub use options::{Options, Trust};
pub use stats::Stats;
pub use table::Table;
#[cfg(feature = "serde")]
pub use typed::MessagePack;
pub use typed::{BoxedError, Codec, TypedTable};
