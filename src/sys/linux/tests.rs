//! The contract, tried on the running kernel, with processes that are stopped
//! and killed. A forked child does one small thing and leaves by `_exit`.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::staging::Staging;
use super::*;
use crate::sync::Mutex;
use crate::sys::fork::ForkCell;
use crate::sys::{Access, Owner};

const WORDS: usize = 1024;

/// A name of this test process alone, removed at the end.
struct Name(String);

impl Name {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(format!("sys-test-{}-{id}", std::process::id()))
    }

    fn path(&self) -> String {
        path_of(&self.0).unwrap()
    }

    fn create(&self) -> Mapping {
        Mapping::create(&self.0, WORDS, 0o600, |_| Ok::<_, io::Error>(())).unwrap()
    }

    fn open(&self, access: Access) -> io::Result<Mapping> {
        Mapping::open(&self.0, access, |_| Ok::<_, io::Error>(()))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path());
    }
}

/// A forked child; killed and reaped at the end.
struct Child(libc::pid_t);

impl Child {
    /// Forks a child that leaves with 0 if `work` says `true`, with 1 if it says
    /// `false` and with 2 if it panics.
    fn fork(work: impl FnOnce() -> bool) -> Self {
        // SAFETY: the child has one thread; it runs `work`, which does only
        // small things (glibc's allocator works in such a child), and then
        // leaves without unwinding into the test harness.
        let id = unsafe { libc::fork() };
        assert!(id >= 0);
        if id == 0 {
            let work = std::panic::AssertUnwindSafe(work);
            let code = match std::panic::catch_unwind(work) {
                Ok(true) => 0,
                Ok(false) => 1,
                Err(_) => 2,
            };
            // SAFETY: ends the process, nothing else.
            unsafe { libc::_exit(code) };
        }
        Self(id)
    }

    /// Forks a child that does `work`, tells so, and then waits to be killed.
    fn fork_and_stay(work: impl FnOnce() -> bool) -> Self {
        let name = Name::new();
        let flag = name.create();
        let child = Self::fork(|| {
            flag.words()[0].store(if work() { 1 } else { 2 }, Ordering::Release);
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        eventually(|| flag.words()[0].load(Ordering::Acquire) != 0);
        assert_eq!(flag.words()[0].load(Ordering::Acquire), 1);
        child
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: a signal to our own child, which was not reaped yet.
        assert_eq!(unsafe { libc::kill(self.0, signal) }, 0);
    }

    fn wait(&self, options: libc::c_int) -> libc::c_int {
        let mut status = 0;
        // SAFETY: `status` is writable for the time of the call.
        let id = unsafe { libc::waitpid(self.0, &raw mut status, options) };
        assert_eq!(id, self.0);
        status
    }

    fn succeeds(self) {
        let status = self.wait(0);
        std::mem::forget(self);
        assert!(libc::WIFEXITED(status));
        assert_eq!(libc::WEXITSTATUS(status), 0);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
        self.wait(0);
    }
}

fn eventually(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "never happened");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

/// The number of one of our descriptors, as an outsider could guess it.
fn close_behind_its_back(mapping: &Mapping) -> i32 {
    let wanted = std::fs::metadata(&mapping.paths[0]).unwrap();
    for raw in 3..1024 {
        let Ok(found) = std::fs::metadata(format!("/proc/self/fd/{raw}")) else {
            continue;
        };
        if (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()) {
            // SAFETY: plays somebody who closes what is not theirs; our own
            // code is to find out.
            assert_eq!(unsafe { libc::close(raw) }, 0);
            return raw;
        }
    }
    panic!("not found");
}

#[test]
fn a_segment_is_created_opened_listed_and_unlinked() {
    let name = Name::new();
    let made = Mapping::create(&name.0, WORDS + 1, 0o666, |mapping| {
        assert!(
            mapping
                .words()
                .iter()
                .all(|word| word.load(Ordering::Relaxed) == 0)
        );
        mapping.words()[WORDS].store(7, Ordering::Relaxed);
        assert!(!list()?.contains(&name.0));
        mapping.populate(0..WORDS + 1)?;
        assert!(mapping.liveness()?.try_hold(3)?);
        Ok::<_, io::Error>(())
    })
    .unwrap();
    assert!(list().unwrap().contains(&name.0));
    let bits = std::fs::metadata(name.path()).unwrap().permissions().mode();
    assert_eq!(bits & 0o7777, 0o666, "the umask has no say");

    let mut owner = None;
    let opened = Mapping::open(&name.0, Access::ReadOnly, |seen| {
        owner = Some(seen);
        Ok::<_, io::Error>(())
    })
    .unwrap();
    let expected = Owner {
        user: current_user(),
        mode: 0o666,
    };
    assert_eq!(owner, Some(expected));
    assert_eq!(opened.words().len(), WORDS + 1);
    assert_eq!(opened.words()[WORDS].load(Ordering::Relaxed), 7);
    made.words()[0].store(8, Ordering::Relaxed);
    assert_eq!(opened.words()[0].load(Ordering::Relaxed), 8);

    let again = Mapping::create(&name.0, WORDS, 0o600, |_| {
        unreachable!("no work for a name that is taken")
    });
    assert_eq!(kind::<Mapping>(again), Some(io::ErrorKind::AlreadyExists));

    unlink(&name.0).unwrap();
    assert_eq!(kind(unlink(&name.0)), Some(io::ErrorKind::NotFound));
    assert!(!list().unwrap().contains(&name.0));
    assert_eq!(
        kind(name.open(Access::ReadOnly)),
        Some(io::ErrorKind::NotFound)
    );
    made.words()[0].store(9, Ordering::Relaxed);
    assert_eq!(opened.words()[0].load(Ordering::Relaxed), 9);
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
    assert!(!list().unwrap().contains(&link.0));
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
    // SAFETY: the path is a C string for the time of the call.
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
fn a_file_size_limit_is_an_error_and_no_signal() {
    let name = Name::new();
    Child::fork(|| {
        let limit = libc::rlimit {
            rlim_cur: 4096,
            rlim_max: 4096,
        };
        // SAFETY: `limit` is readable for the time of the call.
        let status = unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
        let create = Mapping::create(&name.0, WORDS, 0o600, |_| Ok::<_, io::Error>(()));
        status == 0 && kind(create) == Some(io::ErrorKind::FileTooLarge)
    })
    .succeeds();
}

#[test]
fn pages_are_made_present() {
    let name = Name::new();
    let page = pages::page_size() / 8;
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

/// In a mount namespace with a small `/dev/shm` of its own, if this user may
/// make one.
#[test]
fn a_full_file_system_is_an_error_and_keeps_nothing() {
    let page = pages::page_size();
    Child::fork(|| {
        let text = |text: &str| std::ffi::CString::new(text).unwrap();
        let (none, tmpfs, root) = (text("none"), text("tmpfs"), text("/"));
        let (directory, options) = (text(DIRECTORY), text(&format!("size={}", 32 * page)));
        // SAFETY: gives this child a mount table of its own.
        let namespace = unsafe { libc::unshare(libc::CLONE_NEWNS) };
        if namespace != 0 {
            eprintln!("not tried: no mount namespace for this user");
            return true;
        }
        // SAFETY: the strings live for the time of the call.
        let private = unsafe {
            libc::mount(
                none.as_ptr(),
                root.as_ptr(),
                none.as_ptr(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            )
        };
        // SAFETY: the strings live for the time of the call.
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
        let blocks = || {
            std::fs::metadata(path_of("small").unwrap())
                .unwrap()
                .blocks()
        };
        segment.populate(0..8 * words).unwrap();
        for word in &segment.words()[..8 * words] {
            word.store(7, Ordering::Relaxed);
        }
        let before = blocks();
        // From the middle of a page that is in use to the middle of another.
        let refused = segment.populate(8 * words - 1..63 * words + 1);
        assert_eq!(kind(refused), Some(io::ErrorKind::StorageFull));
        assert_eq!(blocks(), before);
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

#[test]
fn bytes_are_held_alone_or_shared() {
    let name = Name::new();
    let segment = name.create();
    let (a, b) = (segment.liveness().unwrap(), segment.liveness().unwrap());
    assert!(a.try_hold(5).unwrap());
    assert!(a.try_hold(5).unwrap(), "holding again changes nothing");
    assert!(!a.is_held_by_others(5));
    assert!(b.is_held_by_others(5));
    assert!(!b.is_held_by_others(4));
    assert!(!b.try_hold(5).unwrap());
    assert!(!b.try_share(5).unwrap());
    assert!(a.try_share(6).unwrap());
    assert!(b.try_share(6).unwrap());
    assert!(a.is_held_by_others(6));
    assert!(!b.try_hold(6).unwrap());
    drop(a);
    assert!(!b.is_held_by_others(5));
    assert!(b.try_hold(6).unwrap());
    assert!(b.try_hold(1 << 40).unwrap(), "past the end");
    assert_eq!(
        kind(b.try_hold(u64::MAX)),
        Some(io::ErrorKind::InvalidInput)
    );
    assert!(b.is_held_by_others(u64::MAX));
}

#[test]
fn a_reader_shares_and_looks() {
    let name = Name::new();
    let segment = name.create();
    let holder = segment.liveness().unwrap();
    assert!(holder.try_hold(1).unwrap());
    let reader = name.open(Access::ReadOnly).unwrap().liveness().unwrap();
    assert!(reader.is_held_by_others(1));
    assert!(!reader.try_share(1).unwrap());
    assert!(reader.try_share(2).unwrap());
    assert!(holder.is_held_by_others(2));
    assert!(reader.try_hold(3).is_err());
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
fn a_killed_holder_is_dead_and_a_stopped_one_is_not() {
    let name = Name::new();
    let segment = name.create();
    let watcher = segment.liveness().unwrap();
    let held = || watcher.is_held_by_others(1);
    let child = Child::fork_and_stay(|| {
        let own = segment.liveness().unwrap();
        let held = own.try_hold(1).unwrap();
        std::mem::forget(own);
        held
    });
    assert!(held());
    child.signal(libc::SIGSTOP);
    child.wait(libc::WUNTRACED);
    assert!(held());
    assert!(!watcher.try_hold(1).unwrap());
    child.signal(libc::SIGKILL);
    // Not reaped: a zombie is dead.
    eventually(|| !held());
    assert!(watcher.try_hold(1).unwrap());
}

#[test]
fn a_child_does_not_keep_its_parent_alive() {
    let name = Name::new();
    let segment = name.create();
    let holder = segment.liveness().unwrap();
    assert!(holder.try_hold(1).unwrap());
    let child = Child::fork_and_stay(|| {
        // What was inherited is no good any more, and dropping it does no harm.
        let ours = open_descriptors_of(&name);
        let useless = holder.try_hold(2).is_err() && holder.is_held_by_others(7);
        // SAFETY: `holder` is never dropped in this process but here: the
        // child leaves by a signal.
        drop(unsafe { std::ptr::read(&raw const holder) });
        let own = segment.liveness().unwrap();
        let fresh = own.is_held_by_others(1) && own.try_hold(3).unwrap();
        std::mem::forget(own);
        ours == 1 && useless && fresh
    });
    let watcher = segment.liveness().unwrap();
    assert!(watcher.is_held_by_others(1));
    assert!(watcher.is_held_by_others(3));
    drop(holder);
    assert!(!watcher.is_held_by_others(1));
    drop(child);
    assert!(!watcher.is_held_by_others(3));
}

/// How many descriptors of the segment's file this process has.
fn open_descriptors_of(name: &Name) -> usize {
    let wanted = std::fs::metadata(name.path()).unwrap();
    (3..1024)
        .filter_map(|raw| std::fs::metadata(format!("/proc/self/fd/{raw}")).ok())
        .filter(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()))
        .count()
}

#[test]
fn forks_at_any_moment_leave_no_copy_of_a_lock() {
    let name = Name::new();
    let segment = name.create();
    let watcher = segment.liveness().unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let forker = scope.spawn(|| {
            let mut children = Vec::new();
            while !stop.load(Ordering::Relaxed) && children.len() < 200 {
                children.push(Child::fork(|| {
                    loop {
                        std::thread::sleep(Duration::from_secs(1));
                    }
                }));
            }
            children
        });
        for round in 0..1000 {
            let holder = segment.liveness().unwrap();
            assert!(holder.try_hold(round).unwrap());
            assert!(watcher.is_held_by_others(round));
            drop(holder);
            assert!(!watcher.is_held_by_others(round), "a child holds it still");
        }
        stop.store(true, Ordering::Relaxed);
        drop(forker.join().unwrap());
    });
}

#[test]
fn a_process_that_forked_at_any_moment_dies_wholly() {
    const HOLDERS: u64 = 100;
    let name = Name::new();
    let segment = name.create();
    let watcher = segment.liveness().unwrap();
    let stop = &segment.words()[0];
    let process = Child::fork_and_stay(|| {
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut children = 0;
                while !done.load(Ordering::Relaxed) && children < 300 {
                    let child = Child::fork(|| {
                        // Bounded, should the test fail before it says so.
                        for _ in 0..3000 {
                            if stop.load(Ordering::Relaxed) != 0 {
                                break;
                            }
                            std::thread::sleep(Duration::from_millis(20));
                        }
                        true
                    });
                    // They outlive this process.
                    std::mem::forget(child);
                    children += 1;
                }
            });
            let held = (0..HOLDERS).all(|byte| {
                let holder = segment.liveness().unwrap();
                let held = holder.try_hold(byte).unwrap();
                std::mem::forget(holder);
                std::thread::yield_now();
                held
            });
            done.store(true, Ordering::Relaxed);
            held
        })
    });
    assert!((0..HOLDERS).all(|byte| watcher.is_held_by_others(byte)));
    drop(process);
    // A child that was made but did not run yet when its parent died closes
    // its copies when it does.
    eventually(|| (0..HOLDERS).all(|byte| !watcher.is_held_by_others(byte)));
    stop.store(1, Ordering::Relaxed);
}

#[test]
fn closed_descriptors_declare_nobody_dead() {
    let name = Name::new();
    let segment = name.create();
    // In a child of its own: the test closes numbers that are not its own.
    Child::fork(|| {
        let holder = segment.liveness().unwrap();
        assert!(holder.try_hold(1).unwrap());
        close_behind_its_back(&segment);
        close_behind_its_back(&segment);
        assert_eq!(open_descriptors_of(&name), 0);
        assert!(holder.is_held_by_others(2));
        assert!(holder.try_hold(2).is_err());
        // The next files get the very numbers.
        let others = [
            std::fs::File::open("/").unwrap(),
            std::fs::File::open("/").unwrap(),
        ];
        assert!(holder.is_held_by_others(2));
        assert!(holder.try_hold(2).is_err());
        // The name still leads to the segment.
        let again = segment.liveness().unwrap();
        assert!(!again.is_held_by_others(1));
        assert!(again.try_hold(1).unwrap());
        drop(holder);
        assert!(segment.unlink_if_same(&name.0).unwrap());
        assert!(segment.liveness().is_err());
        others.iter().all(|other| other.metadata().is_ok())
    })
    .succeeds();
}

#[test]
fn a_name_is_unlinked_only_if_it_still_is_the_segments() {
    let name = Name::new();
    let first = name.create();
    assert!(first.unlink_if_same(&name.0).unwrap());
    assert!(!first.unlink_if_same(&name.0).unwrap());
    let second = name.create();
    assert!(!first.unlink_if_same(&name.0).unwrap());
    assert!(name.open(Access::ReadWrite).is_ok());
    assert!(second.unlink_if_same(&name.0).unwrap());
}

#[test]
fn a_child_gets_a_fresh_cell_even_if_a_sibling_held_the_lock() {
    struct Noisy(Mutex<u32>);
    static DROPPED: AtomicU32 = AtomicU32::new(0);
    impl Drop for Noisy {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
    let cell = ForkCell::new();
    let value = |start| move || Ok::<_, io::Error>(Noisy(Mutex::new(start)));
    let inherited = cell.get_or_try_init(value(1)).unwrap();
    let generation = crate::sys::fork::generation();
    let guard = inherited.0.lock();
    let child = Child::fork(|| {
        let older = crate::sys::fork::generation() > generation;
        let absent = cell.get().is_none();
        let own = cell.get_or_try_init(value(2)).unwrap();
        let fresh = *own.0.lock() == 2 && std::ptr::eq(own, cell.get().unwrap());
        let grandchild = Child::fork(|| {
            cell.get().is_none() && *cell.get_or_try_init(value(3)).unwrap().0.lock() == 3
        });
        grandchild.succeeds();
        // SAFETY: the cell is never used or dropped again in this process.
        drop(unsafe { std::ptr::read(&raw const cell) });
        older && absent && fresh && DROPPED.load(Ordering::Relaxed) == 1
    });
    child.succeeds();
    drop(guard);
    assert_eq!(*cell.get().unwrap().0.lock(), 1);
    assert_eq!(crate::sys::fork::generation(), generation);
    drop(cell);
    assert_eq!(DROPPED.load(Ordering::Relaxed), 1);
}

#[test]
fn random_words_differ() {
    assert_ne!(random().unwrap(), random().unwrap());
}
