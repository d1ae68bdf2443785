//! Do processes of other namespaces, groups and programs share one table?

#![cfg(target_os = "linux")]

mod common;

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Child, LIMIT, Name, Named, Role, SegmentBytes, assert_sound, eventually};
use rustix::fs::Mode;
use rustix::process::umask;
use shmtable::{Options, Table};

/// So long that a wait for a dead process fails the test.
const PATIENT: Duration = Duration::from_mins(5);

/// A value that no slot has room for: who stores it has a chunk, and takes none over later.
const PUBLISHED: &[u8] = b"published";

fn one_stripe() -> Options {
    Options::new()
        .capacity(100)
        .stripes(1)
        .lock_timeout(PATIENT)
}

/// Process 1 of a namespace: does what it is told, on a thread for each.
///
/// - `hold KEY` until `release`, and change it then
/// - `insert KEY`
/// - `wait KEY`
fn first_process(role: &Role) {
    assert_eq!(std::process::id(), 1);
    let options = Options::new().lock_timeout(PATIENT);
    let table = options.open(role.argument(0)).unwrap();
    let released = AtomicBool::new(false);
    let hold = |key: &str| {
        let mut inside = false;
        let changed = table.update(key.as_bytes(), |_| {
            // It may be called again when room was made.
            if !inside {
                inside = true;
                role.tell("inside");
                eventually("it is released", || released.load(Ordering::Relaxed));
            }
            Some(b"changed by the holder".to_vec())
        });
        changed.unwrap();
        role.tell("let go");
    };
    role.tell("attached");
    common::scope(|scope| {
        let mut threads = Vec::new();
        while let Some(line) = role.hear() {
            let (table, hold) = (&table, &hold);
            let released = &released;
            let thread = scope.spawn(move || match line.split_once(' ') {
                Some(("hold", key)) => hold(key),
                Some(("insert", key)) => {
                    table.insert(key.as_bytes(), PUBLISHED).unwrap();
                    role.tell(&format!("inserted {key}"));
                }
                Some(("wait", key)) => {
                    let value = table.wait(key.as_bytes(), LIMIT).unwrap();
                    assert_eq!(value.as_deref(), Some(PUBLISHED));
                    role.tell(&format!("woken by {key}"));
                }
                _ => released.store(true, Ordering::Relaxed),
            });
            threads.push(thread);
        }
        // ThreadSanitizer sees these joins, and not the scope's own.
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// Waits until the word of the only lock says that one process sleeps for the lock and one
/// for a key.
fn until_both_kinds_sleep(named: &Named) {
    eventually("both sleep", || {
        let segment = SegmentBytes::read(&named.name);
        segment.get(segment.stripe_at(0)) >> 16 & 0b11 == 0b11
    });
}

#[test]
fn holders_and_waiters_of_two_namespaces_are_killed_on_either_side() {
    if let Some(role) = common::role() {
        return first_process(&role);
    }
    if !common::may_make_namespaces() {
        return;
    }
    for (doomed_first, doomed_holds) in [(true, true), (false, true), (true, false), (false, false)]
    {
        let named = Named::create(&one_stripe());
        named.insert(b"held", b"the old value").unwrap();
        let start = || {
            common::first_of_a_namespace(common::this_test!(), "side", &[&named.name])
                .once_it_says("attached")
        };
        let (first, second) = (start(), start());
        let (mut doomed, mut other) = if doomed_first {
            (first, second)
        } else {
            (second, first)
        };
        // Wakes cross the border, both ways.
        doomed.say("wait from the other");
        other.say("insert from the other");
        assert_eq!(other.hear(), "inserted from the other");
        assert_eq!(doomed.hear(), "woken by from the other");
        other.say("wait from the doomed");
        doomed.say("insert from the doomed");
        assert_eq!(doomed.hear(), "inserted from the doomed");
        assert_eq!(other.hear(), "woken by from the doomed");

        // Each side has one that sleeps for a key; one side holds the lock, and one
        // of the other waits for it.
        doomed.say("wait late");
        other.say("wait late");
        let (holder, waiter) = if doomed_holds {
            (&mut doomed, &mut other)
        } else {
            (&mut other, &mut doomed)
        };
        holder.say("hold held");
        assert_eq!(holder.hear(), "inside");
        waiter.say("insert after the lock");
        until_both_kinds_sleep(&named);
        assert!(!named.contains_key(b"after the lock").unwrap());
        doomed.kill();
        eventually("one side is gone", || {
            named.stats().unwrap().participants == 2
        });
        if !doomed_holds {
            other.say("release");
            assert_eq!(other.hear(), "let go");
            // A dead waiter takes no turn.
            assert!(!named.contains_key(b"after the lock").unwrap());
            other.say("insert after the lock");
        }
        assert_eq!(other.hear(), "inserted after the lock");
        named.insert(b"late", PUBLISHED).unwrap();
        assert_eq!(other.hear(), "woken by late");
        other.finish();

        let held: &[u8] = if doomed_holds {
            b"the old value"
        } else {
            b"changed by the holder"
        };
        assert_eq!(named.get(b"held").unwrap().as_deref(), Some(held));
        assert_eq!(named.len(), 5);
        let stats = named.stats().unwrap();
        assert_eq!(
            (stats.take_overs, stats.participants),
            (u64::from(doomed_holds), 1)
        );
        assert_sound(&named);
    }
}

/// What of segments this process has: descriptors, and lines of its mappings.
fn segments_here() -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        if let Ok(target) = std::fs::read_link(entry.unwrap().path()) {
            found.push(target.display().to_string());
        }
    }
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    found.extend(maps.lines().map(str::to_owned));
    // Also a file without a name, as a creator has it.
    // And the companion files of the portable back end.
    found.retain(|line| line.contains("/dev/shm/") || line.contains("/table-"));
    found
}

#[test]
fn a_program_that_is_started_inherits_nothing() {
    if common::role().is_some() {
        assert_eq!(segments_here(), Vec::<String>::new());
        return;
    }
    let named = Named::create(&Options::new().capacity(100));
    let second = named.open();
    let reader = Table::open_read_only(&named.name).unwrap();
    // A mapping and two descriptors each, in this process.
    let here = segments_here();
    let path = named.name.path();
    let ours = here.iter().filter(|line| line.contains(&path));
    assert_eq!(ours.count(), 6, "{here:?}");
    Child::start(common::this_test!(), "program", &[]).finish();
    assert!(second.is_empty() && reader.is_empty());
}

#[test]
fn a_process_that_becomes_another_program_lets_go_of_everything() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        if role.name == "after" {
            assert_eq!(segments_here(), Vec::<String>::new());
            role.tell(&format!("another program {}", std::process::id()));
            role.hear();
            return;
        }
        let table = role.open();
        role.tell(&format!("attached {}", std::process::id()));
        let _claim = table.get_or_claim(b"claimed").unwrap();
        let held = table.update(b"held", |_| common::execute(test, "after"));
        unreachable!("{held:?}");
    }
    let named = Named::create(&one_stripe().max_participants(2));
    named.insert(b"held", b"old").unwrap();
    let child = Child::start(test, "before", &[&named.name]);
    let attached = child.hear();
    let pid = attached.strip_prefix("attached ").unwrap();
    assert_eq!(child.hear(), format!("another program {pid}"));
    // The process lives; what it was is dead.
    assert_eq!(
        named.replace(b"held", b"new").unwrap().as_deref(),
        Some(&b"old"[..])
    );
    let stats = named.stats().unwrap();
    assert_eq!((stats.participants, stats.take_overs), (1, 1));
    assert!(matches!(
        named.get_or_claim(b"claimed").unwrap(),
        shmtable::Claimed::Mine(_)
    ));
    let second = named.open();
    second.insert(b"second", b"1").unwrap();
    child.finish();
    assert_sound(&named);
}

#[test]
fn by_default_a_segment_is_its_owners_alone() {
    if let Some(role) = common::role() {
        for (at, bits) in [0o777, 0o022, 0].into_iter().enumerate() {
            umask(Mode::from_raw_mode(bits));
            let name = role.argument(at);
            Options::new().capacity(10).create(name).unwrap();
            let mode = std::fs::metadata(common::access_path_of(name))
                .unwrap()
                .mode();
            assert_eq!(mode & 0o7777, 0o600, "umask {bits:o}");
            let table = Options::new().capacity(10).create_anonymous().unwrap();
            let path = common::access_path_of(table.name());
            let mode = std::fs::metadata(path).unwrap().mode();
            assert_eq!(mode & 0o7777, 0o600, "umask {bits:o}");
        }
        return;
    }
    let names = [Name::new(), Name::new(), Name::new()];
    let arguments: Vec<&str> = names.iter().map(|name| &**name).collect();
    Child::start(common::this_test!(), "creator", &arguments).finish();
}

/// The portable back end gives each user tables of their own.
#[cfg(not(shmtable_portable))]
#[test]
fn a_group_may_read_and_not_write() {
    use std::os::unix::fs::chown;

    use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    use shmtable::{Error, Trust};

    const GROUP: u32 = 54_322;
    let test = common::this_test!();
    if let Some(role) = common::role() {
        let group = Gid::from_raw(role.number(1) as u32);
        let stranger = Uid::from_raw(54_321);
        // This thread alone, for good.
        set_thread_groups(&[]).unwrap();
        set_thread_res_gid(group, group, group).unwrap();
        set_thread_res_uid(stranger, stranger, stranger).unwrap();
        let options = Options::new().trust(Trust::Users(vec![0]));
        let refused = |result: shmtable::Result<Table>| {
            matches!(result, Err(Error::PermissionDenied { action: "open", .. }))
        };
        assert!(refused(options.open(role.argument(0))));
        if role.name == "stranger" {
            assert!(refused(options.open_read_only(role.argument(0))));
            return;
        }
        let reader = options.open_read_only(role.argument(0)).unwrap();
        assert!(matches!(reader.insert(b"k", b"x"), Err(Error::ReadOnly)));
        assert!(!reader.is_private().unwrap());
        role.tell("about to wait");
        let value = reader.wait(b"published", LIMIT).unwrap();
        assert_eq!(value.as_deref(), Some(&b"later"[..]));
        return;
    }
    if !common::may_act_as_others() {
        return;
    }
    let named = Named::create(&Options::new().capacity(10).mode(0o640));
    chown(named.name.path(), None, Some(GROUP)).unwrap();
    let member = Child::start(test, "member", &[&named.name, &GROUP.to_string()])
        .once_it_says("about to wait");
    named.insert(b"published", b"later").unwrap();
    member.finish();
    let others = (GROUP + 1).to_string();
    Child::start(test, "stranger", &[&named.name, &others]).finish();
    assert_eq!(named.len(), 1);
    assert!(named.is_private().unwrap(), "nobody else may write");
}

/// The portable back end can only protect the pages: `shared_memory` opens for
/// writing.
#[cfg(not(shmtable_portable))]
#[test]
fn a_read_only_handle_has_nothing_through_which_to_write() {
    if let Some(role) = common::role() {
        let reader = Table::open_read_only(role.argument(0)).unwrap();
        assert_eq!(reader.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
        let path = common::path_of(role.argument(0));
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let maps: Vec<&str> = maps.lines().filter(|line| line.ends_with(&path)).collect();
        assert_eq!(maps.len(), 1);
        assert!(maps[0].contains(" r--s "), "{maps:?}");
        let mut descriptors = 0;
        for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
            let entry = entry.unwrap();
            if std::fs::read_link(entry.path()).is_ok_and(|target| target == *path) {
                descriptors += 1;
                let number = entry.file_name().into_string().unwrap();
                let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
                let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
                let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
                assert_eq!(flags & 0o3, 0, "open for reading alone: {flags:o}");
            }
        }
        assert_eq!(descriptors, 2);
        return;
    }
    let named = Named::create(&Options::new().capacity(10));
    named.insert(b"k", b"v").unwrap();
    Child::start(common::this_test!(), "reader", &[&named.name]).finish();
}
