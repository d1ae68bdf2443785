//! Whether models' segments wake, and die, as the kernel's do.

use super::*;

fn handshake(wakes: bool) {
    loom::model(move || {
        let sleeper = Mapping::in_heap(2, None, false);
        let other = sleeper.share();
        let thread = loom::thread::spawn(move || {
            other.words()[1].store(1, Ordering::Relaxed);
            if wakes {
                other.wake_one(1);
            }
        });
        while sleeper.words()[1].load(Ordering::Relaxed) == 0 {
            sleeper.sleep(1, 0, Duration::ZERO);
        }
        thread.join().unwrap();
    });
}

#[test]
fn a_wake_after_the_store_is_never_lost() {
    handshake(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_missing_wake_is_a_deadlock() {
    handshake(false);
}

#[test]
fn a_dropped_liveness_is_a_dead_process() {
    loom::model(|| {
        let segment = Mapping::in_heap(1, None, false);
        let watcher = segment.liveness().unwrap();
        let other = segment.share();
        let thread = loom::thread::spawn(move || {
            let own = other.liveness().unwrap();
            assert!(own.try_hold(3).unwrap());
            assert!(!own.is_held_by_others(3));
        });
        thread.join().unwrap();
        assert!(!watcher.is_held_by_others(3));
        assert!(watcher.try_share(3).unwrap());
        let reader = segment.liveness().unwrap();
        assert!(reader.try_share(3).unwrap());
        assert!(!reader.try_hold(3).unwrap());
        assert!(reader.is_held_by_others(3));
    });
}
