//! The tables of `docs/format.md` and of the pages in `docs/format/`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

pub const DOCUMENT: &str = concat!(
    include_str!("../../docs/format.md"),
    include_str!("../../docs/format/header.md"),
    include_str!("../../docs/format/participants.md"),
    include_str!("../../docs/format/buckets.md"),
    include_str!("../../docs/format/arena.md"),
);

/// A constant in a page that no test reads could be wrong.
#[test]
fn every_page_is_part_of_the_document() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/format");
    let mut pages = 0;
    for page in fs::read_dir(folder).unwrap() {
        let path = page.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        assert!(DOCUMENT.contains(&text), "{} isn't", path.display());
        pages += 1;
    }
    assert!(pages > 1);
}

/// The tables of the document.
pub struct Document {
    pub values: HashMap<&'static str, u64>,
    /// First bit and number of bits.
    pub fields: HashMap<&'static str, (u32, u32)>,
}

impl Document {
    pub fn read() -> Self {
        let mut document = Self {
            values: HashMap::new(),
            fields: HashMap::new(),
        };
        for line in DOCUMENT.lines().filter(|line| line.starts_with('|')) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let name = cells[0].strip_prefix('`').and_then(|c| c.strip_suffix('`'));
            // Names in capitals are constants; the others are those of codecs.
            let is_ours = |name: &&str| !name.contains(|c: char| c.is_ascii_lowercase());
            let Some(name) = name.filter(is_ours) else {
                continue;
            };
            let value = cells[1]
                .parse()
                .unwrap_or_else(|_| panic!("no number: {line}"));
            let first = match cells[2].parse() {
                Ok(bits) => document
                    .fields
                    .insert(name, (value as u32, bits))
                    .map(|_| ()),
                Err(_) => document.values.insert(name, value).map(|_| ()),
            };
            assert_eq!(first, None, "{name} stands twice in the document");
        }
        document
    }

    pub fn get(&self, name: &str) -> usize {
        *self
            .values
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in the document")) as usize
    }

    pub fn field(&self, name: &str, word: u64) -> u64 {
        let (first, bits) = *self
            .fields
            .get(name)
            .unwrap_or_else(|| panic!("no field {name} in the document"));
        word >> first & (u64::MAX >> (64 - bits))
    }

    pub fn fingerprint(&self) -> u64 {
        let (_, block) = DOCUMENT.split_once("```fingerprint\n").unwrap();
        let (names, _) = block.split_once("```").unwrap();
        let bytes: Vec<u8> = names
            .split_whitespace()
            .flat_map(|name| (self.get(name) as u64).to_le_bytes())
            .collect();
        xxh3_64(&bytes)
    }
}
