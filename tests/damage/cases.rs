//! The ways in which the segment is damaged.

use std::collections::BTreeSet;

use crate::common::layout::{CHECKSUM, WORD};
use crate::common::{self, Dice, bytes, fix_checksum, set_word, word};
use crate::image::{CHUNK, Image, Kind};

const CASES: &str = "SHMTABLE_DAMAGE";

#[derive(Debug, Clone, Copy)]
pub enum Damage {
    Flip {
        at: usize,
        bit: u32,
    },
    /// Some words before the arena overwritten.
    Words(u64),
    /// All words of records overwritten.
    Records(u64),
    Length(usize),
    /// Random bytes.
    Noise(u64),
    /// The same behind a valid header.
    NoiseBehindHeader(u64),
    /// Random numbers in the header, with the right checksum.
    Header(u64),
}

/// How many cases are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    All,
    Third,
    /// A twentieth.
    Small,
    /// One of a hundred, where a case takes several times as long.
    Least,
}

fn share() -> Share {
    match std::env::var(CASES).as_deref() {
        Ok("all") => Share::All,
        Ok("third") => Share::Third,
        Ok("least") => Share::Least,
        Ok(other) => panic!("{CASES} is {other:?}, and may be \"all\", \"third\" or \"least\""),
        Err(_) if cfg!(windows) => Share::Least,
        Err(_) => Share::Small,
    }
}

/// All cases, or some of them.
pub fn cases(image: &Image) -> Vec<Damage> {
    let share = share();
    let (arena, end) = (image.arena_at(), image.bytes.len() / WORD);
    let meaningful: BTreeSet<usize> = image.meaningful().into_iter().collect();
    let mut cases = Vec::new();
    // Odd, so that every bit's turn comes in some word.
    let (often, seldom) = match (share, image.kind) {
        (Share::All, _) => (1, 1),
        (Share::Third, _) => (3, 3),
        (Share::Least, _) => (101, 6007),
        (Share::Small, Kind::Fixed) => (23, 1409),
        (Share::Small, Kind::Grown) => (59, 3001),
    };
    for (i, (at, bit)) in (0..arena)
        .flat_map(|at| (0..64).map(move |bit| (at, bit)))
        .enumerate()
    {
        let is_meaningful = meaningful.contains(&at);
        let step = if is_meaningful { often } else { seldom };
        if i % common_step(step) == 0 {
            cases.push(Damage::Flip { at, bit });
        }
    }
    let mut dice = Dice::new(5);
    let tenths = match share {
        Share::All => 100,
        Share::Third => 33,
        Share::Small => 5,
        Share::Least => 2,
    };
    let filled: Vec<usize> = (arena..end).filter(|at| image.get(*at) != 0).collect();
    for _ in 0..30 * tenths {
        let at = filled[dice.below(filled.len())];
        let bit = dice.below(64) as u32;
        cases.push(Damage::Flip { at, bit });
    }
    if matches!(share, Share::All | Share::Third) {
        // Lengths lead from record to record.
        let records = image.model.keys().map(|key| image.stand(key).record);
        let headers = records.filter(|words| !words.is_empty());
        let flips = headers.flat_map(|words| (0..64).map(move |bit| (words.start, bit)));
        cases.extend(flips.map(|(at, bit)| Damage::Flip { at, bit }));
    }
    for seed in 0..10 * tenths {
        cases.push(Damage::Words(seed));
        cases.push(Damage::Header(seed));
        if seed % 2 == 0 {
            cases.push(Damage::Records(seed));
            cases.push(Damage::Noise(seed));
            cases.push(Damage::NoiseBehindHeader(seed));
        }
    }
    let length = image.bytes.len();
    for page in 0..=length / CHUNK {
        for odd in [0, 1, 8, 4095] {
            cases.push(Damage::Length(page * CHUNK + odd));
        }
    }
    cases.extend([length - 1, length + 1, length + (1 << 24)].map(Damage::Length));
    cases
}

/// A step between cases, larger if the whole test is scaled down.
fn common_step(step: usize) -> usize {
    step.div_ceil(common::scaled(1))
}

pub fn damaged(image: &Image, damage: Damage) -> Vec<u8> {
    let mut all = image.bytes.clone();
    let arena = image.arena_at();
    match damage {
        Damage::Flip { at, bit } => {
            let flipped = word(&all, at) ^ 1 << bit;
            set_word(&mut all, at, flipped);
        }
        Damage::Words(seed) => {
            let meaningful = image.meaningful();
            let mut dice = Dice::new(seed);
            for _ in 0..=dice.below(8) {
                let at = meaningful[CHECKSUM + 1 + dice.below(meaningful.len() - CHECKSUM - 1)];
                let value = match dice.below(5) {
                    0 => 0,
                    1 => u64::MAX,
                    2 => 1 << dice.below(64),
                    3 => word(&all, meaningful[dice.below(meaningful.len())]),
                    _ => word(&bytes(seed + at as u64, WORD), 0),
                };
                set_word(&mut all, at, value);
            }
        }
        Damage::Records(seed) => {
            let mut noise = bytes(seed, all.len() - arena * WORD);
            if seed % 4 == 0 {
                // Headers that look like headers.
                for word in noise.chunks_exact_mut(WORD) {
                    word[0] = word[0] & 0xf0 | 1;
                    word[2..].fill(0);
                }
            }
            all[arena * WORD..].copy_from_slice(&noise);
        }
        Damage::Length(length) => all.resize(length, 0),
        Damage::Noise(seed) => {
            let length = all.len();
            all = bytes(seed, length);
        }
        Damage::NoiseBehindHeader(seed) => {
            let begin = (CHECKSUM + 1) * WORD;
            let noise = bytes(seed, all.len() - begin);
            all[begin..].copy_from_slice(&noise);
        }
        Damage::Header(seed) => {
            let mut dice = Dice::new(seed);
            for _ in 0..=dice.below(3) {
                let at = 3 + dice.below(CHECKSUM - 3);
                let value = match dice.below(4) {
                    0 => word(&all, at) ^ 1 << dice.below(12),
                    1 => 1 << dice.below(64),
                    2 => word(&all, at)
                        .wrapping_add(dice.below(9) as u64)
                        .wrapping_sub(4),
                    _ => word(&bytes(seed, WORD), 0),
                };
                set_word(&mut all, at, value);
            }
            fix_checksum(&mut all);
        }
    }
    all
}

pub fn description(image: &Image, damage: Damage) -> String {
    match damage {
        Damage::Flip { at, .. } => format!("{damage:?} ({})", image.name_of(at)),
        _ => format!("{damage:?}"),
    }
}
