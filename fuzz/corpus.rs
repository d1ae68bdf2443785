//! Writes the seeds of the fuzz targets: `cargo run --example corpus` in this folder.
//!
//! For `open` segments of several states; for `operations` bytes that the generator
//! makes longer and shorter sequences of, on all tables that it begins with.

use std::path::Path;

use shmtable_fuzz::{FuzzSegment, Kind, fill, fill_and_grow, key};

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let segment = FuzzSegment::new();
    let filled = segment.filled(Kind::Fixed, fill);
    let open = [
        ("empty", segment.filled(Kind::Fixed, |_| {})),
        (
            "one_entry",
            segment.filled(Kind::Fixed, |table| {
                drop(table.insert(&key(1), b"value"));
            }),
        ),
        ("growing", segment.filled(Kind::Growing, fill)),
        ("grown", segment.filled(Kind::Growing, fill_and_grow)),
        ("filled", filled.clone()),
        ("short", filled[..4096].to_vec()),
    ];
    std::fs::create_dir_all(corpus.join("open"))?;
    for (name, bytes) in open {
        std::fs::write(corpus.join("open").join(name), bytes)?;
    }
    std::fs::create_dir_all(corpus.join("operations"))?;
    for seed in 1..=8_u32 {
        let mut bytes: Vec<u8> = (0..40 * seed)
            .map(|i| ((i * seed).wrapping_mul(0x9e37_79b9) >> 24) as u8)
            .collect();
        // Each table in turn. The first four are not patched: the list of patches is empty.
        bytes[0] = (seed % 4) as u8;
        if seed <= 4 {
            bytes[1] = 0;
        }
        std::fs::write(
            corpus.join("operations").join(format!("seed_{seed}")),
            bytes,
        )?;
    }
    Ok(())
}
