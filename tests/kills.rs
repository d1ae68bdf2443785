//! Does a killed or stopped process harm nobody?
//!
//! SIGKILL at any moment: nobody waits for the dead, what they had acknowledged is
//! there, what they had begun is there or not. SIGSTOP: a living holder is never
//! robbed.

#![cfg(any(target_os = "linux", windows))]

mod common;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{
    Child, Dice, LIMIT, Name, Named, Role, assert_sound, contents, files_named, scaled, version_of,
    whole,
};
#[cfg(target_os = "linux")]
use rustix::process::Signal;
use shmtable::{Error, Options, Table};

/// So long that whoever waits for the dead by it fails the test.
const PATIENT: Duration = Duration::from_mins(5);
/// More than going on after a death takes on the busiest machine.
const SOON: Duration = Duration::from_secs(30);

fn key(number: usize) -> [u8; 8] {
    (number as u64).to_le_bytes()
}

fn one_stripe() -> Options {
    Options::new()
        .capacity(100)
        .stripes(1)
        .lock_timeout(PATIENT)
}

/// The child's part: tells that it is inside a closure, stays there until the
/// parent says more, and changes `key` then.
fn hold(role: &Role) {
    let table = role.open();
    // A closure may run again, when room was made for what it returned.
    let mut stayed = false;
    let mut stay = || {
        if !stayed {
            stayed = true;
            role.tell("inside");
            role.hear();
        }
    };
    match role.argument(1) {
        "update" => drop(table.update(b"held", |_| {
            stay();
            Some(b"changed by the holder".to_vec())
        })),
        "retain" => drop(table.retain(|_, _| {
            stay();
            true
        })),
        other => unreachable!("{other}"),
    }
}

#[test]
fn a_holder_killed_inside_the_critical_section_harms_nobody() {
    let test = "a_holder_killed_inside_the_critical_section_harms_nobody";
    if let Some(role) = common::role() {
        return hold(&role);
    }
    let mut fastest = Duration::MAX;
    for way in ["update", "retain", "update", "retain", "update", "update"] {
        let named = Named::create(&one_stripe());
        let second = Options::new()
            .lock_timeout(PATIENT)
            .open(&named.name)
            .unwrap();
        named.insert(b"held", b"old").unwrap();
        let child = Child::start(test, way, &[&named.name, way]);
        assert_eq!(child.hear(), "inside");
        // Readers notice nothing, neither before nor after.
        let reader = Table::open_read_only(&named.name).unwrap();
        assert_eq!(reader.get(b"held").unwrap().as_deref(), Some(&b"old"[..]));
        child.kill();
        assert_eq!(reader.get(b"held").unwrap().as_deref(), Some(&b"old"[..]));
        let begin = Instant::now();
        common::scope(|scope| {
            scope.spawn(|| second.insert(b"other", b"1").unwrap());
            scope.spawn(|| named.fetch_add(b"count", 1).unwrap());
        });
        let elapsed = begin.elapsed();
        assert!(elapsed < SOON, "{way}: {elapsed:?}");
        fastest = fastest.min(elapsed);
        assert_eq!(named.get(b"held").unwrap().as_deref(), Some(&b"old"[..]));
        assert_eq!(named.len(), 3);
        assert_eq!(named.stats().unwrap().take_overs, 1);
        assert_sound(&named);
    }
    println!("the fastest take-over took {fastest:?}");
    assert!(fastest < Duration::from_secs(1));
}

/// Windows has no zombies.
#[cfg(target_os = "linux")]
#[test]
fn a_zombie_is_dead() {
    let test = "a_zombie_is_dead";
    if let Some(role) = common::role() {
        return hold(&role);
    }
    let named = Named::create(&one_stripe());
    named.insert(b"held", b"old").unwrap();
    let mut child = Child::start(test, "holder", &[&named.name, "update"]);
    assert_eq!(child.hear(), "inside");
    assert_eq!(named.stats().unwrap().participants, 2);
    child.kill_to_zombie();
    let begin = Instant::now();
    assert_eq!(
        named.replace(b"held", b"new").unwrap().as_deref(),
        Some(&b"old"[..])
    );
    assert!(begin.elapsed() < SOON);
    assert_eq!(named.stats().unwrap().participants, 1);
    assert_sound(&named);
}

/// Windows has no signal that stops a process.
#[cfg(target_os = "linux")]
#[test]
fn a_stopped_holder_is_never_robbed() {
    let test = "a_stopped_holder_is_never_robbed";
    if let Some(role) = common::role() {
        return hold(&role);
    }
    let timeout = Duration::from_millis(100);
    let named = Named::create(&one_stripe().lock_timeout(timeout));
    named.insert(b"held", b"old").unwrap();
    let mut child = Child::start(test, "holder", &[&named.name, "update"]);
    assert_eq!(child.hear(), "inside");
    child.signal(Signal::STOP);
    let reader = Table::open_read_only(&named.name).unwrap();
    for _ in 0..5 {
        let begin = Instant::now();
        for result in [
            named.insert(b"held", b"stolen").err(),
            named.remove(b"other").err(),
            named.snapshot().err(),
        ] {
            assert!(
                matches!(result, Some(Error::LockTimeout { timeout: told, participant: 1, .. })
                    if told == timeout),
                "{result:?}"
            );
        }
        assert!(begin.elapsed() >= 3 * timeout);
        assert_eq!(reader.get(b"held").unwrap().as_deref(), Some(&b"old"[..]));
    }
    // It wakes up, changes what it held, and others go on.
    child.signal(Signal::CONT);
    child.say("go on");
    child.finish();
    assert_eq!(
        named.get(b"held").unwrap().as_deref(),
        Some(&b"changed by the holder"[..])
    );
    assert!(!named.insert(b"held", b"new").unwrap());
    assert_eq!(named.stats().unwrap().take_overs, 0);
    assert_sound(&named);
}

#[test]
fn a_killed_waiter_takes_nobodys_turn_away() {
    let test = "a_killed_waiter_takes_nobodys_turn_away";
    if let Some(role) = common::role() {
        let table = Options::new()
            .lock_timeout(PATIENT)
            .open(role.argument(0))
            .unwrap();
        role.tell("about to wait");
        if role.name == "waits for the lock" {
            table.insert(&key(role.number(1)), b"1").unwrap();
        } else {
            table.wait(b"never", LIMIT).unwrap();
        }
        return;
    }
    let named = Named::create(&one_stripe());
    let start = |role, number: usize| {
        let child = Child::start(test, role, &[&named.name, &number.to_string()]);
        assert_eq!(child.hear(), "about to wait");
        child
    };
    for round in 0..scaled(5) {
        let mut survivors = Vec::new();
        let mut sleeper = None;
        named
            .update(b"held", |_| {
                let mut doomed = Vec::new();
                for number in 0..6 {
                    let child = start("waits for the lock", 10 * round + number);
                    if number % 2 == 0 {
                        doomed.push(child);
                    } else {
                        survivors.push(child);
                    }
                }
                sleeper = Some(start("waits for a key", 0));
                // They sleep by now, or nearly all.
                std::thread::sleep(Duration::from_millis(50));
                doomed.into_iter().for_each(Child::kill);
                None
            })
            .unwrap();
        let begin = Instant::now();
        sleeper.take().unwrap().kill();
        common::finish_all(survivors);
        named.insert(b"after", b"1").unwrap();
        assert!(begin.elapsed() < SOON);
    }
    assert_eq!(named.len(), 1 + 3 * scaled(5));
    assert_sound(&named);
}

/// Words that outlive the process that writes them: what it was about to do and
/// what it has done, for each key.
struct Diary {
    file: File,
    path: std::path::PathBuf,
}

impl Diary {
    fn create(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{name}.diary"));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        file.set_len(1 << 16).unwrap();
        Self { file, path }
    }

    fn open(path: &str) -> File {
        File::options().read(true).write(true).open(path).unwrap()
    }

    fn get(mut file: &File, at: usize) -> u64 {
        let mut word = [0; 8];
        file.seek(SeekFrom::Start(8 * at as u64)).unwrap();
        file.read_exact(&mut word).unwrap();
        u64::from_le_bytes(word)
    }

    fn put(mut file: &File, at: usize, word: u64) {
        file.seek(SeekFrom::Start(8 * at as u64)).unwrap();
        file.write_all(&word.to_le_bytes()).unwrap();
    }
}

impl Drop for Diary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

const WRITERS: usize = 3;
/// Keys of each writer.
const KEYS: usize = 20;
/// Where the counters' acknowledgements of a writer stand in the diary.
const COUNTERS: usize = 1000;

/// What step `step` leaves under a key: a value's version, or nothing.
fn state(step: u64) -> Option<u64> {
    (step != 0 && !step.is_multiple_of(7)).then_some(step)
}

fn write_until_killed(role: &Role) {
    let (table, me) = (role.open(), role.number(1));
    let diary = Diary::open(role.argument(2));
    let mut step = role.number(3) as u64;
    let mut dice = Dice::new(step + me as u64);
    role.tell("ready");
    loop {
        step += 1;
        let at = me * KEYS + dice.below(KEYS);
        Diary::put(&diary, 2 * at, step);
        let length = if dice.below(40) == 0 {
            5000
        } else {
            dice.below(700)
        };
        let value = whole(at as u64, step, length);
        match (state(step), dice.below(4)) {
            (None, 0) => drop(table.update(&key(at), |_| None).unwrap()),
            (None, _) => drop(table.remove(&key(at)).unwrap()),
            (Some(_), 0) => drop(table.update(&key(at), |_| Some(value.clone())).unwrap()),
            (Some(_), 1) => {
                let old = table.get(&key(at)).unwrap();
                let done = table.compare_exchange(&key(at), old.as_deref(), Some(&value));
                assert_eq!(done.unwrap(), Ok(()), "nobody else writes this key");
            }
            (Some(_), _) => drop(table.insert(&key(at), &value).unwrap()),
        }
        Diary::put(&diary, 2 * at + 1, step);
        // A counter that all share, and one that is made and unmade as a record.
        table.fetch_add(b"shared counter", 1).unwrap();
        let count = COUNTERS + 2 * me;
        Diary::put(&diary, count, Diary::get(&diary, count) + 1);
        table
            .update(b"text counter", |old| {
                let text = old.map_or("0".into(), String::from_utf8_lossy);
                Some((text.parse::<u64>().unwrap() + 1).to_string().into_bytes())
            })
            .unwrap();
        Diary::put(&diary, count + 1, Diary::get(&diary, count + 1) + 1);
    }
}

/// Holds a dead writer's keys against its diary, and settles what was open.
fn settle(table: &Table, diary: &File, me: usize) {
    for at in me * KEYS..(me + 1) * KEYS {
        let (begun, done) = (Diary::get(diary, 2 * at), Diary::get(diary, 2 * at + 1));
        let value = table.get(&key(at)).unwrap();
        let found = value.map(|value| version_of(at as u64, &value));
        assert!(
            found == state(begun) || (found == state(done)),
            "key {at} holds {found:?}; acknowledged was {done}, begun {begun}"
        );
        let settled = if found == state(begun) { begun } else { done };
        Diary::put(diary, 2 * at, settled);
        Diary::put(diary, 2 * at + 1, settled);
    }
}

/// Ends the threads of a test, also when it fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn writers_killed_at_random_lose_nothing_that_was_acknowledged() {
    let test = "writers_killed_at_random_lose_nothing_that_was_acknowledged";
    if let Some(role) = common::role() {
        return write_until_killed(&role);
    }
    let kills = scaled(200);
    let options = Options::new()
        .capacity(WRITERS * KEYS + 10)
        .value_space(80_000)
        .stripes(2)
        .chunk_size(4096)
        .max_participants(WRITERS + 3)
        .lock_timeout(PATIENT);
    let named = Named::create(&options);
    let diary = Diary::create(&named.name);
    let path = diary.path.to_str().unwrap();
    let mut dice = Dice::new(u64::from(std::process::id()));
    let start = |me: usize, step: u64| {
        let (me, step) = (me.to_string(), step.to_string());
        let child = Child::start(test, "writer", &[&named.name, &me, path, &step]);
        assert_eq!(child.hear(), "ready");
        child
    };
    let stop = AtomicBool::new(false);
    let begin = Instant::now();
    common::scope(|scope| {
        // Whatever happens, readers read whole values and a survivor writes.
        scope.spawn(|| {
            let reader = Table::open_read_only(&named.name).unwrap();
            while !stop.load(Ordering::Relaxed) {
                for at in 0..WRITERS * KEYS {
                    if let Some(value) = reader.get(&key(at)).unwrap() {
                        version_of(at as u64, &value);
                    }
                }
            }
        });
        let survivor = scope.spawn(|| {
            let options = Options::new().lock_timeout(PATIENT);
            let table = options.open(&named.name).unwrap();
            let (mut slowest, mut version) = (Duration::ZERO, 0);
            while !stop.load(Ordering::Relaxed) {
                version += 1;
                let begin = Instant::now();
                table
                    .insert(b"survivor", &whole(99, version, (version % 300) as usize))
                    .unwrap();
                slowest = slowest.max(begin.elapsed());
                let value = table.get(b"survivor").unwrap().unwrap();
                assert_eq!(version_of(99, &value), version);
            }
            slowest
        });
        let stopper = Stop(&stop);
        let mut writers: Vec<Child> = (0..WRITERS).map(|me| start(me, 0)).collect();
        for kill in 1..=kills {
            std::thread::sleep(Duration::from_micros(dice.below(12_000) as u64));
            let me = dice.below(WRITERS);
            writers[me].kill_and_reap();
            settle(&named, &diary.file, me);
            // Steps of a later life never look like those of an earlier one.
            writers[me] = start(me, (kill as u64) << 32);
        }
        for (me, writer) in writers.into_iter().enumerate() {
            writer.kill();
            settle(&named, &diary.file, me);
        }
        drop(stopper);
        let slowest = survivor.join().unwrap();
        println!(
            "{kills} kills in {:?}; a survivor's slowest insert: {slowest:?}",
            begin.elapsed()
        );
        assert!(slowest < SOON);
    });
    let acknowledged = |counter: usize| -> u64 {
        (0..WRITERS)
            .map(|me| Diary::get(&diary.file, COUNTERS + 2 * me + counter))
            .sum()
    };
    let deaths = (kills + WRITERS) as u64;
    let shared = named.fetch_add(b"shared counter", 0).unwrap() as u64;
    let digits = named.get(b"text counter").unwrap().unwrap();
    let as_text: u64 = String::from_utf8(digits).unwrap().parse().unwrap();
    for (count, acknowledged) in [(shared, acknowledged(0)), (as_text, acknowledged(1))] {
        assert!(
            (acknowledged..=acknowledged + deaths).contains(&count),
            "{acknowledged} steps were acknowledged, {deaths} writers killed, the counter says {count}"
        );
    }
    let stats = named.stats().unwrap();
    println!(
        "{shared} steps, {} cleanings, {} take-overs",
        stats.cleanings, stats.take_overs
    );
    assert!(stats.cleanings > 50 && stats.take_overs > 10);
    assert_eq!(stats.participants, 1);
    assert_sound(&named);
    // And all of it goes on.
    for at in 0..WRITERS * KEYS {
        named.insert(&key(at), &whole(at as u64, 1, 700)).unwrap();
    }
    assert_sound(&named);
}

#[test]
fn killed_in_creation_leaves_nothing_or_a_whole_table() {
    let test = "killed_in_creation_leaves_nothing_or_a_whole_table";
    if let Some(role) = common::role() {
        role.tell("ready");
        loop {
            let options = Options::new().capacity(60_000).max_participants(4);
            drop(options.create(role.argument(0)).unwrap());
            Table::unlink(role.argument(0)).unwrap();
        }
    }
    let mut dice = Dice::new(u64::from(std::process::id()));
    let hidden = common::unfinished;
    let (hidden_before, mut whole, kills) = (hidden(), 0, scaled(60));
    for _ in 0..kills {
        let name = Name::new();
        let child = Child::start(test, "creator", &[&name]);
        assert_eq!(child.hear(), "ready");
        std::thread::sleep(Duration::from_micros(dice.below(10_000) as u64));
        child.kill();
        match Table::open(&name) {
            Err(Error::NotFound { .. }) => assert!(files_named(&name).is_empty()),
            Ok(table) => {
                whole += 1;
                assert_eq!((table.capacity(), table.len()), (60_000, 0));
                table.insert(b"k", b"v").unwrap();
                assert_sound(&table);
            }
            Err(error) => panic!("a half-made table: {error:?}"),
        }
    }
    println!("{kills} kills left {whole} whole tables");
    assert!(hidden() <= hidden_before, "hidden files are left");
}

#[test]
fn an_anonymous_table_stays_listed_if_its_creator_is_killed_and_goes_if_it_ends() {
    let test = "an_anonymous_table_stays_listed_if_its_creator_is_killed_and_goes_if_it_ends";
    if let Some(role) = common::role() {
        let table = Options::new().capacity(10).create_anonymous().unwrap();
        table.insert(b"k", b"v").unwrap();
        role.tell(table.name());
        role.hear();
        return;
    }
    let listed = |name: &str| Table::list().unwrap().iter().any(|other| other == name);

    let mut ending = Child::start(test, "ends", &[]);
    let name = ending.hear();
    assert!(listed(&name));
    ending.say("end");
    ending.finish();
    assert!(!listed(&name));
    assert!(matches!(Table::open(&name), Err(Error::NotFound { .. })));

    let killed = Child::start(test, "is killed", &[]);
    let name = killed.hear();
    // Who looks at it keeps it from being removed by creations.
    let looker = Options::new().observe(&name).unwrap();
    killed.kill();
    assert!(listed(&name) && looker.is_orphan().unwrap());
    {
        // A reader counts nobody but tells that the creator is gone.
        let reader = Table::open_read_only(&name).unwrap();
        assert!(reader.is_anonymous());
        assert_eq!(reader.stats().unwrap().participants, 0);
        assert_eq!(reader.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    }
    Table::unlink(&name).unwrap();
    assert!(!listed(&name));
}

#[test]
fn killed_participants_free_their_slots() {
    let test = "killed_participants_free_their_slots";
    if let Some(role) = common::role() {
        let table = role.open();
        table.insert(&key(role.number(1)), b"1").unwrap();
        role.tell("attached");
        role.hear();
        return;
    }
    let named = Named::create(&Options::new().capacity(100).max_participants(3));
    for round in 0..scaled(10) {
        let start = |number: usize| {
            let child = Child::start(test, "guest", &[&named.name, &number.to_string()]);
            assert_eq!(child.hear(), "attached");
            child
        };
        let guests = [start(2 * round), start(2 * round + 1)];
        assert!(matches!(
            Table::open(&named.name),
            Err(Error::TooManyParticipants { limit: 3, .. })
        ));
        guests.into_iter().for_each(Child::kill);
        assert_eq!(named.stats().unwrap().participants, 1);
    }
    assert_eq!(contents(&named).len(), 2 * scaled(10));
    assert_sound(&named);
}

/// Linux alone has namespaces.
#[cfg(target_os = "linux")]
#[test]
fn equal_process_ids_of_two_namespaces_are_not_confused() {
    let test = "equal_process_ids_of_two_namespaces_are_not_confused";
    if let Some(role) = common::role() {
        assert_eq!(std::process::id(), 1);
        if role.name == "holder" {
            return hold(&role);
        }
        let options = Options::new().lock_timeout(Duration::from_millis(200));
        let table = options.open(role.argument(0)).unwrap();
        role.tell("attached");
        while role.hear().is_some() {
            let answer = match table.insert(b"other", b"1") {
                Ok(_) => "inserted",
                Err(Error::LockTimeout { .. }) => "refused",
                Err(error) => panic!("{error:?}"),
            };
            role.tell(answer);
        }
        return;
    }
    if !common::may_make_namespaces() {
        return;
    }
    let named = Named::create(&one_stripe());
    named.insert(b"held", b"old").unwrap();
    let mut other = common::first_of_a_namespace(test, "other", &[&named.name]);
    assert_eq!(other.hear(), "attached");
    let holder = common::first_of_a_namespace(test, "holder", &[&named.name, "update"]);
    assert_eq!(holder.hear(), "inside");
    // Both are process 1 where they live, and neither sees the other.
    for _ in 0..3 {
        other.say("insert");
        assert_eq!(other.hear(), "refused", "a living holder was robbed");
    }
    holder.kill();
    common::eventually("the holder is gone", || {
        named.stats().unwrap().participants == 2
    });
    other.say("insert");
    assert_eq!(other.hear(), "inserted");
    other.finish();
    assert_eq!(named.get(b"held").unwrap().as_deref(), Some(&b"old"[..]));
    assert_eq!(named.stats().unwrap().take_overs, 1);
    assert_sound(&named);
}
