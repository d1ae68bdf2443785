//! What a dump begins with.

/// The version of both formats, raised with every change of either.
pub const VERSION: u32 = 2;

/// The version before, whose tables did not grow. It is read, too.
pub const VERSION_WITHOUT_GROWTH: u32 = 1;

/// What a dump in the binary format begins with. No JSON does.
pub const MAGIC: [u8; 8] = *b"\x93SHMTAB\n";

/// Magic, version and five numbers.
pub(crate) const HEADER_BYTES: usize = 8 + 4 + 5 * 8;

/// What a dump says about its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The id of the table's codec.
    pub codec: u64,
    /// The number of entries that the table was created for: the most, if it grows.
    pub capacity: u64,
    /// The bytes of keys and values that the table was created for.
    pub value_space: u64,
    /// The number of entries when the dump began. If other processes wrote during the dump, it
    /// has another number of them.
    pub entries: u64,
    /// Whether the table grows.
    pub grows: bool,
}
