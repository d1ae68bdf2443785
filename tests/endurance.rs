//! Does a table work forever in the space and the memory that it was given?

#![cfg(any(target_os = "linux", windows))]

mod common;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use common::{
    Dice, Named, assert_sound, bytes, contents, finish_all, key, race, racer, scaled, version_of,
    whole,
};
use shmtable::{Options, Table};

/// Tables with room for so many entries: one of fixed capacity, and one that begins with as few
/// buckets as there can be, and grows. Each test gives half of its time to either.
fn fixed_and_growing(options: &Options, capacity: usize) -> [Options; 2] {
    let options = options.clone();
    let growing = options.clone().capacity(1).max_capacity(capacity);
    [options.capacity(capacity), growing]
}

/// Half the number of repetitions: those on one of [`fixed_and_growing`].
fn half(repetitions: usize) -> usize {
    scaled(repetitions.div_ceil(2))
}

/// Whether a table can grow at all: not on the back end for Windows and macOS.
fn can_grow() -> bool {
    cfg!(all(target_os = "linux", not(shmtable_portable)))
}

#[test]
fn one_key_overwritten_a_million_times() {
    let options = Options::new().value_space(1 << 20).chunk_size(1 << 16);
    for options in fixed_and_growing(&options, 100) {
        overwrite_one_key(&options);
    }
}

fn overwrite_one_key(options: &Options) {
    let table = options.create_anonymous().unwrap();
    let mut dice = Dice::new(1);
    let source = bytes(1, 6000);
    let times = half(1_000_000);
    let begin = Instant::now();
    let (mut early, mut most) = (0, 0);
    for time in 0..times {
        let length = if time % 64 == 0 {
            dice.below(5000)
        } else {
            dice.below(120)
        };
        let value = &source[time % 1000..][..length];
        assert_eq!(table.insert(b"key", value).unwrap(), time == 0);
        if time % 997 == 0 {
            assert_eq!(table.get(b"key").unwrap().as_deref(), Some(value));
            let stats = table.stats().unwrap();
            most = most.max(stats.value_bytes_reserved);
            if time < times / 20 {
                early = most;
            }
            assert!(stats.value_bytes_live <= 5032);
        }
    }
    let stats = table.stats().unwrap();
    println!(
        "{times} times in {:?}: at most {most} bytes reserved, {} cleanings",
        begin.elapsed(),
        stats.cleanings
    );
    // A chunk to fill, those kept back, and what is dead before cleaning begins.
    assert!(most <= 12 * stats.chunk_bytes, "{most} bytes for one entry");
    assert_eq!(most, early, "memory grew after a twentieth of the time");
    assert!(stats.cleanings > half(100) as u64);
    assert_sound(&table);
}

#[test]
fn filled_and_emptied_again_and_again() {
    const ENTRIES: usize = 1000;
    const LENGTH: usize = 92;
    // Exactly as many bytes as the table was created for.
    let options = Options::new()
        .value_space(ENTRIES * (8 + LENGTH))
        .chunk_size(4096)
        .max_participants(2);
    for options in fixed_and_growing(&options, ENTRIES) {
        fill_and_empty::<ENTRIES, LENGTH>(&options);
    }
}

fn fill_and_empty<const ENTRIES: usize, const LENGTH: usize>(options: &Options) {
    let table = options.create_anonymous().unwrap();
    let first = table.stats().unwrap();
    let mut reserved = 0;
    for round in 0..half(50) {
        let key = |number: usize| key(round * ENTRIES + number);
        for number in 0..ENTRIES {
            // Half of the rounds with equal, half with different lengths.
            let length = if round % 2 == 0 {
                LENGTH
            } else {
                number * 2 * LENGTH / ENTRIES
            };
            assert!(
                table
                    .insert(&key(number), &bytes(number as u64, length))
                    .unwrap()
            );
        }
        assert_eq!(table.len(), ENTRIES);
        for number in 0..ENTRIES {
            let length = if round % 2 == 0 {
                LENGTH
            } else {
                number * 2 * LENGTH / ENTRIES
            };
            assert_eq!(
                table.get(&key(number)).unwrap(),
                Some(bytes(number as u64, length))
            );
        }
        if round % 10 == 0 {
            assert_sound(&table);
        }
        match round % 3 {
            0 => table.clear().unwrap(),
            1 => assert_eq!(table.retain(|_, _| false).unwrap(), ENTRIES),
            _ => {
                for number in 0..ENTRIES {
                    assert!(table.remove(&key(number)).unwrap());
                }
            }
        }
        assert!(table.is_empty());
        let stats = table.stats().unwrap();
        assert_eq!(stats.slots > first.slots, stats.grows);
        assert!(stats.slots <= 4 * ENTRIES, "{} slots", stats.slots);
        assert_eq!((stats.value_bytes_live, stats.longest_probe), (0, 1));
        if round == 10 {
            reserved = stats.value_bytes_reserved;
        }
        if round > 10 {
            assert!(stats.value_bytes_reserved <= reserved + 2 * stats.chunk_bytes);
        }
    }
    assert_sound(&table);
}

#[test]
fn keys_that_come_and_go_take_no_more_memory_than_those_that_are_there() {
    const THERE: usize = 2000;
    let of_no_size = Options::new().stripes(4);
    let small = of_no_size.clone().capacity(1).max_capacity(1 << 20);
    for options in [small.chunk_size(4096), of_no_size] {
        let table = options.create_anonymous().unwrap();
        let first = table.stats().unwrap();
        assert_eq!(first.grows, can_grow());
        let mut early = None;
        let times = scaled(50_000).max(10 * THERE);
        for time in 0..times {
            // Small entries, and records.
            let value = bytes(time as u64, if time % 2 == 0 { 5 } else { time % 100 });
            assert!(table.insert(key(time), value).unwrap());
            if time >= THERE {
                assert!(table.remove(key(time - THERE)).unwrap());
            }
            if time == times / 4 {
                early = Some(table.stats().unwrap());
            }
        }
        let (early, stats) = (early.unwrap(), table.stats().unwrap());
        println!("{times} keys: {} slots, {stats:?}", first.slots);
        assert_eq!(stats.entries, THERE);
        assert_eq!(stats.slots > first.slots, can_grow());
        assert_eq!(stats.slots, early.slots, "it grew for keys that are gone");
        assert!(stats.memory_bytes <= early.memory_bytes + 4 * stats.chunk_bytes);
        assert_sound(&table);
    }
}

#[test]
fn short_lived_handles_leave_nothing_behind() {
    let options = Options::new()
        .value_space(20_000)
        .chunk_size(4096)
        .max_participants(3);
    for options in fixed_and_growing(&options, 100) {
        use_short_lived_handles(&options);
    }
}

fn use_short_lived_handles(options: &Options) {
    let named = Named::create(options);
    let mut model = HashMap::new();
    let mut most_open = 0;
    for time in 0..half(2000) {
        let handle = named.open();
        let entry = (key(time % 50).to_vec(), bytes(time as u64, time % 200));
        handle.insert(&entry.0, &entry.1).unwrap();
        model.insert(entry.0, entry.1);
        let stats = named.stats().unwrap();
        assert_eq!(stats.participants, 2);
        most_open = most_open.max(stats.chunks_open);
    }
    assert!(most_open <= 2, "{most_open} chunks were open at once");
    assert_eq!(contents(&named), model);
    let stats = named.stats().unwrap();
    assert_eq!((stats.participants, stats.take_overs), (1, 0));
    assert!(
        stats.value_bytes_reserved < 20 * 4096,
        "{}",
        stats.value_bytes_reserved
    );
    assert_sound(&named);
}

#[test]
fn large_values_of_changing_sizes_in_a_tight_table() {
    // A third of the value space at most is live when a value is replaced, so
    // there is room for the old and the new.
    const SPACE: usize = 240_000;
    let options = Options::new()
        .value_space(SPACE)
        .chunk_size(4096)
        .max_participants(2);
    for options in fixed_and_growing(&options, 60) {
        store_large_values::<SPACE>(&options);
    }
}

fn store_large_values<const SPACE: usize>(options: &Options) {
    let table = options.create_anonymous().unwrap();
    let mut dice = Dice::new(3);
    let mut model: HashMap<usize, (u64, usize)> = HashMap::new();
    for step in 0..half(3000) as u64 {
        // One large value, some of two or three chunks, many small ones.
        let (number, length) = match dice.below(10) {
            0 => (0, dice.below(SPACE / 6)),
            1 | 2 => (1 + dice.below(3), dice.below(3 * 4096)),
            _ => (10 + dice.below(40), dice.below(200)),
        };
        let value = whole(number as u64, step, length);
        table.insert(&key(number), &value).unwrap_or_else(|error| {
            panic!(
                "step {step}, {length} bytes: {error}; {:?}",
                table.stats().unwrap()
            )
        });
        model.insert(number, (step, length));
        let looked_at = dice.below(50);
        let found = table.get(&key(looked_at)).unwrap();
        let expected = model.get(&looked_at);
        assert_eq!(
            found.map(|value| (version_of(looked_at as u64, &value), value.len() - 24)),
            expected.copied()
        );
    }
    let stats = table.stats().unwrap();
    println!("{} cleanings", stats.cleanings);
    assert!(stats.cleanings > half(100) as u64);
    assert_sound(&table);
    // The same table takes a value of all its space when it is empty.
    table.clear().unwrap();
    table.insert(b"", &bytes(1, SPACE)).unwrap();
    assert_eq!(table.get(b"").unwrap(), Some(bytes(1, SPACE)));
}

#[test]
fn processes_that_overwrite_and_clean_at_once_never_run_out() {
    const KEYS: usize = 60;
    const PROCESSES: usize = 4;
    if let Some(racer) = racer() {
        let (table, me) = (&racer.table, racer.number);
        let (begin, time) = (Instant::now(), Duration::from_millis(half(3000) as u64));
        let mut dice = Dice::new(me as u64);
        let mut step = 0_u64;
        while begin.elapsed() < time {
            for _ in 0..100 {
                step += 1;
                let number = dice.below(KEYS);
                let value = whole(number as u64, step, dice.below(450));
                table.insert(&key(number), &value).unwrap_or_else(|error| {
                    panic!("step {step}: {error}; {:?}", table.stats().unwrap())
                });
            }
        }
        return racer.tell(&step.to_string());
    }
    // As many bytes as the keys may have at most.
    let options = Options::new()
        .value_space(KEYS * (8 + 24 + 450))
        .chunk_size(4096)
        .max_participants(PROCESSES + 1);
    for options in fixed_and_growing(&options, KEYS) {
        let named = Named::create(&options);
        let said = finish_all(race(common::this_test!(), &named.name, PROCESSES));
        let stats = named.stats().unwrap();
        println!("steps: {said:?}, {} cleanings", stats.cleanings);
        assert!(stats.cleanings > half(50) as u64);
        assert_sound(&named);
        for (key, value) in contents(&named) {
            version_of(u64::from_le_bytes(key.try_into().unwrap()), &value);
        }
        let table: &Table = &named;
        assert_eq!(table.len(), KEYS);
    }
}

#[test]
fn threads_and_processes_that_replace_at_once_in_a_full_table_are_not_refused() {
    // A little more than half a chunk each: nothing wastes more.
    const LENGTH: usize = 2040;
    const KEYS: usize = 64;
    const PROCESSES: usize = 3;
    const THREADS: usize = 8;
    let replace = |table: &Table, me: usize, steps: usize| {
        let mut dice = Dice::new(me as u64);
        for step in 0..steps as u64 {
            let number = dice.below(KEYS);
            let value = whole(number as u64, step, LENGTH - 24);
            let new = table.insert(&key(number), &value).unwrap_or_else(|error| {
                panic!("step {step}: {error}; {:?}", table.stats().unwrap())
            });
            assert!(!new);
        }
    };
    let steps = half(2000);
    if let Some(racer) = racer() {
        return replace(&racer.table, racer.number, steps);
    }
    let options = Options::new()
        .value_space(KEYS * (8 + LENGTH))
        .chunk_size(4096)
        .max_participants(PROCESSES + 1);
    let tables = fixed_and_growing(&options, KEYS);
    let ways = ["processes", "threads"].into_iter();
    for (way, options) in ways.flat_map(|way| tables.iter().map(move |table| (way, table))) {
        let named = Named::create(options);
        for number in 0..KEYS {
            let value = whole(number as u64, 0, LENGTH - 24);
            named.insert(&key(number), &value).unwrap();
        }
        if way == "processes" {
            finish_all(race(common::this_test!(), &named.name, PROCESSES));
        } else {
            common::scope(|scope| {
                for me in 0..THREADS {
                    let table = &named.table;
                    scope.spawn(move || replace(table, me, steps));
                }
            });
        }
        println!("{way}: {} cleanings", named.stats().unwrap().cleanings);
        assert_eq!(named.len(), KEYS);
        assert_sound(&named);
    }
}
