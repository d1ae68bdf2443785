//! What a case of damage may make of each entry.

use std::collections::BTreeSet;

use crate::cases::Damage;
use crate::common::layout::{BUCKET_WORDS, HEAD_BYTES, OVERFLOW_BITS, POPULATED, WORD};
use crate::image::{Image, Kind, Stand};

/// What a bit of a small entry's slot belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Lengths,
    /// A byte of the key.
    Key(usize),
    Value,
    Padding,
}

fn part_of_small(key: usize, value: usize, is_tail: bool, byte: usize) -> Part {
    if !is_tail {
        return match byte {
            0 => Part::Lengths,
            _ if byte <= key => Part::Key(byte - 1),
            _ => Part::Padding,
        };
    }
    let rest = key.saturating_sub(HEAD_BYTES);
    if byte < value {
        Part::Value
    } else if byte >= WORD - rest {
        Part::Key(key - (WORD - byte))
    } else {
        Part::Padding
    }
}

/// What a case may make of entries.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own"
)]
pub struct Allowed {
    /// Their own words are damaged: anything.
    pub damaged: BTreeSet<Vec<u8>>,
    /// Bytes of their values are damaged: another value.
    pub changed: BTreeSet<Vec<u8>>,
    /// What leads to them is damaged: absence, until the table is repaired.
    pub unfound: BTreeSet<Vec<u8>>,
    /// A write may make them absent, until the table is repaired.
    pub misled: BTreeSet<Vec<u8>>,
    /// They stand beside one that is: an error, until the table is repaired.
    pub beside: BTreeSet<Vec<u8>>,
    /// A key that was removed may come back.
    pub comes_back: bool,
    /// An entry's key may be another.
    pub renamed: bool,
    /// What is damaged is known, and so the rest is whole.
    pub known: bool,
    /// Check has to notice it.
    pub noticed: bool,
}

impl Allowed {
    pub fn of(image: &Image, damage: Damage) -> Self {
        let mut allowed = Self {
            known: true,
            ..Self::default()
        };
        let Damage::Flip { at, bit } = damage else {
            allowed.known = matches!(damage, Damage::Length(_));
            return allowed;
        };
        let stands = image.stands();
        if at == POPULATED {
            let records = stands.iter().filter(|(_, stand)| !stand.is_small());
            allowed.beside = records.map(|(key, _)| (*key).clone()).collect();
            allowed.beside.extend(image.absent());
        } else if (image.stripes_end()..image.buckets_at()).contains(&at) {
            // One wrong bit of a directory word misleads nobody.
            allowed.noticed = true;
        } else if (image.buckets_at()..image.states_at()).contains(&at) {
            let at = at - image.buckets_at();
            let (bucket, at) = (at / BUCKET_WORDS, at % BUCKET_WORDS);
            // Others mean nothing yet.
            if image.all_buckets().contains(&bucket) {
                allowed.flip_in_bucket(image, &stands, bucket, at, bit);
            }
        } else if at >= image.arena_at() {
            for (key, stand) in &stands {
                if stand.record.contains(&at) {
                    allowed.renamed = true;
                    allowed.damaged.insert((*key).clone());
                    allowed.disturb_all_that_meet(image, &stands, stand.bucket);
                }
            }
        }
        allowed
    }

    /// A flip in a word of a bucket.
    pub fn flip_in_bucket(
        &mut self,
        image: &Image,
        stands: &[(&Vec<u8>, Stand)],
        bucket: usize,
        word: usize,
        bit: u32,
    ) {
        let byte = bit as usize / 8;
        let owner = |slot: usize| {
            let mut here = stands.iter();
            here.find(|(_, stand)| (stand.bucket, stand.slot) == (bucket, slot))
        };
        match word {
            0 if bit < OVERFLOW_BITS => {
                self.noticed = true;
                // Other keys that pass and go may lower it to zero in time.
                if image.overflow(bucket) & 1 << bit != 0 {
                    let passed = stands.iter().filter(|(_, s)| s.passed.contains(&bucket));
                    self.unfound.extend(passed.map(|(key, _)| (*key).clone()));
                }
            }
            // The version.
            0 => {}
            1 => {
                self.noticed = true;
                match owner(byte) {
                    Some((key, _)) if image.tag(bucket, byte).is_power_of_two() => {
                        // Perhaps an empty slot now, whose words mean nothing.
                        self.damaged.insert((*key).clone());
                    }
                    Some((key, _)) => drop(self.unfound.insert((*key).clone())),
                    None if byte == 0 => {}
                    None => {
                        self.comes_back = true;
                        self.disturb_all_that_meet(image, stands, bucket);
                    }
                }
            }
            _ => {
                let is_tail = word % 2 == 1;
                match owner(word / 2) {
                    Some((key, stand)) if stand.is_small() => {
                        self.flip_in_small(image, stands, (key, stand), is_tail, bit);
                    }
                    Some((key, _)) if !is_tail => {
                        self.damaged.insert((*key).clone());
                        self.comes_back = true;
                        self.disturb_all_that_meet(image, stands, bucket);
                    }
                    Some((_, stand)) => {
                        self.noticed = true;
                        if image.kind == Kind::Grown {
                            self.mislead(image, stands, stand);
                        }
                    }
                    // An empty slot means nothing.
                    None => {}
                }
            }
        }
    }

    /// A doubling goes by the hash that a slot keeps. By a wrong one it brings the entry to a
    /// wrong place, and lowers overflow counts of others.
    fn mislead(&mut self, image: &Image, stands: &[(&Vec<u8>, Stand)], wrong: &Stand) {
        let stripe = image.stripe_of(wrong.bucket);
        let of_stripe = stands
            .iter()
            .filter(|(_, stand)| image.stripe_of(stand.bucket) == stripe);
        self.misled.extend(of_stripe.map(|(key, _)| (*key).clone()));
    }

    /// A flip in the slot that holds a small entry.
    pub fn flip_in_small(
        &mut self,
        image: &Image,
        stands: &[(&Vec<u8>, Stand)],
        (key, stand): (&Vec<u8>, &Stand),
        is_tail: bool,
        bit: u32,
    ) {
        let byte = bit as usize / 8;
        match part_of_small(key.len(), image.model[key].len(), is_tail, byte) {
            Part::Lengths => {
                self.damaged.insert(key.clone());
                self.renamed = true;
                self.disturb_all_that_meet(image, stands, stand.bucket);
            }
            Part::Key(at) => {
                self.damaged.insert(key.clone());
                self.renamed = true;
                let mut other = key.clone();
                other[at] ^= 1 << (bit % 8);
                let stripe = |key: &[u8]| image.stripe_of_key(key);
                self.noticed =
                    image.tag_of(&other) != image.tag_of(key) || stripe(&other) != stripe(key);
            }
            Part::Value => drop(self.changed.insert(key.clone())),
            Part::Padding => {
                self.noticed = true;
                // Keys are compared with whole heads.
                if !is_tail {
                    self.unfound.insert(key.clone());
                }
            }
        }
    }

    /// A slot of this bucket may be none that holds an entry.
    pub fn disturb_all_that_meet(
        &mut self,
        image: &Image,
        stands: &[(&Vec<u8>, Stand)],
        bucket: usize,
    ) {
        let present = stands.iter().filter(|(_, stand)| stand.meets(bucket));
        self.beside.extend(present.map(|(key, _)| (*key).clone()));
        let absent = image.absent();
        self.beside
            .extend(absent.filter(|key| image.stripe_of_key(key) == image.stripe_of(bucket)));
    }

    /// After writes, of which one may have doubled a stripe: its entries stand elsewhere then,
    /// perhaps beside one that is damaged.
    pub fn stand_anywhere<'a>(
        &mut self,
        image: &Image,
        present: impl Iterator<Item = &'a Vec<u8>>,
    ) {
        if image.kind == Kind::Grown {
            let stripes: BTreeSet<usize> = self
                .beside
                .iter()
                .map(|key| image.stripe_of_key(key))
                .collect();
            let keys = present.cloned().chain(image.absent());
            let of_stripes = keys.filter(|key| stripes.contains(&image.stripe_of_key(key)));
            self.beside.extend(of_stripes);
        }
    }

    /// Whether this may be a key's value, before the table is repaired.
    pub fn may_be(&self, key: &[u8], expected: Option<&Vec<u8>>, found: Option<&Vec<u8>>) -> bool {
        !self.known
            || found == expected
            || self.damaged.contains(key)
            || (expected.is_none() && self.comes_back)
            || (found.is_none() && self.unfound.contains(key))
            || (found.map(Vec::len) == expected.map(Vec::len) && self.changed.contains(key))
    }
}
