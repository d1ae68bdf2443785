//! How the sizes of a new table are chosen: see `docs/design/sizes.md`.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::layout::{BUCKET_SLOTS, MAX_PARTICIPANTS, PAGE, RECORD_OVERHEAD, RESERVED_CHUNKS, WORD};
use crate::segment::geometry::{Geometry, MAX_CHUNKS, Shape};
use crate::sys::CAN_GROW;

/// The mean share of a stripe's slots in use when the table is at its capacity. At this load
/// three of a hundred keys are outside their home bucket; at 0.75 it would be seven.
const MEAN_LOAD: f64 = 0.60;
/// The chance, as a power of e, that some stripe is too small for a table's keys.
const REFUSAL_LOG: f64 = -27.6; // 1e-12

/// The numbers that a geometry is computed from; `None` stands for a default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) capacity: Option<usize>,
    pub(crate) max_capacity: Option<usize>,
    pub(crate) value_space: Option<usize>,
    pub(crate) stripes: Option<usize>,
    pub(crate) chunk_bytes: Option<usize>,
    pub(crate) participants: Option<usize>,
    pub(crate) max_bytes: Option<usize>,
    /// By how many powers of four less than by default a table reserves that may grow without a
    /// bound of its own.
    pub(crate) modesty: u32,
}

/// The default capacity where tables can't grow.
const DEFAULT_CAPACITY: usize = 1 << 20;
const DEFAULT_PARTICIPANTS: usize = 1024;
/// The number of entries up to which a table grows by default.
pub(crate) const DEFAULT_MOST: usize = 1 << 32;
/// The number of stripes of a large table that grows. More would take more memory when the table
/// is empty.
const GROWING_STRIPES: usize = 1024;
/// The number of buckets with which a stripe of a growing table begins by default.
const FIRST_BUCKETS: usize = 4;
/// The default length of a chunk of a growing table, in bytes. A small table has one for each
/// process that stores something; a large one has as many as its values need.
const GROWING_CHUNK: usize = 1 << 17;
/// The default value space of a table that grows without a bound: with its overhead, it takes
/// nearly as many chunks of the default length as there may be.
pub(crate) const GROWING_SPACE: usize = 15 << 30;
/// The most modest table grows to a million entries, and its segment has some hundred megabytes.
const MOST_MODESTY: u32 = 6;
/// The least default value space: a small table accepts large values too.
const LEAST_DEFAULT_SPACE: usize = 64 << 20;
const MAX_SPACE: usize = 1 << 43;

/// The default value space of a table.
pub(crate) fn default_space(capacity: usize) -> usize {
    capacity
        .saturating_mul(64)
        .clamp(LEAST_DEFAULT_SPACE, MAX_SPACE)
}

fn invalid(option: &'static str, given: u128, allowed: impl Into<Cow<'static, str>>) -> Error {
    Error::InvalidOption {
        option,
        given,
        allowed: allowed.into(),
    }
}

impl Request {
    /// The capacity that the table begins with, and the one that it may grow to, as far as they
    /// are given.
    fn capacities(&self) -> Result<(Option<usize>, Option<usize>)> {
        let limits = |option, given: Option<usize>| match given {
            Some(entries) if entries == 0 || entries > 1 << 40 => {
                Err(invalid(option, entries as u128, "1 to 2^40 entries"))
            }
            given => Ok(given),
        };
        let first = limits("capacity", self.capacity)?;
        let most = limits("max_capacity", self.max_capacity)?;
        if let (Some(first), Some(most)) = (first, most)
            && most < first
        {
            return Err(invalid(
                "max_capacity",
                most as u128,
                format!("the capacity of {first} or more"),
            ));
        }
        Ok((first, most))
    }

    /// Whether the table has a bound that is a default, and a lower one makes sense.
    pub(crate) fn may_be_more_modest(&self) -> bool {
        let is_bounded = self.max_capacity.is_some() && self.value_space.is_some();
        let grows = CAN_GROW && self.capacity.is_none();
        grows && !is_bounded && self.modesty < MOST_MODESTY
    }

    /// A default in a table that reserves less than by default.
    fn modest(&self, default: usize) -> usize {
        default >> (2 * self.modesty.min(MOST_MODESTY))
    }

    /// The error for a request that makes a segment too large.
    fn too_large(&self, capacity: usize, value_space: usize) -> Error {
        const LIMIT: &str = "a segment has at most 2^45 bytes of address space";
        let participants = self.participants.unwrap_or(DEFAULT_PARTICIPANTS);
        let option = match self.max_capacity {
            Some(_) => "max_capacity",
            None => "capacity",
        };
        match self.value_space {
            // The index alone takes 31 bytes for each entry, and overhead is added.
            Some(_) if value_space / 64 > capacity => invalid(
                "value_space",
                value_space as u128,
                format!(
                    "less, or a smaller chunk_size or max_participants ({participants}): {LIMIT}"
                ),
            ),
            Some(_) => invalid(
                option,
                capacity as u128,
                format!("less, or with a smaller value_space than {value_space}: {LIMIT}"),
            ),
            None => invalid(
                option,
                capacity as u128,
                format!("less, or with a value_space below the default of {value_space}: {LIMIT}"),
            ),
        }
    }
}

impl Geometry {
    /// Plans the geometry of a new table.
    pub(crate) fn plan(request: &Request) -> Result<Self> {
        let (first, most) = request.capacities()?;
        let grows = CAN_GROW && (first.is_none() || most.is_some_and(|most| first < Some(most)));
        let capacity = match most.or(first) {
            Some(capacity) => capacity,
            None if grows => request.modest(DEFAULT_MOST),
            None => DEFAULT_CAPACITY,
        };
        let value_space = match request.value_space {
            Some(bytes) => bytes,
            None if grows && most.is_none() => request.modest(GROWING_SPACE),
            None => default_space(capacity),
        };
        if value_space == 0 || value_space > MAX_SPACE {
            return Err(invalid(
                "value_space",
                value_space as u128,
                "1 to 2^43 bytes",
            ));
        }
        let participants = request.participants.unwrap_or(DEFAULT_PARTICIPANTS);
        if participants == 0 || participants > MAX_PARTICIPANTS {
            return Err(invalid(
                "max_participants",
                participants as u128,
                "1 to 4096",
            ));
        }
        let stripes = match request.stripes {
            Some(n) if n.is_power_of_two() && n <= 1 << 16 => n,
            Some(n) => {
                return Err(invalid("stripes", n as u128, "a power of two up to 65536"));
            }
            None if grows => default_stripes(capacity).min(GROWING_STRIPES),
            None => default_stripes(capacity),
        };
        let buckets = |capacity| stripe_slots(capacity, stripes).div_ceil(BUCKET_SLOTS);
        let (stripe_buckets, most_buckets) = if grows {
            let most = buckets(capacity).next_power_of_two();
            let first = first.map_or(FIRST_BUCKETS, |first| buckets(first).next_power_of_two());
            (first.min(most), most)
        } else {
            (buckets(capacity), buckets(capacity))
        };
        let chunk_bytes = match request.chunk_bytes {
            Some(n) if n.is_power_of_two() && (4096..=1 << 30).contains(&n) => Some(n),
            Some(n) => {
                return Err(invalid(
                    "chunk_size",
                    n as u128,
                    "a power of two from 4096 to 2^30 bytes",
                ));
            }
            None => None,
        };
        // So many entries of a word each fill the value space.
        let entries = if grows {
            capacity.min(value_space.div_ceil(WORD))
        } else {
            capacity
        };
        let overhead = RECORD_OVERHEAD as u128 * entries as u128;
        let payload = value_space as u128 + overhead;
        let entries = request.value_space.unwrap_or(capacity.saturating_mul(64));
        let chunk_bytes = chunk_bytes.unwrap_or_else(|| {
            let bytes = default_chunk_bytes(entries as u128 + overhead, payload);
            if grows {
                let spare = MAX_PARTICIPANTS as u128 + RESERVED_CHUNKS as u128;
                let least = (2 * payload).div_ceil(MAX_CHUNKS - spare) as usize;
                bytes.min(GROWING_CHUNK).max(least.next_power_of_two())
            } else {
                bytes
            }
        });
        // Twice the payload: if chunks are half full on average, one of them is always
        // worth cleaning, and next-fit never wastes more than half, whatever the records.
        // One more chunk for each participant to fill, and some for cleaning.
        // All of this is address space; memory is taken with use.
        let chunks = (2 * payload).div_ceil(chunk_bytes as u128)
            + participants as u128
            + RESERVED_CHUNKS as u128;
        if chunks > MAX_CHUNKS {
            let spare = MAX_CHUNKS - participants as u128 - RESERVED_CHUNKS as u128;
            let least = (2 * payload).div_ceil(spare).next_power_of_two();
            return Err(invalid(
                "chunk_size",
                chunk_bytes as u128,
                format!(
                    "{least} or more, or nothing: a value_space of {value_space} bytes in at most \
                     2^20 chunks"
                ),
            ));
        }
        let geometry = Self::derive(&Shape {
            capacity,
            value_space,
            stripes,
            stripe_buckets,
            most_buckets,
            participants,
            chunks: chunks as usize,
            chunk_words: chunk_bytes / WORD,
        })
        .ok_or_else(|| request.too_large(capacity, value_space))?;
        geometry.bounded(request.max_bytes)
    }

    /// The geometry of a table that may take so many bytes of memory.
    fn bounded(mut self, max_bytes: Option<usize>) -> Result<Self> {
        // One chunk is kept back for cleaning. Details take a page or two.
        let least = (self.first_words() + 2 * self.chunk_words + 4 * PAGE) * WORD;
        if let Some(most) = max_bytes.filter(|most| *most < least) {
            let allowed = format!("{least} or more, which the table takes with its first record");
            return Err(invalid("max_bytes", most as u128, allowed));
        }
        self.max_bytes = max_bytes;
        Ok(self)
    }
}

/// The default number of stripes: one for about five hundred entries, but at least 16, so
/// that small tables have little contention too, and at most 4096. With fewer stripes, many
/// writers on few cores wait for each other: a table in which 64 processes write is half as
/// fast with half as many.
fn default_stripes(capacity: usize) -> usize {
    (capacity / 512).next_power_of_two().clamp(16, 4096)
}

/// The default length of a chunk, in bytes.
///
/// A chunk is large enough that a writer rarely takes one, and small enough that one
/// for each participant is little compared with the expected size of the entries. Each has
/// its place in the index. So there are at most some thousands of chunks if the value space
/// is larger only by default, and some ten thousands for the largest value space.
fn default_chunk_bytes(expected: u128, payload: u128) -> usize {
    const MOST: usize = 1 << 20;
    let part = |bytes: u128, parts: u128| {
        let wanted = usize::try_from(bytes.div_ceil(parts)).unwrap_or(usize::MAX / 2);
        wanted.next_power_of_two()
    };
    let usual = part(expected, 256).max(part(payload, 1024));
    usual.clamp(1 << 16, MOST).max(part(payload, 1 << 15))
}

/// The number of slots that a stripe needs so that any `capacity` keys fit the table.
///
/// Keys fall on stripes at random (the hash seed is the table's own secret), so
/// the load of a stripe is binomial with mean `m`; Chernoff's bound on more than
/// `k` of them is `exp(k - m - k ln(k/m))`. The result is the smallest `k` for which that,
/// times the number of stripes, is below 1e-12; but never more than the capacity, and
/// never less than [`MEAN_LOAD`] requires.
fn stripe_slots(capacity: usize, stripes: usize) -> usize {
    let mean = capacity as f64 / stripes as f64;
    let limit = REFUSAL_LOG - (stripes as f64).ln();
    let mut slots = (mean / MEAN_LOAD).ceil() as usize;
    while slots < capacity {
        let k = slots as f64;
        if k - mean - k * (k / mean).ln() <= limit {
            break;
        }
        slots += 1 + slots / 64;
    }
    slots.max(1)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn request(capacity: usize) -> Request {
        Request {
            capacity: Some(capacity),
            participants: Some(128),
            ..Request::default()
        }
    }

    #[test]
    fn a_stripe_of_a_large_table_is_loaded_to_six_tenths() {
        let geometry = Geometry::plan(&request(1 << 20)).unwrap();
        let slots = geometry.buckets * BUCKET_SLOTS;
        let load = geometry.capacity as f64 / slots as f64;
        assert!((0.58..=0.6).contains(&load), "{load}");
    }

    #[test]
    fn a_tiny_table_has_room_for_all_its_keys_in_one_stripe() {
        for capacity in [1, 2, 10, 11, 12] {
            let geometry = Geometry::plan(&request(capacity)).unwrap();
            assert!(geometry.stripe_buckets * BUCKET_SLOTS >= capacity);
        }
    }

    #[test]
    fn options_out_of_range_are_refused() {
        for bad in [
            request(0),
            Request {
                value_space: Some(0),
                ..request(1)
            },
            Request {
                stripes: Some(3),
                ..request(1)
            },
            Request {
                chunk_bytes: Some(100),
                ..request(1)
            },
            Request {
                participants: Some(0),
                ..request(1)
            },
        ] {
            assert!(matches!(
                Geometry::plan(&bad),
                Err(Error::InvalidOption { .. })
            ));
        }
    }
}
