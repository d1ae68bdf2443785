//! What a dump begins with.

/// The version of both formats, raised with every change of either.
pub const VERSION: u32 = 1;

/// What a dump in the binary format begins with. No JSON does.
pub const MAGIC: [u8; 8] = *b"\x93SHMTAB\n";

/// Magic, version and four numbers.
pub(crate) const HEADER_BYTES: usize = 8 + 4 + 4 * 8;

/// What a dump says about its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The id of the table's codec.
    pub codec: u64,
    /// The number of entries that the table was created for.
    pub capacity: u64,
    /// The bytes of keys and values that the table was created for.
    pub value_space: u64,
    /// The number of entries when the dump began. If other processes wrote during the dump, it
    /// has another number of them.
    pub entries: u64,
}
