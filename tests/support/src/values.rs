//! Random numbers that follow from a seed, and values that show whether they are whole.

/// Bytes that look random and follow from a number.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A value that shows whether it is whole and whose it is: the key's number, the
/// version, the length, and bytes that follow from all three.
pub fn whole(key: u64, version: u64, length: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(24 + length);
    value.extend_from_slice(&key.to_le_bytes());
    value.extend_from_slice(&version.to_le_bytes());
    value.extend_from_slice(&(length as u64).to_le_bytes());
    value.extend_from_slice(&bytes(key ^ version.rotate_left(32), length));
    value
}

/// The version of a value of [`whole`]; panics if it is torn or another key's.
#[track_caller]
pub fn version_of(key: u64, value: &[u8]) -> u64 {
    assert!(
        value.len() >= 24,
        "{} bytes are no whole value",
        value.len()
    );
    let word = |at: usize| u64::from_le_bytes(value[at..at + 8].try_into().expect("8 bytes"));
    assert_eq!(word(0), key, "the value is another key's");
    let (version, length) = (word(8), word(16) as usize);
    assert!(
        value == whole(key, version, length),
        "the value of key {key}, version {version}, length {length}, is torn"
    );
    version
}

/// Small random numbers that follow from a seed.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that throw the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)) * bound as u128) >> 64) as usize
    }
}
