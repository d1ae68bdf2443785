//! The options of a table, which say how it is created and opened.

mod creating;
mod opening;

use std::ops::ControlFlow;
use std::time::Duration;

pub(crate) use opening::{check_name, check_os_name, system_error};

use crate::segment::hooks::Hooks;
use crate::segment::sizes::{DEFAULT_MOST, GROWING_SPACE};
use crate::table::orphans;

/// Which owners' segments may be opened.
///
/// Any user of the machine can create a segment of any name, and its owner can change its bytes at
/// any time. So a process should only open what belongs to users it trusts. Damage by others is an
/// error and never a fault, but wrong values are wrong values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// Only segments of this process's effective user: the default.
    #[default]
    SameUser,
    /// Segments of this process's effective user, or of one of these user ids.
    Users(Vec<u32>),
    /// Segments of any user.
    Anyone,
}

/// Options for creating and opening a table.
///
/// | option             | default                                             | used by         |
/// |--------------------|-----------------------------------------------------|-----------------|
/// | `capacity`         | none: the table grows                               | create          |
/// | `max_capacity`     | the capacity; without one, 2^32 entries             | create          |
/// | `max_bytes`        | as many as the machine has                          | create          |
/// | `value_space`      | 64 bytes for each entry of the greatest capacity, 64 MiB or more; 15 GiB without any capacity | create |
/// | `mode`             | `0o600`                                             | create          |
/// | `stripes`          | greatest capacity / 512, from 16 to 4096; 1024 at most if the table grows | create |
/// | `chunk_size`       | 64 KiB to 1 MiB, 128 KiB at most if the table grows; more for a very large value space | create |
/// | `max_participants` | 1024                                                | create          |
/// | `lock_timeout`     | 5 s                                                 | create and open |
/// | `around_sleep`     | sleep, and go on                                    | create and open |
/// | `trust`            | [`Trust::SameUser`]                                 | open, replace   |
/// | `codec`            | plain bytes                                         | create and open |
/// | `codec_if_created` | plain bytes                                         | create          |
///
/// Without any size, the table *grows*: it begins with less than a megabyte, and takes memory as
/// entries come. Set a [`capacity`](Self::capacity) to have the memory of the index at once, and
/// [`max_capacity`](Self::max_capacity) or [`max_bytes`](Self::max_bytes) to bound a table.
/// Where the system can't reserve address space without memory (Windows, macOS), no table grows:
/// the index has memory for `max_capacity` entries from the beginning, and for 1 048 576 if you set
/// no capacity.
///
/// A table keeps the shape that it was created with: [`open`](Options::open) ignores the
/// options that only `create` uses. [`open_or_create`](Options::open_or_create) ignores them
/// too when it finds a table, except the sizes that you set (`capacity`, `max_capacity`,
/// `max_bytes`, `value_space` and `max_participants`): the table has at least these, or you get
/// [`Error::TooSmall`](crate::Error::TooSmall).
/// [`create_or_replace`](Options::create_or_replace) always creates a new table.
///
/// ```
/// use shmtable::Options;
///
/// # fn main() -> shmtable::Result<()> {
/// # let name = format!("doc-options-{}", std::process::id());
/// let table = Options::new().create(&name)?; // it grows
/// table.insert(b"answer", b"42")?;
///
/// let bounded = Options::new()
///     .capacity(10_000) // these have their place from the beginning
///     .value_space(1 << 20)
///     .create_or_replace(&name)?;
/// assert_eq!(bounded.capacity(), 10_000);
/// # shmtable::Table::unlink(&name)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    capacity: Option<usize>,
    max_capacity: Option<usize>,
    value_space: Option<usize>,
    mode: u32,
    stripes: Option<usize>,
    chunk_bytes: Option<usize>,
    participants: Option<usize>,
    max_bytes: Option<usize>,
    lock_timeout: Duration,
    hooks: Hooks,
    trust: Trust,
    /// The first for what is created, any for what is opened.
    codecs: Vec<u64>,
    /// The names of the first of them, if it was not given by number.
    view: Option<(&'static str, &'static str)>,
    opens_any_codec: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// Longer waits are as good as endless; this one doesn't overflow a clock.
const LONGEST_TIMEOUT: Duration = Duration::from_hours(365 * 24);

impl Options {
    /// The greatest capacity and the value space of a table that is given no size, where address
    /// space is not short. For the command and the Python package.
    #[doc(hidden)]
    pub const DEFAULT_SIZES: (usize, usize) = (DEFAULT_MOST, GROWING_SPACE);

    /// Returns the default options.
    pub fn new() -> Self {
        Self {
            capacity: None,
            max_capacity: None,
            value_space: None,
            mode: 0o600,
            stripes: None,
            chunk_bytes: None,
            participants: None,
            max_bytes: None,
            lock_timeout: Duration::from_secs(5),
            hooks: Hooks::new(orphans::counted),
            trust: Trust::default(),
            codecs: Vec::new(),
            view: None,
            opens_any_codec: false,
        }
    }

    /// Sets the number of entries that have their place from the beginning.
    ///
    /// It is a promise: any set of that many keys fits; the chance that one doesn't is below
    /// 10^-12. The index takes its memory at creation, about 31 bytes for each entry of the
    /// capacity, and more in a small table. Larger entries take more memory as they are stored.
    ///
    /// Without [`max_capacity`](Self::max_capacity), such a table doesn't grow. More entries may
    /// fit, in a small table several times as many. Which keys fit is chance: where one is refused,
    /// another may still fit.
    ///
    /// You need no capacity for a table that grows. Set one if an insertion must never fail for
    /// lack of memory for the index, or if you know how many entries come: filling such a table
    /// doubles nothing on the way.
    pub fn capacity(mut self, entries: usize) -> Self {
        self.capacity = Some(entries);
        self
    }

    /// Sets the number of entries that the table may grow to.
    ///
    /// The default is the capacity, if that is set, and otherwise 2^32. The table takes that many
    /// entries if the machine has the memory, and refuses more with
    /// [`TableFull`](crate::Error::TableFull), though some may fit, as with
    /// [`capacity`](Self::capacity).
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::Options;
    ///
    /// let table = Options::new().max_capacity(1_000_000).create_anonymous()?;
    /// assert_eq!(table.capacity(), 1_000_000);
    /// # #[cfg(target_os = "linux")]
    /// assert!(table.stats()?.memory_bytes < 1 << 20); // as long as it is empty
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_capacity(mut self, entries: usize) -> Self {
        self.max_capacity = Some(entries);
        self
    }

    /// Sets the number of bytes of memory that the table may take: its index and all its chunks.
    ///
    /// What would need more gets [`Error::MaxBytesReached`](crate::Error::MaxBytesReached), after
    /// replaced values have been cleaned away. Processes that grow the table at the same moment may
    /// together exceed the bound by what each of them asked for. Default: no bound but the
    /// machine's.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::{Error, Options};
    ///
    /// let table = Options::new().max_bytes(4 << 20).create_anonymous()?;
    /// let refused = (0..).find_map(|key: u64| table.insert(key.to_le_bytes(), [7; 100]).err());
    /// assert!(matches!(refused, Some(Error::MaxBytesReached { limit: 4_194_304, .. })));
    /// assert_eq!(table.get(0_u64.to_le_bytes())?, Some(vec![7; 100]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Sets the number of bytes that keys and values may fill, overhead excluded.
    ///
    /// Any set of at most as many entries as the capacity fits whose keys and values have at most that many
    /// bytes together, whatever was stored, replaced and removed before, if no entry is larger than
    /// a chunk less 24 bytes. A larger entry needs neighboring chunks. An empty table takes one of
    /// any size up to the whole value space; a table with little room left may answer
    /// `ValueSpaceFull` because it has no neighboring chunks free.
    ///
    /// The segment's address space is more than twice this size: record headers, padding, replaced
    /// values that are not yet cleaned away, and a chunk for every participant come on top. Memory
    /// is taken as the table fills: about as much as there are live bytes, and as much again, or
    /// somewhat more, for replaced ones.
    pub fn value_space(mut self, bytes: usize) -> Self {
        self.value_space = Some(bytes);
        self
    }

    /// Sets the permission bits of the segment, which the umask doesn't change.
    ///
    /// They may be any of the read and write bits (`0o666`) and must include the owner's two
    /// (`0o600`); anything else is `InvalidOption` when the table is created. On Windows and macOS
    /// a segment is its user's alone, whatever the bits say.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the number of stripes, each with a lock of its own: a power of two up to 65 536.
    ///
    /// The default is right for nearly every table. If many more processes write than the machine
    /// has cores, a writer that the scheduler stops may hold a lock while all the others have their
    /// turn, and writers that want that stripe wait. A `LockTimeout` then means that the machine is
    /// overloaded: use more stripes, a longer [`lock_timeout`](Self::lock_timeout) or fewer
    /// writers.
    pub fn stripes(mut self, stripes: usize) -> Self {
        self.stripes = Some(stripes);
        self
    }

    /// Sets the size of a chunk of the arena, in bytes: a power of two from 4096 to 2^30.
    ///
    /// Every process that writes fills one chunk at a time; a larger entry takes several. The
    /// default grows with the value space.
    pub fn chunk_size(mut self, bytes: usize) -> Self {
        self.chunk_bytes = Some(bytes);
        self
    }

    /// Sets the most handles that may be open for writing at once, in all processes: up to 4096.
    ///
    /// Read-only handles are not counted.
    pub fn max_participants(mut self, participants: usize) -> Self {
        self.participants = Some(participants);
        self
    }

    /// Sets how long an operation waits for a lock that a living process holds.
    ///
    /// After that it fails with `LockTimeout`.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use std::time::Duration;
    ///
    /// # let created = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// # let name = created.name();
    /// let table = shmtable::Options::new().lock_timeout(Duration::from_millis(200)).open(name)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout.min(LONGEST_TIMEOUT);
        self
    }

    /// Sets a closure to be called around each sleep of an operation that waits.
    ///
    /// Operations wait for a lock, for room or for a key. The closure gets the sleep, calls it, and
    /// says whether to go on. After [`ControlFlow::Break`] the operation returns `Interrupted` and
    /// has changed nothing but what its documentation says about errors. (A write that is done, and
    /// only waits to give back a large value's room at once, leaves that to cleaning and returns
    /// its result.)
    ///
    /// No sleep is longer than 50 ms, so here you can ask whether the user has pressed Ctrl-C, or
    /// let other threads of an interpreter run. The closure may be called while this thread holds
    /// locks of stripes ([`Table::snapshot`](crate::Table::snapshot)), so it must not wait for
    /// another user of this table.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::time::Duration;
    /// use shmtable::{Error, Options};
    ///
    /// # fn main() -> shmtable::Result<()> {
    /// let stop = Arc::new(AtomicBool::new(false));
    /// let seen = Arc::clone(&stop);
    /// let options = Options::new().capacity(100).around_sleep(move |sleep| {
    ///     sleep();
    ///     match seen.load(Ordering::Relaxed) {
    ///         true => ControlFlow::Break(()),
    ///         false => ControlFlow::Continue(()),
    ///     }
    /// });
    /// let table = options.create_anonymous()?;
    /// stop.store(true, Ordering::Relaxed);
    /// let waited = table.wait(b"never", Duration::from_secs(60));
    /// assert!(matches!(waited, Err(Error::Interrupted)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn around_sleep(
        mut self,
        around: impl Fn(&mut (dyn FnMut() + Send)) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.set_around_sleep(around);
        self
    }

    /// Sets which owners' segments may be opened.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::{Options, Trust};
    ///
    /// # let created = Options::new().capacity(100).create_anonymous()?;
    /// # let name = created.name();
    /// let table = Options::new().trust(Trust::Users(vec![1000])).open(name)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Sets the codec id that a created table gets and an opened one must have.
    ///
    /// The id says how the table's bytes are encoded; see [`codec_id`](crate::codec_id). Without
    /// it, a created table holds plain bytes (0), and a table of any codec is opened. It is for
    /// programs that bring codecs of their own, such as bindings to other languages;
    /// [`TypedTable`](crate::TypedTable) sets it by itself.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::{Error, Options, codec_id};
    ///
    /// let texts = codec_id("str", "json");
    /// let table = Options::new().capacity(100).codec(texts).create_anonymous()?;
    /// assert_eq!(table.codec_id(), texts);
    /// let other = Options::new().codec(codec_id("str", "u64")).open(table.name());
    /// assert!(matches!(other, Err(Error::CodecMismatch { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn codec(mut self, id: u64) -> Self {
        self.opens_any_codec = false;
        self.codecs(vec![id], None)
    }

    /// Sets the codec id that a created table gets, while an opened one may have any.
    ///
    /// It is for programs that read the id from the table; otherwise see [`codec`](Self::codec).
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::{Options, codec_id};
    ///
    /// let texts = codec_id("str", "json");
    /// let table = Options::new().capacity(100).codec(texts).create_anonymous()?;
    /// let options = Options::new().codec_if_created(codec_id("str", "u64"));
    /// assert_eq!(options.open(table.name())?.codec_id(), texts);
    /// # Ok(())
    /// # }
    /// ```
    pub fn codec_if_created(mut self, id: u64) -> Self {
        self.opens_any_codec = true;
        self.codecs(vec![id], None)
    }

    /// Sets the codec ids: the first one is for a created table, an opened one may have any. `view`
    /// is what the first one is called.
    pub(crate) fn codecs(
        mut self,
        ids: Vec<u64>,
        view: Option<(&'static str, &'static str)>,
    ) -> Self {
        self.codecs = ids;
        self.view = view;
        self
    }
}
