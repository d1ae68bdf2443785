//! Tests of the contract, on the back end that this build has. Each back end has its own
//! tests of what it promises beyond that.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::*;

pub(super) const WORDS: usize = 1024;

/// A name that only this test process uses, removed at the end.
pub(super) struct Name(pub(super) String);

impl Name {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(format!("sys-test-{}-{id}", std::process::id()))
    }

    pub(super) fn create(&self) -> Mapping {
        Mapping::create(&self.0, WORDS, 0o600, |_| Ok::<_, io::Error>(())).unwrap()
    }

    pub(super) fn open(&self, access: Access) -> io::Result<Mapping> {
        Mapping::open(&self.0, access, |_| Ok::<_, io::Error>(()))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = unlink(self.0.as_ref());
    }
}

pub(super) fn eventually(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "never happened");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(super) fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
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
        assert!(!list()?.iter().any(|listed| *listed == *name.0));
        mapping.populate(0..WORDS + 1)?;
        assert!(mapping.liveness()?.try_hold(3)?);
        Ok::<_, io::Error>(())
    })
    .unwrap();
    assert!(list().unwrap().iter().any(|listed| *listed == *name.0));

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

    unlink(name.0.as_ref()).unwrap();
    assert_eq!(kind(unlink(name.0.as_ref())), Some(io::ErrorKind::NotFound));
    assert!(!list().unwrap().iter().any(|listed| *listed == *name.0));
    let gone = name.open(Access::ReadOnly);
    assert_eq!(kind(gone), Some(io::ErrorKind::NotFound));
    made.words()[0].store(9, Ordering::Relaxed);
    assert_eq!(opened.words()[0].load(Ordering::Relaxed), 9);
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
        assert_eq!(
            kind(unlink(name.as_ref())),
            Some(io::ErrorKind::InvalidInput)
        );
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
fn bytes_are_held_alone_or_shared() {
    let name = Name::new();
    let segment = name.create();
    let (a, b) = (segment.liveness().unwrap(), segment.liveness().unwrap());
    // A low byte, a participant's byte, and a claim's byte.
    for byte in [5, 4096 + 64, 1 << 62] {
        assert!(a.try_hold(byte).unwrap());
        assert!(a.try_hold(byte).unwrap(), "holding again changes nothing");
        assert!(!a.is_held_by_others(byte));
        assert!(b.is_held_by_others(byte));
        assert!(!b.is_held_by_others(byte - 1));
        assert!(!b.is_held_by_others(byte + 1));
        assert!(!b.try_hold(byte).unwrap());
        assert!(!b.try_share(byte).unwrap());
    }
    for byte in [0, 7] {
        assert!(a.try_share(byte).unwrap());
        assert!(b.try_share(byte).unwrap());
        assert!(a.is_held_by_others(byte));
        assert!(!b.try_hold(byte).unwrap());
    }
    drop(a);
    assert!(!b.is_held_by_others(5));
    assert!(!b.is_held_by_others(1 << 62));
    assert!(b.try_hold(0).unwrap());
    assert!(b.try_hold(7).unwrap());
    assert!(b.try_hold(1 << 40).unwrap(), "past the end");
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
    unlink(name.0.as_ref()).unwrap();
    let other = name.create();
    assert!(segment.liveness().unwrap().is_held_by_others(1));
    assert!(!other.liveness().unwrap().is_held_by_others(1));
}

#[test]
fn a_name_is_unlinked_only_if_it_still_is_the_segments() {
    let name = Name::new();
    let old = name.create();
    assert!(!old.unlink_if_same("no-such-name-at-all").unwrap());
    assert!(old.unlink_if_same(&name.0).unwrap());
    assert!(!old.unlink_if_same(&name.0).unwrap());
    let other = name.create();
    unlink(name.0.as_ref()).unwrap();
    assert!(!other.unlink_if_same(&name.0).unwrap());
    let new = name.create();
    assert!(!old.unlink_if_same(&name.0).unwrap());
    assert!(name.open(Access::ReadWrite).is_ok());
    assert!(list().unwrap().iter().any(|listed| *listed == *name.0));
    assert!(new.unlink_if_same(&name.0).unwrap());
    assert!(!list().unwrap().iter().any(|listed| *listed == *name.0));
}

#[test]
fn sleepers_are_woken_or_wake_by_themselves() {
    let name = Name::new();
    let segment = name.create();
    let other = name.open(Access::ReadWrite).unwrap();
    let reader = name.open(Access::ReadOnly).unwrap();
    let long = Duration::from_mins(1);
    // The word differs already, or there is no such word.
    segment.sleep(1, 1, long);
    reader.sleep(1, 1, long);
    segment.sleep(WORDS, 0, long);
    // The time is over at once.
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

#[test]
fn bytes_are_let_go_of_one_by_one() {
    let name = Name::new();
    let segment = name.create();
    let (a, b) = (segment.liveness().unwrap(), segment.liveness().unwrap());
    // Adjacent bytes, which the system may merge into one lock.
    for byte in [100, 101, 102, 1 << 62] {
        assert!(a.try_hold(byte).unwrap());
    }
    a.release(101);
    a.release(1 << 62);
    a.release(7);
    assert!(b.try_hold(101).unwrap());
    assert!(b.try_hold(1 << 62).unwrap());
    assert!(!b.try_hold(100).unwrap());
    assert!(!b.try_hold(102).unwrap());
    assert!(a.is_held_by_others(101));
    assert!(!a.try_hold(101).unwrap());
}

#[test]
fn a_held_byte_of_a_range_is_found_where_the_system_tells() {
    let name = Name::new();
    let segment = name.create();
    let (a, b) = (segment.liveness().unwrap(), segment.liveness().unwrap());
    let range = || 1 << 60..(1 << 60) + (1 << 30);
    assert_eq!(b.first_held_by_others(range()), None);
    for byte in [range().start - 1, range().end, range().start + 77] {
        assert!(a.try_hold(byte).unwrap());
    }
    let found = cfg!(unix).then_some(range().start + 77);
    assert_eq!(b.first_held_by_others(range()), found);
    assert_eq!(a.first_held_by_others(range()), None);
    a.release(range().start + 77);
    assert_eq!(b.first_held_by_others(range()), None);
    // A lock that begins before the range and ends in it.
    assert!(a.try_hold(range().start).unwrap());
    let found = cfg!(unix).then_some(range().start);
    assert_eq!(b.first_held_by_others(range()), found);
}
