//! shmtable.

use std::fs;
use std::os::unix::fs::MetadataExt;

use shmtable::{Options, Table};

use super::{About, Contender, Room, Session, Sharing};
use crate::Result;
use crate::work::Key;

impl Contender for Table {
    const ABOUT: About = About {
        name: "shmtable",
        setup: "`Options` with `capacity` and `value_space` alone, twice the bytes of the entries",
        hasher: "XXH3 with a random seed",
        sharing: Sharing::Processes,
        slow: false,
    };

    type Session<'a> = &'a Self;

    fn create(room: &Room) -> Result<Self> {
        let options = if room.entries == 0 {
            Options::new()
        } else {
            Options::new()
                .capacity(room.entries)
                .value_space(room.value_space)
        };
        Ok(options.create_anonymous()?)
    }

    fn address(&self) -> Option<String> {
        Some(self.name().to_owned())
    }

    fn attach(address: &str, _: &Room) -> Result<Self> {
        Ok(Self::open(address)?)
    }

    fn session(&self, _: bool) -> &Self {
        self
    }

    fn bytes(&self) -> Result<Option<u64>> {
        let blocks = fs::metadata(format!("/dev/shm/shmtable.{}", self.name()))?.blocks();
        Ok(Some(512 * blocks))
    }
}

impl Session for &Table {
    #[inline(always)]
    fn get(&mut self, key: &[u8], value: &mut Vec<u8>) -> bool {
        self.get_into(key, value).expect("get")
    }

    fn get_many(&mut self, keys: &[Key], visit: &mut impl FnMut(Option<&[u8]>)) {
        self.get_many_with(keys, visit).expect("get_many");
    }

    #[inline(always)]
    fn insert(&mut self, key: &[u8], value: &[u8]) {
        Table::insert(self, key, value).expect("insert");
    }

    #[inline(always)]
    fn remove(&mut self, key: &[u8]) -> bool {
        Table::remove(self, key).expect("remove")
    }

    #[inline(always)]
    fn add(&mut self, key: &[u8], add: i64) -> i64 {
        self.fetch_add(key, add).expect("fetch_add")
    }
}
