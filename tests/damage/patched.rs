//! A damaged segment's file, whose words are read and written one at a time.

use std::fs::File;

use shmtable::Table;

use crate::common::layout::WORD;
use crate::common::{self, Name, open_file, read_at, write_at};
use crate::image::{Image, Kind, Stand, options};

/// A segment's file with the always same table in it, and a writer to its words.
pub struct Patched {
    pub image: Image,
    pub name: Name,
    file: File,
}

impl Patched {
    pub fn new() -> Self {
        Self::of(Kind::Fixed)
    }

    pub fn of(kind: Kind) -> Self {
        let image = Image::new(kind);
        let name = Name::new();
        common::plant(&name, &image.bytes);
        let file = open_file(&name.path());
        Self { image, name, file }
    }

    pub fn open(&self) -> Table {
        options().open(&self.name).unwrap()
    }

    pub fn get(&self, at: usize) -> u64 {
        let mut bytes = [0; WORD];
        read_at(&self.file, &mut bytes, (at * WORD) as u64);
        u64::from_le_bytes(bytes)
    }

    pub fn set(&self, at: usize, value: u64) {
        write_at(&self.file, &value.to_le_bytes(), (at * WORD) as u64);
    }

    /// Makes the slot of one key that of another key of another stripe. Both are small
    /// entries, or both have records.
    pub fn cross(&self, small: bool) {
        let image = &self.image;
        let mut stands = image.stands();
        stands.retain(|(_, stand)| stand.is_small() == small);
        let stripe = |stand: &Stand| image.stripe_of(stand.bucket);
        let (one, other) = stands
            .iter()
            .find_map(|(_, one)| {
                let other = stands.iter().find(|(_, s)| stripe(s) != stripe(one));
                Some((one, &other?.1))
            })
            .unwrap();
        let at = |stand: &Stand| image.slot_at(stand.bucket, stand.slot);
        for word in 0..2 {
            self.set(at(one) + word, self.get(at(other) + word));
        }
    }

    pub fn state(&self, chunk: usize) -> u64 {
        self.get(self.image.states_at() + chunk)
    }

    pub fn set_detail(&self, chunk: usize, detail: usize, value: u64) {
        self.set(self.image.detail_at(chunk) + detail, value);
    }

    pub fn sealed_chunks(&self) -> Vec<usize> {
        (0..self.image.chunks_with_state())
            .filter(|chunk| self.state(*chunk) == 2 << 16)
            .collect()
    }
}
