//! The hash of a key: XXH3-64 with the table's own random seed, so that no one can choose keys
//! that collide.

use xxhash_rust::const_xxh3::const_custom_default_secret;
use xxhash_rust::xxh3::{xxh3_64_with_secret, xxh3_64_with_seed};

/// The length of XXH3's secret, in bytes.
const SECRET: usize = 192;

/// A table's hash seed.
pub(crate) struct Seed {
    seed: u64,
    /// A secret that takes the seed's place for keys of 4 to 16 bytes.
    secret: [u8; SECRET],
}

impl Seed {
    /// Prepares the secret for a seed.
    ///
    /// For a key of up to 16 bytes XXH3 mixes seed and secret before it reads the key, and
    /// then uses only the mixture. For keys of 4 to 8 bytes and of 9 to 16 bytes the mixtures
    /// are of different parts of the secret. So a secret that contains these mixtures gives
    /// without the seed what the usual one gives with it, and saves the mixing.
    pub(crate) fn new(seed: u64) -> Self {
        const USUAL: [u8; SECRET] = const_custom_default_secret(0);
        let usual = |word: usize| {
            USUAL
                .as_chunks()
                .0
                .get(word)
                .copied()
                .map_or(0, u64::from_le_bytes)
        };
        let mut secret = [0; SECRET];
        let (words, _) = secret.as_chunks_mut();
        let mixed = seed ^ u64::from((seed as u32).swap_bytes()) << 32;
        // The second word of each pair stays 0: the two are used by their exclusive or.
        words[1] = (usual(1) ^ usual(2)).wrapping_sub(mixed).to_le_bytes();
        words[3] = (usual(3) ^ usual(4)).wrapping_add(seed).to_le_bytes();
        words[5] = (usual(5) ^ usual(6)).wrapping_sub(seed).to_le_bytes();
        Self { seed, secret }
    }

    /// The seed, as the header has it.
    pub(crate) fn bits(&self) -> u64 {
        self.seed
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        if (4..=16).contains(&key.len()) {
            xxh3_64_with_secret(key, &self.secret)
        } else {
            xxh3_64_with_seed(key, self.seed)
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_xxh3_with_the_seed() {
        let mut seed = 0_u64;
        for round in 0..1000_u64 {
            let table = Seed::new(seed);
            for length in 0..300 {
                let key: Vec<u8> = (0..length).map(|at| (at * 7 + round) as u8).collect();
                assert_eq!(table.hash(&key), xxh3_64_with_seed(&key, seed));
            }
            // Of all sizes, with the high half and without.
            seed = xxh3_64_with_seed(&round.to_le_bytes(), seed) >> (round % 64);
        }
    }
}
