//! The contract, tried in one process: on Windows, and on Linux with
//! `--cfg shmtable_portable`.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::companion::{Id, Record};
use super::memory::{self, Memory};
use super::*;
use crate::sys::{Access, Owner};

mod leftovers;

const WORDS: usize = 1024;

/// A name of this test process alone, removed at the end.
struct Name(String);

impl Name {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(format!("sys-test-{}-{id}", std::process::id()))
    }

    fn create(&self) -> Mapping {
        Mapping::create(&self.0, WORDS, 0o600, |_| Ok::<_, io::Error>(())).unwrap()
    }

    fn open(&self, access: Access) -> io::Result<Mapping> {
        Mapping::open(&self.0, access, |_| Ok::<_, io::Error>(()))
    }

    fn record(&self) -> Record {
        Directory::open().unwrap().find(&self.0).unwrap()
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = unlink(&self.0);
    }
}

/// Sweeps of other tests may have what is to go in hand.
fn eventually(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "never happened");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn a_segment_is_created_opened_listed_and_unlinked() {
    let name = Name::new();
    let made = Mapping::create(&name.0, WORDS + 1, 0o640, |mapping| {
        assert_eq!(mapping.words().len(), WORDS + 1);
        let zero = |word: &crate::sync::AtomicU64| word.load(Ordering::Relaxed) == 0;
        assert!(mapping.words().iter().all(zero));
        mapping.words()[WORDS].store(7, Ordering::Relaxed);
        assert!(!list()?.contains(&name.0));
        mapping.populate(0..WORDS + 1)?;
        assert!(mapping.liveness()?.try_hold(3)?);
        Ok::<_, io::Error>(())
    })
    .unwrap();
    assert!(list().unwrap().contains(&name.0));

    let mut owner = None;
    let opened = Mapping::open(&name.0, Access::ReadOnly, |seen| {
        owner = Some(seen);
        Ok::<_, io::Error>(())
    })
    .unwrap();
    let expected = Owner {
        user: current_user(),
        mode: 0o640,
    };
    assert_eq!(owner, Some(expected));
    assert_eq!(made.owner().unwrap(), expected);
    assert_eq!(opened.words().len(), WORDS + 1);
    assert_eq!(opened.words()[WORDS].load(Ordering::Relaxed), 7);
    made.words()[0].store(8, Ordering::Relaxed);
    assert_eq!(opened.words()[0].load(Ordering::Relaxed), 8);
    assert_eq!(
        kind(opened.populate(0..1)),
        Some(io::ErrorKind::PermissionDenied)
    );
    let beyond = made.populate(WORDS..WORDS + 2);
    assert_eq!(kind(beyond), Some(io::ErrorKind::InvalidInput));

    let again = Mapping::create(&name.0, WORDS, 0o600, |_| {
        unreachable!("no work for a name that is taken")
    });
    assert_eq!(kind::<Mapping>(again), Some(io::ErrorKind::AlreadyExists));

    unlink(&name.0).unwrap();
    assert_eq!(kind(unlink(&name.0)), Some(io::ErrorKind::NotFound));
    assert!(!list().unwrap().contains(&name.0));
    let gone = name.open(Access::ReadOnly);
    assert_eq!(kind(gone), Some(io::ErrorKind::NotFound));
    made.words()[0].store(9, Ordering::Relaxed);
    assert_eq!(opened.words()[0].load(Ordering::Relaxed), 9);
}

#[test]
fn what_loses_the_race_for_a_name_leaves_nothing() {
    let name = Name::new();
    let mut winner = None;
    let mut id = None;
    let loser = Mapping::create(&name.0, WORDS, 0o600, |mapping| {
        id = Some(mapping.record().id);
        winner = Some(name.create());
        Ok::<_, io::Error>(())
    });
    assert_eq!(kind(loser), Some(io::ErrorKind::AlreadyExists));
    eventually(|| !memory::exists(id.unwrap()).unwrap());
    let opened = name.open(Access::ReadWrite).unwrap();
    assert!(winner.unwrap().unlink_if_same(&name.0).unwrap());
    drop(opened);
}

#[test]
fn admission_comes_before_the_mapping() {
    let name = Name::new();
    let _segment = name.create();
    let refused = Mapping::open(&name.0, Access::ReadWrite, |_| {
        Err(io::Error::from(io::ErrorKind::Other))
    });
    assert_eq!(kind(refused), Some(io::ErrorKind::Other));
}

#[test]
fn impossible_requests_are_errors() {
    for name in ["", "a/b", "../x", "a\0b", &"x".repeat(MAX_NAME + 1)] {
        let create = Mapping::create(name, WORDS, 0o600, |_| Ok::<_, io::Error>(()));
        assert_eq!(kind(create), Some(io::ErrorKind::InvalidInput));
        assert_eq!(kind(unlink(name)), Some(io::ErrorKind::InvalidInput));
    }
    let name = Name::new();
    for words in [0, usize::MAX, usize::MAX / 8] {
        let create = Mapping::create(&name.0, words, 0o600, |_| Ok::<_, io::Error>(()));
        assert_eq!(kind(create), Some(io::ErrorKind::InvalidInput));
    }
    let short = Mapping::create(&name.0, 8, 0o600, |_| Ok::<_, io::Error>(())).unwrap();
    let opened = name.open(Access::ReadWrite);
    assert_eq!(kind(opened), Some(io::ErrorKind::UnexpectedEof));
    drop(short);
}

#[test]
fn names_that_file_systems_confuse_are_tables_of_their_own() {
    let prefix = Name::new().0.clone();
    let long = format!("{prefix}{}", "n".repeat(MAX_NAME - prefix.len() - 1));
    let mut names = vec![format!("{long}1"), format!("{long}2")];
    for ending in [
        "", "A", "a", "A.", "A ", "a:stream", "a\\b", "a*?\"<>|", "CON", "nul.txt", "é",
        "e\u{301}", "%41", "\n\t", "雪",
    ] {
        names.push(format!("{prefix}{ending}"));
    }
    let names: Vec<Name> = names.into_iter().map(Name).collect();
    let made: Vec<Mapping> = names.iter().map(Name::create).collect();
    for (number, mapping) in made.iter().enumerate() {
        mapping.words()[0].store(number as u64, Ordering::Relaxed);
    }
    let listed = list().unwrap();
    for (number, name) in names.iter().enumerate() {
        assert!(listed.contains(&name.0), "{:?}", name.0);
        let opened = name.open(Access::ReadWrite).unwrap();
        assert_eq!(opened.words()[0].load(Ordering::Relaxed), number as u64);
        unlink(&name.0).unwrap();
    }
}

#[test]
fn an_object_has_a_name_that_every_system_takes() {
    let id = Id::random().unwrap();
    assert!(os::object_name(id).len() <= 31);
    assert_eq!(Id::parse(&id.to_string()), Some(id));
    for text in [
        "",
        "+123456789abcdef",
        "123456789abcdef",
        "123456789abcdefg",
    ] {
        assert_eq!(Id::parse(text), None);
    }
}

#[test]
fn bytes_are_held_alone_or_shared() {
    let name = Name::new();
    let segment = name.create();
    let (a, b) = (segment.liveness().unwrap(), segment.liveness().unwrap());
    // A byte of a participant, and one of a claim.
    for byte in [4096 + 64, 1 << 62] {
        assert!(a.try_hold(byte).unwrap());
        assert!(a.try_hold(byte).unwrap(), "holding again changes nothing");
        assert!(!a.is_held_by_others(byte));
        assert!(b.is_held_by_others(byte));
        assert!(!b.is_held_by_others(byte + 1));
        assert!(!b.try_hold(byte).unwrap());
        assert!(!b.try_share(byte).unwrap());
    }
    assert!(a.try_share(0).unwrap());
    assert!(b.try_share(0).unwrap());
    assert!(a.is_held_by_others(0));
    assert!(!b.try_hold(0).unwrap());
    // The companion can be read whatever is locked.
    assert_eq!(name.record().name, name.0);
    drop(a);
    assert!(!b.is_held_by_others(1 << 62));
    assert!(b.try_hold(0).unwrap());
    let beyond = b.try_hold(u64::MAX);
    assert_eq!(kind(beyond), Some(io::ErrorKind::InvalidInput));
    assert!(b.is_held_by_others(u64::MAX));
}

#[test]
fn a_reader_shares_and_looks() {
    let name = Name::new();
    let segment = name.create();
    let holder = segment.liveness().unwrap();
    assert!(holder.try_hold(1).unwrap());
    let reader = name.open(Access::ReadOnly).unwrap();
    let reader = reader.liveness().unwrap();
    assert!(reader.is_held_by_others(1));
    assert!(!reader.try_share(1).unwrap());
    assert!(reader.try_share(2).unwrap());
    assert!(holder.is_held_by_others(2));
}

#[test]
fn liveness_does_not_need_the_name() {
    let name = Name::new();
    let segment = name.create();
    let holder = segment.liveness().unwrap();
    assert!(holder.try_hold(1).unwrap());
    unlink(&name.0).unwrap();
    let other = name.create();
    assert!(segment.liveness().unwrap().is_held_by_others(1));
    assert!(!other.liveness().unwrap().is_held_by_others(1));
}

#[test]
fn a_name_is_unlinked_only_if_it_still_is_the_segments() {
    let name = Name::new();
    let old = name.create();
    assert!(!old.unlink_if_same("no-such-name-at-all").unwrap());
    unlink(&name.0).unwrap();
    assert!(!old.unlink_if_same(&name.0).unwrap());
    let new = name.create();
    assert!(!old.unlink_if_same(&name.0).unwrap());
    assert!(list().unwrap().contains(&name.0));
    assert!(new.unlink_if_same(&name.0).unwrap());
    assert!(!list().unwrap().contains(&name.0));
}

#[test]
fn who_is_alone_is_told_so() {
    let name = Name::new();
    let segment = name.create();
    assert_eq!(segment.while_alone(|| 7).unwrap(), Some(7));
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let other = name.open(access).unwrap();
        assert_eq!(segment.while_alone(|| 7).unwrap(), None);
        assert_eq!(other.while_alone(|| 7).unwrap(), None);
        drop(other);
    }
    let removed = segment.while_alone(|| segment.unlink_if_same(&name.0).unwrap());
    assert_eq!(removed.unwrap(), Some(true));
    assert!(name.open(Access::ReadOnly).is_err());
    // It is in use again, by this one.
    assert!(segment.liveness().is_ok());
}

#[test]
fn sleepers_are_woken_or_wake_by_themselves() {
    let name = Name::new();
    let segment = name.create();
    let other = name.open(Access::ReadWrite).unwrap();
    let reader = name.open(Access::ReadOnly).unwrap();
    let long = Duration::from_mins(1);
    // Nothing to wait for.
    segment.sleep(1, 1, long);
    reader.sleep(1, 1, long);
    segment.sleep(WORDS, 0, long);
    // No time.
    segment.sleep(1, 0, Duration::ZERO);
    segment.sleep(1, 0, Duration::from_micros(10));
    std::thread::scope(|scope| {
        for sleeper in [&segment, &other, &reader] {
            scope.spawn(move || {
                let begin = Instant::now();
                while sleeper.words()[1].load(Ordering::Acquire) == 0 {
                    assert!(begin.elapsed() < long, "never woken");
                    sleeper.sleep(1, 0, long);
                }
            });
        }
        std::thread::sleep(Duration::from_millis(20));
        other.words()[1].store(1, Ordering::Release);
        other.wake_one(1);
        other.wake_all(1);
    });
    segment.wake_all(WORDS);
    reader.wake_one(1);
}

#[test]
fn random_words_differ() {
    assert_ne!(random().unwrap(), random().unwrap());
}
