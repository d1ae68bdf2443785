//! Tests of what this back end does beyond the contract, in one process: on Windows, and on
//! Linux with `--cfg shmtable_portable`.

use std::fs;
use std::io;
use std::sync::atomic::Ordering;

use super::companion::{Companion, SegmentId};
use super::memory::{self, Memory};
use super::*;
use crate::sys::Access;
use crate::sys::tests::{Name, WORDS, eventually, kind};

mod leftovers;

impl Name {
    fn companion(&self) -> Companion {
        Directory::open().unwrap().find(&self.0).unwrap()
    }
}

#[test]
fn what_loses_the_race_for_a_name_leaves_nothing() {
    let name = Name::new();
    let mut winner = None;
    let mut id = None;
    let loser = Mapping::create(&name.0, WORDS, 0o600, |mapping| {
        id = Some(mapping.companion().id);
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
        assert!(
            listed.iter().any(|listed| *listed == *name.0),
            "{:?}",
            name.0
        );
        let opened = name.open(Access::ReadWrite).unwrap();
        assert_eq!(opened.words()[0].load(Ordering::Relaxed), number as u64);
        unlink(name.0.as_ref()).unwrap();
    }
}

#[test]
fn an_object_has_a_name_that_every_system_takes() {
    let id = SegmentId::random().unwrap();
    assert!(os::object_name(id).len() <= 31);
    assert_eq!(SegmentId::parse(&id.to_string()), Some(id));
    for text in [
        "",
        "+123456789abcdef",
        "123456789abcdef",
        "123456789abcdefg",
    ] {
        assert_eq!(SegmentId::parse(text), None);
    }
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
    // This `Liveness` uses it again.
    assert!(segment.liveness().is_ok());
}

#[test]
fn the_companion_can_be_read_whatever_is_locked() {
    let name = Name::new();
    let segment = name.create();
    let (a, b) = (segment.liveness().unwrap(), segment.liveness().unwrap());
    assert!(a.try_hold(4096 + 64).unwrap());
    assert!(a.try_hold(1 << 62).unwrap());
    assert!(a.try_share(0).unwrap());
    assert!(b.try_share(0).unwrap());
    assert_eq!(name.companion().name, name.0);
}

/// No machine has room for this segment, on its disk or in its memory. The error tells the
/// segment's length, without what is mapped behind it.
#[cfg(windows)]
#[test]
fn what_was_refused_is_the_segments_length() {
    const WORDS: usize = 1 << 40;
    let name = Name::new();
    let made = Mapping::create(&name.0, WORDS, 0o600, |_| Ok::<_, io::Error>(()));
    let error = made.err().unwrap();
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(crate::sys::NoAddressSpace { asked, .. }) => assert_eq!(*asked, WORDS * 8),
        None => assert_eq!(error.kind(), io::ErrorKind::StorageFull),
    }
}
