//! Tests of files that killed processes leave behind, and of files that others plant.

use super::*;

fn companion(name: &Name) -> Companion {
    Companion {
        id: SegmentId::random().unwrap(),
        bytes: WORDS * 8,
        mode: 0o600,
        name: name.0.clone(),
    }
}

/// Creates what a creator leaves if it is killed before its segment has a name.
fn half_made(directory: &Directory, name: &Name) -> Companion {
    // Another test's sweep may remove the file before it is locked.
    let (in_use, companion) = std::iter::repeat_with(|| companion(name))
        .take(1000)
        .find_map(|companion| Some((directory.begin(&companion).ok()?, companion)))
        .unwrap();
    let mut memory = Memory::create(companion.id, companion.bytes).unwrap();
    memory.keep();
    drop(in_use);
    companion
}

fn exists(directory: &Directory, companion: &Companion) -> bool {
    let files = directory.places(companion);
    files.iter().any(|path| path.exists()) || memory::exists(companion.id).unwrap()
}

#[test]
fn a_failed_or_panicking_fill_leaves_nothing() {
    let name = Name::new();
    let directory = Directory::open().unwrap();
    let mut companion = None;
    let failed = Mapping::create(&name.0, WORDS, 0o600, |mapping| {
        companion = Some(mapping.companion().clone());
        assert!(exists(&directory, mapping.companion()));
        Err(io::Error::from(io::ErrorKind::Other))
    });
    assert_eq!(kind(failed), Some(io::ErrorKind::Other));
    let left = companion.take().unwrap();
    eventually(|| !exists(&directory, &left));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Mapping::create(&name.0, WORDS, 0o600, |mapping| -> io::Result<()> {
            companion = Some(mapping.companion().clone());
            std::panic::resume_unwind(Box::new(()))
        })
    }));
    assert!(panicked.is_err());
    let left = companion.unwrap();
    eventually(|| !exists(&directory, &left));
}

#[test]
fn leftovers_are_collected_by_who_creates_lists_or_unlinks() {
    let directory = Directory::open().unwrap();
    let (left, other) = (Name::new(), Name::new());
    let made = half_made(&directory, &left);
    assert!(exists(&directory, &made));
    drop(other.create());
    eventually(|| !exists(&directory, &made));
    let made = half_made(&directory, &left);
    list().unwrap();
    eventually(|| !exists(&directory, &made));
    let made = half_made(&directory, &left);
    unlink(other.0.as_ref()).unwrap();
    eventually(|| !exists(&directory, &made));
}

#[test]
fn what_is_in_use_is_not_collected() {
    let directory = Directory::open().unwrap();
    let name = Name::new();
    let segment = name.create();
    let companion = name.companion();
    let reader = name.open(Access::ReadOnly).unwrap();
    unlink(name.0.as_ref()).unwrap();
    drop(segment);
    list().unwrap();
    assert!(exists(&directory, &companion), "its companion is there");
    assert!(reader.liveness().is_ok());
    drop(reader);
    // The last user removes it.
    eventually(|| !exists(&directory, &companion));
}

#[test]
fn a_companion_without_memory_gives_its_name_free() {
    let name = Name::new();
    // What a restart of the machine leaves.
    let lose_memory = || {
        drop(name.create());
        memory::remove(name.companion().id).unwrap();
    };
    lose_memory();
    assert_eq!(
        kind(name.open(Access::ReadWrite)),
        Some(io::ErrorKind::NotFound)
    );
    lose_memory();
    drop(name.create());
    assert!(name.open(Access::ReadWrite).is_ok());
}

#[test]
fn what_is_no_companion_is_refused() {
    let name = Name::new();
    let path = Directory::open().unwrap().table(&name.0);
    let good = format!("shmtable companion 1\n{:016x}\n8192\n600\n{}", 7, name.0);
    let parts: Vec<&str> = good.split('\n').collect();
    let mut bad: Vec<String> = (1..5).map(|count| parts[..count].join("\n")).collect();
    for (at, wrong) in [(0, "other"), (1, "7"), (2, "-1"), (3, "9"), (2, "")] {
        let mut parts = parts.clone();
        parts[at] = wrong;
        bad.push(parts.join("\n"));
    }
    bad.push(String::new());
    for text in bad {
        fs::write(&path, &text).unwrap();
        let opened = name.open(Access::ReadWrite);
        assert_eq!(kind(opened), Some(io::ErrorKind::InvalidData), "{text:?}");
        let create = Mapping::create(&name.0, WORDS, 0o600, |_| Ok::<_, io::Error>(()));
        assert_eq!(kind(create), Some(io::ErrorKind::AlreadyExists));
        assert!(!list().unwrap().iter().any(|listed| *listed == *name.0));
    }
    // The file of another table, under the digest of this one.
    fs::write(&path, good.replace(&name.0, "other")).unwrap();
    let opened = name.open(Access::ReadWrite);
    assert_eq!(kind(opened), Some(io::ErrorKind::NotFound));
    assert!(!list().unwrap().iter().any(|listed| listed == "other"));
    fs::remove_file(path).unwrap();
}

#[cfg(unix)]
#[test]
fn links_and_folders_are_refused() {
    let (target, link, folder) = (Name::new(), Name::new(), Name::new());
    let _segment = target.create();
    let directory = Directory::open().unwrap();
    let path = directory.table(&link.0);
    std::os::unix::fs::symlink(directory.table(&target.0), &path).unwrap();
    fs::create_dir(directory.table(&folder.0)).unwrap();
    for name in [&link, &folder] {
        for access in [Access::ReadOnly, Access::ReadWrite] {
            let opened = name.open(access);
            assert_eq!(kind(opened), Some(io::ErrorKind::PermissionDenied));
        }
        let create = Mapping::create(&name.0, WORDS, 0o600, |_| Ok::<_, io::Error>(()));
        assert_eq!(kind(create), Some(io::ErrorKind::AlreadyExists));
        assert!(!list().unwrap().iter().any(|listed| *listed == *name.0));
    }
    fs::remove_file(path).unwrap();
    fs::remove_dir(directory.table(&folder.0)).unwrap();
}

#[cfg(unix)]
#[test]
fn a_folder_of_somebody_elses_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let place = std::env::temp_dir().join(Name::new().0.as_str());
    fs::create_dir(&place).unwrap();
    let (open, link) = (place.join("open"), place.join("link"));
    fs::create_dir(&open).unwrap();
    os::make_directory(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(os::make_directory(&open).is_err());
    fs::set_permissions(&open, fs::Permissions::from_mode(0o700)).unwrap();
    os::make_directory(&open).unwrap();
    std::os::unix::fs::symlink(&open, &link).unwrap();
    assert!(os::make_directory(&link).is_err());
    fs::remove_dir_all(place).unwrap();
}
