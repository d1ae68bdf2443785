//! Tests of liveness and forks: which processes count as alive, and what a child inherits.

use super::*;
use crate::sync::Mutex;
use crate::sys::fork::ForkCell;

#[test]
fn a_reader_holds_nothing_alone() {
    let name = Name::new();
    let segment = name.create();
    let holder = segment.liveness().unwrap();
    assert!(holder.try_hold(1).unwrap());
    let reader = name.open(Access::ReadOnly).unwrap().liveness().unwrap();
    assert!(reader.is_held_by_others(1));
    assert!(reader.try_hold(3).is_err());
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
        // The inherited `Liveness` no longer works, and dropping it does no harm.
        let ours = open_descriptors_of(&name);
        let useless = holder.try_hold(2).is_err() && holder.is_held_by_others(7);
        // SAFETY: `holder` is initialized, and the child drops only this copy: it captured
        // `holder` by reference, uses it no more, and never returns to the frame that owns
        // it, because a signal ends it. The parent's `holder` is in memory of its own.
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
                        // Bounded, in case the test fails before it stores the word.
                        for _ in 0..3000 {
                            if stop.load(Ordering::Relaxed) != 0 {
                                break;
                            }
                            std::thread::sleep(Duration::from_millis(20));
                        }
                        true
                    });
                    // The children outlive this process.
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
    // A child that had not yet run when its parent died closes its copies when it
    // runs.
    eventually(|| (0..HOLDERS).all(|byte| !watcher.is_held_by_others(byte)));
    stop.store(1, Ordering::Relaxed);
}

#[test]
fn closed_descriptors_declare_nobody_dead() {
    let name = Name::new();
    let segment = name.create();
    // In a child of its own, because the test closes descriptors that other code owns.
    Child::fork(|| {
        let holder = segment.liveness().unwrap();
        assert!(holder.try_hold(1).unwrap());
        close_behind_its_back(&segment);
        close_behind_its_back(&segment);
        assert_eq!(open_descriptors_of(&name), 0);
        assert!(holder.is_held_by_others(2));
        assert!(holder.try_hold(2).is_err());
        // The next files get the same numbers.
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
        // SAFETY: `cell` is initialized, and the child drops only this copy: it captured
        // `cell` by reference, uses neither it nor `own` any more, and ends by `_exit`
        // without returning to the frame that owns it. No thread but this one is in the child.
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
