//! Writes the seeds of the fuzz targets: `cargo run --example corpus` in this folder.
//!
//! For `open` segments of several states; for `operations` bytes that the generator
//! makes longer and shorter sequences of.

use std::path::Path;

use shmtable_fuzz::{FuzzSegment, fill, key};

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let segment = FuzzSegment::new();
    let filled = segment.filled(fill);
    let open = [
        ("empty", segment.filled(|_| {})),
        (
            "one_entry",
            segment.filled(|table| drop(table.insert(&key(1), b"value"))),
        ),
        ("filled", filled.clone()),
        ("short", filled[..4096].to_vec()),
    ];
    std::fs::create_dir_all(corpus.join("open"))?;
    for (name, bytes) in open {
        std::fs::write(corpus.join("open").join(name), bytes)?;
    }
    std::fs::create_dir_all(corpus.join("operations"))?;
    for seed in 1..=6_u32 {
        let bytes: Vec<u8> = (0..40 * seed)
            .map(|i| ((i * seed).wrapping_mul(0x9e37_79b9) >> 24) as u8)
            .collect();
        std::fs::write(
            corpus.join("operations").join(format!("seed_{seed}")),
            bytes,
        )?;
    }
    Ok(())
}
