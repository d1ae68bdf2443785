//! Tables that stay mapped for a moment after their last handle went.
//!
//! A task of a pool brings a handle and drops it when it ends, and the next task brings
//! another one of the same table. Mapping it anew would cost each task some 40 us, and a page
//! fault for each page that it reads. So workers keep the last few tables for a second. A
//! table that was unlinked meanwhile is freed after that second, too.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::mapping::{Mapping, Mappings};

/// How long a table stays mapped.
const KEPT_FOR: Duration = Duration::from_secs(1);
/// The most tables that stay mapped.
const MOST: usize = 8;
/// The stack of the thread that drops tables, which only unmaps them.
const STACK: usize = 1 << 16;

/// The tables that stay mapped though they have no handles.
pub(super) struct Warm(Mutex<State>);

#[derive(Default)]
struct State {
    /// Until when each is kept, the earliest first.
    kept: VecDeque<(Instant, Arc<Mapping>)>,
    /// Whether there is a thread that drops those whose time is over. It ends with the last.
    dropper_runs: bool,
}

impl Warm {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a table for a while, from now on.
    pub(super) fn keep(mappings: &Arc<Mappings>, mapping: Arc<Mapping>) {
        let mut state = mappings.warm.state();
        state.kept.retain(|(_, kept)| !Arc::ptr_eq(kept, &mapping));
        state.kept.push_back((Instant::now() + KEPT_FOR, mapping));
        let one_too_many = (state.kept.len() > MOST).then(|| state.kept.pop_front());
        if !state.dropper_runs {
            let all = Arc::clone(mappings);
            let dropper = thread::Builder::new()
                .name("shmtable".into())
                .stack_size(STACK);
            state.dropper_runs = dropper.spawn(move || all.warm.drop_in_time()).is_ok();
        }
        // Without a thread nothing may stay.
        let rest = (!state.dropper_runs).then(|| mem::take(&mut state.kept));
        drop(state);
        drop((one_too_many, rest));
    }

    /// Drops tables when their time is over, until there are none.
    fn drop_in_time(&self) {
        loop {
            let mut state = self.state();
            let now = Instant::now();
            let over = state.kept.iter().take_while(|(until, _)| *until <= now);
            let over = over.count();
            let over: Vec<_> = state.kept.drain(..over).collect();
            let next = state.kept.front().map(|(until, _)| *until - now);
            state.dropper_runs = next.is_some();
            drop(state);
            drop(over);
            match next {
                Some(next) => thread::sleep(next),
                None => return,
            }
        }
    }

    /// Drops all tables now.
    pub(super) fn release(&self) {
        let kept = mem::take(&mut self.state().kept);
        drop(kept);
    }
}
