//! Does a file appear under its name only when it is complete, and is nothing else left?

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use shmtable_dump::Replacement;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_old_file_stays_until_the_new_one_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.dump");
    for text in ["first", "second"] {
        let before = fs::read(&path).ok();
        let mut file = Replacement::begin(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.flush().unwrap();
        assert_eq!(fs::read(&path).ok(), before);
        file.publish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(names(folder.path()), ["a.dump"]);
    }
}

#[test]
fn a_file_that_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.dump");
    drop(Replacement::begin(&path).unwrap());
    assert!(names(folder.path()).is_empty());
    fs::write(&path, "old").unwrap();
    let mut file = Replacement::begin(&path).unwrap();
    file.write_all(b"new").unwrap();
    drop(file);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(folder.path()), ["a.dump"]);
}

#[test]
fn what_a_killed_writer_left_is_removed_and_what_another_writes_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.dump");
    // Nobody has it locked.
    fs::write(folder.path().join("a.dump.17-3.partial"), "left").unwrap();
    for other in ["a.dump.mine.partial", "b.dump.17-3.partial"] {
        fs::write(folder.path().join(other), "other").unwrap();
    }
    let mut first = Replacement::begin(&path).unwrap();
    let mut second = Replacement::begin(&path).unwrap();
    let found = names(folder.path());
    assert!(
        !found.contains(&"a.dump.17-3.partial".to_owned()),
        "{found:?}"
    );
    assert_eq!(found.len(), 4, "{found:?}");
    first.write_all(b"first").unwrap();
    second.write_all(b"second").unwrap();
    first.publish().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "first");
    second.publish().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "second");
    let left = ["a.dump", "a.dump.mine.partial", "b.dump.17-3.partial"];
    assert_eq!(names(folder.path()), left);
}

#[test]
fn a_file_is_refused_where_none_can_be() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Replacement::begin(folder.path()).is_err());
    assert!(Replacement::begin(folder.path().join("none/a.dump")).is_err());
    assert!(Replacement::begin("").is_err());
    assert!(names(folder.path()).is_empty());
}

#[cfg(unix)]
#[test]
fn a_new_file_is_its_owners_and_a_replaced_one_keeps_its_permissions() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.dump");
    let mode = || fs::symlink_metadata(&path).unwrap().mode() & 0o7777;
    let replace = || Replacement::begin(&path).unwrap().publish().unwrap();
    replace();
    assert_eq!(mode(), 0o600);
    for (old, new) in [(0o640, 0o640), (0o4644, 0o644)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(old)).unwrap();
        replace();
        assert_eq!(mode(), new);
    }
    let linked = folder.path().join("linked");
    fs::write(&linked, "whole").unwrap();
    fs::remove_file(&path).unwrap();
    symlink(&linked, &path).unwrap();
    replace();
    assert_eq!(fs::read_to_string(&linked).unwrap(), "whole");
    assert_eq!(mode(), 0o600);
}

#[cfg(unix)]
#[test]
fn a_device_is_written_to_directly() {
    let mut file = Replacement::begin("/dev/null").unwrap();
    file.write_all(b"nowhere").unwrap();
    file.publish().unwrap();
    let null = File::open("/dev/null").unwrap().metadata().unwrap();
    assert!(!null.is_file());
}

#[cfg(unix)]
#[test]
fn a_file_is_private_if_its_owner_alone_may_write() {
    use std::os::unix::fs::PermissionsExt;

    let file = tempfile::tempfile().unwrap();
    for (mode, private) in [(0o600, true), (0o644, true), (0o620, false), (0o602, false)] {
        file.set_permissions(fs::Permissions::from_mode(mode))
            .unwrap();
        assert_eq!(
            shmtable_dump::is_private(&file).unwrap(),
            private,
            "{mode:o}"
        );
    }
}
