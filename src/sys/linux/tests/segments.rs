//! Tests of segments in one process: names, files, pages, sleeping.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::super::pages::{HUGE_PAGE, populate_huge};
use super::super::staging::Staging;
use super::*;
use crate::sync::Mutex;
use crate::sys::Owner;

#[test]
fn the_umask_has_no_say() {
    let name = Name::new();
    let made = Mapping::create(&name.0, WORDS, 0o666, |_| Ok::<_, io::Error>(())).unwrap();
    let bits = std::fs::metadata(name.path()).unwrap().permissions().mode();
    assert_eq!(bits & 0o7777, 0o666);
    let expected = Owner {
        user: current_user(),
        mode: 0o666,
    };
    assert_eq!(made.owner().unwrap(), expected);
}

/// Makes a segment so old that later changes of its file show, and asks for its owner.
fn settled(name: &Name) -> Mapping {
    let made = name.create();
    std::thread::sleep(Duration::from_millis(150));
    for _ in 0..3 {
        let owner = made.owner_if_named(&name.0).unwrap();
        assert_eq!(owner, Some(made.owner().unwrap()));
    }
    let stat = made.descriptor.stat().unwrap();
    assert!(made.named_since.is(&stat), "is /dev/shm no tmpfs?");
    made
}

#[test]
fn a_name_that_was_the_segments_for_long_is_not_once_it_leads_elsewhere() {
    let moved = |name: &Name| format!("{}-moved", name.path());
    for what in ["removed", "moved", "replaced", "linked and removed"] {
        let name = Name::new();
        let made = settled(&name);
        match what {
            "removed" => fs::remove_file(name.path()).unwrap(),
            "moved" => fs::rename(name.path(), moved(&name)).unwrap(),
            "replaced" => {
                fs::write(moved(&name), "").unwrap();
                fs::rename(moved(&name), name.path()).unwrap();
            }
            _ => {
                fs::hard_link(name.path(), moved(&name)).unwrap();
                fs::remove_file(name.path()).unwrap();
            }
        }
        let owner = made.owner_if_named(&name.0).unwrap();
        let _ = fs::remove_file(moved(&name));
        assert_eq!(owner, None, "{what}");
    }
}

#[test]
fn a_name_that_was_the_segments_for_long_says_nothing_of_others_and_of_the_mode() {
    let name = Name::new();
    let made = settled(&name);
    assert_eq!(made.owner_if_named(&Name::new().0).unwrap(), None);
    fs::set_permissions(name.path(), PermissionsExt::from_mode(0o640)).unwrap();
    let owner = made.owner_if_named(&name.0).unwrap().unwrap();
    assert_eq!(owner.mode, 0o640);
    close_behind_its_back(&made);
    assert_eq!(made.owner_if_named(&name.0).unwrap(), None);
}

#[test]
fn what_cannot_be_mapped_leaves_nothing() {
    let name = Name(format!(
        "{}{}",
        "y".repeat(MAX_NAME - 10),
        std::process::id() % 100_000
    ));
    drop(name.create());
    let name = Name::new();
    for words in [0, usize::MAX, usize::MAX / 8, usize::MAX / 16] {
        let create = Mapping::create(&name.0, words, 0o600, |_| Ok::<_, io::Error>(()));
        assert!(create.is_err());
    }
    assert!(!std::fs::exists(name.path()).unwrap());
}

#[test]
fn a_store_through_a_read_only_mapping_is_a_deadly_signal() {
    let name = Name::new();
    let made = name.create();
    let reader = name.open(Access::ReadOnly).unwrap();
    let writer = name.open(Access::ReadWrite).unwrap();
    let store = |mapping: &Mapping, value: u64| {
        // Sanitizers and the standard library have handlers of their own.
        // SAFETY: it installs no handler, but the default action, which ends the child. The
        // child has only this thread, so no other one depends on the handler that was there.
        unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
        mapping.words()[5].store(value, Ordering::Relaxed);
        true
    };
    Child::fork(|| store(&writer, 7)).succeeds();
    assert_eq!(made.words()[5].load(Ordering::Relaxed), 7);
    let status = Child::fork(|| store(&reader, 8)).ends();
    assert!(libc::WIFSIGNALED(status));
    assert_eq!(libc::WTERMSIG(status), libc::SIGSEGV);
    // The kernel refuses to make the pages writable, because the file was opened read-only.
    let make_writable = |mapping: &Mapping| {
        let (at, protection) = (
            mapping.words().as_ptr().cast_mut(),
            libc::PROT_READ | libc::PROT_WRITE,
        );
        // SAFETY: the range is the first page of a mapping that is alive. Only its
        // permission to write changes: loads through `words()` stay valid, and no code of
        // this child stores through the read-only mapping.
        let status = unsafe { libc::mprotect(at.cast(), 4096, protection) };
        (status == -1).then(|| io::Error::last_os_error().raw_os_error())
    };
    Child::fork(|| make_writable(&reader) == Some(Some(libc::EACCES))).succeeds();
    Child::fork(|| make_writable(&writer).is_none()).succeeds();
    assert_eq!(made.words()[5].load(Ordering::Relaxed), 7);
}

#[test]
fn what_loses_the_race_for_a_name_leaves_nothing() {
    for begin in [Staging::begin, Staging::begin_named] {
        let name = Name::new();
        let winner = Mutex::new(None);
        let loser = Mapping::create_staged(&name.0, WORDS, 0o600, begin, |_| {
            *winner.lock() = Some(name.create());
            Ok::<_, io::Error>(())
        });
        assert_eq!(kind(loser), Some(io::ErrorKind::AlreadyExists));
        let opened = name.open(Access::ReadWrite).unwrap();
        assert!(
            winner
                .lock()
                .as_ref()
                .unwrap()
                .unlink_if_same(&name.0)
                .unwrap()
        );
        drop(opened);
    }
}

#[test]
fn a_failed_or_panicking_fill_leaves_nothing() {
    for begin in [Staging::begin, Staging::begin_named] {
        let name = Name::new();
        let temporary = Mutex::new(None);
        let fill = |mapping: &Mapping| {
            *temporary.lock() = mapping.paths.get(1).cloned();
            Err(io::Error::from(io::ErrorKind::Other))
        };
        let failed = Mapping::create_staged(&name.0, WORDS, 0o600, begin, fill);
        assert_eq!(kind(failed), Some(io::ErrorKind::Other));
        let panicked = std::panic::catch_unwind(|| {
            Mapping::create_staged(&name.0, WORDS, 0o600, begin, |_| -> io::Result<()> {
                std::panic::resume_unwind(Box::new(()))
            })
        });
        assert!(panicked.is_err());
        assert!(!std::fs::exists(name.path()).unwrap());
        if let Some(path) = temporary.lock().take() {
            assert!(!std::fs::exists(path).unwrap());
        }
    }
}

#[test]
fn a_staged_name_is_as_good_as_an_unnamed_file() {
    let name = Name::new();
    let made = Mapping::create_staged(&name.0, WORDS, 0o640, Staging::begin_named, |mapping| {
        assert!(mapping.liveness()?.try_hold(0)?);
        assert!(!std::fs::exists(name.path())?);
        Ok::<_, io::Error>(())
    })
    .unwrap();
    let temporary = &made.paths[1];
    assert!(!std::fs::exists(temporary).unwrap());
    let bits = std::fs::metadata(name.path()).unwrap().permissions().mode();
    assert_eq!(bits & 0o7777, 0o640);
    made.words()[1].store(5, Ordering::Relaxed);
    let opened = name.open(Access::ReadOnly).unwrap();
    assert_eq!(opened.words()[1].load(Ordering::Relaxed), 5);
}

#[test]
fn only_plain_files_of_a_length_are_opened() {
    let target = Name::new();
    let _segment = target.create();
    let link = Name::new();
    symlink(target.path(), link.path()).unwrap();
    assert_eq!(
        kind(link.open(Access::ReadWrite)),
        Some(io::ErrorKind::PermissionDenied)
    );
    assert!(!list().unwrap().iter().any(|listed| *listed == *link.0));
    let dangling = Name::new();
    symlink("/nowhere", dangling.path()).unwrap();
    let create = Mapping::create(&dangling.0, WORDS, 0o600, |_| Ok::<_, io::Error>(()));
    assert_eq!(kind(create), Some(io::ErrorKind::AlreadyExists));

    let directory = Name::new();
    std::fs::create_dir(directory.path()).unwrap();
    for access in [Access::ReadOnly, Access::ReadWrite] {
        assert_eq!(
            kind(directory.open(access)),
            Some(io::ErrorKind::PermissionDenied)
        );
    }
    std::fs::remove_dir(directory.path()).unwrap();

    let pipe = Name::new();
    let path = std::ffi::CString::new(pipe.path()).unwrap();
    // SAFETY: `path` is a C string that lives until the call returns. The call only reads it.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    for access in [Access::ReadOnly, Access::ReadWrite] {
        assert_eq!(
            kind(pipe.open(access)),
            Some(io::ErrorKind::PermissionDenied)
        );
    }

    let socket = Name::new();
    let _listener = std::os::unix::net::UnixListener::bind(socket.path()).unwrap();
    assert_eq!(
        kind(socket.open(Access::ReadWrite)),
        Some(io::ErrorKind::PermissionDenied)
    );

    let short = Name::new();
    std::fs::write(short.path(), [0; 4095]).unwrap();
    assert_eq!(
        kind(short.open(Access::ReadWrite)),
        Some(io::ErrorKind::UnexpectedEof)
    );
    std::fs::write(short.path(), [0; 4103]).unwrap();
    assert_eq!(short.open(Access::ReadWrite).unwrap().words().len(), 512);
}

#[test]
fn a_file_size_limit_is_an_error_and_no_signal() {
    let name = Name::new();
    Child::fork(|| {
        let limit = libc::rlimit {
            rlim_cur: 4096,
            rlim_max: 4096,
        };
        // SAFETY: `limit` is initialized and lives until the call returns, which only reads
        // it.
        let status = unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
        let create = Mapping::create(&name.0, WORDS, 0o600, |_| Ok::<_, io::Error>(()));
        status == 0 && kind(create) == Some(io::ErrorKind::FileTooLarge)
    })
    .succeeds();
}

#[test]
fn pages_are_made_present() {
    let name = Name::new();
    let page = crate::sys::unix::pages::page_size() / 8;
    let words = 16 * page + 3;
    let fill = |_: &Mapping| Ok::<_, io::Error>(());
    let segment = Mapping::create(&name.0, words, 0o600, fill).unwrap();
    let present = || std::fs::metadata(name.path()).unwrap().blocks() * 512 / 8 / page as u64;
    assert_eq!(present(), 0);
    segment.populate(page + 1..page + 2).unwrap();
    assert_eq!(present(), 1);
    segment.populate(2 * page - 1..2 * page + 1).unwrap();
    assert_eq!(present(), 2);
    segment.populate_by_file(8 * page * 8, 8).unwrap();
    assert_eq!(present(), 3);
    segment.words()[page].store(3, Ordering::Relaxed);
    segment.populate(0..words).unwrap();
    assert_eq!(present(), 17);
    assert_eq!(segment.words()[page].load(Ordering::Relaxed), 3);
    segment.populate(4..4).unwrap();
    segment.populate(words..words).unwrap();

    for range in [
        0..words + 1,
        words + 1..words + 1,
        usize::MAX..usize::MAX,
        0..usize::MAX,
    ] {
        assert_eq!(
            kind(segment.populate(range)),
            Some(io::ErrorKind::InvalidInput)
        );
    }
    #[allow(clippy::reversed_empty_ranges)]
    let reversed = segment.populate(2..1);
    assert_eq!(kind(reversed), Some(io::ErrorKind::InvalidInput));
    let reader = name.open(Access::ReadOnly).unwrap();
    assert_eq!(
        kind(reader.populate(0..1)),
        Some(io::ErrorKind::PermissionDenied)
    );
}

/// The bytes of a mapping that are huge pages, as the kernel counts them.
fn huge_bytes(segment: &Mapping) -> usize {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let begin = format!("{:x}-", segment.words().as_ptr() as usize);
    let line = maps
        .lines()
        .skip_while(|line| !line.starts_with(&begin))
        .find_map(|line| line.strip_prefix("ShmemPmdMapped:"))
        .unwrap();
    let kilobytes: usize = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    kilobytes << 10
}

#[test]
fn many_pages_at_once_are_huge_pages_where_the_machine_has_them() {
    let (huge, name) = (HUGE_PAGE / 8, Name::new());
    let words = 12 * huge;
    let fill = |_: &Mapping| Ok::<_, io::Error>(());
    let segment = Mapping::create(&name.0, words, 0o600, fill).unwrap();
    assert!((segment.words().as_ptr() as usize).is_multiple_of(HUGE_PAGE));
    segment.words()[5 * huge + 3].store(3, Ordering::Relaxed);
    let middle = HUGE_PAGE / 2..12 * HUGE_PAGE - HUGE_PAGE / 2;
    let made = populate_huge(segment.words(), middle);
    assert!(made == (HUGE_PAGE..HUGE_PAGE) || made == (HUGE_PAGE..11 * HUGE_PAGE));
    // A kernel without free blocks of memory makes some of them, or none.
    assert!(huge_bytes(&segment) >= made.len());
    let nonzero = |(at, word): (usize, &crate::sync::AtomicU64)| {
        let value = word.load(Ordering::Relaxed);
        (value > 0).then_some((at, value))
    };
    let found: Vec<_> = segment
        .words()
        .iter()
        .enumerate()
        .filter_map(nonzero)
        .collect();
    assert_eq!(found, [(5 * huge + 3, 3)]);
}

#[test]
fn pages_that_are_there_become_huge_later_where_the_machine_has_them() {
    let (huge, first, second) = (HUGE_PAGE / 8, Name::new(), Name::new());
    let words = 10 * huge;
    let fill = |_: &Mapping| Ok::<_, io::Error>(());
    let segment = Mapping::create(&first.0, words, 0o600, fill).unwrap();
    for at in (0..words).step_by(511) {
        segment.words()[at].store(at as u64, Ordering::Relaxed);
    }
    let other = Mapping::create(&second.0, words, 0o600, fill).unwrap();
    let made = populate_huge(other.words(), 0..10 * HUGE_PAGE).len();
    segment.make_huge_later(0..words - 1);
    // The kernel maps a huge page when something in it is asked for. The tenth was not asked for
    // as a whole, and of the others it makes as many as it has free blocks of memory for.
    eventually(|| {
        for page in 0..10 {
            segment.words()[page * huge].load(Ordering::Relaxed);
        }
        huge_bytes(&segment) >= made.min(HUGE_PAGE)
    });
    for at in (0..words).step_by(511) {
        assert_eq!(segment.words()[at].load(Ordering::Relaxed), at as u64);
    }
}

#[test]
fn huge_pages_are_made_ahead_where_the_machine_has_them() {
    let (huge, first, second) = (HUGE_PAGE / 8, Name::new(), Name::new());
    let words = 10 * huge;
    let fill = |_: &Mapping| Ok::<_, io::Error>(());
    let segment = Mapping::create(&first.0, words, 0o600, fill).unwrap();
    let other = Mapping::create(&second.0, words, 0o600, fill).unwrap();
    let made = populate_huge(other.words(), 0..10 * HUGE_PAGE).len() as u64;
    // One page, which keeps what it has, and is not all that there is afterwards.
    segment.words()[3 * huge + 5].store(7, Ordering::Relaxed);
    let before = segment.bytes_present().unwrap();
    assert!(before < HUGE_PAGE as u64);
    segment.populate_huge_later(huge..words - 1);
    eventually(|| segment.bytes_present().unwrap() >= made.min(HUGE_PAGE as u64).max(before + 1));
    assert_eq!(segment.words()[3 * huge + 5].load(Ordering::Relaxed), 7);
    assert_eq!(segment.words()[3 * huge].load(Ordering::Relaxed), 0);
}

/// Runs in a mount namespace with a small `/dev/shm` of its own, if this user may
/// create one.
#[test]
fn a_full_file_system_is_an_error_and_loses_nothing() {
    let page = crate::sys::unix::pages::page_size();
    Child::fork(|| {
        let text = |text: &str| std::ffi::CString::new(text).unwrap();
        let (none, tmpfs, root) = (text("none"), text("tmpfs"), text("/"));
        let (directory, options) = (text(DIRECTORY), text(&format!("size={}", 32 * page)));
        // SAFETY: it takes no pointer and changes no memory: the child, which has one thread,
        // gets a mount table of its own.
        let namespace = unsafe { libc::unshare(libc::CLONE_NEWNS) };
        if namespace != 0 {
            eprintln!("not tried: no mount namespace for this user");
            return true;
        }
        // SAFETY: the three strings are C strings that live until the call returns; there is
        // no data, for which null is allowed. The mounts that it changes are the child's own.
        let private = unsafe {
            libc::mount(
                none.as_ptr(),
                root.as_ptr(),
                none.as_ptr(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            )
        };
        // SAFETY: the strings are C strings that live until the call returns, and so are the
        // options, as tmpfs expects them. The mount is in the child's own mount table.
        let mounted = unsafe {
            libc::mount(
                tmpfs.as_ptr(),
                directory.as_ptr(),
                tmpfs.as_ptr(),
                0,
                options.as_ptr().cast(),
            )
        };
        assert_eq!((private, mounted), (0, 0));
        let words = page / 8;
        let fill = |_: &Mapping| Ok::<_, io::Error>(());
        let segment = Mapping::create("small", 64 * words, 0o600, fill).unwrap();
        let large = Mapping::create("large", 1 << 20, 0o600, fill).unwrap();
        let segment_blocks = |name| std::fs::metadata(path_of(name).unwrap()).unwrap().blocks();
        let blocks = || segment_blocks("small");
        segment.populate(0..8 * words).unwrap();
        for word in &segment.words()[..8 * words] {
            word.store(7, Ordering::Relaxed);
        }
        let before = blocks();
        // Too large to be tried at all.
        let refused = large.populate(0..large.words().len());
        assert_eq!(kind(refused), Some(io::ErrorKind::StorageFull));
        assert_eq!(segment_blocks("large"), 0);
        // From the middle of a page that is in use to the middle of another.
        let refused = segment.populate(8 * words - 1..63 * words + 1);
        assert_eq!(kind(refused), Some(io::ErrorKind::StorageFull));
        assert!(blocks() >= before);
        let kept = |word: &crate::sync::AtomicU64| word.load(Ordering::Relaxed) == 7;
        assert!(segment.words()[..8 * words].iter().all(kept));
        segment.populate(8 * words..30 * words).unwrap();
        true
    })
    .succeeds();
}

#[test]
fn sleep_returns_at_once_when_there_is_nothing_to_wait_for() {
    let name = Name::new();
    let segment = name.create();
    let long = Duration::from_mins(1);
    let start = Instant::now();
    segment.words()[1].store(0xffff_ffff_0000_0001, Ordering::Relaxed);
    segment.sleep(1, 2, long);
    segment.sleep(WORDS, 0, long);
    segment.sleep(usize::MAX, 0, long);
    segment.wake_all(usize::MAX);
    segment.sleep(0, 0, Duration::ZERO);
    assert!(start.elapsed() < long / 2);
    let start = Instant::now();
    segment.sleep(1, 1, Duration::from_millis(30));
    assert!(
        start.elapsed() >= Duration::from_millis(30),
        "only the low half counts"
    );
}

#[test]
fn a_sleeper_in_another_process_is_woken() {
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let name = Name::new();
        let segment = name.create();
        let sleeper = name.open(access).unwrap();
        let child = Child::fork(|| {
            let start = Instant::now();
            sleeper.sleep(9, 0, Duration::MAX);
            sleeper.sleep(8, 0, Duration::MAX);
            start.elapsed() < Duration::from_secs(30)
        });
        std::thread::sleep(Duration::from_millis(20));
        segment.words()[9].store(1, Ordering::Relaxed);
        segment.wake_one(9);
        segment.words()[8].store(1, Ordering::Relaxed);
        segment.wake_all(8);
        child.succeeds();
    }
}
