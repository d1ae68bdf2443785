//! The figures of `Table::stats`.

use std::time::Duration;

use shmtable::Options;

use crate::common::{self, Name, assert_sound, bytes, eventually};
use crate::some;

#[test]
fn stats_fit_what_was_done() {
    let name = Name::new();
    let clock = || {
        let now = std::time::SystemTime::now();
        now.duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_nanos() as u64
    };
    let before = clock();
    let table = Options::new()
        .capacity(1000)
        .value_space(1 << 20)
        .chunk_size(4096)
        .create(&name)
        .unwrap();
    let stats = table.stats().unwrap();
    assert!((before..=clock()).contains(&stats.created));
    assert_eq!(
        (
            stats.entries,
            stats.value_bytes_live,
            stats.value_bytes_dead
        ),
        (0, 0, 0)
    );
    assert_eq!(
        (stats.chunks_open, stats.chunks_sealed, stats.chunks_in_runs),
        (0, 0, 0)
    );
    assert_eq!(
        (stats.contended, stats.take_overs, stats.cleanings),
        (0, 0, 0)
    );
    assert_eq!(stats.longest_probe, 1);
    assert_eq!(
        stats.segment_bytes,
        stats.max_index_bytes + stats.chunks_free * stats.chunk_bytes
    );
    assert_eq!((stats.grows, stats.capacity), (false, 1000));
    assert!(stats.slots >= 1000);
    assert_eq!(
        (stats.index_bytes, stats.memory_bytes),
        (stats.max_index_bytes, stats.max_index_bytes)
    );
    #[cfg(target_os = "linux")]
    assert_eq!(
        stats.segment_bytes as u64,
        std::fs::metadata(name.path()).unwrap().len()
    );

    let mut payload = 0;
    for number in 0..500_u32 {
        let value = bytes(1, number as usize % 400);
        payload += 4 + value.len();
        table.insert(&number.to_le_bytes(), &value).unwrap();
    }
    let large = bytes(1, 20_000);
    payload += 1 + large.len();
    table.insert(b"l", &large).unwrap();
    let stats = table.stats().unwrap();
    assert_eq!(stats.entries, 501);
    // A header of 8 bytes, and two paddings of at most 7, on top of each entry.
    assert!((payload + 8 * 501..=payload + 22 * 501).contains(&stats.value_bytes_live));
    assert_eq!(stats.value_bytes_dead, 0);
    assert_eq!(stats.chunks_in_runs, 4, "20 kB take five chunks of 4 KiB");
    let chunks = stats.chunks_free + stats.chunks_open + stats.chunks_sealed + stats.chunks_in_runs;
    assert_eq!(
        stats.value_bytes_live + stats.value_bytes_dead + stats.value_bytes_free,
        chunks * stats.chunk_bytes
    );
    assert!(stats.value_bytes_reserved >= stats.value_bytes_live);
    assert_eq!(
        stats.memory_bytes,
        stats.index_bytes + stats.value_bytes_reserved
    );
    assert_eq!(stats.value_bytes_reserved % stats.chunk_bytes, 0);

    for number in 0..250_u32 {
        table.remove(&number.to_le_bytes()).unwrap();
    }
    let after = table.stats().unwrap();
    assert_eq!(after.entries, 251);
    assert!(after.value_bytes_live < stats.value_bytes_live);
    assert_eq!(
        after.value_bytes_live + after.value_bytes_dead,
        stats.value_bytes_live
    );
    table.clear().unwrap();
    let empty = table.stats().unwrap();
    assert_eq!(
        (empty.entries, empty.value_bytes_live, empty.longest_probe),
        (0, 0, 1)
    );
}

/// Elsewhere no table grows.
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
#[test]
fn the_figures_of_a_table_that_grows_are_those_of_its_present_size() {
    use std::os::unix::fs::MetadataExt;

    let named = common::Named::create(&Options::new());
    let memory = || {
        let data = std::fs::metadata(named.name.path()).unwrap();
        data.blocks() as usize * 512
    };
    let empty = named.stats().unwrap();
    assert!(empty.grows);
    assert_eq!((empty.capacity, empty.value_space), Options::DEFAULT_SIZES);
    assert_eq!((empty.slots, empty.longest_probe), (1024 * 4 * 7, 1));
    assert!(empty.memory_bytes < 3 << 19, "{empty:?}");
    assert!(empty.memory_bytes <= memory());
    let mut before = empty;
    for doubling in 0..4 {
        let entries = 20_000_usize << doubling;
        for number in entries / 2..entries {
            named
                .insert(&number.to_le_bytes(), b"a long value")
                .unwrap();
        }
        let now = named.stats().unwrap();
        assert!(
            now.slots > now.entries && now.slots < 4 * entries.max(28_672),
            "{now:?}"
        );
        assert!(now.slots > before.slots || doubling == 0);
        assert!(now.index_bytes > before.index_bytes);
        assert!(now.index_bytes < now.max_index_bytes);
        assert_eq!(now.memory_bytes, now.index_bytes + now.value_bytes_reserved);
        // The pages around those that a table asks for may be there too.
        let memory = memory();
        assert!(now.memory_bytes <= memory && memory < 2 * now.memory_bytes);
        assert!((2..64).contains(&now.longest_probe), "{now:?}");
        before = now;
    }
    assert_sound(&named);
}

#[test]
fn short_values_replaced_leave_little_garbage() {
    // A header, a key of two words and a value of one.
    const RECORD: usize = 32;
    for (new, replaced) in [(1, 1), (3, 3), (4, 1), (10, 10), (100, 1000)] {
        let table = Options::new().capacity(2000).create_anonymous().unwrap();
        let mut keys = 0_u128..;
        let mut added = 0;
        while added < 1000 {
            let keys: Vec<_> = keys.by_ref().take(new).map(u128::to_le_bytes).collect();
            for key in &keys {
                assert!(table.insert(key, b"1").unwrap());
            }
            for key in keys.iter().cycle().take(replaced) {
                assert!(!table.insert(key, b"2").unwrap());
                assert_eq!(table.get(key).unwrap(), some(b"2"));
            }
            added += new;
        }
        let stats = table.stats().unwrap();
        assert_eq!(stats.value_bytes_live, added * RECORD);
        // A record that was written and not needed, for each four new ones at most.
        let most = if new < 4 { 0 } else { added / new };
        let dead = stats.value_bytes_dead;
        assert!(
            dead <= most * RECORD,
            "{new} new, {replaced} replaced: {dead}"
        );
    }
}

#[test]
fn small_entries_take_no_value_space() {
    let table = Options::new()
        .capacity(1000)
        .value_space(15)
        .create_anonymous()
        .unwrap();
    let keys: Vec<_> = (0..1000_u64).map(u64::to_le_bytes).collect();
    for key in &keys {
        assert!(table.insert(key, b"7 bytes").unwrap());
        assert!(!table.insert(key, b"7 other").unwrap());
        assert_eq!(table.get(key).unwrap(), some(b"7 other"));
    }
    assert_eq!(table.fetch_add(b"counter", 5).unwrap(), 0);
    assert!(table.remove(&keys[0]).unwrap());
    let stats = table.stats().unwrap();
    assert_eq!((stats.entries, stats.chunks_open), (1000, 0));
    assert_eq!((stats.value_bytes_live, stats.value_bytes_dead), (0, 0));
    // Values of another length do, but those that follow these do not.
    for key in &keys[1..] {
        assert!(!table.insert(key, b"6 more").unwrap());
        assert_eq!(table.get(key).unwrap(), some(b"6 more"));
        assert!(!table.insert(key, b"7 again").unwrap());
        assert_eq!(table.get(key).unwrap(), some(b"7 again"));
    }
    let stats = table.stats().unwrap();
    assert_eq!((stats.entries, stats.value_bytes_live), (1000, 0));
    assert_sound(&table);
}

#[test]
fn contention_is_counted() {
    let table = Options::new()
        .capacity(100)
        .stripes(1)
        .create_anonymous()
        .unwrap();
    let second = table.clone();
    common::scope(|scope| {
        table
            .update(b"a", |_| {
                scope.spawn(|| second.insert(b"b", b"1").unwrap());
                // Until it sleeps for the lock.
                std::thread::sleep(Duration::from_millis(100));
                some(b"1")
            })
            .unwrap();
        eventually("the other insert", || table.contains_key(b"b").unwrap());
    });
    assert!(table.stats().unwrap().contended >= 1);
}
