//! The death of a model's process at a crash point.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};

use super::Killer;

/// The panic payload with which a death leaves the closure of [`run_until_death`].
struct Death;

struct Doom {
    /// The number of crash points that the process still passes.
    left: usize,
    killer: Killer,
}

thread_local! {
    /// The number of doomed processes of the model that this system thread runs. Crash
    /// points cost nothing where no process is to die.
    static DOOMED: Cell<usize> = const { Cell::new(0) };
}

loom::thread_local! {
    static DOOM: RefCell<Option<Doom>> = RefCell::new(None);
}

/// Runs `work` in the process of `killer`, which dies when it comes to its `point`th
/// crash point (the first is 0); `None` if it died.
pub(crate) fn run_until_death<R>(
    point: usize,
    killer: Killer,
    work: impl FnOnce() -> R,
) -> Option<R> {
    DOOM.with(|doom| {
        *doom.borrow_mut() = Some(Doom {
            left: point,
            killer,
        });
    });
    DOOMED.set(DOOMED.get() + 1);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    DOOMED.set(DOOMED.get() - 1);
    DOOM.with(|doom| doom.borrow_mut().take());
    match outcome {
        Ok(result) => Some(result),
        Err(payload) if payload.is::<Death>() => None,
        Err(payload) => panic::resume_unwind(payload),
    }
}

/// Kills a doomed process at its crash point. The macros of crash points call it.
pub(crate) fn reach_crash_point(_name: &'static str) {
    if DOOMED.get() == 0 {
        return;
    }
    let now = DOOM.with(|doom| {
        let mut doom = doom.borrow_mut();
        match doom.as_mut() {
            None => None,
            Some(Doom { left: 0, .. }) => doom.take(),
            Some(doomed) => {
                doomed.left -= 1;
                None
            }
        }
    });
    if let Some(doom) = now {
        doom.killer.kill();
        panic::resume_unwind(Box::new(Death));
    }
}
